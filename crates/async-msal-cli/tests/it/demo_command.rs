//! The command line of the demo: ports, folder, exit codes, no network.

use std::fs;
use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, TcpStream};
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
fn a_port_taken_at_the_other_loopback_address_is_taken() {
    let Ok(taken) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("NOT RUN: this machine has no IPv6");
        return;
    };
    let folder = TempDir::new().unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let data = folder.path().to_str().unwrap();
    let app = run(&["demo", "--data", data, "--port", &port, "--emulator-port", "0"]);
    assert_eq!(app.status.code(), Some(1));
    let said = text(&app.stderr);
    assert!(said.contains(&format!("error: port {port}, for the web application, is taken")), "{said}");
}

#[test]
fn one_port_for_both_servers_is_refused_as_that() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().to_str().unwrap();
    let demo = run(&["demo", "--data", data, "--port", "8402", "--emulator-port", "8402"]);
    assert_eq!(demo.status.code(), Some(1));
    let said = text(&demo.stderr);
    assert!(said.contains("cannot both listen on port 8402") && said.contains("--emulator-port "), "{said}");
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_a_request_in_flight() {
    let folder = TempDir::new().unwrap();
    let mut demo = DemoProcess::start(folder.path());
    let mut slow = TcpStream::connect(demo.app.trim_start_matches("http://")).unwrap();
    slow.write_all(b"POST /expire HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf").unwrap();
    demo.interrupt();
    demo.wait_to_say("Press Ctrl-C again to stop now.");
    assert!(demo.stop().success());
    demo.wait_to_say("Stopped at once.");
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
fn a_reset_without_a_folder_says_so_and_makes_none() {
    let parent = TempDir::new().unwrap();
    let data = parent.path().join("never");
    let reset = run(&["demo", "--reset", "--data", data.to_str().unwrap()]);
    assert!(reset.status.success());
    assert!(text(&reset.stderr).contains("nothing to empty"), "{}", text(&reset.stderr));
    assert!(!data.exists());
}

#[test]
fn the_data_folder_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = TempDir::new().unwrap();
    let (made, found) = (parent.path().join("made"), parent.path().join("found"));
    fs::create_dir(&found).unwrap();
    fs::set_permissions(&found, fs::Permissions::from_mode(0o755)).unwrap();
    for data in [made, found] {
        let _demo = DemoProcess::start(&data);
        assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700, "{}", data.display());
    }
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
