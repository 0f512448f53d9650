//! One cache, renewed in turn by this library and by MSAL, against one authority whose refresh tokens work once.
//!
//! A test waits for MSAL on its own thread; the authority answers on another.

use async_msal::{Account, ClientTokenOptions, Scopes, TokenCache, TokenSource};
use serde_json::{Value, json};

use super::msal::{Msal, RELEASES};
use crate::support::{ADA, REDIRECT, World, scopes};

pub(super) struct Shared {
    pub(super) world: World,
    msal: Msal,
    now: i64,
}

impl Shared {
    pub(super) fn of(world: World, msal: Msal) -> Self {
        let now = world.client.clock().now();
        Self { world, msal, now }
    }

    async fn new(release: &'static str) -> Self {
        let world = World::new().await;
        world.emulator.admin().strict_single_use_refresh(true);
        let authority = world.emulator.authority_url();
        let (base, _) = authority.rsplit_once('/').unwrap();
        let defaults = json!({"client_id": world.emulator.client_id(), "secret": world.emulator.client_secret(),
            "authority": authority.replace("http://", "https://"), "base": base});
        Self::of(world, Msal::start(release, &defaults))
    }

    pub(super) fn advance(&mut self, seconds: i64) {
        self.world.advance(seconds);
        self.now += seconds;
    }

    pub(super) async fn msal_signs_in(&mut self) {
        let ask = json!({"scopes": ["User.Read"], "redirect_uri": REDIRECT});
        let flow = self.msal.run("start", self.now, &ask).result().clone();
        let answer = self.world.emulator.authorize(flow["auth_uri"].as_str().unwrap(), ADA).await.unwrap();
        let finish = json!({"flow": flow, "response": answer.body()});
        let finished = self.msal.run("finish", self.now, &finish);
        assert!(finished.access_token().is_some(), "{finished:?}");
        self.world.cache = TokenCache::parse(finished.cache()).unwrap();
    }

    pub(super) fn account(&self) -> Account {
        let mut accounts = self.world.cache.accounts(self.world.client.environment());
        assert_eq!(accounts.len(), 1, "{accounts:?}");
        accounts.remove(0)
    }

    /// The token, and whether it came from the cache.
    pub(super) async fn we_ask(&mut self) -> (String, bool) {
        let account = self.account();
        let token = self.world.silent(&account).await.unwrap();
        // Everything the other side reads went through the text.
        self.world.cache = TokenCache::parse(&self.world.cache.to_json()).unwrap();
        (token.access_token.expose_secret().to_owned(), token.source == TokenSource::Cache)
    }

    pub(super) fn msal_asks(&mut self) -> (String, bool) {
        let home = self.account().home_account_id().to_owned();
        let ask = json!({"cache": self.world.cache.to_json(), "scopes": ["User.Read"], "home": home});
        let answer = self.msal.run("silent", self.now, &ask);
        self.world.cache = TokenCache::parse(answer.cache()).unwrap();
        (answer.access_token().expect("a token").to_owned(), answer.posts() == 0)
    }

    /// Renewed in place: no second refresh token, no token of old beside the new.
    fn assert_one_of_each(&self) {
        let cache: Value = serde_json::from_str(&self.world.cache.to_json()).unwrap();
        for section in ["AccessToken", "RefreshToken", "IdToken", "Account", "AppMetadata"] {
            assert_eq!(
                cache[section].as_object().unwrap().len(),
                1,
                "{section}: {:?}",
                cache[section].as_object().unwrap().keys()
            );
        }
    }

    /// Each in turn renews and the other has a hit on that token; and both look at all of it.
    pub(super) async fn renew_in_turn(&mut self) {
        for _ in 0..2 {
            let (token, from_cache) = self.we_ask().await;
            assert_eq!(self.msal_asks(), (token, true));
            assert!(!from_cache);
            self.assert_one_of_each();
            self.advance(3_700);
            let (token, from_cache) = self.msal_asks();
            assert_eq!(self.we_ask().await, (token, true));
            assert!(!from_cache);
            self.assert_one_of_each();
            self.msal.looks_at_everything(self.now, &self.world.cache.to_json());
            self.advance(3_700);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_msal_began_is_renewed_in_turn() {
    for release in RELEASES {
        let mut shared = Shared::new(release).await;
        shared.msal_signs_in().await;
        let (_, from_cache) = shared.we_ask().await;
        assert!(from_cache, "MSAL {release}");
        shared.advance(3_700);
        shared.renew_in_turn().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_that_we_began_is_renewed_in_turn() {
    for release in RELEASES {
        let mut shared = Shared::new(release).await;
        shared.world.sign_in().await;
        let (token, from_cache) = shared.we_ask().await;
        assert!(from_cache, "MSAL {release}");
        assert_eq!(shared.msal_asks(), (token, true));
        shared.advance(3_700);
        shared.renew_in_turn().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_msal_removed_is_gone_here_and_the_other_way_round() {
    for release in RELEASES {
        let mut shared = Shared::new(release).await;
        shared.world.sign_in().await;
        let account = shared.account();
        let ask = json!({"cache": shared.world.cache.to_json(), "home": account.home_account_id()});
        let removed = shared.msal.run("remove", shared.now, &ask);
        let cache = TokenCache::parse(removed.cache()).unwrap();
        assert!(cache.accounts(shared.world.client.environment()).is_empty());

        shared.world.cache.remove_account(&account, shared.world.client.client_id());
        let ask = json!({"cache": shared.world.cache.to_json()});
        assert_eq!(shared.msal.run("accounts", shared.now, &ask).result(), &json!([]));
        let after: Value = serde_json::from_str(&shared.world.cache.to_json()).unwrap();
        assert_eq!(after, serde_json::from_str::<Value>(removed.cache()).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn applications_own_token_is_shared() {
    let scope = "https://graph.microsoft.com/.default";
    let asked = Scopes::from([scope]);
    for release in RELEASES {
        let mut shared = Shared::new(release).await;
        let written = shared.msal.run("app_token", shared.now, &json!({"scopes": [scope]}));
        shared.world.cache = TokenCache::parse(written.cache()).unwrap();
        let world = &mut shared.world;
        let options = ClientTokenOptions::default();
        let hit = world.client.acquire_token_for_client(&mut world.cache, &asked, options).await.unwrap();
        assert_eq!(hit.source, TokenSource::Cache);
        assert_eq!(Some(hit.access_token.expose_secret()), written.access_token());

        shared.advance(3_700);
        let world = &mut shared.world;
        let options = ClientTokenOptions::default();
        let token = world.client.acquire_token_for_client(&mut world.cache, &asked, options).await.unwrap();
        assert_eq!(token.source, TokenSource::IdentityProvider);
        let cache = world.cache.to_json();
        let ask = json!({"cache": cache, "application": true, "scopes": [scope]});
        let read = shared.msal.run("silent", shared.now, &ask);
        assert_eq!((read.access_token(), read.posts()), (Some(token.access_token.expose_secret()), 0));
        let entries: Value = serde_json::from_str(&cache).unwrap();
        assert_eq!(entries["AccessToken"].as_object().unwrap().len(), 1);
        shared.msal.looks_at_everything(shared.now, &cache);

        shared
            .world
            .cache
            .remove_app_tokens(shared.world.client.environment(), shared.world.client.client_id());
        let after: Value = serde_json::from_str(&shared.world.cache.to_json()).unwrap();
        assert_eq!(after["AccessToken"], json!({}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scope_asked_in_long_form_costs_msal_and_us_one_refresh() {
    let mut world = World::new().await;
    let account = world.sign_in().await;
    let (long, short) = (Scopes::from(["https://graph.microsoft.com/User.Read"]), scopes());
    for _ in 0..100 {
        for asked in [&long, &short] {
            world.client.acquire_token_silent(&mut world.cache, &account, asked).await.unwrap();
            world.cache = TokenCache::parse(&world.cache.to_json()).unwrap();
        }
    }
    assert_eq!(world.emulator.admin().counters().token_refresh_token, 1);
}
