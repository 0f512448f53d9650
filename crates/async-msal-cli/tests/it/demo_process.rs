//! The real command, running in a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for words that should come at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `async-msal demo`. Dropping it ends the process.
pub(crate) struct DemoProcess {
    child: Child,
    pub(crate) app: String,
    pub(crate) emulator: String,
    talk: Arc<Mutex<String>>,
}

impl DemoProcess {
    /// Starts the demo on free ports and waits for its addresses.
    pub(crate) fn start(data: &Path) -> DemoProcess {
        Self::start_with(data, ["--port", "0", "--emulator-port", "0"])
    }

    /// Starts it again where `self` was: same folder, same ports.
    pub(crate) fn restart(mut self, data: &Path) -> DemoProcess {
        let (app, emulator) = (port(&self.app), port(&self.emulator));
        let status = self.stop();
        assert!(status.success(), "the demo ended with {status}: {}", self.talk());
        Self::start_with(data, ["--port", &app, "--emulator-port", &emulator])
    }

    fn start_with<'a>(data: &'a Path, ports: [&'a str; 4]) -> DemoProcess {
        let mut child = command()
            .args(["demo", "--data"])
            .arg(data)
            .args(ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the demo starts");
        let talk = collect(child.stderr.take().expect("a pipe"));
        let mut demo = DemoProcess { app: String::new(), emulator: String::new(), talk, child };
        let stdout = BufReader::new(demo.child.stdout.take().expect("a pipe"));
        for line in stdout.lines().map_while(Result::ok) {
            match line.split_once("  ") {
                Some(("application", address)) => demo.app = address.trim().to_owned(),
                Some(("emulator", address)) => demo.emulator = address.trim().to_owned(),
                Some(("data folder", _)) => return demo,
                _ => {}
            }
        }
        panic!("the demo did not start: {}", demo.talk());
    }

    /// The process id, for looking at open files and memory.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ctrl-C, and how the process ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.interrupt();
        self.child.wait().expect("the demo ends")
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().expect("kill runs");
        assert!(sent.success(), "the demo was not running any more: {}", self.talk());
    }

    /// Waits until it has said the words on standard error.
    pub(crate) fn wait_to_say(&self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.talk().contains(words) {
            assert!(Instant::now() < end, "it never said {words:?}: {}", self.talk());
            std::thread::yield_now();
        }
    }

    /// What it said on standard error so far.
    pub(crate) fn talk(&self) -> String {
        self.talk.lock().expect("no reader panics").clone()
    }
}

impl Drop for DemoProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command with nothing of this process's settings.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_async-msal"));
    command.env_remove("RUST_LOG").env_remove("XDG_STATE_HOME");
    command
}

/// Runs the command to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command().args(arguments).stdin(Stdio::null()).output().expect("the command runs")
}

/// An output stream as text.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn port(address: &str) -> String {
    address.rsplit(':').next().expect("an address with a port").to_owned()
}

/// Reads on in a thread, so that the process never blocks on a full pipe.
fn collect(mut stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let talk = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&talk);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            shared.lock().expect("no writer panics").push_str(&text(&buffer[..read]));
        }
    });
    talk
}
