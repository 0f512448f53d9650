//! The Python service. Starting Python costs a second, so a process that one test is done with serves the next.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use super::packages::Release;

/// Processes that wait for the next test; they end with this process, since their input does.
static IDLE: Mutex<Vec<(&str, Process)>> = Mutex::new(Vec::new());

pub(crate) struct PythonService {
    address: SocketAddr,
    version: &'static str,
    /// Taken when the service is dropped.
    process: Option<Process>,
}

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl PythonService {
    /// An application with these environment variables, on a port of its own.
    pub(crate) fn start(release: Release, python: &Path, variables: &BTreeMap<&str, String>) -> Self {
        let mut process = idle(release.version).unwrap_or_else(|| Process::spawn(python));
        let port = process.start_application(variables);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, version: release.version, process: Some(process) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for PythonService {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        if std::thread::panicking() {
            drop(process.child.kill());
            drop(process.child.wait());
        } else {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push((self.version, process));
        }
    }
}

fn idle(version: &str) -> Option<Process> {
    let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let index = idle.iter().position(|(of, _)| *of == version)?;
    Some(idle.swap_remove(index).1)
}

impl Process {
    fn spawn(python: &Path) -> Self {
        let mut command = command(python, "service.py");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the Python service starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, input, output }
    }

    fn start_application(&mut self, variables: &BTreeMap<&str, String>) -> u16 {
        let variables = serde_json::to_string(variables).expect("JSON");
        writeln!(self.input, "{variables}").expect("the service reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("its port");
        line.trim().parse().expect("a port")
    }
}

/// Python with a file of `tests/python`. A proxy must not see loopback, and no other authority be trusted.
pub(crate) fn command(python: &Path, file: &str) -> Command {
    let mut command = Command::new(python);
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
        .env_remove("CURL_CA_BUNDLE")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(file));
    command
}
