//! One question after another, put to this library and to both releases: the same token, or none from both.

use std::sync::Arc;

use async_msal::{
    Account, Authority, ClientSecret, ConfidentialClient, Lookup, ManualClock, Scopes, TokenCache,
};
use serde_json::{Map, Value, json};

use super::msal::{CLIENT, Msal, NOW, TENANT};

const OTHER_TENANT: &str = "44444444-4444-4444-4444-444444444444";
const HOST: &str = "login.microsoftonline.com";

/// An access token of a case's cache.
#[derive(Debug, Clone)]
struct Token {
    person: &'static str,
    tenant: &'static str,
    client: &'static str,
    target: &'static str,
    expires_in: i64,
    refresh_in: Option<i64>,
}

const TOKEN: Token = Token {
    person: "ada",
    tenant: TENANT,
    client: CLIENT,
    target: "Mail.Read User.Read email openid profile",
    expires_in: 3_600,
    refresh_in: None,
};

/// A cache and a question to it.
#[derive(Debug, Clone)]
struct Case {
    tokens: Vec<Token>,
    person: &'static str,
    tenant: &'static str,
    scopes: &'static [&'static str],
}

fn case(tokens: &[Token]) -> Case {
    Case { tokens: tokens.to_vec(), person: "ada", tenant: TENANT, scopes: &["User.Read"] }
}

/// Scopes by expiry; then ages, accounts, tenants, clients, and several tokens at once.
fn cases() -> Vec<Case> {
    const ASKED: [&[&str]; 7] = [
        &["User.Read"],
        &["User.Read", "Mail.Read"],
        &["user.read"],
        &["User.Read", "Mail.Send"],
        &["https://graph.microsoft.com/User.Read"],
        &["openid", "User.Read"],
        &[],
    ];
    let mut cases = Vec::new();
    for scopes in ASKED {
        for expires_in in [299, 300, 301, 3_600, -1] {
            cases.push(Case { scopes, ..case(&[Token { expires_in, ..TOKEN }]) });
        }
    }
    for refresh_in in [-1, 0, 1, 3_000] {
        cases.push(case(&[Token { refresh_in: Some(refresh_in), ..TOKEN }]));
    }
    let unsorted = Token { target: "profile openid User.Read Mail.Read", ..TOKEN };
    let both = [TOKEN, Token { person: "ben", ..TOKEN }];
    let tenants = [TOKEN, Token { tenant: OTHER_TENANT, ..TOKEN }];
    cases.push(case(&[unsorted]));
    cases.push(case(&[]));
    cases.push(case(&both));
    cases.push(Case { person: "ben", ..case(&both) });
    cases.push(Case { person: "ben", ..case(&[TOKEN]) });
    cases.push(case(&tenants));
    cases.push(Case { tenant: OTHER_TENANT, ..case(&tenants) });
    cases.push(Case { tenant: OTHER_TENANT, ..case(&[TOKEN]) });
    cases.push(case(&[Token { client: "another-client", ..TOKEN }]));
    cases.push(case(&[Token { target: "Mail.Send", ..TOKEN }, TOKEN]));
    cases.push(case(&[Token { target: "Mail.Send User.Read", expires_in: 299, ..TOKEN }, TOKEN]));
    cases.push(case(&[Token { target: "User.Read", expires_in: -1, ..TOKEN }]));
    cases
}

impl Token {
    fn secret(&self) -> String {
        let Self { person, tenant, client, target, .. } = self;
        format!("{person} {tenant} {client} {target}")
    }

    /// Key and entry, as MSAL writes them.
    fn entry(&self) -> (String, Value) {
        let home = home(self.person);
        let Self { tenant, client, target, expires_in, .. } = self;
        let expires_on = (NOW + expires_in).to_string();
        let mut entry = json!({"credential_type": "AccessToken", "secret": self.secret(), "home_account_id": home,
            "environment": HOST, "client_id": client, "target": target, "realm": tenant, "token_type": "Bearer",
            "cached_at": (NOW - 3_600).to_string(), "expires_on": expires_on, "extended_expires_on": expires_on});
        if let Some(refresh_in) = self.refresh_in {
            entry["refresh_on"] = (NOW + refresh_in).to_string().into();
        }
        (format!("{home}-{HOST}-accesstoken-{client}-{tenant}-{target}").to_lowercase(), entry)
    }
}

fn home(person: &str) -> String {
    format!("{person}.{TENANT}")
}

impl Case {
    fn cache(&self) -> String {
        let accounts: Map<String, Value> = [("ada", TENANT), ("ben", TENANT), ("ada", OTHER_TENANT)]
            .into_iter()
            .map(|(person, tenant)| {
                let account = json!({"home_account_id": home(person), "environment": HOST, "realm": tenant,
                    "local_account_id": person, "username": person, "authority_type": "MSSTS"});
                (format!("{}-{HOST}-{tenant}", home(person)), account)
            })
            .collect();
        let tokens: Map<String, Value> = self.tokens.iter().map(Token::entry).collect();
        json!({"AccessToken": tokens, "Account": accounts}).to_string()
    }

    fn ours(&self) -> Option<String> {
        let cache = TokenCache::parse(&self.cache()).unwrap();
        let client = ConfidentialClient::builder(CLIENT)
            .authority(Authority::parse(&format!("https://{HOST}/{}", self.tenant)).unwrap())
            .client_secret(ClientSecret::new("secret"))
            .clock(Arc::new(ManualClock::new(NOW)))
            .build()
            .unwrap();
        let is_asked = |account: &Account| account.realm() == self.tenant;
        let account = cache.accounts_of(HOST, &home(self.person)).into_iter().find(is_asked);
        let scopes: Scopes = self.scopes.iter().copied().collect();
        match client.find_access_token(&cache, &account?, &scopes) {
            Lookup::Hit(hit) => Some(hit.token.access_token.expose_secret().to_owned()),
            _ => None,
        }
    }

    fn msals(&self, msal: &mut Msal) -> Option<String> {
        let authority = format!("https://{HOST}/{}", self.tenant);
        let fields = json!({"cache": self.cache(), "authority": authority, "scopes": self.scopes, "home": home(self.person)});
        msal.run("silent", NOW, &fields).access_token().map(str::to_owned)
    }
}

#[test]
fn silent_hits_agree_with_both_releases() {
    let cases = cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    let mut hits = 0;
    for mut msal in Msal::both() {
        for case in &cases {
            let ours = case.ours();
            assert_eq!(ours, case.msals(&mut msal), "MSAL {}: {case:#?}", msal.release);
            hits += usize::from(ours.is_some());
        }
    }
    assert!(hits > 20 && hits < 2 * cases.len() - 20, "{hits} hits tell nothing");
}

#[test]
fn one_token_of_less_than_ten_minutes_differs_as_documented() {
    let short = Token { expires_in: 299, ..TOKEN };
    let (key, mut entry) = short.entry();
    entry["cached_at"] = (NOW - 1).to_string().into();
    let account = json!({"home_account_id": home("ada"), "environment": HOST, "realm": TENANT,
        "local_account_id": "ada", "username": "ada", "authority_type": "MSSTS"});
    let text = json!({"AccessToken": {key: entry}, "Account": {"k": account}}).to_string();
    let cache = TokenCache::parse(&text).unwrap();
    let client = ConfidentialClient::builder(CLIENT)
        .authority(Authority::parse(&format!("https://{HOST}/{TENANT}")).unwrap())
        .client_secret(ClientSecret::new("secret"))
        .clock(Arc::new(ManualClock::new(NOW)))
        .build()
        .unwrap();
    let account = cache.accounts(HOST).remove(0);
    let ours = client.find_access_token(&cache, &account, &Scopes::from(["User.Read"]));
    assert!(matches!(ours, Lookup::Hit(_)));
    for mut msal in Msal::both() {
        let fields = json!({"cache": text, "scopes": ["User.Read"], "home": home("ada")});
        assert_eq!(msal.run("silent", NOW, &fields).access_token(), None);
    }
}
