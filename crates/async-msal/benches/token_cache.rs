//! The token cache: opening, finding, adding. `cargo bench -p async-msal --features internals`; figures: README.md here.

use std::sync::Arc;
use std::time::Duration;

use async_msal::internals::TokenAnswer;
use async_msal::{
    Account, Authority, ClientSecret, ConfidentialClient, Lookup, ManualClock, Scopes, TokenCache,
};
use divan::{Bencher, black_box};
use serde_json::{Map, json};

/// Runs in one sample: enough to see past the clock.
const SIZE: u32 = 500;
const NOW: i64 = 1_767_225_600;
const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
const HOST: &str = "login.microsoftonline.com";
const TARGET: &str = "Mail.Read User.Read email openid profile";

fn main() {
    divan::main();
}

fn home(person: usize) -> String {
    format!("22222222-2222-2222-2222-{person:012}.{TENANT}")
}

/// A token of this length, of the alphabet of tokens.
fn token(length: usize, person: usize) -> String {
    let start = format!("eyJ{person:09}");
    start.chars().chain("Abcdefgh0123456789_-".chars().cycle()).take(length).collect()
}

/// What MSAL would have written for so many people; 6 KB for each.
fn cache_text(people: usize) -> String {
    let mut sections = [(); 4].map(|()| Map::new());
    for person in 0..people {
        let home = home(person);
        let entry = |kind: &str, length: usize, more: serde_json::Value| {
            let mut entry = json!({"credential_type": kind, "secret": token(length, person), "home_account_id": home,
                "environment": HOST, "client_id": CLIENT});
            for (name, value) in more.as_object().expect("fields") {
                entry[name] = value.clone();
            }
            entry
        };
        let [access, accounts, ids, refresh] = &mut sections;
        let lower = TARGET.to_lowercase();
        access.insert(
            format!("{home}-{HOST}-accesstoken-{CLIENT}-{TENANT}-{lower}"),
            entry(
                "AccessToken",
                1_700,
                json!({"target": TARGET, "realm": TENANT, "token_type": "Bearer", "cached_at": NOW.to_string(),
                    "expires_on": (NOW + 4_000).to_string(), "extended_expires_on": (NOW + 4_000).to_string()}),
            ),
        );
        accounts.insert(
            format!("{home}-{HOST}-{TENANT}"),
            json!({"home_account_id": home, "environment": HOST, "realm": TENANT,
                "local_account_id": format!("22222222-2222-2222-2222-{person:012}"),
                "username": format!("person{person}@contoso.example"), "authority_type": "MSSTS",
                "account_source": "authorization_code"}),
        );
        ids.insert(
            format!("{home}-{HOST}-idtoken-{CLIENT}-{TENANT}-"),
            entry("IdToken", 1_200, json!({"realm": TENANT})),
        );
        refresh.insert(
            format!("{home}-{HOST}-refreshtoken-{CLIENT}--{lower}"),
            entry(
                "RefreshToken",
                1_100,
                json!({"target": TARGET, "last_modification_time": NOW.to_string()}),
            ),
        );
    }
    let [access, accounts, ids, refresh] = sections;
    let metadata =
        json!({format!("appmetadata-{HOST}-{CLIENT}"): {"client_id": CLIENT, "environment": HOST}});
    json!({"AccessToken": access, "Account": accounts, "IdToken": ids, "RefreshToken": refresh,
        "AppMetadata": metadata})
    .to_string()
}

fn open(text: &str) -> TokenCache {
    TokenCache::parse_bounded(text, 1 << 30).expect("a cache")
}

fn client() -> ConfidentialClient {
    ConfidentialClient::builder(CLIENT)
        .authority(Authority::parse(&format!("https://{HOST}/{TENANT}")).expect("an authority"))
        .client_secret(ClientSecret::new("secret"))
        .request_timeout(Duration::from_secs(5))
        .clock(Arc::new(ManualClock::new(NOW + 60)))
        .build()
        .expect("a client")
}

fn accounts(cache: &TokenCache) -> Vec<Account> {
    cache.accounts(HOST)
}

/// Finding a token in a cache that is open: of every account in turn, so that its entry is in no processor cache.
#[divan::bench(sample_size = SIZE, args = [1, 100, 10_000])]
fn silent_hit(bencher: Bencher<'_, '_>, people: usize) {
    let (client, cache, scopes) = (client(), open(&cache_text(people)), Scopes::from(["User.Read"]));
    let accounts = accounts(&cache);
    let mut next = 0;
    let another = || {
        next = (next + 7_919) % accounts.len();
        accounts[next].clone()
    };
    bencher.with_inputs(another).bench_local_values(|account| {
        let found = client.find_access_token(black_box(&cache), &account, &scopes);
        assert!(matches!(found, Lookup::Hit(_)));
        (account, found)
    });
}

/// The same account again and again.
#[divan::bench(sample_size = SIZE, args = [1, 100, 10_000])]
fn silent_hit_same_account(bencher: Bencher<'_, '_>, people: usize) {
    let (client, cache, scopes) = (client(), open(&cache_text(people)), Scopes::from(["User.Read"]));
    let accounts = accounts(&cache);
    let account = &accounts[accounts.len() / 2];
    bencher.bench_local(|| client.find_access_token(black_box(&cache), account, &scopes));
}

/// A request's work: the text of one session's cache, and one token of it.
#[divan::bench(sample_size = SIZE)]
fn open_6_kb_and_hit(bencher: Bencher<'_, '_>) {
    let (client, text, scopes) = (client(), cache_text(1), Scopes::from(["User.Read"]));
    assert!((5_900..6_600).contains(&text.len()), "{} bytes", text.len());
    let account = accounts(&open(&text)).remove(0);
    bencher.bench_local(|| {
        let cache = TokenCache::parse(black_box(&text)).expect("a cache");
        let found = client.find_access_token(&cache, &account, &scopes);
        assert!(matches!(found, Lookup::Hit(_)));
    });
}

/// A renewal's answer, already read, into a cache of so many accounts.
#[divan::bench(sample_size = SIZE, args = [1, 100, 10_000])]
fn add_token_response(bencher: Bencher<'_, '_>, people: usize) {
    let mut cache = open(&cache_text(people));
    let accounts = accounts(&cache);
    let body = json!({"token_type": "Bearer", "scope": TARGET, "expires_in": 3600, "ext_expires_in": 3600,
        "access_token": token(1_700, 1), "refresh_token": token(1_100, 1)});
    let answer = TokenAnswer::read(200, body.to_string().as_bytes(), NOW).expect("an answer");
    let mut next = 0;
    bencher.bench_local(|| {
        next = (next + 7_919) % accounts.len();
        answer.add_to(black_box(&mut cache), &accounts[next], CLIENT, NOW);
    });
}

/// The text of one session's cache again.
#[divan::bench(sample_size = SIZE)]
fn write_6_kb(bencher: Bencher<'_, '_>) {
    let cache = open(&cache_text(1));
    bencher.bench_local(|| black_box(&cache).to_json());
}

/// A copy, as a renewal makes of the session's cache before it changes it.
#[divan::bench(sample_size = SIZE)]
fn copy_6_kb(bencher: Bencher<'_, '_>) {
    let cache = open(&cache_text(1));
    bencher.bench_local(|| black_box(&cache).clone());
}
