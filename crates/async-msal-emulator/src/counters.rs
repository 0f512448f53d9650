use serde::{Deserialize, Serialize};

use crate::endpoint::on_behalf_of::ON_BEHALF_OF;
use crate::fault::Endpoint;

/// How often each endpoint was asked, faults included. Start is zero; [`Admin::reset_counters`](crate::Admin) sets it back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counters {
    /// Discovery documents.
    pub discovery: u64,
    /// `/common/discovery/instance`.
    pub instance_discovery: u64,
    /// Key sets.
    pub keys: u64,
    /// Authorization requests (not the steps of the login page).
    pub authorize: u64,
    /// Token requests with grant `authorization_code`.
    pub token_authorization_code: u64,
    /// Token requests with grant `refresh_token`.
    pub token_refresh_token: u64,
    /// Refresh tokens sent again after their first use, refused or not.
    pub refresh_token_reuses: u64,
    /// Token requests with grant `client_credentials`.
    pub token_client_credentials: u64,
    /// Token requests with the grant of on-behalf-of.
    #[serde(default)]
    pub token_on_behalf_of: u64,
    /// Token requests with any other grant, or none.
    pub token_other: u64,
    /// Logout requests.
    pub logout: u64,
    /// Graph `/me`.
    pub graph_me: u64,
    /// Graph `/me/manager`.
    pub graph_manager: u64,
    /// Graph `/me/photo/$value`.
    pub graph_photo: u64,
    /// The OpenID Connect userinfo endpoint.
    pub userinfo: u64,
    /// Both endpoints of the managed identity.
    #[serde(default)]
    pub managed_identity: u64,
}

impl Counters {
    /// Token requests of every grant together.
    #[must_use]
    pub fn token(&self) -> u64 {
        self.token_authorization_code
            + self.token_refresh_token
            + self.token_client_credentials
            + self.token_on_behalf_of
            + self.token_other
    }

    pub(crate) fn count(&mut self, endpoint: Endpoint, grant_type: Option<&str>) {
        let counter = match (endpoint, grant_type) {
            (Endpoint::Discovery, _) => &mut self.discovery,
            (Endpoint::InstanceDiscovery, _) => &mut self.instance_discovery,
            (Endpoint::Keys, _) => &mut self.keys,
            (Endpoint::Authorize, _) => &mut self.authorize,
            (Endpoint::Token, Some("authorization_code")) => &mut self.token_authorization_code,
            (Endpoint::Token, Some("refresh_token")) => &mut self.token_refresh_token,
            (Endpoint::Token, Some("client_credentials")) => &mut self.token_client_credentials,
            (Endpoint::Token, Some(ON_BEHALF_OF)) => &mut self.token_on_behalf_of,
            (Endpoint::Token, _) => &mut self.token_other,
            (Endpoint::Logout, _) => &mut self.logout,
            (Endpoint::GraphMe, _) => &mut self.graph_me,
            (Endpoint::GraphManager, _) => &mut self.graph_manager,
            (Endpoint::GraphPhoto, _) => &mut self.graph_photo,
            (Endpoint::UserInfo, _) => &mut self.userinfo,
            (Endpoint::ManagedIdentity, _) => &mut self.managed_identity,
        };
        *counter += 1;
    }
}
