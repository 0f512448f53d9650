//! Both servers of the demo, on one data folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use async_msal_axum::Msal;
use async_msal_axum::async_msal_session::Error;
use async_msal_axum::async_msal_session::settings::{Settings, SettingsError, SettingsSource};
use async_msal_emulator::Emulator;
use tokio::net::TcpListener;

use super::super::{Failure, not_listening, refused};
use super::app;
use super::folder::DataFolder;
use crate::server::{GRACE, Server};

/// Where the two servers listen; 0 is any free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// The web application's.
    pub(crate) app: u16,
    /// The emulator's.
    pub(crate) emulator: u16,
}

/// The demo, running. Dropping it ends both servers at once; [`Running::stop`] lets requests in flight end.
#[derive(Debug)]
pub(crate) struct Running {
    folder: DataFolder,
    ports: Ports,
    emulator: Emulator,
    msal: Msal,
    server: Server,
}

impl Running {
    /// Binds both ports and serves.
    ///
    /// # Errors
    /// A port is taken, or the folder's files cannot be used.
    ///
    /// # Cancel safety
    /// Dropped before it is done, nothing listens; the folder may hold new files, which the next start uses.
    pub(crate) async fn start(folder: DataFolder, ports: Ports) -> Result<Running, Failure> {
        let listener = bind(ports.app).await?;
        let app_port = listener.local_addr().map_err(|source| not_listening(source, ports.app, APP))?.port();
        let emulator = start_emulator(&folder, ports.emulator, app_port).await?;
        let settings = settings(&emulator, &folder, app_port).map_err(Error::from)?;
        let msal = Msal::from_settings(settings)?;
        let router = app::router(&msal, &emulator, folder.path());
        let ports = Ports { app: app_port, emulator: emulator.address().port() };
        Ok(Running { folder, ports, emulator, msal, server: Server::start(listener, router) })
    }

    /// Takes no more requests, lets those in flight and renewals end, and frees both ports and the folder.
    pub(crate) async fn stop(self) {
        let Running { folder, ports: _, emulator, msal, server } = self;
        // One grace period for both: what a request began, a renewal may still need.
        let end = Instant::now() + GRACE;
        server.stop().await;
        msal.shutdown(end.saturating_duration_since(Instant::now())).await;
        emulator.shutdown().await;
        drop(folder);
    }

    /// The application's address. The host is not the emulator's, as in life: the two are different sites to a
    /// browser.
    pub(crate) fn app_url(&self) -> String {
        app_url(self.ports.app)
    }

    /// The emulator's address.
    pub(crate) fn emulator_url(&self) -> String {
        self.emulator.base_url()
    }

    /// The ports that were bound.
    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// The data folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The emulator, whose counters the check reads.
    pub(crate) fn emulator(&self) -> &Emulator {
        &self.emulator
    }
}

/// A server's name in messages, and the option that moves it.
const APP: (&str, &str) = ("web application", "--port");
const EMULATOR: (&str, &str) = ("emulator", "--emulator-port");

fn app_url(port: u16) -> String {
    format!("http://localhost:{port}")
}

async fn bind(port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).await.map_err(|source| not_listening(source, port, APP))
}

async fn start_emulator(folder: &DataFolder, port: u16, app_port: u16) -> Result<Emulator, Failure> {
    let app = app_url(app_port);
    Emulator::builder()
        .data_dir(folder.emulator())
        .port(port)
        .redirect_uri(format!("{app}/user/authorized"))
        .redirect_uri(format!("{app}/user/signed-out"))
        .start()
        .await
        .map_err(|error| refused(error, port, EMULATOR))
}

/// What a real application has in its environment.
fn settings(emulator: &Emulator, folder: &DataFolder, app_port: u16) -> Result<Settings, SettingsError> {
    SettingsSource::new()
        .value("SP_APP_ID", emulator.client_id())
        .value("SP_APP_PW", emulator.client_secret())
        .value("SP_AUTHORITY", emulator.authority_url())
        .value("GRAPH_URL", emulator.graph_url())
        .value("DANGEROUS_ALLOW_LOOPBACK_AUTHORITY", "on")
        .value("PUBLIC_URL", app_url(app_port))
        .value("STORE_URL", format!("sqlite:{}", folder.sessions().display()))
        // A laptop's disk may sleep; nobody else waits here.
        .value("STORE_TIMEOUT", "5s")
        .read()
}
