//! A client lists and removes the accounts of a cache as MSAL does.

use async_msal::{Authority, ClientSecret, ConfidentialClient, TokenCache};
use serde_json::{Value, json};

const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const OWN: &str = "login.microsoftonline.com";
const ALIAS: &str = "login.windows.net";

fn client() -> ConfidentialClient {
    ConfidentialClient::builder(CLIENT)
        .authority(Authority::parse(&format!("https://{OWN}/{TENANT}")).unwrap())
        .client_secret(ClientSecret::new("secret"))
        .build()
        .unwrap()
}

fn account(home: &str, environment: &str, realm: &str, username: &str) -> Value {
    json!({"home_account_id": home, "environment": environment, "realm": realm, "username": username,
        "local_account_id": home, "authority_type": "MSSTS"})
}

fn cache(accounts: &[Value]) -> TokenCache {
    let name =
        |entry: &Value| format!("{}{}{}", entry["home_account_id"], entry["environment"], entry["realm"]);
    let section: serde_json::Map<_, _> = accounts.iter().map(|entry| (name(entry), entry.clone())).collect();
    TokenCache::parse(&json!({ "Account": section }).to_string()).unwrap()
}

fn listed(cache: &TokenCache, username: Option<&str>) -> Vec<(String, String)> {
    let accounts = client().get_accounts(cache, username);
    accounts.iter().map(|one| (one.home_account_id().to_owned(), one.realm().to_owned())).collect()
}

fn pair(home: &str, realm: &str) -> (String, String) {
    (home.to_owned(), realm.to_owned())
}

#[test]
fn person_in_several_tenants_is_listed_once_in_the_clients_own() {
    let guest = |realm| account("ada.home", OWN, realm, "Ada@contoso.example");
    let both = [guest("another"), guest(TENANT), guest("third")];
    assert_eq!(listed(&cache(&both), None), [pair("ada.home", TENANT)]);
    let neither = [guest("another"), guest("third")];
    assert_eq!(listed(&cache(&neither), None), [pair("ada.home", "third")]);
}

#[test]
fn alias_names_count_where_the_authoritys_own_host_has_nobody() {
    let ada = account("ada", ALIAS, TENANT, "ada");
    let ben = account("ben", OWN, TENANT, "ben");
    let elsewhere = account("cy", "login.microsoftonline.us", TENANT, "cy");
    assert_eq!(listed(&cache(&[ada.clone(), elsewhere.clone()]), None), [pair("ada", TENANT)]);
    assert_eq!(listed(&cache(&[ada, ben, elsewhere]), None), [pair("ben", TENANT)]);
}

#[test]
fn username_is_compared_whatever_its_case() {
    let cache = cache(&[account("ada", OWN, TENANT, "Ada@Contoso.example"), account("ben", OWN, TENANT, "")]);
    assert_eq!(listed(&cache, Some("aDA@contoso.EXAMPLE")), [pair("ada", TENANT)]);
    assert!(listed(&cache, Some("nobody")).is_empty());
}

#[test]
fn account_of_another_kind_of_authority_is_not_listed() {
    let mut other = account("ada", OWN, TENANT, "ada");
    other["authority_type"] = "Other".into();
    assert!(listed(&cache(&[other]), None).is_empty());
}

#[test]
fn account_is_found_by_its_home_account_id() {
    let cache = cache(&[account("ada", OWN, TENANT, "same"), account("ben", OWN, TENANT, "same")]);
    assert_eq!(client().get_account(&cache, "ben").unwrap().local_account_id(), Some("ben"));
    assert!(client().get_account(&cache, "BEN").is_none());
}

#[test]
fn removed_account_leaves_what_is_the_applications_and_other_clients_refresh_tokens() {
    let mut text: Value = serde_json::from_str(include_str!("../fixtures/example_token_cache.json")).unwrap();
    let mut foreign = text["RefreshToken"].as_object().unwrap().values().next().unwrap().clone();
    foreign["client_id"] = "another client".into();
    text["RefreshToken"]["foreign"] = foreign;
    let (client, mut cache) = (client(), TokenCache::parse(&text.to_string()).unwrap());
    let account = client.get_accounts(&cache, None).remove(0);
    client.remove_account(&mut cache, &account);
    assert!(client.get_accounts(&cache, None).is_empty());
    let after: Value = serde_json::from_str(&cache.to_json()).unwrap();
    let count = |section: &str| after[section].as_object().unwrap().len();
    assert_eq!((count("RefreshToken"), count("AccessToken"), count("IdToken")), (1, 1, 0));
    assert!(after["RefreshToken"].get("foreign").is_some());
}

#[test]
fn removed_app_tokens_are_this_clients_under_all_names_of_its_host() {
    let token = |environment: &str, client_id: &str, home: Value| {
        json!({"credential_type": "AccessToken", "secret": "s", "home_account_id": home, "client_id": client_id,
            "environment": environment, "realm": TENANT, "target": "a", "expires_on": "9999999999"})
    };
    let text = json!({"AccessToken": {
        "own": token(OWN, CLIENT, Value::Null), "alias": token(ALIAS, CLIENT, Value::Null),
        "cloud": token("login.microsoftonline.us", CLIENT, Value::Null), "other": token(OWN, "other", Value::Null),
        "user": token(OWN, CLIENT, "ada".into()),
    }});
    let mut cache = TokenCache::parse(&text.to_string()).unwrap();
    client().remove_tokens_for_client(&mut cache);
    let after: Value = serde_json::from_str(&cache.to_json()).unwrap();
    let mut left: Vec<_> = after["AccessToken"].as_object().unwrap().keys().cloned().collect();
    left.sort();
    assert_eq!(left, ["cloud", "other", "user"]);
}
