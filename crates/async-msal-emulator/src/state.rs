//! What the endpoints of one emulator share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::ClientRegistration;
use crate::counters::Counters;
use crate::data_dir::{DataDir, StoredIdentity};
use crate::directory::Directory;
use crate::error::EmulatorError;
use crate::fault::FaultPlan;
use crate::grants::Grants;
use crate::keys::{KeyRing, SigningKey};
use crate::policy::Policy;
use crate::resource::scopes_of_demo_tenant;
use crate::tls::Authority;

/// A reader of the time in Unix seconds.
pub(crate) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One emulator's state; every handler holds an `Arc` of it. No lock is held across an await but `saving`.
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
    /// Host names that the emulator answers to, without port.
    pub(crate) hosts: Vec<String>,
    pub(crate) client_secret: String,
    pub(crate) authority: Authority,
    pub(crate) directory: Mutex<Directory>,
    pub(crate) tenant_id: String,
    pub(crate) clients: Mutex<Vec<ClientRegistration>>,
    /// Graph scopes that an administrator consented to for everybody.
    pub(crate) admin_consent: Vec<String>,
    pub(crate) policy: Mutex<Policy>,
    pub(crate) keys: Mutex<KeyRing>,
    pub(crate) grants: Mutex<Grants>,
    pub(crate) faults: Mutex<FaultPlan>,
    pub(crate) counters: Mutex<Counters>,
    pub(crate) clock: Clock,
    pub(crate) clock_offset: AtomicI64,
    pub(crate) data_dir: Option<Arc<DataDir>>,
    /// One write of the data folder at a time, the newest state last.
    pub(crate) saving: tokio::sync::Mutex<()>,
}

impl Shared {
    pub(crate) fn now(&self) -> i64 {
        (self.clock)().saturating_add(self.clock_offset.load(Ordering::Relaxed))
    }

    /// The address of this emulator, without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// As [`base_url`](Self::base_url), under the host name that the caller used, if it is one of ours. So a leaf's
    /// extra host gives a consistent issuer and endpoints.
    pub(crate) fn base_url_for(&self, host: Option<&str>) -> String {
        let known = host.filter(|h| self.is_own_host(h));
        let scheme = if self.tls { "https" } else { "http" };
        known.map_or_else(|| self.base_url(), |h| format!("{scheme}://{}", h.to_ascii_lowercase()))
    }

    /// Whether a `Host` value names this emulator: a known name, and its port where one is given.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
                (name, port.parse().ok())
            }
            _ => (host, None),
        };
        let port_fits = port.is_none_or(|p: u16| p == self.address.port());
        port_fits && self.hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
    }

    pub(crate) fn client(&self, client_id: &str) -> Option<ClientRegistration> {
        lock(&self.clients).iter().find(|c| c.client_id.eq_ignore_ascii_case(client_id)).cloned()
    }

    pub(crate) fn directory(&self) -> Directory {
        lock(&self.directory).clone()
    }

    pub(crate) fn policy(&self) -> Policy {
        lock(&self.policy).clone()
    }

    /// Writes codes, refresh tokens, browsers and consents to the data folder, if there is one. An answer that names
    /// a new code or token goes out only after this, so that a restart knows what a client was told.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) async fn save_grants(&self) -> Result<(), EmulatorError> {
        let Some(folder) = self.data_dir.clone() else { return Ok(()) };
        let _turn = self.saving.lock().await;
        let grants = lock(&self.grants).clone();
        off_executor(move || folder.save_grants(&grants)).await
    }

    /// Writes keys, authority and secret to the data folder, if there is one.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(crate) async fn save_identity(&self) -> Result<(), EmulatorError> {
        let Some(folder) = self.data_dir.clone() else { return Ok(()) };
        let _turn = self.saving.lock().await;
        let (keys, signer) = lock(&self.keys).stored();
        let identity = StoredIdentity {
            version: 1,
            client_secret: self.client_secret.clone(),
            keys,
            signer,
            authority: self.authority.clone(),
        };
        off_executor(move || folder.save_identity(&identity)).await
    }

    /// Makes a signing key off the executor.
    ///
    /// # Errors
    /// The crypto library fails.
    pub(crate) async fn new_key() -> Result<SigningKey, EmulatorError> {
        off_executor(SigningKey::generate).await
    }
}

/// The scopes an administrator consented to, at start.
pub(crate) fn admin_consent(given: bool) -> Vec<String> {
    if given { scopes_of_demo_tenant() } else { Vec::new() }
}

/// Locks a mutex whose data stays good when a holder panicked: every critical section here is a few assignments.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs blocking work on the blocking pool.
///
/// # Errors
/// What the work returns, or that it panicked.
pub(crate) async fn off_executor<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmulatorError> + Send + 'static,
) -> Result<T, EmulatorError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(EmulatorError::Keys("a worker thread panicked".into())))
}
