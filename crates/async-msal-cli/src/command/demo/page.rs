//! The demo's one page: what is read for it, and how it is sent.

use std::time::Duration;

use askama::Template;
use async_msal_axum::SignedIn;
use async_msal_axum::async_msal_session::Error;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use time::OffsetDateTime;
use time::macros::format_description;

use super::app::{Demo, RENEWALS, Renewals};

/// What an action on the page came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was no action.
    None,
    /// Graph answered with this JSON.
    Graph(String),
    /// It failed.
    Trouble(Error),
}

#[derive(Debug)]
struct Trouble {
    what: String,
    hint: String,
}

#[derive(Debug, Template)]
#[template(path = "demo.html")]
struct DemoPage<'a> {
    emulator: &'a str,
    folder: &'a str,
    person: Option<Person>,
    token: Option<Token>,
    renewal: Option<Renewal>,
    graph: Option<String>,
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Person {
    name: String,
    initials: String,
    mail: String,
    manager: Option<Manager>,
    has_photo: bool,
    signed_in_at: String,
}

#[derive(Debug)]
struct Manager {
    name: String,
    mail: String,
}

/// The access token as far as it may be shown: never the token.
#[derive(Debug)]
struct Token {
    life: String,
    expires: String,
    percent: i64,
    scopes: Vec<String>,
}

#[derive(Debug)]
struct Renewal {
    count: u32,
    before: String,
    after: String,
    life_after: String,
}

/// How long the emulator's tokens live; what the bar on the page counts as full.
const TOKEN_LIFE: i64 = 3600;

/// How long a page waits to learn whether there is a photo.
const PHOTO_LIMIT: Duration = Duration::from_secs(3);

/// The page of a visitor nobody knows.
pub(super) fn signed_out(demo: &Demo) -> Response {
    send(
        demo,
        &DemoPage {
            emulator: &demo.emulator,
            folder: &demo.folder,
            person: None,
            token: None,
            renewal: None,
            graph: None,
            trouble: None,
        },
    )
}

/// The page of the signed-in user; with it what an action found, or why it failed.
pub(super) async fn signed_in(demo: &Demo, user: &SignedIn, outcome: Outcome) -> Response {
    let (graph, trouble) = match outcome {
        Outcome::None => (None, None),
        Outcome::Graph(json) => (Some(json), None),
        Outcome::Trouble(error) => {
            (None, Some(Trouble { what: error.to_string(), hint: error.hint().into_owned() }))
        }
    };
    let page = DemoPage {
        emulator: &demo.emulator,
        folder: &demo.folder,
        person: Some(person(user).await),
        token: token(demo, user),
        renewal: renewal(user),
        graph,
        trouble,
    };
    send(demo, &page)
}

async fn person(user: &SignedIn) -> Person {
    // Where Graph was slow at the sign-in, this is the request that asks again; without it the id token's values stand.
    if let Err(error) = user.complete_profile().await {
        tracing::warn!(%error, "the profile could not be completed");
    }
    let name = user.name().unwrap_or_default();
    let manager =
        user.manager_name().map(|name| Manager { name, mail: user.manager_mail().unwrap_or_default() });
    // The photo itself is streamed by `/user/photo`; here only its absence matters, and a Graph that is down
    // or slow is one: the page does not wait for a picture.
    let has_photo = matches!(tokio::time::timeout(PHOTO_LIMIT, user.photo()).await, Ok(Ok(Some(_))));
    Person {
        initials: initials(&name),
        mail: user.mail().unwrap_or_default(),
        manager,
        has_photo,
        signed_in_at: user.identity().map(|identity| moment(identity.signed_in_at)).unwrap_or_default(),
        name,
    }
}

fn token(demo: &Demo, user: &SignedIn) -> Option<Token> {
    let token = user.token_info(demo.msal.settings().scopes())?;
    let left = (token.expires_on - demo.msal.clock().now()).max(0);
    Some(Token {
        life: span(left),
        expires: moment(token.expires_on),
        percent: (left * 100 / TOKEN_LIFE).min(100),
        scopes: token.scopes.iter().map(ToString::to_string).collect(),
    })
}

fn renewal(user: &SignedIn) -> Option<Renewal> {
    let renewals = user.item::<Renewals>(RENEWALS).ok().flatten()?;
    Some(Renewal {
        count: renewals.count,
        before: moment(renewals.before),
        after: moment(renewals.after),
        life_after: span(renewals.after - renewals.at),
    })
}

fn initials(name: &str) -> String {
    name.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect()
}

/// `59 min 58 s`.
fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `2026-03-01 12:00:00 UTC`.
fn moment(seconds: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(&format).unwrap_or_default()
}

fn send(demo: &Demo, page: &DemoPage<'_>) -> Response {
    let status = if page.trouble.is_some() { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
    match page.render() {
        Ok(html) => (status, headers(demo), html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Nothing from elsewhere, no script, no frame. The sign-out form's answer redirects to the emulator, and Chromium
/// applies `form-action` to that redirect as well.
fn headers(demo: &Demo) -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {}; base-uri 'none'; \
         frame-ancestors 'none'",
        demo.emulator
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::{initials, moment, span};

    #[test]
    fn a_life_is_told_in_minutes_and_seconds() {
        assert_eq!([span(3598), span(60), span(59), span(-5)], ["59 min 58 s", "1 min 0 s", "59 s", "0 s"]);
    }

    #[test]
    fn a_moment_is_told_in_utc() {
        assert_eq!(moment(1_772_366_400), "2026-03-01 12:00:00 UTC");
    }

    #[test]
    fn initials_are_those_of_the_first_two_words() {
        assert_eq!(initials("Ada Marsh Third"), "AM");
        assert_eq!(initials(""), "");
    }
}
