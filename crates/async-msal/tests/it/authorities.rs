//! Sign-ins at authorities of every kind, under their real names: a tunnel leads each name to the emulator.

use std::net::SocketAddr;

use async_msal::error::ConfigError;
use async_msal::{
    Account, AuthCodeRequest, AuthResponse, Authority, AuthorityKind, ClientSecret, Cloud,
    ConfidentialClient, Error, Scopes, SignInResult, Tenant, TokenCache, TokenSource,
};
use async_msal_emulator::{Emulator, TlsMode};
use serde_json::Value;

use crate::support::{ADA, REDIRECT, tunnel};

const HOSTS: [&str; 8] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "contoso.b2clogin.com",
    "contoso.ciamlogin.com",
    "sts.contoso.example",
    "login.unknown.example",
    "login.internal.example",
];

struct Net {
    emulator: Emulator,
    proxy: SocketAddr,
    cache: TokenCache,
}

impl Net {
    async fn new() -> Self {
        let extra_hosts = HOSTS.map(String::from).to_vec();
        let builder = Emulator::builder()
            .shared_signing_key()
            .redirect_uri(REDIRECT)
            .tls(TlsMode::ThrowAway { extra_hosts });
        let emulator = builder.start().await.unwrap();
        let proxy = tunnel(emulator.address()).await;
        Self { emulator, proxy, cache: TokenCache::new() }
    }

    fn client(&self, authority: Authority, allowed: &[&str], trusted: &[&str]) -> ConfidentialClient {
        let proxy = format!("http://{}", self.proxy);
        ConfidentialClient::builder(self.emulator.client_id())
            .authority(authority)
            .client_secret(ClientSecret::new(self.emulator.client_secret()))
            .ca_certificate_pem(self.emulator.ca_pem())
            .http_client(move |builder| builder.proxy(reqwest::Proxy::all(&proxy).unwrap()))
            .allowed_tenants(allowed.iter().copied())
            .allowed_endpoint_hosts(trusted.iter().copied())
            .build()
            .unwrap()
    }

    async fn sign_in(&mut self, client: &ConfidentialClient, scopes: Scopes) -> Result<SignInResult, Error> {
        let request = AuthCodeRequest::new(REDIRECT.parse().unwrap(), scopes);
        let flow = client.initiate_auth_code_flow(request).await?;
        let answer = self.emulator.authorize(flow.auth_uri().unwrap().as_str(), ADA).await.unwrap();
        let response = AuthResponse::parse(&answer.body())?;
        client.acquire_token_by_auth_code_flow(&mut self.cache, &flow, response).await
    }

    /// A sign-in, a hit, and a renewal: the whole life of a session.
    async fn live(&mut self, authority: Authority) -> (SignInResult, ConfidentialClient) {
        let client = self.client(authority, &[], &[]);
        let scopes = Scopes::from(["User.Read"]);
        let signed_in = self.sign_in(&client, scopes.clone()).await.unwrap();
        let account = &signed_in.account;
        let hit = client.acquire_token_silent(&mut self.cache, account, &scopes).await.unwrap();
        assert_eq!(hit.source, TokenSource::Cache);
        let options = async_msal::RefreshOptions::default();
        client.refresh(&mut self.cache, account, &scopes, options).await.unwrap();
        (signed_in, client)
    }

    fn entry(&self, section: &str) -> Value {
        let json: Value = serde_json::from_str(&self.cache.to_json()).unwrap();
        json[section].as_object().unwrap().values().next().unwrap().clone()
    }
}

fn names(account: &Account) -> (&str, &str) {
    (account.environment(), account.realm())
}

#[tokio::test]
async fn b2c_signs_in_by_its_policy() {
    let mut net = Net::new().await;
    let tenant = net.emulator.tenant_id().to_owned();
    let url = format!("https://contoso.b2clogin.com/{tenant}/B2C_1_in");
    let (signed_in, client) = net.live(Authority::parse(&url).unwrap()).await;
    assert_eq!(client.authority().kind(), AuthorityKind::B2c);
    assert_eq!(names(&signed_in.account), ("contoso.b2clogin.com", tenant.as_str()));
    assert!(signed_in.account.home_account_id().contains("-b2c_1_in."));
    assert_eq!(signed_in.id_token.claims().iss, format!("https://contoso.b2clogin.com/{tenant}/v2.0/"));
    assert_eq!(net.entry("Account")["authority_type"], "MSSTS");
}

#[tokio::test]
async fn external_id_signs_in_by_its_host_alone() {
    let mut net = Net::new().await;
    let tenant = net.emulator.tenant_id().to_owned();
    let url = format!("https://contoso.ciamlogin.com/{tenant}");
    let (signed_in, client) = net.live(Authority::parse(&url).unwrap()).await;
    assert_eq!(client.authority().kind(), AuthorityKind::Ciam);
    assert_eq!(names(&signed_in.account), ("contoso.ciamlogin.com", tenant.as_str()));
    assert_eq!(signed_in.id_token.claims().iss, format!("https://{tenant}.ciamlogin.com/{tenant}/v2.0"));
}

#[tokio::test]
async fn adfs_signs_in_without_client_info() {
    let mut net = Net::new().await;
    let (signed_in, client) = net.live(Authority::parse("https://sts.contoso.example/adfs").unwrap()).await;
    assert_eq!(client.authority().kind(), AuthorityKind::Adfs);
    assert_eq!(names(&signed_in.account), ("sts.contoso.example", "adfs"));
    let claims = signed_in.id_token.claims();
    assert_eq!(signed_in.account.home_account_id(), claims.sub);
    let account = net.entry("Account");
    assert_eq!((&account["authority_type"], &account["username"]), (&"ADFS".into(), &ADA.into()));
}

#[tokio::test]
async fn sovereign_clouds_sign_in_at_their_hosts() {
    let mut net = Net::new().await;
    for cloud in [Cloud::Public, Cloud::UsGovernment, Cloud::UsDefense, Cloud::China] {
        let tenant = Tenant::parse(net.emulator.tenant_id()).unwrap();
        let (signed_in, _) = net.live(Authority::entra_in(cloud, &tenant).unwrap()).await;
        assert_eq!(signed_in.account.environment(), cloud.login_host());
        net.cache = TokenCache::new();
    }
    assert_eq!(net.emulator.admin().counters().instance_discovery, 0, "known hosts were asked about");
}

#[tokio::test]
async fn common_and_organizations_take_the_persons_own_tenant() {
    let mut net = Net::new().await;
    for authority in [Authority::common().unwrap(), Authority::organizations().unwrap()] {
        let word = authority.tenant().unwrap().to_string();
        let (signed_in, _) = net.live(authority).await;
        assert_eq!(signed_in.account.realm(), word);
        let iss = format!("https://login.microsoftonline.com/{}/v2.0", net.emulator.tenant_id());
        assert_eq!(signed_in.id_token.claims().iss, iss);
        net.cache = TokenCache::new();
    }
}

#[tokio::test]
async fn list_of_tenants_holds_at_every_kind_of_authority() {
    let mut net = Net::new().await;
    let tenant = net.emulator.tenant_id().to_owned();
    let other = "99999999-9999-9999-9999-999999999999";
    let scopes = Scopes::from(["User.Read"]);
    let ciam = format!("https://contoso.ciamlogin.com/{tenant}");
    let entra = "https://login.microsoftonline.com/common".to_owned();
    for url in [&ciam, &entra] {
        let client = net.client(Authority::parse(url).unwrap(), &[&tenant], &[]);
        net.sign_in(&client, scopes.clone()).await.unwrap();
    }
    net.cache = TokenCache::new();
    // AD FS names no tenant, so that a list of them lets nobody in.
    for url in [&ciam, &entra, &"https://sts.contoso.example/adfs".to_owned()] {
        let client = net.client(Authority::parse(url).unwrap(), &[other], &[]);
        let error = net.sign_in(&client, scopes.clone()).await.unwrap_err();
        assert_eq!(error.code(), "id_token", "{url}");
        assert!(!net.cache.has_changed());
    }
}

#[tokio::test]
async fn unknown_host_is_asked_about_once() {
    let mut net = Net::new().await;
    let tenant = net.emulator.tenant_id().to_owned();
    // The emulator, at the public cloud's name, knows all its own hosts.
    let url = format!("https://login.unknown.example/{tenant}");
    net.live(Authority::parse(&url).unwrap()).await;
    assert_eq!(net.emulator.admin().counters().instance_discovery, 1);
    net.cache = TokenCache::new();
    let trusted = net.client(
        Authority::parse(&format!("https://login.internal.example/{tenant}")).unwrap(),
        &[],
        &["login.internal.example"],
    );
    net.sign_in(&trusted, Scopes::from(["User.Read"])).await.unwrap();
    assert_eq!(net.emulator.admin().counters().instance_discovery, 1);
}

#[tokio::test]
async fn host_that_nobody_knows_is_refused() {
    let net = Net::new().await;
    let url = format!("https://login.evil.example/{}", net.emulator.tenant_id());
    let client = net.client(Authority::parse(&url).unwrap(), &[], &[]);
    let error = client.metadata().await.unwrap_err();
    assert!(matches!(error, Error::Config(ConfigError::UnknownInstance)), "{error:?}");
    assert_eq!(net.emulator.admin().counters().discovery, 0);
}
