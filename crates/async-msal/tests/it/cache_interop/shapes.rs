//! Caches of every shape MSAL writes, and of shapes it has never heard of.

use std::sync::Arc;

use async_msal::token_cache::extended_cache_key;
use async_msal::{
    Account, Authority, ClientSecret, ConfidentialClient, Lookup, ManualClock, Scopes, TokenCache,
};
use serde_json::{Value, json};

use super::msal::{AUTHORITY, CLIENT, Msal, NOW, TENANT};

fn client(authority: &str) -> ConfidentialClient {
    ConfidentialClient::builder(CLIENT)
        .authority(Authority::parse(authority).unwrap())
        .client_secret(ClientSecret::new("secret"))
        .clock(Arc::new(ManualClock::new(NOW)))
        .build()
        .unwrap()
}

/// Ada's answer at a token endpoint.
fn event(authority: &str, endpoint: &str) -> Value {
    let info = "eyJ1aWQiOiJhZGEiLCJ1dGlkIjoiaG9tZSJ9"; // {"uid":"ada","utid":"home"}
    json!({
        "client_id": CLIENT, "scope": ["User.Read"], "token_endpoint": format!("{authority}{endpoint}"),
        "environment": authority.split('/').nth(2), "grant_type": "authorization_code", "params": {}, "data": {},
        "response": {"access_token": "AT", "refresh_token": "RT", "expires_in": 3_600, "token_type": "Bearer",
            "scope": "profile User.Read openid", "client_info": info,
            "id_token_claims": {"sub": "s", "oid": "ada", "preferred_username": "Ada@Contoso.example"}},
    })
}

fn hit(cache: &TokenCache, authority: &str, account: &Account) -> Option<String> {
    match client(authority).find_access_token(cache, account, &Scopes::from(["User.Read"])) {
        Lookup::Hit(hit) => Some(hit.token.access_token.expose_secret().to_owned()),
        _ => None,
    }
}

#[test]
fn every_kind_of_authority_is_read_and_written_back() {
    let authorities = [
        (AUTHORITY, "/oauth2/v2.0/token", TENANT),
        ("https://login.microsoftonline.com/common", "/oauth2/v2.0/token", "common"),
        (
            "https://login.microsoftonline.us/11111111-1111-1111-1111-111111111111",
            "/oauth2/v2.0/token",
            TENANT,
        ),
        (
            "https://contoso.b2clogin.com/contoso.onmicrosoft.com/b2c_1_in",
            "/oauth2/v2.0/token",
            "contoso.onmicrosoft.com",
        ),
        ("https://sts.contoso.example/adfs", "/oauth2/token", "adfs"),
    ];
    for mut msal in Msal::both() {
        for (authority, endpoint, realm) in authorities {
            let events = json!({"authority": authority, "events": [event(authority, endpoint)]});
            let written = msal.run("add", NOW, &events);
            let cache = TokenCache::parse(written.cache()).unwrap();
            let account = cache.accounts(client(authority).environment()).remove(0);
            assert_eq!(account.realm(), realm, "MSAL {}", msal.release);
            assert_eq!(account.authority_type(), if realm == "adfs" { "ADFS" } else { "MSSTS" });
            assert_eq!(hit(&cache, authority, &account).as_deref(), Some("AT"), "{authority}");
            let ask = json!({"authority": authority, "cache": cache.to_json(), "scopes": ["User.Read"],
                "home": account.home_account_id()});
            let back = msal.run("silent", NOW, &ask);
            assert_eq!((back.access_token(), back.posts()), (Some("AT"), 0), "{authority}");
            msal.looks_at_everything(NOW, &cache.to_json());
        }
    }
}

#[test]
fn cache_under_an_alias_of_the_host_is_read_without_a_network() {
    for mut msal in Msal::both() {
        for alias in ["login.windows.net", "login.microsoft.com", "sts.windows.net"] {
            let authority = format!("https://{alias}/{TENANT}");
            let events = json!({"authority": authority, "events": [event(&authority, "/oauth2/v2.0/token")]});
            let cache = TokenCache::parse(msal.run("add", NOW, &events).cache()).unwrap();
            let account = cache.accounts("login.microsoftonline.com").remove(0);
            assert_eq!(hit(&cache, AUTHORITY, &account).as_deref(), Some("AT"), "{alias}");
        }
    }
}

#[test]
fn extended_entry_of_msal_answers_no_plain_question_and_stays() {
    let [_, mut msal] = Msal::both();
    let mut extended = event(AUTHORITY, "/oauth2/v2.0/token");
    extended["data"] = json!({"fmi_path": "a/b"});
    let written = msal.run("add", NOW, &json!({"events": [extended]}));
    let json: Value = serde_json::from_str(written.cache()).unwrap();
    let (key, entry) = json["AccessToken"].as_object().unwrap().iter().next().unwrap();
    let ours = extended_cache_key(&[("fmi_path", "a/b")]);
    assert_eq!(entry["ext_cache_key"], ours);
    assert!(key.contains("-atext-") && key.ends_with(&ours));

    let cache = TokenCache::parse(written.cache()).unwrap();
    let account = cache.accounts("login.microsoftonline.com").remove(0);
    assert_eq!(hit(&cache, AUTHORITY, &account), None);
    assert_eq!(serde_json::from_str::<Value>(&cache.to_json()).unwrap(), json);
}

/// What `token_cache` says of it, and why such tokens are kept apart from what MSAL 1.21 reads.
#[test]
fn extended_entry_is_taken_for_a_plain_one_by_msal_1_21_and_not_by_the_newest() {
    let entry = |secret: &str, home: Option<&str>, target: &str| {
        json!({"credential_type": "AccessToken", "secret": secret, "home_account_id": home,
            "environment": "login.microsoftonline.com", "client_id": CLIENT, "target": target, "realm": TENANT,
            "token_type": "Bearer", "cached_at": NOW.to_string(), "expires_on": (NOW + 3_600).to_string(),
            "extended_expires_on": (NOW + 3_600).to_string(),
            "ext_cache_key": extended_cache_key(&[("fmi_path", "a/b")])})
    };
    let cache = json!({
        "AccessToken": {"users": entry("OBO", Some("ada.home"), "User.Read"), "nobodys": entry("FMI", None, "api/.default")},
        "Account": {"ada": {"home_account_id": "ada.home", "environment": "login.microsoftonline.com",
            "realm": TENANT, "local_account_id": null, "username": "ada", "authority_type": "MSSTS"}},
    });
    let [mut oldest, mut newest] = Msal::both();
    let plain = [
        (json!({"cache": cache.to_string(), "scopes": ["User.Read"], "home": "ada.home"}), "OBO"),
        (json!({"cache": cache.to_string(), "scopes": ["api/.default"]}), "FMI"),
    ];
    for (ask, taken) in plain {
        assert_eq!(oldest.run("silent", NOW, &ask).access_token(), Some(taken));
        assert_eq!(newest.run("silent", NOW, &ask).access_token(), None);
    }
}

#[test]
fn entries_without_a_home_account_and_of_another_library_survive_both() {
    let text = json!({
        "AccessToken": {
            "-login.microsoftonline.com-accesstoken-c-t-s": {"credential_type": "AccessToken", "secret": "APP",
                "home_account_id": null, "environment": "login.microsoftonline.com", "client_id": CLIENT,
                "target": "api/.default", "realm": TENANT, "token_type": "Bearer", "cached_at": NOW.to_string(),
                "expires_on": (NOW + 3_600).to_string(), "extended_expires_on": (NOW + 3_600).to_string(), "note": 1.50},
            "a key of another library": {"credential_type": "AccessToken", "secret": "FOREIGN",
                "home_account_id": "ada.home", "environment": "login.microsoftonline.com", "client_id": CLIENT,
                "target": "User.Read", "realm": TENANT, "expires_on": NOW + 3_600, "cached_at": NOW},
        },
        "Account": {"also foreign": {"home_account_id": "ada.home", "environment": "login.microsoftonline.com",
            "realm": TENANT, "local_account_id": null, "username": "ada", "authority_type": "MSSTS"}},
        "RefreshToken": {"foreign": {"credential_type": "RefreshToken", "home_account_id": "ada.home", "environment": "login.microsoftonline.com",
            "client_id": CLIENT, "secret": "RT", "target": null}},
        "Dynamic": {"x": {"deep": [{"er": null}]}}, "Version": 7,
    });
    for mut msal in Msal::both() {
        let ask = json!({"cache": text.to_string(), "scopes": ["User.Read"], "home": "ada.home"});
        let read = msal.run("silent", NOW, &ask);
        assert_eq!((read.access_token(), read.posts()), (Some("FOREIGN"), 0), "MSAL {}", msal.release);
        let cache = TokenCache::parse(read.cache()).unwrap();
        let account = cache.accounts("login.microsoftonline.com").remove(0);
        assert_eq!(hit(&cache, AUTHORITY, &account).as_deref(), Some("FOREIGN"));
        assert_eq!(serde_json::from_str::<Value>(&cache.to_json()).unwrap(), text);
        msal.looks_at_everything(NOW, &cache.to_json());
    }
}
