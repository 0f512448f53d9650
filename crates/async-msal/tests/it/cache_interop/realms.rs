//! The same at authorities of other kinds, under their real names: MSAL, with its own rules for hosts and its own
//! metadata, and this library renew one cache in turn.

use std::sync::Arc;

use async_msal::{Authority, AuthorityKind, ClientSecret, ConfidentialClient, ManualClock, TokenCache};
use async_msal_emulator::{Emulator, TlsMode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::msal::{Msal, RELEASES};
use super::trips::Shared;
use crate::support::{REDIRECT, World, tunnel};

/// Which authority, and what its entries say.
struct Realm {
    kind: AuthorityKind,
    host: &'static str,
    path: fn(&str) -> String,
    authority_type: &'static str,
    releases: &'static [&'static str],
}

const B2C: Realm = Realm {
    kind: AuthorityKind::B2c,
    host: "contoso.b2clogin.com",
    path: |tenant| format!("{tenant}/B2C_1_in"),
    authority_type: "MSSTS",
    releases: &RELEASES,
};
const ADFS: Realm = Realm {
    kind: AuthorityKind::Adfs,
    host: "sts.contoso.example",
    path: |_| "adfs".into(),
    authority_type: "ADFS",
    releases: &RELEASES,
};
const CIAM: Realm = Realm {
    kind: AuthorityKind::Ciam,
    host: "contoso.ciamlogin.com",
    path: str::to_owned,
    authority_type: "MSSTS",
    // 1.21 is older than External ID.
    releases: RELEASES.split_at(1).1,
};
impl Realm {
    async fn shared(&self, release: &'static str) -> (Shared, TempDir) {
        let extra_hosts = vec![self.host.to_owned(), "login.microsoftonline.com".to_owned()];
        let builder = Emulator::builder()
            .shared_signing_key()
            .redirect_uri(REDIRECT)
            .tls(TlsMode::ThrowAway { extra_hosts });
        let emulator = builder.start().await.unwrap();
        emulator.admin().strict_single_use_refresh(true);
        let proxy = format!("http://{}", tunnel(emulator.address()).await);
        let authority = format!("https://{}/{}", self.host, (self.path)(emulator.tenant_id()));
        // MSAL wants the authority's certificate in a file.
        let folder = TempDir::new().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, emulator.ca_pem()).unwrap();
        let defaults = json!({"client_id": emulator.client_id(), "secret": emulator.client_secret(),
            "authority": authority, "proxy": proxy, "ca": ca});
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let clock = ManualClock::new(i64::try_from(now).unwrap());
        let client = ConfidentialClient::builder(emulator.client_id())
            .authority(Authority::parse(&authority).unwrap())
            .client_secret(ClientSecret::new(emulator.client_secret()))
            .ca_certificate_pem(emulator.ca_pem())
            .http_client(move |builder| builder.proxy(reqwest::Proxy::all(&proxy).unwrap()))
            .clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        assert_eq!(client.authority().kind(), self.kind);
        let world = World { emulator, client, clock, cache: TokenCache::new() };
        (Shared::of(world, Msal::start(release, &defaults)), folder)
    }

    fn assert_is_of_this_kind(&self, shared: &Shared) {
        let account = shared.account();
        assert_eq!((account.environment(), account.authority_type()), (self.host, self.authority_type));
        let cache: Value = serde_json::from_str(&shared.world.cache.to_json()).unwrap();
        let grant = cache["RefreshToken"].as_object().unwrap().values().next().unwrap();
        assert_eq!(grant["environment"], self.host);
    }

    async fn msal_begins(&self) {
        for &release in self.releases {
            let (mut shared, _folder) = self.shared(release).await;
            shared.msal_signs_in().await;
            self.assert_is_of_this_kind(&shared);
            let (token, from_cache) = shared.we_ask().await;
            assert!(from_cache, "MSAL {release}");
            assert_eq!(shared.msal_asks(), (token, true));
            shared.advance(3_700);
            shared.renew_in_turn().await;
        }
    }

    async fn we_begin(&self) {
        for &release in self.releases {
            let (mut shared, _folder) = self.shared(release).await;
            shared.world.sign_in().await;
            self.assert_is_of_this_kind(&shared);
            let (token, from_cache) = shared.we_ask().await;
            assert!(from_cache, "MSAL {release}");
            assert_eq!(shared.msal_asks(), (token, true));
            shared.advance(3_700);
            shared.renew_in_turn().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b2c_session_that_msal_began_is_renewed_in_turn() {
    B2C.msal_begins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b2c_session_that_we_began_is_renewed_in_turn() {
    B2C.we_begin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adfs_session_that_msal_began_is_renewed_in_turn() {
    ADFS.msal_begins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn adfs_session_that_we_began_is_renewed_in_turn() {
    ADFS.we_begin().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_id_session_that_msal_began_is_renewed_in_turn() {
    CIAM.msal_begins().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn external_id_session_that_we_began_is_renewed_in_turn() {
    CIAM.we_begin().await;
}
