//! Many sign-ins in a row leave no open files behind, and memory stays bounded.
//!
//! `SIGN_INS` sets how many; `scripts/soak` makes 1,000.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use crate::browser::install_crypto_provider;
use crate::demo_process::DemoProcess;
use crate::visitor::Visitor;

/// Sign-ins before the first measurement: connections and caches have their size by then.
const WARM_UP: usize = 20;
/// Connections that happen to be open when the files are counted.
const SPARE_FILES: usize = 16;
/// How far memory may grow over the measured sign-ins, however many they are.
const SPARE_KILOBYTES: usize = 32 * 1024;

#[tokio::test]
async fn many_sign_ins_leave_no_open_files_and_bounded_memory() {
    install_crypto_provider();
    let count: usize = std::env::var("SIGN_INS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    let folder = TempDir::new().unwrap();
    let demo = DemoProcess::start(folder.path());
    let visitor = Visitor::new().unwrap();
    for _ in 0..WARM_UP {
        sign_in(visitor.stranger(), &demo.app).await;
    }
    let (files, memory, begin) = (open_files(demo.id()), resident_kilobytes(demo.id()), Instant::now());
    for _ in 0..count {
        sign_in(visitor.stranger(), &demo.app).await;
    }
    let (files_after, memory_after) = (open_files(demo.id()), resident_kilobytes(demo.id()));
    println!(
        "{count} sign-ins in {:.1} s; open files {files} -> {files_after}; resident memory {memory} -> {memory_after} kB",
        begin.elapsed().as_secs_f64()
    );
    assert!(files_after <= files + SPARE_FILES, "open files grew from {files} to {files_after}");
    assert!(memory_after <= memory + SPARE_KILOBYTES, "memory grew from {memory} to {memory_after} kB");
}

/// A browser nobody knows yet signs in, so every round makes a session of its own.
async fn sign_in(mut visitor: Visitor, app: &str) {
    let login = visitor.open(&format!("{app}/user/login")).await.unwrap();
    let page = visitor.press(&login, "ada@contoso.example").await.unwrap();
    let page = if page.has_button("consent") { visitor.press(&page, "consent").await.unwrap() } else { page };
    page.must_show("Ada Marsh").unwrap();
    page.must_show("Sign out").unwrap();
}

fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs").count()
}

fn resident_kilobytes(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line VmRSS");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number of kB")
}
