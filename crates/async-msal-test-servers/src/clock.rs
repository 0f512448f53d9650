//! A clock that tests move, for servers that have no such thing themselves.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// The wall clock of servers started with it, moved by the test. Clones move the same clock.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: tempfile::TempDir,
    offset: Mutex<i64>,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeClock {
    /// A clock that shows the machine's time until it is moved.
    ///
    /// # Panics
    /// Where no folder can be made.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A server may run as another user.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("the folder's mode");
        let clock = Self(Arc::new(Inner { folder, offset: Mutex::new(0) }));
        clock.write(0);
        clock
    }

    /// Moves it by so many seconds; the servers show the new time from now on.
    ///
    /// # Panics
    /// Where the file cannot be written.
    pub fn advance(&self, seconds: i64) {
        let mut offset = self.0.offset.lock().expect("no test panicked here");
        *offset += seconds;
        self.write(*offset);
    }

    fn file(&self) -> PathBuf {
        self.0.folder.path().join("time")
    }

    /// A reader sees the old time or the new one, never half a file.
    fn write(&self, offset: i64) {
        let next = self.0.folder.path().join("next");
        std::fs::write(&next, format!("{offset:+}\n")).expect("the clock's file");
        std::fs::rename(next, self.file()).expect("the clock's file");
    }

    /// Gives the clock to a process that is about to start.
    pub(crate) fn give(&self, command: &mut Command) {
        // The C library once more, before the allocator Redis is linked with: that one asks for the time while it begins,
        // and the clock asks it for memory.
        let preload = format!("{} libc.so.6", library().display());
        command
            .env("LD_PRELOAD", preload)
            .env("FAKETIME_TIMESTAMP_FILE", self.file())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}

/// Where the machine's architecture has its libraries.
fn library() -> PathBuf {
    let name = Path::new("faketime/libfaketime.so.1");
    std::fs::read_dir("/usr/lib")
        .expect("/usr/lib")
        .filter_map(|entry| Some(entry.ok()?.path().join(name)))
        .find(|path| path.exists())
        .expect("libfaketime is not installed: run scripts/test once")
}
