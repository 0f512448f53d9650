//! Processes that end with the test, and ports nobody uses.

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

type Job = (Command, Sender<std::io::Result<Child>>);

/// How long a server may take to start or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server's process. Dropped: killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it so that the kernel kills it when this process ends, however that happens.
    pub(crate) fn start(program: &str, with: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        with(&mut command);
        let (answer, started) = channel();
        spawner().send((command, answer)).expect("the spawning thread lives");
        let child = started.recv().expect("the spawning thread answers");
        Self { child: child.unwrap_or_else(|error| panic!("{program} does not start: {error}")) }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn kill9(&mut self) {
        let _already_dead = self.child.kill();
        let _code = self.child.wait();
    }

    /// Sends a signal by name, as `kill` takes it.
    pub(crate) fn signal(&self, name: &str) {
        let done = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// Asks it to end and waits.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        until("the server ends", || !self.is_running());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// The kernel's "parent died" is about the thread that spawned, so one thread that never ends spawns all.
fn spawner() -> Sender<Job> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    SPAWNER
        .get_or_init(|| {
            let (sender, jobs) = channel::<Job>();
            std::thread::spawn(move || {
                for (mut command, answer) in jobs {
                    let _asker_gone = answer.send(command.spawn());
                }
            });
            sender
        })
        .clone()
}

/// A port that is free now, with the one 10000 above it (a Cluster's bus). Below the ports that outgoing connections take,
/// so that a server can be stopped and started again on its own.
pub(crate) fn free_port() -> u16 {
    const FIRST: u16 = 11_000;
    const SPAN: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run at the same time begin at different places.
    let begin = (std::process::id().wrapping_mul(197) % u32::from(SPAN)) as u16;
    let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    (0..SPAN)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % SPAN)
        .find(|port| is_free(*port) && is_free(*port + 10_000))
        .expect("a free port")
}

/// Waits for a condition.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what}: not within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(5));
    }
}
