//! The command line of the demo: ports, folder, exit codes, no network.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::demo_process::{DemoProcess, command, run, text};

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = folder.path().join("demo");
    let data = data.to_str().unwrap();

    let app = run(&["demo", "--data", data, "--port", &port, "--emulator-port", "0"]);
    assert_eq!(app.status.code(), Some(1));
    let said = text(&app.stderr);
    assert!(said.contains(&format!("error: port {port}, for the web application, is taken")), "{said}");
    assert!(said.contains("hint: ") && said.contains("--port "), "{said}");

    let emulator = run(&["demo", "--data", data, "--port", "0", "--emulator-port", &port]);
    assert_eq!(emulator.status.code(), Some(1));
    let said = text(&emulator.stderr);
    assert!(said.contains(&format!("error: port {port}, for the emulator, is taken")), "{said}");
    assert!(said.contains("--emulator-port "), "{said}");
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_2() {
    assert_eq!(run(&["demo", "--prot", "1"]).status.code(), Some(2));
}

#[test]
fn reset_removes_what_the_demo_made_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let mut demo = DemoProcess::start(folder.path());
    assert!(demo.stop().success(), "{}", demo.talk());
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();

    let reset = run(&["demo", "--reset", "--data", folder.path().to_str().unwrap()]);
    assert!(reset.status.success(), "{}", text(&reset.stderr));
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["notes.txt"]);
    assert!(text(&reset.stderr).contains("notes.txt"), "what is left is named");
}

#[test]
fn a_folder_of_somebody_else_is_refused_and_not_touched() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("sessions.sqlite"), "mine").unwrap();
    let data = folder.path().to_str().unwrap();
    for arguments in [vec!["demo", "--reset", "--data", data], vec!["demo", "--port", "0", "--data", data]] {
        let refused = run(&arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(text(&refused.stderr).contains("is not a folder of the demo"), "{}", text(&refused.stderr));
    }
    assert_eq!(fs::read_to_string(folder.path().join("sessions.sqlite")).unwrap(), "mine");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_in_use_is_neither_shared_nor_emptied() {
    let folder = TempDir::new().unwrap();
    let _running = DemoProcess::start(folder.path());
    let data = folder.path().to_str().unwrap();
    for arguments in [
        vec!["demo", "--reset", "--data", data],
        vec!["demo", "--port", "0", "--emulator-port", "0", "--data", data],
    ] {
        let refused = run(&arguments);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}");
        assert!(
            text(&refused.stderr).contains("in use by a demo that is running"),
            "{}",
            text(&refused.stderr)
        );
    }
}

#[test]
fn the_default_folder_is_in_the_state_folder_and_printed() {
    let state = TempDir::new().unwrap();
    let reset = command().env("XDG_STATE_HOME", state.path()).args(["demo", "--reset"]).output().unwrap();
    assert!(reset.status.success());
    let expected = state.path().join("async-msal").join("demo");
    assert!(text(&reset.stderr).contains(expected.to_str().unwrap()), "{}", text(&reset.stderr));
}

#[test]
fn the_data_folder_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let data = parent.path().join("demo");
    let _demo = DemoProcess::start(&data);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn the_check_prints_a_line_per_step_and_exits_with_0() {
    let check = run(&["demo", "--check"]);
    let lines = text(&check.stdout);
    assert_eq!(check.status.code(), Some(0), "{lines}{}", text(&check.stderr));
    assert!(lines.lines().count() >= 10 && lines.lines().all(|line| line.starts_with("ok ")), "{lines}");
}

#[test]
fn a_check_that_cannot_go_through_exits_with_1() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("other"), "").unwrap();
    let check = run(&["demo", "--check", "--data", folder.path().to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(1));
}

/// An empty network namespace has a loopback interface of its own and nothing else.
#[test]
fn the_demo_needs_no_network() {
    let inside = |script: &str| {
        Command::new("unshare")
            .args(["--map-root-user", "--net", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_async-msal")])
            .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
    };
    match inside("ip link set lo up") {
        Ok(made) if made.status.success() => {}
        other => {
            println!("NOT RUN: this machine allows no empty network namespace: {other:?}");
            return;
        }
    }
    let check = inside("ip link set lo up && ! ip route get 1.1.1.1 2>/dev/null && exec \"$1\" demo --check")
        .unwrap();
    assert_eq!(check.status.code(), Some(0), "{}{}", text(&check.stdout), text(&check.stderr));
}
