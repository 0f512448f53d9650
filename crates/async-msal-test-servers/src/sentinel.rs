//! A primary, its replica, and three Sentinels that watch them.

use crate::process::{Process, free_port, until};
use crate::redis::RedisServer;

/// The name under which the Sentinels know the primary.
const MASTER: &str = "main";

/// Two servers and three Sentinels, which call a server down after a second.
#[derive(Debug)]
pub struct Sentinel {
    servers: Vec<RedisServer>,
    watchers: Vec<(u16, Process)>,
    _folder: tempfile::TempDir,
}

impl Sentinel {
    /// Starts all five and waits until the Sentinels know each other and the replica.
    ///
    /// # Panics
    /// Where they do not start.
    #[must_use]
    pub fn start() -> Self {
        let primary = RedisServer::start();
        let follow = ["--replicaof".to_owned(), "127.0.0.1".to_owned(), primary.port().to_string()];
        let replica = RedisServer::builder().args(follow).start();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let watchers =
            (0..3).map(|number| watcher(&folder.path().join(format!("{number}.conf")), primary.port()));
        let watchers = watchers.collect();
        let sentinel = Self { servers: vec![primary, replica], watchers, _folder: folder };
        until("the replica follows", || {
            sentinel.servers[1].cli(&["INFO", "replication"]).contains("master_link_status:up")
        });
        until("the Sentinels know all", || {
            (sentinel.watchers.iter()).all(|(port, _)| {
                let info = ask(*port, &["INFO", "sentinel"]);
                info.contains("slaves=1") && info.contains("sentinels=3")
            })
        });
        sentinel
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.watchers.iter().map(|(port, _)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/{MASTER}", hosts.join(","))
    }

    /// The port of the primary, as the first Sentinel sees it.
    ///
    /// # Panics
    /// Where it does not know.
    #[must_use]
    pub fn primary_port(&self) -> u16 {
        let answer = ask(self.watchers[0].0, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]);
        answer.lines().nth(1).and_then(|port| port.parse().ok()).expect("host and port")
    }

    /// The two servers; the first was the primary at the start.
    #[must_use]
    pub fn server_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }
}

fn watcher(file: &std::path::Path, primary: u16) -> (u16, Process) {
    let port = free_port();
    let configuration = format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 3000\n"
    );
    std::fs::write(file, configuration).expect("a file");
    let process = Process::start("redis-server", |command| {
        command.arg(file).arg("--sentinel");
    });
    until("the Sentinel listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    (port, process)
}

fn ask(port: u16, question: &[&str]) -> String {
    let output =
        std::process::Command::new("redis-cli").args(["-p", &port.to_string()]).args(question).output();
    String::from_utf8_lossy(&output.expect("redis-cli").stdout).into_owned()
}
