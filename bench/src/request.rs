//! CPU time of one authenticated request, this library's beside a bare handler's, in rounds that alternate.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use async_msal_test_servers::RedisServer;
use clap::Args;

use crate::load::Load;
use crate::seed::{Template, id, seed};
use crate::server::Kind;
use crate::world::{COOKIE, Plan, emulator};
use crate::{Anything, Layout};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Requests of one round.
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Rounds of each server.
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Sessions that are asked for in turn. One is a user at work; many are users who come one by one, each record opened
    /// and parsed anew.
    #[arg(long, default_value_t = 1)]
    sessions: u64,
    /// Connections at once.
    #[arg(long, default_value_t = 8)]
    connections: usize,
}

struct Server {
    what: &'static str,
    child: Child,
    port: u16,
    /// Microseconds per request, by round.
    rounds: Vec<f64>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Anything> {
    let emulator = emulator().await?;
    let template = Template::new(&emulator, false).await?;
    println!("{} sessions in turn, records of {} bytes", arguments.sessions, template.bytes());
    // A server for each layout: a session has one record, in one of them.
    let (plain, sealed) = (RedisServer::start(), RedisServer::start());
    let plain_plan = Plan::new(&emulator, plain.url(), Layout::Aiohttp);
    let sealed_plan = Plan::new(&emulator, sealed.url(), Layout::Sealed);
    for plan in [&plain_plan, &sealed_plan] {
        seed(plan, &template, arguments.sessions).await?;
    }
    let cached = |plan: &Plan| Plan { read_cache: true, ..plan.clone() };
    let mut servers = [
        Server::start("bare", &plain_plan, Kind::Bare)?,
        Server::start("layout aiohttp", &plain_plan, Kind::Ours)?,
        Server::start("layout sealed", &sealed_plan, Kind::Ours)?,
        Server::start("layout aiohttp, STORE_CACHE", &cached(&plain_plan), Kind::Ours)?,
        Server::start("layout sealed, STORE_CACHE", &cached(&sealed_plan), Kind::Ours)?,
    ];
    measure(&arguments, &mut servers)?;
    let bare = servers[0].rounds.clone();
    println!("{:<28} {:>12} {:>10}", "", "us/request", "x bare");
    for server in &servers {
        // Round by round, so that what else the machine does weighs on both alike.
        let ratios = server.rounds.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        let (cost, ratio) = (median(server.rounds.clone()), median(ratios));
        println!("{:<28} {cost:>12.1} {ratio:>10.2}", server.what);
    }
    Ok(())
}

fn measure(arguments: &Arguments, servers: &mut [Server]) -> Result<(), Anything> {
    let cookies: Vec<String> =
        (0..arguments.sessions).map(|number| format!("{COOKIE}={}", id(number).expose_secret())).collect();
    for round in 0..=arguments.rounds {
        for server in &mut *servers {
            let &Arguments { requests, connections, .. } = arguments;
            let before = cpu_nanoseconds(server.child.id())?;
            let answer = Load { port: server.port, cookies: &cookies, requests, connections }.send()?;
            let spent = cpu_nanoseconds(server.child.id())? - before;
            // The first round warms up.
            match round {
                0 => println!("{}: {}", server.what, answer.lines().last().unwrap_or_default()),
                _ => server.rounds.push(spent as f64 / 1e3 / requests as f64),
            }
        }
    }
    Ok(())
}

impl Server {
    fn start(what: &'static str, plan: &Plan, kind: Kind) -> Result<Self, Anything> {
        let mut child = plan.command(&["serve", kind.name()])?.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no output")?;
        BufReader::new(out).read_line(&mut line)?;
        Ok(Self { what, child, port: line.trim().parse()?, rounds: Vec::new() })
    }
}

/// User and system time of all threads so far.
fn cpu_nanoseconds(process: u32) -> Result<u64, Anything> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("no time")?.parse::<u64>()?;
    }
    Ok(sum)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
