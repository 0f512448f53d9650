//! `async-msal emulator`: what it prints is what an application needs.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::browser::install_crypto_provider;
use crate::demo_process::{command, run, text};

struct Running {
    child: Child,
    settings: HashMap<String, String>,
}

impl Running {
    fn start(arguments: &[&str]) -> Running {
        let mut child = command()
            .args(["emulator", "--port", "0"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the emulator starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let last =
            if arguments.contains(&"--https") { "CA_FILE" } else { "DANGEROUS_ALLOW_LOOPBACK_AUTHORITY" };
        let mut settings = HashMap::new();
        for line in lines {
            let (name, value) = line.split_once('=').expect("NAME=value");
            settings.insert(name.to_owned(), value.to_owned());
            if name == last {
                break;
            }
        }
        Running { child, settings }
    }

    fn setting(&self, name: &str) -> &str {
        self.settings.get(name).unwrap_or_else(|| panic!("{name} is not printed"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_printed_authority_answers_over_http() {
    install_crypto_provider();
    let emulator = Running::start(&["--public-url", "http://localhost:9999"]);
    assert_eq!(emulator.setting("PUBLIC_URL"), "http://localhost:9999");
    for name in ["SP_APP_ID", "SP_APP_PW", "GRAPH_URL"] {
        assert!(!emulator.setting(name).is_empty(), "{name}");
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_discovery(&client, emulator.setting("SP_AUTHORITY")).await;
}

#[tokio::test]
async fn https_is_trusted_through_the_written_authority() {
    install_crypto_provider();
    let folder = TempDir::new().unwrap();
    let ca = folder.path().join("ca.pem");
    let emulator = Running::start(&["--https", ca.to_str().unwrap()]);
    assert_eq!(emulator.setting("CA_FILE"), ca.to_str().unwrap());
    let certificate = reqwest::Certificate::from_pem(&fs::read(&ca).unwrap()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
    assert!(emulator.setting("SP_AUTHORITY").starts_with("https://"));
    assert_discovery(&client, emulator.setting("SP_AUTHORITY")).await;
}

#[test]
fn with_a_folder_the_secret_survives_a_restart() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let first = Running::start(&["--data", data]).setting("SP_APP_PW").to_owned();
    let second = Running::start(&["--data", data]).setting("SP_APP_PW").to_owned();
    assert_eq!(first, second);
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = run(&["emulator", "--port", &port]);
    assert_eq!(refused.status.code(), Some(1));
    let said = text(&refused.stderr);
    assert!(
        said.contains(&format!("port {port}, for the emulator, is taken")) && said.contains("--port "),
        "{said}"
    );
}

#[test]
fn a_hint_names_the_option_or_the_file_that_failed() {
    let folder = TempDir::new().unwrap();
    let damaged = folder.path().join("emulator-identity.json");
    fs::write(&damaged, "{").unwrap();
    let data = folder.path().to_str().unwrap();
    let missing = folder.path().join("none").join("ca.pem");
    for (arguments, wanted) in [
        (["--https", missing.to_str().unwrap()], "hint: name a file with --https"),
        (["--public-url", "mailto:x"], "hint: give --public-url"),
        (["--data", data], "hint: delete that file"),
    ] {
        let refused = run(&["emulator", "--port", "0", arguments[0], arguments[1]]);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        let said = text(&refused.stderr);
        assert!(said.contains(wanted) && !said.contains("demo --reset"), "{said}");
    }
}

async fn assert_discovery(client: &reqwest::Client, authority: &str) {
    let address = format!("{authority}/v2.0/.well-known/openid-configuration");
    let answer = client.get(address).send().await.unwrap();
    let document: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(document["issuer"], format!("{authority}/v2.0"));
}
