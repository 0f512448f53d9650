//! For an application's own tests (feature `testing`): a signed-in user without a browser and without Azure.
//!
//! ```
//! # async fn test() {
//! use async_msal_axum::{MsalLayer, SignedIn, testing};
//! use axum::body::Body;
//! use axum::http::{Request, StatusCode, header};
//! use axum::{Router, routing::get};
//! use tower::ServiceExt;
//!
//! let msal = testing::msal().await;
//! let auth = MsalLayer::new(msal.clone());
//! let app: Router = Router::new()
//!     .route("/", get(async |user: SignedIn| user.name().unwrap_or_default()))
//!     .layer(auth);
//!
//! let cookie = testing::signed_in_cookie(&msal, "ada@contoso.example").await;
//! let request = Request::get("/").header(header::COOKIE, cookie).body(Body::empty()).unwrap();
//! assert_eq!(app.oneshot(request).await.unwrap().status(), StatusCode::OK);
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(test());
//! ```
//!
//! Everything here panics instead of returning errors: a test that cannot set itself up has failed.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use async_msal::{AuthResponse, Authority, ClientSecret, ConfidentialClient};
use async_msal_emulator::Emulator;
use async_msal_session::store::MemoryStore;
use async_msal_session::{Msal, MsalBuilder, SignInHooks, SignInOutcome};

use crate::layer::{self, DEFAULT_PREFIX};
use crate::session_cookie::SessionCookie;
use crate::site::Site;

/// The address that [`msal`] gives the application. Nothing listens there; the routes do not need it to.
pub const PUBLIC_URL: &str = "https://app.example";

/// Emulators by authority, so that [`signed_in_cookie`] finds the one that belongs to an [`Msal`]. They live as long
/// as the test process: their tasks end with the runtime of the test that started them.
static EMULATORS: LazyLock<Mutex<HashMap<String, Arc<Emulator>>>> = LazyLock::new(Mutex::default);

/// An [`Msal`] on an emulator of its own and a store in memory, at [`PUBLIC_URL`].
///
/// # Panics
/// Where the emulator cannot start.
///
/// # Cancel safety
/// Nothing is left but an emulator without a user.
pub async fn msal() -> Msal {
    builder(PUBLIC_URL).await.build().expect("the settings of the test kit are complete")
}

/// The same with everything open to change, for an application at `public_url`.
///
/// # Panics
/// Where the emulator cannot start.
///
/// # Cancel safety
/// Nothing is left but an emulator without a user.
pub async fn builder(public_url: &str) -> MsalBuilder {
    let base = format!("{}{DEFAULT_PREFIX}", public_url.trim_end_matches('/'));
    let emulator = Emulator::builder()
        .shared_signing_key()
        .redirect_uri(format!("{base}/authorized"))
        .redirect_uri(format!("{base}/signed-out"))
        .start()
        .await
        .expect("the emulator starts on a free port");
    let emulator = Arc::new(emulator);
    let client = client(&emulator);
    let key = client.authority().url().to_string();
    EMULATORS.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&emulator));
    Msal::builder(client, Arc::new(MemoryStore::new()))
        .keys_from_secrets([ClientSecret::new(emulator.client_secret())])
        .graph_url(&emulator.graph_url())
        .public_url(public_url)
}

fn client(emulator: &Emulator) -> ConfidentialClient {
    ConfidentialClient::builder(emulator.client_id())
        .authority(Authority::parse(&emulator.authority_url()).expect("the emulator's address"))
        .client_secret(ClientSecret::new(emulator.client_secret()))
        .dangerous_allow_loopback_authority()
        .build()
        .expect("the emulator's client is complete")
}

/// The emulator of an [`Msal`] made here: its people, its faults, its counters.
///
/// # Panics
/// Where `msal` was not made here.
pub fn emulator(msal: &Msal) -> Arc<Emulator> {
    let key = msal.client().authority().url().to_string();
    let emulators = EMULATORS.lock().unwrap_or_else(PoisonError::into_inner);
    emulators.get(&key).cloned().expect("this Msal comes from async_msal_axum::testing")
}

/// Signs `user` in (by `preferred_username`, such as `ada@contoso.example`) through the emulator, the whole way, and
/// returns the session cookie as a value for the `Cookie` header.
///
/// # Panics
/// Where nobody of that name exists, or the sign-in fails.
///
/// # Cancel safety
/// Dropped, the user may or may not have a session.
pub async fn signed_in_cookie(msal: &Msal, user: &str) -> String {
    let emulator = emulator(msal);
    let site = Site::new(msal.settings().public_url().clone(), DEFAULT_PREFIX.to_owned());
    let request = layer::sign_in_request(&site);
    let started = msal.initiate_sign_in(request).await.expect("a sign-in starts");
    let answer = emulator.authorize(started.auth_uri.as_str(), user).await.expect("the user signs in");
    let response = AuthResponse::parse(&answer.body()).expect("the emulator's answer");
    let outcome = msal.complete_sign_in(&started.sealed, response, &SignInHooks::default()).await;
    match outcome.expect("the sign-in completes") {
        SignInOutcome::SignedIn(signed_in) => {
            let line = SessionCookie::new(msal.settings()).set(&signed_in.session_id);
            let line = line.to_str().expect("a cookie is text");
            line.split(';').next().unwrap_or_default().to_owned()
        }
        other => panic!("the sign-in ended in {other:?}"),
    }
}
