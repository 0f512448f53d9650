//! Finding one person's sessions among many, and listing all.

use std::time::{Duration, Instant};

use async_msal_axum::Msal;
use async_msal_axum::async_msal_session::Find;
use async_msal_test_servers::RedisServer;
use clap::Args;
use futures_util::StreamExt as _;

use crate::seed::{Template, mail, object, seed};
use crate::world::{Plan, emulator};
use crate::{Anything, Layout};

/// Look-ups that are timed, and those before them that are not.
const LOOKUPS: u64 = 2000;
const WARM_UP: u64 = 200;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many sessions.
    #[arg(long, default_value_t = 1000)]
    sessions: u64,
    /// In which layout.
    #[arg(long, value_enum, default_value = "sealed")]
    layout: Layout,
    /// Records of 2 KB in place of those a sign-in leaves.
    #[arg(long)]
    small: bool,
    /// In a SQLite file in place of a Redis server.
    #[arg(long)]
    sqlite: bool,
    /// Keeps the store until Enter is pressed, and prints the settings for the command line tool.
    #[arg(long)]
    keep: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Anything> {
    let emulator = emulator().await?;
    let folder = tempfile::tempdir()?;
    let server = (!arguments.sqlite).then(RedisServer::start);
    let address = match &server {
        Some(server) => server.url(),
        None => format!("sqlite:{}", folder.path().join("sessions.db").display()),
    };
    let plan = Plan::new(&emulator, address, arguments.layout);
    let template = Template::new(&emulator, arguments.small).await?;
    let kind = if arguments.sqlite { "SQLite" } else { "Redis" };
    println!(
        "{kind}, {} sessions, layout {:?}, records of {} bytes before sealing",
        arguments.sessions,
        plan.layout,
        template.bytes()
    );
    let took = seed(&plan, &template, arguments.sessions).await?;
    println!("  seeded in {:.1} s", took.as_secs_f64());

    let msal = plan.deployed()?;
    let people = arguments.sessions;
    lookups(&msal, "mail", people, |number| Find::mail(mail(number))).await?;
    lookups(&msal, "tid+oid", people, |number| Find::user(&template.tenant, object(number))).await?;
    let status = plan.command(&["list"])?.status()?;
    if arguments.keep {
        println!("{}", plan.settings());
        std::io::stdin().read_line(&mut String::new())?;
    }
    if status.success() { Ok(()) } else { Err("the listing failed".into()) }
}

async fn lookups(msal: &Msal, by: &str, people: u64, find: impl Fn(u64) -> Find) -> Result<(), Anything> {
    let mut times = Vec::new();
    until_it_answers(msal).await?;
    for round in 0..WARM_UP + LOOKUPS {
        // Spread over all of them, in no order that a store could profit from.
        let number = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) % people;
        let started = Instant::now();
        let found = msal.for_user(&find(number)).await?.ok_or("not found")?;
        if round >= WARM_UP {
            times.push(started.elapsed());
        }
        if found.mail() != Some(mail(number)) {
            return Err("somebody else was found".into());
        }
    }
    times.sort_unstable();
    let at = |part: f64| micros(times[(times.len() as f64 * part) as usize]);
    println!("  find by {by:<7} median {:>6.0} us, p99 {:>6.0} us", at(0.5), at(0.99));
    Ok(())
}

/// A store into which so much has just been written is busy with that, and slow to open, for a moment.
async fn until_it_answers(msal: &Msal) -> Result<(), Anything> {
    let started = Instant::now();
    while let Err(error) = msal.for_user(&Find::mail("nobody@contoso.example")).await {
        if started.elapsed() > Duration::from_secs(60) {
            return Err(error.into());
        }
    }
    Ok(())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// A process of its own, so that its memory is that of the listing.
pub(crate) async fn list() -> Result<(), Anything> {
    let msal = Plan::from_env()?.deployed()?;
    until_it_answers(&msal).await?;
    let started = Instant::now();
    let mut sessions = std::pin::pin!(msal.sessions());
    let mut count = 0_u64;
    while let Some(session) = sessions.next().await {
        session?;
        count += 1;
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).map_or("?", str::trim);
    println!("  listed {count} in {:.1} s, peak memory {peak}", started.elapsed().as_secs_f64());
    Ok(())
}
