//! One Redis server.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::clock::FakeClock;
use crate::process::{Process, free_port, until};
use crate::tls::TlsFiles;

/// A `redis-server` of its own.
#[derive(Debug)]
pub struct RedisServer {
    builder: RedisServerBuilder,
    folder: tempfile::TempDir,
    tls: Option<TlsFiles>,
    port: u16,
    process: Process,
}

/// What a server is started with.
#[derive(Clone, Debug, Default)]
#[must_use = "call start()"]
pub struct RedisServerBuilder {
    arguments: Vec<String>,
    user: Option<(String, String)>,
    clock: Option<FakeClock>,
    tls: bool,
    /// Files that several servers share, in place of its own.
    tls_files: Option<TlsFiles>,
}

impl RedisServerBuilder {
    /// Adds arguments of `redis-server`'s command line: `["--maxmemory", "2mb"]`.
    pub fn args<T: Into<String>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Admits nobody but this user, with these rules: `~async-msal:* +get`.
    pub fn acl_user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.arguments.extend(["--user", "default", "off"].map(str::to_owned));
        self.arguments.extend(["--user", name, "on", &format!(">{password}")].map(str::to_owned));
        self.arguments.extend(rules.split_whitespace().map(str::to_owned));
        self.user = Some((name.to_owned(), password.to_owned()));
        self
    }

    /// Wants this password.
    pub fn password(mut self, password: &str) -> Self {
        self.arguments.extend(["--requirepass", password].map(str::to_owned));
        self.user = Some((String::new(), password.to_owned()));
        self
    }

    /// Speaks TLS only, with a certificate of an authority made for it ([`RedisServer::ca_pem`]).
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Speaks TLS with the files of another, which trusts it for that.
    pub(crate) fn tls_as(mut self, files: &TlsFiles) -> Self {
        self.tls_files = Some(files.clone());
        self
    }

    /// Shows the server this clock.
    pub fn with_clock(mut self, clock: &FakeClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(self) -> RedisServer {
        let server = self.start_without_waiting();
        server.wait_until_it_answers();
        server
    }

    /// Starts it and does not wait: it may be loading still, or about to give up.
    ///
    /// # Panics
    /// Where there is no such program, or no port for it.
    #[must_use]
    pub fn start_without_waiting(self) -> RedisServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tls = self.tls_files.clone().or_else(|| self.tls.then(|| TlsFiles::make(folder.path())));
        for _ in 0..20 {
            let port = free_port();
            let mut process = spawn(&self, folder.path(), port, tls.as_ref());
            until("redis-server listens", || !process.is_running() || connect(port).is_some());
            if process.is_running() {
                return RedisServer { builder: self, folder, tls, port, process };
            }
        }
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        panic!("redis-server does not start: {log}");
    }
}

impl RedisServer {
    /// What a server can be started with.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    /// A server with nothing in it, that keeps nothing on disk.
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

    /// Its address, with the user it was given.
    #[must_use]
    pub fn url(&self) -> String {
        let user = self.builder.user.as_ref();
        let user = user.map(|(name, password)| format!("{name}:{password}@")).unwrap_or_default();
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{user}127.0.0.1:{}", self.port)
    }

    /// The authority of its certificate.
    ///
    /// # Panics
    /// Where it was not started with TLS.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.tls.as_ref().expect("started with tls()").ca_pem
    }

    /// The folder it keeps its files in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it, as a power cut does.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// Starts it again on the same port and waits until it answers; one that still runs is killed first.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn restart(&mut self) {
        self.restart_without_waiting();
        self.wait_until_it_answers();
    }

    /// Starts it again on the same port and does not wait.
    pub fn restart_without_waiting(&mut self) {
        self.process.kill9();
        self.process = spawn(&self.builder, self.folder.path(), self.port, self.tls.as_ref());
    }

    /// Stops its execution: connections stay open and nothing answers (SIGSTOP).
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn resume(&self) {
        self.process.signal("CONT");
    }

    /// Asks the server something by `redis-cli`, as the user it was given, and returns the answer's text.
    ///
    /// # Panics
    /// Where redis-cli fails.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).env_remove("REDISCLI_AUTH");
        if let Some((name, password)) = &self.builder.user {
            if !name.is_empty() {
                command.args(["--user", name]);
            }
            command.env("REDISCLI_AUTH", password);
        }
        if self.tls.is_some() {
            command.args(["--tls", "--insecure"]);
        }
        let output = command.args(arguments).output().expect("redis-cli");
        assert!(output.status.success(), "redis-cli: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Waits until it takes commands: a server that wants a password says so and does.
    fn wait_until_it_answers(&self) {
        until("redis-server answers", || {
            self.tls.is_some()
                || ask(self.port)
                    .is_some_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
        });
    }
}

fn spawn(builder: &RedisServerBuilder, folder: &Path, port: u16, tls: Option<&TlsFiles>) -> Process {
    Process::start("redis-server", |command| {
        let port = port.to_string();
        match tls {
            None => command.args(["--port", &port]),
            Some(files) => command.args(["--port", "0", "--tls-port", &port]).args(files.arguments()),
        };
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        command.arg("--dir").arg(folder).arg("--logfile").arg(folder.join("log"));
        command.args(&builder.arguments);
        if let Some(clock) = &builder.clock {
            clock.give(command);
        }
    })
}

fn connect(port: u16) -> Option<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
}

/// One PING, without a client.
fn ask(port: u16) -> Option<String> {
    let mut stream = connect(port)?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"PING\r\n").ok()?;
    let mut answer = [0_u8; 64];
    let length = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}
