//! Both servers of the demo, on one data folder.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use async_msal_axum::async_msal_session::Error;
use async_msal_axum::async_msal_session::settings::{Settings, SettingsError, SettingsSource};
use async_msal_axum::{GRACE, Msal, Server};
use async_msal_emulator::Emulator;
use tokio::net::TcpListener;

use super::super::{Failure, not_listening, refused};
use super::app;
use super::folder::DataFolder;
use crate::request_body;

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
    servers: Servers,
}

/// `localhost` is 127.0.0.1 to some and `[::1]` to others: the application answers at both, where the machine has both.
#[derive(Debug)]
struct Servers {
    v4: Server,
    v6: Option<Server>,
}

/// The application's listeners, on one port.
struct Listeners {
    v4: TcpListener,
    v6: Option<TcpListener>,
    port: u16,
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
        if ports.app == ports.emulator && ports.app != 0 {
            return Err(Failure::SamePort { port: ports.app });
        }
        let listeners = listen(ports.app).await?;
        let app_port = listeners.port;
        let emulator = start_emulator(&folder, ports.emulator, app_port).await?;
        let settings = settings(&emulator, &folder, app_port).map_err(Error::from)?;
        let msal = Msal::from_settings(settings)?;
        let router = request_body::bounded(app::router(&msal, &emulator, folder.path()));
        let ports = Ports { app: app_port, emulator: emulator.address().port() };
        let servers = Servers {
            v6: listeners.v6.map(|listener| Server::start(listener, router.clone())),
            v4: Server::start(listeners.v4, router),
        };
        Ok(Running { folder, ports, emulator, msal, servers })
    }

    /// Takes no more requests, lets those in flight and renewals end, and frees both ports and the folder.
    pub(crate) async fn stop(self) {
        let Running { folder, ports: _, emulator, msal, servers } = self;
        // One grace period for both: what a request began, a renewal may still need.
        let end = Instant::now() + GRACE;
        let v6 = async {
            if let Some(server) = servers.v6 {
                server.stop().await;
            }
        };
        tokio::join!(servers.v4.stop(), v6);
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

/// How often another free port is tried when the one found is free at one of the two addresses alone.
const FREE_PORT_TRIES: u32 = 16;

/// Takes the port at both loopback addresses: a program that held it at one of them would get the visits of whoever
/// resolves `localhost` to that one.
async fn listen(port: u16) -> Result<Listeners, Failure> {
    let mut tries = if port == 0 { FREE_PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind(port).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            result => return result.map_err(|source| not_listening(source, port, APP)),
        }
    }
}

async fn bind(port: u16) -> io::Result<Listeners> {
    let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let port = v4.local_addr()?.port();
    let v6 = match TcpListener::bind(SocketAddr::from((Ipv6Addr::LOCALHOST, port))).await {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
        // A machine without IPv6: nobody else can listen there either.
        Err(_) => None,
    };
    Ok(Listeners { v4, v6, port })
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
