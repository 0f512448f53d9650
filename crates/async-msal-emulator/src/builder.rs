use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::ClientRegistration;
use crate::counters::Counters;
use crate::data_dir::{DataDir, StoredIdentity};
use crate::directory::Directory;
use crate::emulator::Emulator;
use crate::error::EmulatorError;
use crate::fault::FaultPlan;
use crate::grants::Grants;
use crate::keys::{KeyRing, SigningKey, StoredKey};
use crate::policy::Policy;
use crate::random;
use crate::server;
use crate::state::{Clock, Shared, admin_consent, lock, off_executor};
use crate::tls::Authority;

/// Plain http, or https with a certificate authority of the emulator's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// Plain http.
    #[default]
    Off,
    /// https. The leaf names `localhost`, `127.0.0.1`, `::1` and these hosts; [`Emulator::ca_pem`] is the authority.
    ThrowAway {
        /// More host names for the leaf, such as `login.example`.
        extra_hosts: Vec<String>,
    },
}

/// Options of an [`Emulator`]; [`start`](Self::start) makes it listen.
#[must_use = "an emulator runs after start()"]
pub struct EmulatorBuilder {
    data_dir: Option<PathBuf>,
    ip: IpAddr,
    port: u16,
    tls: TlsMode,
    clients: Vec<ClientRegistration>,
    redirect_uris: Vec<String>,
    seed: u64,
    admin_consent: bool,
    shared_key: bool,
    policy: Policy,
    clock: Clock,
}

impl EmulatorBuilder {
    pub(crate) fn new() -> Self {
        Self {
            data_dir: None,
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 0,
            tls: TlsMode::Off,
            clients: Vec::new(),
            redirect_uris: Vec::new(),
            seed: 0,
            admin_consent: true,
            shared_key: false,
            policy: Policy::default(),
            clock: Arc::new(system_time),
        }
    }

    /// Keeps keys, secret, codes, refresh tokens and consents in this folder. Default: in memory only.
    ///
    /// # Security
    /// The folder is made with mode 0700, its files with 0600.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// The port. Default: 0, any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// http or https. Default: [`TlsMode::Off`].
    pub fn tls(mut self, tls: TlsMode) -> Self {
        self.tls = tls;
        self
    }

    /// Registers a client. Without any, one is made: its id depends on the seed, its secret is random.
    pub fn client(mut self, client: ClientRegistration) -> Self {
        self.clients.push(client);
        self
    }

    /// Registers a redirect address for the first client. Default: none.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// The same seed gives the same tenant, client and people ids. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// No administrator consented to `User.Read.All` in this tenant. Default: one did.
    pub fn without_admin_consent(mut self) -> Self {
        self.admin_consent = false;
        self
    }

    /// Begins with a signing key that all emulators of this process with this option share, made by the first of them:
    /// where a test suite starts hundreds, making keys is most of the work. A rotation is each one's own. Default: a key of
    /// its own.
    pub fn shared_signing_key(mut self) -> Self {
        self.shared_key = true;
        self
    }

    /// Settings at start. Default: [`Policy::default`].
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock, in Unix seconds. Default: the machine's.
    pub fn clock(mut self, clock: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Listens on an address that other machines may reach. Default: 127.0.0.1.
    ///
    /// # Security
    /// Whoever reaches the emulator can sign in as anybody and change its settings. A warning is logged.
    pub fn dangerous_bind(mut self, ip: IpAddr) -> Self {
        if !ip.is_loopback() {
            tracing::warn!(%ip, "the emulator will be reachable from other machines: it signs in anybody as anybody");
        }
        self.ip = ip;
        self
    }

    /// Binds the port, makes or loads the keys, and serves.
    ///
    /// # Errors
    /// The port is taken, the data folder cannot be used, or a registered address is not absolute.
    ///
    /// # Cancel safety
    /// Dropped before it is done, nothing listens; a data folder may hold new keys, which the next start uses.
    pub async fn start(self) -> Result<Emulator, EmulatorError> {
        self.clients.iter().try_for_each(ClientRegistration::check)?;
        self.redirect_uris.iter().try_for_each(|uri| crate::client::check_address(uri))?;
        let (listener, address) = self.bind()?;
        let (folder, shared_key) = (self.data_dir.clone(), self.shared_key);
        let (data_dir, identity, grants) = off_executor(move || load(folder, shared_key)).await?;
        let (shared, config) = self.assemble(address, data_dir, identity, grants)?;
        shared.save_identity().await?;
        server::serve(listener, shared, config)
    }

    fn bind(&self) -> Result<(TcpListener, SocketAddr), EmulatorError> {
        let address = SocketAddr::new(self.ip, self.port);
        let failed = |source| EmulatorError::Bind { address: address.to_string(), source };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        Ok((listener, bound))
    }

    fn assemble(
        self,
        address: SocketAddr,
        data_dir: Option<DataDir>,
        identity: StoredIdentity,
        grants: Grants,
    ) -> Result<(Arc<Shared>, Option<rustls::ServerConfig>), EmulatorError> {
        let mut hosts: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        if let TlsMode::ThrowAway { extra_hosts } = &self.tls {
            hosts.extend(extra_hosts.iter().cloned());
        }
        hosts.push(address.ip().to_string());
        hosts.dedup();
        let tls = self.tls != TlsMode::Off;
        let config = if tls { Some(identity.authority.server_config(&hosts)?) } else { None };
        hosts.push("[::1]".into()); // as a Host header spells it
        let directory = Directory::new(self.seed);
        let mut clients = self.clients;
        if clients.is_empty() {
            clients.push(ClientRegistration::new(
                random::seeded_guid(self.seed, "client"),
                &identity.client_secret,
            ));
        }
        clients[0].redirect_uris.extend(self.redirect_uris);
        let shared = Shared {
            address,
            tls,
            hosts,
            keys: Mutex::new(KeyRing::restore(&identity.keys, identity.signer)?),
            client_secret: identity.client_secret,
            authority: identity.authority,
            tenant_id: directory.tenant_id.clone(),
            directory: Mutex::new(directory),
            clients: Mutex::new(clients),
            admin_consent: admin_consent(self.admin_consent),
            policy: Mutex::new(self.policy),
            grants: Mutex::new(grants),
            faults: Mutex::new(FaultPlan::default()),
            counters: Mutex::new(Counters::default()),
            clock: self.clock,
            clock_offset: AtomicI64::new(0),
            data_dir: data_dir.map(Arc::new),
            saving: tokio::sync::Mutex::new(()),
        };
        Ok((Arc::new(shared), config))
    }
}

impl std::fmt::Debug for EmulatorBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmulatorBuilder")
            .field("data_dir", &self.data_dir)
            .field("ip", &self.ip)
            .field("port", &self.port)
            .field("tls", &self.tls)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

type Loaded = (Option<DataDir>, StoredIdentity, Grants);

fn load(path: Option<PathBuf>, shared_key: bool) -> Result<Loaded, EmulatorError> {
    let new_identity = || new_identity(if shared_key { processes_key()? } else { new_key()? });
    let Some(path) = path else { return Ok((None, new_identity()?, Grants::default())) };
    let folder = DataDir::open(&path)?;
    let identity = match folder.load_identity()? {
        Some(identity) => identity,
        None => new_identity()?,
    };
    let grants = folder.load_grants()?.unwrap_or_default();
    Ok((Some(folder), identity, grants))
}

fn new_key() -> Result<StoredKey, EmulatorError> {
    Ok(SigningKey::generate()?.stored())
}

/// The key that the emulators of this process share where they are told to.
fn processes_key() -> Result<StoredKey, EmulatorError> {
    static KEY: Mutex<Option<StoredKey>> = Mutex::new(None);
    let mut key = lock(&KEY);
    if let Some(key) = &*key {
        return Ok(key.clone());
    }
    Ok(key.insert(new_key()?).clone())
}

fn new_identity(key: StoredKey) -> Result<StoredIdentity, EmulatorError> {
    Ok(StoredIdentity {
        version: 1,
        client_secret: random::token(24)?,
        keys: vec![key],
        signer: 0,
        authority: Authority::generate()?,
    })
}

fn system_time() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}
