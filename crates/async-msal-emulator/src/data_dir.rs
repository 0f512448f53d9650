//! The data folder: two files, written whole and renamed into place, readable by their owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::EmulatorError;
use crate::grants::Grants;
use crate::keys::StoredKey;
use crate::tls::Authority;

const IDENTITY_FILE: &str = "emulator-identity.json";
const GRANTS_FILE: &str = "emulator-grants.json";
/// No file that this emulator writes comes near this.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// What makes this emulator itself: made once per data folder.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct StoredIdentity {
    pub(crate) version: u32,
    pub(crate) client_secret: String,
    pub(crate) keys: Vec<StoredKey>,
    pub(crate) signer: usize,
    pub(crate) authority: Authority,
}

/// A data folder held by this emulator alone. Its methods block: call them off the executor.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Released by the operating system when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    pub(crate) fn open(path: &Path) -> Result<Self, EmulatorError> {
        let failed = |source| EmulatorError::DataFolder { path: path.to_owned(), source };
        make_folder(path).map_err(failed)?;
        let lock = private_file(&path.join("emulator.lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => Err(EmulatorError::DataFolderInUse(path.to_owned())),
            Err(fs::TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    pub(crate) fn load_identity(&self) -> Result<Option<StoredIdentity>, EmulatorError> {
        self.load(IDENTITY_FILE)
    }

    pub(crate) fn load_grants(&self) -> Result<Option<Grants>, EmulatorError> {
        self.load(GRANTS_FILE)
    }

    pub(crate) fn save_identity(&self, identity: &StoredIdentity) -> Result<(), EmulatorError> {
        self.save(IDENTITY_FILE, identity)
    }

    pub(crate) fn save_grants(&self, grants: &Grants) -> Result<(), EmulatorError> {
        self.save(GRANTS_FILE, grants)
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, EmulatorError> {
        let path = self.path.join(name);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(EmulatorError::DataFolder { path, source }),
        };
        let mut bytes = Vec::new();
        if let Err(source) = file.take(MAX_FILE + 1).read_to_end(&mut bytes) {
            return Err(EmulatorError::DataFolder { path, source });
        }
        if bytes.len() as u64 > MAX_FILE {
            return Err(EmulatorError::DamagedFile { path, reason: "too large".into() });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|e| EmulatorError::DamagedFile {
            path,
            reason: format!("line {}, column {}", e.line(), e.column()),
        })
    }

    fn save<T: Serialize>(&self, name: &str, value: &T) -> Result<(), EmulatorError> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.new"));
        let write = || -> std::io::Result<()> {
            let text = serde_json::to_vec(value)?;
            let mut file = private_file(&temporary)?;
            file.set_len(0)?;
            file.write_all(&text)?;
            file.sync_data()?;
            fs::rename(&temporary, &path)
        };
        write().map_err(|source| EmulatorError::DataFolder { path: path.clone(), source })
    }
}

#[cfg(unix)]
fn make_folder(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make_folder(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}
