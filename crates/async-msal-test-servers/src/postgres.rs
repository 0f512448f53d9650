//! One PostgreSQL server.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::clock::FakeClock;
use crate::process::{Process, free_port, until};
use crate::tls::TlsFiles;

/// A `postgres` of its own: one database, which a user with a password may enter.
#[derive(Debug)]
pub struct PostgresServer {
    builder: PostgresServerBuilder,
    folder: tempfile::TempDir,
    tls: Option<TlsFiles>,
    port: u16,
    process: Process,
}

/// What a server is started with.
#[derive(Clone, Debug, Default)]
#[must_use = "call start()"]
pub struct PostgresServerBuilder {
    options: Vec<String>,
    clock: Option<FakeClock>,
    tls: bool,
}

impl PostgresServerBuilder {
    /// Sets a parameter of the server's configuration: `max_connections=5`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Speaks TLS to those who ask for it, with a certificate for loopback of an authority made for it
    /// ([`PostgresServer::ca_file`]).
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Shows the server this clock.
    pub fn with_clock(mut self, clock: &FakeClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Makes the database, starts the server and waits until it answers.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(self) -> PostgresServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("the folder's mode");
        let tls = self.tls.then(|| TlsFiles::make(folder.path()));
        prepare(folder.path());
        for _ in 0..20 {
            let port = free_port();
            let mut process = spawn(&self, folder.path(), port, tls.as_ref());
            until("postgres listens", || !process.is_running() || listens(port));
            if process.is_running() {
                return PostgresServer { builder: self, folder, tls, port, process };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("postgres does not start: {log}");
    }
}

impl PostgresServer {
    /// The password of the user `msal`. It is looked for in logs, so it is no word.
    pub const PASSWORD: &'static str = "pg-passw0rd-canary";

    /// What a server can be started with.
    pub fn builder() -> PostgresServerBuilder {
        PostgresServerBuilder::default()
    }

    /// A server with nothing in it.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://msal:{}@127.0.0.1:{}/postgres", Self::PASSWORD, self.port)
    }

    /// The file with the authority of its certificate.
    ///
    /// # Panics
    /// Where it was not started with TLS.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.tls.as_ref().expect("started with tls()").ca
    }

    /// Kills it, as a power cut does.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn kill9(&mut self) {
        self.process.kill9();
        self.wait_for_children();
    }

    /// Asks it to end at once (its "fast shutdown") and waits until it has.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn stop(&mut self) {
        self.process.signal("INT");
        until("postgres ends", || !self.process.is_running());
    }

    /// Starts it again on the same port with what it holds, and waits until it answers; one that still runs is killed first.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        self.kill9();
        self.process = spawn(&self.builder, self.folder.path(), self.port, self.tls.as_ref());
        until("postgres listens again", || listens(self.port));
    }

    /// Stops the execution of all its processes: connections stay open and nothing answers (SIGSTOP).
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        self.process.signal("STOP");
        self.signal_children("STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn resume(&self) {
        self.signal_children("CONT");
        self.process.signal("CONT");
    }

    /// Runs SQL by `psql` and returns its answer, a row a line, columns divided by `|`.
    ///
    /// # Panics
    /// Where it fails.
    #[must_use]
    pub fn sql(&self, statements: &str) -> String {
        let output = Command::new(program("psql"))
            .args(["--no-psqlrc", "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statements, &self.url()])
            .output()
            .expect("psql");
        assert!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn children(&self) -> Vec<String> {
        let id = self.process.id();
        let path = format!("/proc/{id}/task/{id}/children");
        let list = std::fs::read_to_string(path).unwrap_or_default();
        list.split_whitespace().map(str::to_owned).collect()
    }

    fn signal_children(&self, name: &str) {
        // One that ended in between is no failure.
        let _done = Command::new("kill").args(["-s", name]).args(self.children()).output();
    }

    /// Backends outlive a killed postmaster by a moment, and no new one starts before they are gone.
    fn wait_for_children(&self) {
        let data = self.folder.path().join("data");
        until("postgres's backends end", || !is_anybody_in(&data));
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.process.kill9();
        self.wait_for_children();
    }
}

fn prepare(folder: &Path) {
    let (data, password) = (folder.join("data"), folder.join("password"));
    std::fs::create_dir(&data).expect("the data folder");
    std::fs::write(&password, PostgresServer::PASSWORD).expect("the password file");
    if is_root() {
        let done = Command::new("chown").args(["-R", "postgres:postgres"]).arg(folder).status();
        assert!(done.is_ok_and(|status| status.success()), "chown postgres");
    }
    let output = as_postgres("initdb", |command| {
        command.args(["--auth=scram-sha-256", "--username=msal", "--no-sync", "--encoding=UTF8"]);
        command.args(["--no-instructions", "--pwfile"]).arg(&password).arg("-D").arg(&data);
    });
    assert!(output.status.success(), "initdb: {output:?}");
}

fn spawn(builder: &PostgresServerBuilder, folder: &Path, port: u16, tls: Option<&TlsFiles>) -> Process {
    let start = |command: &mut Command| {
        command.arg("-D").arg(folder.join("data")).args([
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=127.0.0.1",
        ]);
        command.args(["-c", &format!("port={port}"), "-c", "unix_socket_directories="]);
        command.args(["-c", "logging_collector=on", "-c", "log_filename=log", "-c", "log_connections=on"]);
        command.args(["-c", &format!("log_directory={}", folder.display())]);
        if let Some(files) = tls {
            command.args(["-c", "ssl=on", "-c", &format!("ssl_cert_file={}", files.certificate.display())]);
            command.args(["-c", &format!("ssl_key_file={}", files.key.display())]);
        }
        for option in &builder.options {
            command.args(["-c", option]);
        }
    };
    // The clock goes to the server alone: what it shares with others must be its user's.
    let mut with_clock = Command::new("env");
    if let Some(clock) = &builder.clock {
        clock.give(&mut with_clock);
    }
    let variables = with_clock.get_envs().map(|(name, value)| {
        let mut pair = name.to_owned();
        pair.push("=");
        pair.push(value.unwrap_or_default());
        pair
    });
    // It refuses to run as root. These programs replace themselves, so that the process is the server's own.
    if is_root() {
        return Process::start("setpriv", |command| {
            command.args(DROP_ROOT).args(["--pdeathsig", "KILL", "env"]).args(variables);
            start(command.arg(program("postgres")));
        });
    }
    Process::start("env", |command| start(command.args(variables).arg(program("postgres"))))
}

const DROP_ROOT: [&str; 3] = ["--reuid=postgres", "--regid=postgres", "--clear-groups"];

fn as_postgres(name: &str, with: impl FnOnce(&mut Command)) -> std::process::Output {
    let mut command = Command::new("setpriv");
    if is_root() {
        command.args(DROP_ROOT);
    }
    command.arg(program(name)).current_dir("/").env("LC_ALL", "C.UTF-8");
    with(&mut command);
    command.output().expect("setpriv")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Debian keeps the server's programs off the path, one folder for each version.
fn program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| Some(version.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| PathBuf::from(name))
}

/// Whether it takes connections: before that it closes them or says that it is starting up.
fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        && Command::new(program("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
}

/// Whether a process works in this folder.
fn is_anybody_in(folder: &Path) -> bool {
    let here = |entry: std::fs::DirEntry| {
        let digits = entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit());
        digits && std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| OsStr::new(&cwd) == folder)
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().any(here)
}
