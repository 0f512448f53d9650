//! MSAL Python itself, from PyPI, in environments under the target folder: made once, whoever asks first.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

pub(super) const CLIENT: &str = "33333333-3333-3333-3333-333333333333";
pub(super) const TENANT: &str = "11111111-1111-1111-1111-111111111111";
pub(super) const AUTHORITY: &str = "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111";
pub(super) const NOW: i64 = 1_767_225_600;

/// The oldest release whose sessions may still live, and the newest.
pub(super) const RELEASES: [&str; 2] = ["1.21.0", "1.39.0"];

/// A process that runs `tests/python/msal_cache.py`.
pub(super) struct Msal {
    pub(super) release: &'static str,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    defaults: Value,
}

impl Drop for Msal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Msal {
    /// Both releases, offline.
    pub(super) fn both() -> [Self; 2] {
        RELEASES.map(|release| Self::start(release, &json!({"client_id": CLIENT, "authority": AUTHORITY})))
    }

    pub(super) fn start(release: &'static str, defaults: &Value) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/msal_cache.py");
        let mut command = Command::new(python(release));
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self { release, child, input, output, defaults: defaults.clone() }
    }

    /// Runs one command; it must not crash.
    pub(super) fn run(&mut self, operation: &str, now: i64, fields: &Value) -> Answer {
        let mut command = self.defaults.clone();
        command["op"] = operation.into();
        command["now"] = now.into();
        for (name, value) in fields.as_object().expect("fields") {
            command[name] = value.clone();
        }
        writeln!(self.input, "{command}").expect("Python listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("Python answers");
        let answer: Value = serde_json::from_str(&line).expect("an answer");
        assert!(answer.get("crash").is_none(), "MSAL {} crashed: {answer:#}", self.release);
        Answer(answer)
    }

    /// Everything that goes through all entries: none of it may crash.
    pub(super) fn looks_at_everything(&mut self, now: i64, cache: &str) {
        let listed = self.run("accounts", now, &json!({"cache": cache}));
        self.run("accounts", now, &json!({"cache": cache, "username": "Ada@Contoso.Example"}));
        self.run("silent", now, &json!({"cache": cache, "application": true, "scopes": ["None.Such"]}));
        for account in listed.result().as_array().expect("accounts") {
            let home = &account["home_account_id"];
            self.run("silent", now, &json!({"cache": cache, "scopes": ["None.Such"], "home": home}));
            self.run("remove", now, &json!({"cache": cache, "home": home}));
        }
    }
}

/// What MSAL answered.
#[derive(Debug)]
pub(super) struct Answer(Value);

impl Answer {
    pub(super) fn result(&self) -> &Value {
        &self.0["result"]
    }

    pub(super) fn access_token(&self) -> Option<&str> {
        self.0["result"]["access_token"].as_str()
    }

    /// How often it asked the token endpoint.
    pub(super) fn posts(&self) -> u64 {
        self.0["posts"].as_u64().expect("a number")
    }

    pub(super) fn cache(&self) -> &str {
        self.0["cache"].as_str().expect("a text")
    }
}

/// The interpreter of a release's environment.
fn python(release: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cache-msal-{release}"));
    let (interpreter, done) = (folder.join("bin/python"), folder.join("done"));
    let lock = File::create(folder.with_extension("lock")).expect("a lock file");
    lock.lock().expect("the lock");
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&interpreter).args(install).arg(format!("msal=={release}")));
        std::fs::write(done, "").expect("a mark");
    }
    interpreter
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("python3 is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
