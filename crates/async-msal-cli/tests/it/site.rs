//! A small application of ours in this process, with an emulator of its own, for what the demo does not do: https,
//! faults, a look into the store.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use async_msal_axum::async_msal_session::settings::SettingsSource;
use async_msal_axum::{Msal, MsalLayer, SignedIn};
use async_msal_emulator::{Emulator, TlsMode};
use axum::Router;
use axum::response::Html;
use axum::routing::get;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

use crate::browser::install_crypto_provider;

/// The application at `https://localhost` or `http://localhost`, the emulator at 127.0.0.1: two sites to a browser.
pub(crate) struct Site {
    pub(crate) emulator: Emulator,
    pub(crate) msal: Msal,
    pub(crate) url: String,
    server: Handle<SocketAddr>,
    _folder: TempDir,
}

impl Site {
    /// Over https on both sides, so form_post is the response mode; the application's certificate is signed by nobody.
    pub(crate) async fn https() -> Site {
        Self::start("https", TlsMode::ThrowAway { extra_hosts: Vec::new() }).await
    }

    /// Over plain http, so query is the response mode.
    pub(crate) async fn http() -> Site {
        Self::start("http", TlsMode::Off).await
    }

    async fn start(scheme: &str, tls: TlsMode) -> Site {
        install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("{scheme}://localhost:{}", listener.local_addr().unwrap().port());
        let emulator = Emulator::builder()
            .tls(tls)
            .redirect_uri(format!("{url}/user/authorized"))
            .redirect_uri(format!("{url}/user/signed-out"))
            .start()
            .await
            .unwrap();
        let folder = TempDir::new().unwrap();
        let msal = Msal::from_settings(settings(&emulator, &url, &folder)).unwrap();
        let server = serve(listener, scheme, application(&msal));
        Site { emulator, msal, url, server, _folder: folder }
    }

    /// Token requests with an authorization code, so far.
    pub(crate) fn redemptions(&self) -> u64 {
        self.emulator.admin().counters().token_authorization_code
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.shutdown();
    }
}

fn settings(
    emulator: &Emulator,
    url: &str,
    folder: &TempDir,
) -> async_msal_axum::async_msal_session::settings::Settings {
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, emulator.ca_pem()).unwrap();
    SettingsSource::new()
        .value("SP_APP_ID", emulator.client_id())
        .value("SP_APP_PW", emulator.client_secret())
        .value("SP_AUTHORITY", emulator.authority_url())
        .value("GRAPH_URL", emulator.graph_url())
        .value("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on")
        .value("CA_FILE", authority.display().to_string())
        .value("PUBLIC_URL", url)
        .value("STORE_URL", format!("sqlite:{}", folder.path().join("sessions.sqlite").display()))
        .value("STORE_TIMEOUT", "5s")
        .read()
        .unwrap()
}

fn application(msal: &Msal) -> Router {
    let auth = MsalLayer::new(msal.clone());
    Router::new().route("/", get(home)).merge(auth.routes()).layer(auth)
}

async fn home(user: Option<SignedIn>) -> Html<String> {
    Html(match user {
        Some(user) => format!(
            "<h1 id=name>{}</h1><form method=post action=/user/logout><button id=sign-out>Sign out</button></form>",
            user.name().unwrap_or_default()
        ),
        None => "<a id=sign-in href=/user/login>Sign in with Microsoft</a>".to_owned(),
    })
}

fn serve(listener: TcpListener, scheme: &str, router: Router) -> Handle<SocketAddr> {
    let handle = Handle::new();
    let service = router.into_make_service();
    if scheme == "https" {
        let server = axum_server::from_tcp_rustls(listener, certificate()).unwrap().handle(handle.clone());
        tokio::spawn(async move { server.serve(service).await });
    } else {
        let server = axum_server::from_tcp(listener).unwrap().handle(handle.clone());
        tokio::spawn(async move { server.serve(service).await });
    }
    handle
}

fn certificate() -> RustlsConfig {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
    RustlsConfig::from_config(Arc::new(config))
}
