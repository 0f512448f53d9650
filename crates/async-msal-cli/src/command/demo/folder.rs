//! The demo's one data folder: what it holds, who may use it, how it is emptied.
//!
//! ```text
//! <folder>/async-msal-demo     the marker; locked while a demo runs
//! <folder>/sessions.sqlite*    the application's sessions, sealed
//! <folder>/emulator/           the emulator's keys, secret, codes and refresh tokens
//! ```
//! A folder without the marker is somebody else's: nothing is written to it and nothing removed, unless it is
//! empty.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::Failure;

const MARKER: &str = "async-msal-demo";
/// The marker before it is whole; left behind, it makes the folder no less empty.
const NEW_MARKER: &str = "async-msal-demo.new";
const MARKER_TEXT: &str = "The data folder of `async-msal demo`. `async-msal demo --reset` empties it.\n";
const SESSIONS: &str = "sessions.sqlite";
/// What SQLite keeps beside its file.
const SQLITE_COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];
const EMULATOR: &str = "emulator";
/// What the emulator writes into its folder; a test of `--reset` fails when one is missing here.
const EMULATOR_FILES: [&str; 5] = [
    "emulator.lock",
    "emulator-identity.json",
    "emulator-identity.json.new",
    "emulator-grants.json",
    "emulator-grants.json.new",
];

/// The demo's folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    /// The lock on the marker ends with the file.
    _marker: File,
}

/// The user's state folder for the demo: `$XDG_STATE_HOME/async-msal/demo`, or `~/.local/state/async-msal/demo`.
///
/// # Errors
/// [`Failure::NoHome`] where neither variable names an absolute path (the XDG Base Directory Specification has
/// relative ones ignored).
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
    Ok(state.ok_or(Failure::NoHome)?.join("async-msal").join("demo"))
}

impl DataFolder {
    /// Makes the folder if need be, readable by its owner only, and takes it for this process.
    ///
    /// # Errors
    /// The folder is somebody else's, in use by another demo, or cannot be written.
    pub(crate) fn open(path: &Path) -> Result<DataFolder, Failure> {
        let failed = |source| Failure::Folder { path: path.to_owned(), source };
        if !is_marked(path) {
            if !is_empty_or_absent(path).map_err(failed)? {
                return Err(Failure::NotOurFolder { path: path.to_owned() });
            }
            create_private(path).map_err(failed)?;
            mark(path).map_err(failed)?;
        }
        let marker = lock(path)?;
        Ok(DataFolder { path: path.to_owned(), _marker: marker })
    }

    /// Removes the files the demo made from the folder, and only those; the answer is what remains there, `None` where
    /// there was nothing to remove.
    ///
    /// # Errors
    /// The folder is somebody else's, in use by a running demo, or a file cannot be removed.
    pub(crate) fn reset(path: &Path) -> Result<Option<Vec<PathBuf>>, Failure> {
        let failed = |source| Failure::Folder { path: path.to_owned(), source };
        if !is_marked(path) {
            return match is_empty_or_absent(path).map_err(failed)? {
                true => Ok(None),
                false => Err(Failure::NotOurFolder { path: path.to_owned() }),
            };
        }
        let marker = lock(path)?;
        remove_ours(path).map_err(failed)?;
        drop(marker);
        list(path).map(Some).map_err(failed)
    }

    /// The file of the session store.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.path.join(SESSIONS)
    }

    /// The emulator's own folder.
    pub(crate) fn emulator(&self) -> PathBuf {
        self.path.join(EMULATOR)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether the marker stands there with the text we write: its name alone could be chance.
fn is_marked(path: &Path) -> bool {
    let mut text = String::new();
    let read = File::open(path.join(MARKER)).and_then(|file| file.take(1024).read_to_string(&mut text));
    read.is_ok() && text == MARKER_TEXT
}

fn is_empty_or_absent(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == NEW_MARKER))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Refresh tokens stand in the emulator's files: nobody but the owner may look.
fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// The marker appears whole or not at all. A folder that was there before, empty and ours, is closed to others first.
fn mark(path: &Path) -> io::Result<()> {
    let new = path.join(NEW_MARKER);
    fs::write(&new, MARKER_TEXT)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        // The new file's owner is this process's user.
        if fs::metadata(&new)?.uid() == fs::metadata(path)?.uid() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        }
    }
    fs::rename(&new, path.join(MARKER))
}

fn lock(path: &Path) -> Result<File, Failure> {
    let marker = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path.join(MARKER))
        .map_err(|source| Failure::Folder { path: path.to_owned(), source })?;
    match marker.try_lock() {
        Ok(()) => Ok(marker),
        Err(TryLockError::WouldBlock) => Err(Failure::FolderInUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(Failure::Folder { path: path.to_owned(), source }),
    }
}

/// The marker goes last: a reset that was cut short can be repeated.
fn remove_ours(path: &Path) -> io::Result<()> {
    remove_file(&path.join(SESSIONS))?;
    for companion in SQLITE_COMPANIONS {
        remove_file(&path.join(format!("{SESSIONS}{companion}")))?;
    }
    let emulator = path.join(EMULATOR);
    for file in EMULATOR_FILES {
        remove_file(&emulator.join(file))?;
    }
    // Stays where something else lies in it, which is then named to the user.
    let _ = fs::remove_dir(&emulator);
    remove_file(&path.join(NEW_MARKER))?;
    remove_file(&path.join(MARKER))
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn list(path: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect()
}
