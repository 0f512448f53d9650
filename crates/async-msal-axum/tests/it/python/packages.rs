//! The Python packages, from PyPI, in virtual environments under the target folder: made once, whoever asks first.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

/// A release of `aiohttp_msal` and what it is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Release {
    pub(crate) version: &'static str,
    /// The oldest Python 3 that it runs on.
    python: u32,
    packages: &'static [&'static str],
    /// An older release put beside these packages, in a folder of its own.
    beside: Option<&'static str>,
}

pub(crate) const V1_0_7: Release = Release {
    version: "1.0.7",
    python: 11,
    packages: &[
        "aiohttp_msal==1.0.7",
        "aiohttp==3.12.15",
        "aiohttp_session==2.12.1",
        "msal==1.39.0",
        "redis==8.1.0",
    ],
    beside: Some("aiohttp_msal==0.6.7"),
};

pub(crate) const V1_1_4: Release = Release {
    version: "1.1.4",
    python: 12,
    packages: &[
        "aiohttp_msal==1.1.4",
        "aiohttp==3.14.5",
        "aiohttp_session==2.12.1",
        "msal==1.39.0",
        "redis==8.1.0",
    ],
    beside: Some("aiohttp_msal==0.6.7"),
};

impl Release {
    /// The interpreter of this release's environment; `None`, and a word about it, where no Python here is new enough.
    pub(crate) fn python(self) -> Option<PathBuf> {
        let folder = self.folder();
        let (interpreter, done) = (folder.join("bin/python"), folder.join("done"));
        let lock = File::create(folder.with_extension("lock")).expect("a lock file");
        lock.lock().expect("the lock");
        if done.exists() && interpreter.exists() {
            return Some(interpreter);
        }
        let Some(python) = find_python(self.python) else {
            let missing = is_python(Path::new("python3"), self.python, "sys");
            assert!(!missing, "python3 has no venv: scripts/test installs it");
            say(self.python, self.version);
            return None;
        };
        run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder));
        run(pip(&interpreter).args(self.packages));
        if let Some(beside) = self.beside {
            run(pip(&interpreter).arg("--no-deps").arg("--target").arg(self.beside()).arg(beside));
        }
        std::fs::write(done, "").expect("a mark");
        Some(interpreter)
    }

    /// Where the older release is.
    pub(crate) fn beside(self) -> PathBuf {
        self.folder().join("beside")
    }

    fn folder(self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("aiohttp_msal-{}", self.version))
    }
}

/// Past the capture of tests that pass, and once.
fn say(python: u32, version: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = format!("no Python 3.{python} or later here: not tested beside aiohttp_msal {version}\n");
        drop(std::io::stderr().write_all(line.as_bytes()));
    });
}

fn pip(interpreter: &Path) -> Command {
    let mut command = Command::new(interpreter);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    command
}

/// The first Python 3 with at least this minor version: of the path, else of pyenv's folders.
fn find_python(minor: u32) -> Option<PathBuf> {
    let newer = (minor..minor + 3).map(|minor| PathBuf::from(format!("python3.{minor}")));
    let on_path = std::iter::once(PathBuf::from("python3")).chain(newer);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut versions: Vec<PathBuf> = std::fs::read_dir(home.join(".pyenv/versions"))
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path().join("bin/python3"))).collect())
        .unwrap_or_default();
    versions.sort();
    on_path.chain(versions).find(|python| is_python(python, minor, "venv, ensurepip"))
}

/// Whether this runs, is new enough, and has these modules.
fn is_python(python: &Path, minor: u32, modules: &str) -> bool {
    let ask = format!("import sys, {modules}; sys.exit(sys.version_info < (3, {minor}))");
    let status = Command::new(python).args(["-c", &ask]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("Python runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
