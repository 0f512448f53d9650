//! `async-msal demo --check`: the trip a person makes in a browser, over HTTP, one line per step.

mod visitor;

use std::path::{Path, PathBuf};

use async_msal_emulator::Person;
use http::header;

use self::visitor::{Page, VisitError, Visitor};
use super::super::Failure;
use super::folder::DataFolder;
use super::running::{Ports, Running};
use crate::output;

/// Makes the trip on ports and a folder of its own, unless some are given.
///
/// # Errors
/// The demo did not start, or a step failed; the step's line says which.
pub(super) async fn run(data: Option<PathBuf>, ports: Ports) -> Result<(), Failure> {
    // Removed at the end, however it ends.
    let temporary =
        tempfile::tempdir().map_err(|source| Failure::Folder { path: std::env::temp_dir(), source })?;
    let folder = data.unwrap_or_else(|| temporary.path().join("demo"));
    let running = Running::start(DataFolder::open(&folder)?, ports).await?;
    let mut visitor = step("an HTTP client is ready", Visitor::new())?;
    let running = trip(running, &mut visitor, &folder).await?;
    running.stop().await;
    Ok(())
}

async fn trip(running: Running, visitor: &mut Visitor, folder: &Path) -> Result<Running, Failure> {
    let people = running.emulator().users();
    let Some(first) = people.first() else {
        return step("the emulator has people", Err(VisitError::Unexpected("it has none".to_owned())));
    };
    sign_in(&running, visitor, first, &people).await?;
    use_token(&running, visitor, first).await?;
    let ports = running.ports();
    running.stop().await;
    let running = Running::start(DataFolder::open(folder)?, ports).await?;
    step("after a restart the visitor is still signed in", still_signed_in(&running, visitor, first).await)?;
    step("and the token is renewed silently again", renew(&running, visitor).await)?;
    sign_out(&running, visitor).await?;
    for person in people.iter().skip(1) {
        let name = format!("{} signs in, too ({})", person.display_name, person.about);
        named_step(
            &name,
            "another person signs in",
            sign_in_once(&running, visitor.stranger(), person).await,
        )?;
    }
    Ok(running)
}

async fn sign_in(
    running: &Running,
    visitor: &mut Visitor,
    person: &Person,
    people: &[Person],
) -> Result<(), Failure> {
    let home = visitor.open(&running.app_url()).await;
    step(
        "the page offers to sign in with Microsoft",
        home.and_then(|page| page.must_show("Sign in with Microsoft")),
    )?;
    let login = login_page(running, visitor, people).await;
    let login = step("the emulator's login page lists its people", login)?;
    let page = step("choosing one signs in", choose(visitor, &login, person).await)?;
    step("the page shows name, mail and manager", shows_profile(&page, person, people))?;
    step("the photo comes from Graph", photo(running, visitor).await)?;
    step("no page shows a token", page.must_not_show("eyJ"))
}

async fn use_token(running: &Running, visitor: &mut Visitor, person: &Person) -> Result<(), Failure> {
    step("Graph /me answers through the session", graph(running, visitor, person).await)?;
    step("an expired token is renewed silently, by one request", renew(running, visitor).await)
}

async fn sign_out(running: &Running, visitor: &mut Visitor) -> Result<(), Failure> {
    let mut thief = visitor.copy();
    step("signing out ends the session here and at the emulator", leave(running, visitor).await)?;
    let page = thief.open(&running.app_url()).await;
    step("the old cookie is worthless", page.and_then(|page| page.must_show("Sign in with Microsoft")))
}

async fn login_page(running: &Running, visitor: &mut Visitor, people: &[Person]) -> Result<Page, VisitError> {
    let page = visitor.open(&format!("{}/user/login", running.app_url())).await?;
    for person in people {
        page.must_show(&person.display_name)?;
    }
    Ok(page)
}

/// Chooses the person, and consents where the emulator asks.
async fn choose(visitor: &mut Visitor, login: &Page, person: &Person) -> Result<Page, VisitError> {
    let page = visitor.press(login, &person.username).await?;
    let page = if page.has_button("consent") { visitor.press(&page, "consent").await? } else { page };
    page.must_show(&person.display_name)?;
    page.must_show("Sign out")?;
    Ok(page)
}

async fn sign_in_once(running: &Running, mut visitor: Visitor, person: &Person) -> Result<(), VisitError> {
    let people = running.emulator().users();
    let login = login_page(running, &mut visitor, &people).await?;
    let page = choose(&mut visitor, &login, person).await?;
    shows_profile(&page, person, &people)
}

fn shows_profile(page: &Page, person: &Person, people: &[Person]) -> Result<(), VisitError> {
    page.must_show(person.mail.as_deref().unwrap_or(&person.username))?;
    let manager =
        person.manager.as_ref().and_then(|manager| people.iter().find(|other| other.username == *manager));
    match manager {
        Some(manager) => page.must_show(&manager.display_name),
        None => page.must_show("nobody, says Graph"),
    }
}

async fn photo(running: &Running, visitor: &mut Visitor) -> Result<(), VisitError> {
    let page = visitor.open(&format!("{}/user/photo", running.app_url())).await?;
    let content_type =
        page.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if page.status.is_success() && content_type.starts_with("image/") && !page.body.is_empty() {
        return Ok(());
    }
    Err(VisitError::Unexpected(format!("status {}, content type {content_type:?}", page.status)))
}

async fn graph(running: &Running, visitor: &mut Visitor, person: &Person) -> Result<(), VisitError> {
    let home = visitor.open(&running.app_url()).await?;
    let page = visitor.submit(&home, "/graph/me").await?;
    page.must_show(&format!("\"displayName\": \"{}\"", person.display_name))
}

/// Lets the token expire; the emulator must have been asked for a new one exactly once.
async fn renew(running: &Running, visitor: &mut Visitor) -> Result<(), VisitError> {
    let asked = || running.emulator().admin().counters().token_refresh_token;
    let home = visitor.open(&running.app_url()).await?;
    let before = asked();
    let page = visitor.submit(&home, "/expire").await?;
    page.must_show("Renewed silently")?;
    match asked() - before {
        1 => Ok(()),
        requests => Err(VisitError::Unexpected(format!("{requests} refresh requests instead of one"))),
    }
}

async fn still_signed_in(
    running: &Running,
    visitor: &mut Visitor,
    person: &Person,
) -> Result<(), VisitError> {
    let page = visitor.open(&running.app_url()).await?;
    page.must_show(&person.display_name)?;
    page.must_show("Sign out")
}

async fn leave(running: &Running, visitor: &mut Visitor) -> Result<(), VisitError> {
    let home = visitor.open(&running.app_url()).await?;
    let page = visitor.submit(&home, "/user/logout").await?;
    // The emulator shows a page of its own while other applications are told.
    visitor.follow_link(page, "Continue").await?;
    if running.emulator().admin().counters().logout == 0 {
        return Err(VisitError::Unexpected("the emulator was not asked to sign out".to_owned()));
    }
    visitor.open(&running.app_url()).await?.must_show("Sign in with Microsoft")
}

/// Prints the step's line; a failed step ends the check.
fn step<T>(line: &'static str, result: Result<T, VisitError>) -> Result<T, Failure> {
    named_step(line, line, result)
}

fn named_step<T>(line: &str, step: &'static str, result: Result<T, VisitError>) -> Result<T, Failure> {
    match result {
        Ok(value) => {
            output::data(&format!("ok      {line}"));
            Ok(value)
        }
        Err(error) => {
            output::data(&format!("FAILED  {line}: {error}"));
            Err(Failure::Check { step, source: Box::new(error) })
        }
    }
}
