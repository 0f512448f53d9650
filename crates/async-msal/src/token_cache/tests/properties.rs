//! Any work on a cache keeps it one that MSAL reads, and loses nothing that is not MSAL's.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::value;
use crate::account::Account;
use crate::scope::Scopes;
use crate::token_endpoint::response::TokenResponse;

const HOST: &str = "login.microsoftonline.com";
const CLIENT: &str = "Client";
const NOW: i64 = 1_767_225_600;
const SCOPES: [&str; 5] =
    ["User.Read", "Mail.Read", "email", "openid", "https://graph.microsoft.com/User.Read"];

#[derive(Debug, Clone)]
enum Step {
    Add { person: usize, tenant: usize, scopes: Vec<usize>, life: i64, way: Way },
    Remove { person: usize },
    RemoveApplication,
    Note { person: usize, tenant: usize },
    Reopen,
    Wait(i64),
}

/// The four occasions of writing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    SignIn,
    /// Where there is nothing to refresh with, the person signs in.
    Refresh,
    Exchange,
    Application,
}

fn step() -> impl Strategy<Value = Step> {
    let way = prop_oneof![Just(Way::SignIn), Just(Way::Refresh), Just(Way::Exchange), Just(Way::Application)];
    // Few enough people that a refresh finds its sign-in.
    let add = (0..6_usize, 0..2_usize, vec(0..SCOPES.len(), 0..4), 1..5_000_i64, way);
    prop_oneof![
        6 => add.prop_map(|(person, tenant, scopes, life, way)| Step::Add { person, tenant, scopes, life, way }),
        1 => (0..12_usize).prop_map(|person| Step::Remove { person }),
        1 => Just(Step::RemoveApplication),
        1 => (0..12_usize, 0..2_usize).prop_map(|(person, tenant)| Step::Note { person, tenant }),
        1 => Just(Step::Reopen),
        1 => (0..4_000_i64).prop_map(Step::Wait),
    ]
}

/// Entries of MSAL 1.21 and of somebody else, each with a field of its own.
fn start() -> String {
    let target = "profile User.Read openid Mail.Read";
    let key = format!("person0.home-{HOST}-accesstoken-client-tenant0-{target}").to_lowercase();
    json!({
        "AccessToken": {
            key: {"credential_type": "AccessToken", "secret": "old", "home_account_id": "Person0.home",
                "environment": HOST, "client_id": CLIENT, "target": target, "realm": "tenant0",
                "expires_on": NOW + 100, "note": {"kept": [1.50, "a"]}},
            "foreign": {"credential_type": "AccessToken", "secret": "foreign", "home_account_id": null,
                "environment": HOST, "client_id": "other", "target": "x", "realm": "r", "expires_on": "9999999999", "note": "n"},
        },
        "Elsewhere": {"a": 1.000, "b": {"c": null}},
    })
    .to_string()
}

fn answer(scopes: &[usize], life: i64, number: usize) -> (TokenResponse, Scopes) {
    let granted: Scopes = scopes.iter().map(|index| SCOPES[*index]).collect();
    let body = json!({"access_token": format!("AT{number}"), "refresh_token": format!("RT{number}"), "token_type": "Bearer",
        "expires_in": life, "scope": granted.to_string()});
    let body = zeroize::Zeroizing::new(body.to_string().into_bytes());
    let fetched = crate::http_client::Fetched { status: 200, body, max_age: None, retry_after: None };
    (TokenResponse::read(&fetched, NOW).unwrap(), granted)
}

struct Run {
    cache: TokenCache,
    now: i64,
    number: usize,
}

impl Run {
    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Add { person, tenant, scopes, life, way } => {
                self.add((home(*person), realm(*tenant)), scopes, *life, *way)
            }
            Step::Remove { person } => {
                let home = home(*person);
                for account in self.cache.accounts_of(HOST, &home) {
                    self.cache.remove_account(&account, CLIENT);
                }
                prop_assert!(self.cache.accounts_of(HOST, &home).is_empty());
                Ok(())
            }
            Step::RemoveApplication => {
                self.cache.remove_app_tokens(HOST, CLIENT);
                Ok(())
            }
            Step::Note { person, tenant } => {
                for account in self.cache.accounts_of(HOST, &home(*person)) {
                    if account.realm() == realm(*tenant) {
                        self.cache.set_account_extra(&account, "note", json!(self.number));
                        prop_assert_eq!(self.cache.account_extra(&account, "note"), Some(json!(self.number)));
                    }
                }
                Ok(())
            }
            Step::Reopen => {
                let text = self.cache.to_json();
                self.cache = TokenCache::parse(&text).unwrap();
                prop_assert_eq!(self.cache.to_json(), text);
                prop_assert!(!self.cache.has_changed());
                Ok(())
            }
            Step::Wait(seconds) => {
                self.now += seconds;
                Ok(())
            }
        }
    }

    fn add(
        &mut self,
        (home, realm): (String, String),
        scopes: &[usize],
        life: i64,
        way: Way,
    ) -> Result<(), TestCaseError> {
        self.number += 1;
        let known = self.account(&home, &realm);
        let held =
            known.as_ref().map(|account| self.cache.refresh_tokens(account, CLIENT)).unwrap_or_default();
        let used = held.first().filter(|_| way == Way::Refresh).map(|(key, _)| key.clone());
        let application = way == Way::Application;
        let (response, granted) = answer(scopes, life, self.number);
        let occasion = match (way, &used) {
            (Way::Application, _) => WriteOccasion::Application,
            (Way::Exchange, _) => WriteOccasion::Exchange,
            (Way::Refresh, Some(used_key)) => WriteOccasion::Refresh { used_key },
            (Way::SignIn | Way::Refresh, _) => WriteOccasion::SignIn,
        };
        let before = value(&self.cache);
        self.cache.write(&TokenWrite {
            client_id: CLIENT,
            environment: HOST,
            realm: &realm,
            home_account_id: (!application).then_some(&*home),
            ext_cache_key: None,
            response: &response,
            requested: &granted,
            granted: &granted,
            id_token: None,
            now: self.now,
            occasion,
        });
        prop_assert!(self.cache.has_changed());
        if !application {
            let account = self.account(&home, &realm).unwrap();
            let query = AccessTokenQuery { account: &account, client_id: CLIENT, scopes: &granted };
            prop_assert!(matches!(self.cache.find(&query, self.now), Lookup::Hit(_)));
            let newest = format!("RT{}", self.number);
            let tokens = self.cache.refresh_tokens(&account, CLIENT);
            prop_assert!(tokens.iter().any(|(_, token)| token.expose_secret() == newest));
            match used {
                Some(used) => self.check_refresh(&before, &used, &newest, held.len())?,
                None => {
                    let source = (way != Way::Exchange).then_some("authorization_code");
                    prop_assert_eq!(account.account_source(), source);
                }
            }
        } else {
            let after = value(&self.cache);
            for section in ["Account", "RefreshToken", "IdToken"] {
                prop_assert_eq!(&before[section], &after[section]);
            }
        }
        Ok(())
    }

    /// A refresh overwrites the entry it used, and leaves the account alone.
    fn check_refresh(
        &self,
        before: &Value,
        used: &str,
        newest: &str,
        held: usize,
    ) -> Result<(), TestCaseError> {
        let after = value(&self.cache);
        prop_assert_eq!(&before["Account"], &after["Account"]);
        let (old, new) = (&before["RefreshToken"][used], &after["RefreshToken"][used]);
        prop_assert_eq!((&old["target"], new["secret"].as_str()), (&new["target"], Some(newest)));
        let count = |json: &Value| json["RefreshToken"].as_object().map_or(0, serde_json::Map::len);
        prop_assert!(held > 0 && count(before) == count(&after));
        Ok(())
    }

    fn account(&self, home: &str, realm: &str) -> Option<Account> {
        self.cache.accounts_of(HOST, home).into_iter().find(|account| account.realm() == realm)
    }

    /// What must hold after every step.
    fn check(&self) -> Result<(), TestCaseError> {
        let json = value(&self.cache);
        // `json!` writes 1.0 where it was told 1.000; from there on not a byte changes.
        let elsewhere = r#""Elsewhere":{"a":1.0,"b":{"c":null}}"#;
        prop_assert!(self.cache.to_json().contains(elsewhere), "not as it was");
        for (key, entry) in json["AccessToken"].as_object().unwrap() {
            let time =
                entry["expires_on"].as_str().map_or(entry["expires_on"].as_i64(), |text| text.parse().ok());
            prop_assert!(time.is_some() && entry["target"].is_string(), "{}", key);
            prop_assert!(entry.get("credential_type").is_some_and(|kind| kind == "AccessToken"));
            if entry.get("note").is_none() {
                prop_assert_eq!(key, &key.to_lowercase());
            }
        }
        for account in json["Account"].as_object().into_iter().flatten().map(|(_, entry)| entry) {
            prop_assert!(account["username"].is_string() && account["authority_type"] == "MSSTS");
            prop_assert_eq!(account["environment"].as_str(), Some(HOST));
        }
        self.check_single_targets(&json)?;
        self.check_index()
    }

    /// No second entry for one grant.
    fn check_single_targets(&self, json: &Value) -> Result<(), TestCaseError> {
        for section in ["AccessToken", "RefreshToken"] {
            let mut seen = Vec::new();
            for entry in
                json.get(section).and_then(Value::as_object).into_iter().flatten().map(|(_, entry)| entry)
            {
                let target = Scopes::parse(entry["target"].as_str().unwrap());
                let grant = (
                    entry["home_account_id"].clone(),
                    entry.get("realm").cloned(),
                    entry["client_id"].clone(),
                    target,
                );
                prop_assert!(!seen.contains(&grant), "{}: {:?}", section, grant);
                seen.push(grant);
            }
        }
        Ok(())
    }

    /// Every entry is found by its key and by its owner.
    fn check_index(&self) -> Result<(), TestCaseError> {
        for kind in [Kind::AccessToken, Kind::RefreshToken, Kind::Account] {
            for row in self.cache.rows(kind) {
                let owner = table::Owner {
                    home_account_id: row.entry.text(Field::HomeAccountId),
                    realm: row.entry.text(Field::Realm),
                };
                let times = self.cache.rows_of(kind, owner).filter(|other| other.key == row.key).count();
                prop_assert_eq!(times, 1, "{}", row.key);
                prop_assert!(self.cache.table(kind).unwrap().get(&row.key).is_some());
            }
        }
        Ok(())
    }
}

fn home(person: usize) -> String {
    format!("Person{person}.home")
}

fn realm(tenant: usize) -> String {
    format!("tenant{tenant}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_work_keeps_a_cache_that_msal_reads_and_what_is_not_msals(steps in vec(step(), 1..40)) {
        let mut run = Run { cache: TokenCache::parse(&start()).unwrap(), now: NOW, number: 0 };
        for step in &steps {
            let before = value(&run.cache);
            run.take(step)?;
            run.check()?;
            let after = value(&run.cache);
            for section in ["AccessToken", "Account"] {
                for (key, entry) in before.get(section).and_then(Value::as_object).into_iter().flatten() {
                    // An entry that is still there, whoever wrote it last, has kept the field.
                    if let (Some(note), Some(left)) = (entry.get("note"), after[section].get(key)) {
                        prop_assert!(left.get("note").is_some(), "{} {}", key, note);
                    }
                }
            }
        }
    }
}
