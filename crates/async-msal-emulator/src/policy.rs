use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// The settings that can change while the emulator runs. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// Life of an access token. Default: 3600.
    pub access_token_lifetime: i64,
    /// Life of an id token. Default: 3600.
    pub id_token_lifetime: i64,
    /// Life of an authorization code. Default: 600.
    pub code_lifetime: i64,
    /// Life of a refresh token. Default: 90 days.
    pub refresh_token_lifetime: i64,
    /// `refresh_in` of a token answer. Default: absent.
    pub refresh_in: Option<i64>,
    /// A used refresh token is refused. Default: false, since Entra ID keeps the old one good.
    pub single_use_refresh_tokens: bool,
    /// For so many seconds after its first use a used refresh token is accepted all the same. Default: 0.
    pub refresh_token_reuse_grace: i64,
    /// A refused reuse revokes every refresh token of that sign-in (RFC 9700 4.14.2). Default: false.
    pub revoke_on_refresh_token_reuse: bool,
    /// The `iss` parameter of authorization responses (RFC 9207). Default: absent, as at Entra ID.
    pub authorization_response_iss: IssuerParameter,
    /// Whether the metadata announces that parameter. Default: false.
    pub advertise_authorization_response_iss: bool,
    /// The `state` parameter of authorization responses. Default: right.
    pub authorization_response_state: StateParameter,
    /// What is wrong with the discovery document. Default: nothing.
    pub metadata_fault: Option<MetadataFault>,
    /// Scopes that are left out of every token answer, consented or not. Default: none.
    pub withheld_scopes: BTreeSet<String>,
    /// `token_endpoint_auth_methods_supported` of the metadata, where it shall differ. Default: Entra ID's three.
    pub token_endpoint_auth_methods: Option<Vec<String>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_token_lifetime: 3600,
            id_token_lifetime: 3600,
            code_lifetime: 600,
            refresh_token_lifetime: 90 * 24 * 3600,
            refresh_in: None,
            single_use_refresh_tokens: false,
            refresh_token_reuse_grace: 0,
            revoke_on_refresh_token_reuse: false,
            authorization_response_iss: IssuerParameter::Absent,
            advertise_authorization_response_iss: false,
            authorization_response_state: StateParameter::Right,
            metadata_fault: None,
            withheld_scopes: BTreeSet::new(),
            token_endpoint_auth_methods: None,
        }
    }
}

/// The `iss` parameter of an authorization response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IssuerParameter {
    /// Not sent.
    Absent,
    /// The issuer of the metadata.
    Right,
    /// Another issuer: a mix-up attack.
    Wrong,
}

/// The `state` parameter of an authorization response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StateParameter {
    /// What the request sent.
    Right,
    /// Not sent back.
    Absent,
    /// Something else.
    Wrong,
}

/// What is wrong with the discovery document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MetadataFault {
    /// `issuer` of another tenant.
    IssuerMismatch,
    /// `token_endpoint` with plain http to a host that is not loopback.
    HttpTokenEndpoint,
}
