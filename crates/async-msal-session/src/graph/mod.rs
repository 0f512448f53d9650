//! The few questions to Microsoft Graph that every application asks.

pub mod manager;
pub mod photo;
pub mod user;

use std::future::Future;
use std::time::Duration;

use async_msal::Scopes;
use http::StatusCode;
use tokio::time::Instant;
use url::Url;

pub use self::photo::Photo;
pub use self::user::User;
use crate::api_client::ApiError;
use crate::error::Error;
use crate::handle::AsyncMsal;
use crate::record::item;

/// Fields asked of a user: a closed list, so that the answer is small.
const USER_FIELDS: &str =
    "$select=id,displayName,mail,userPrincipalName,givenName,surname,jobTitle,preferredLanguage";

/// The scopes with which Graph tells a user's manager (Microsoft Graph, List manager, permissions).
const MANAGER_SCOPES: [&str; 4] =
    ["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];

/// User and manager may take so long together: somebody waits for a page.
pub(crate) const PROFILE_TIME: Duration = Duration::from_secs(3);
/// What failed is not asked again within so many seconds, however many pages are shown meanwhile.
const NEXT_TRY: i64 = 60;

/// User and manager as they were found.
#[derive(Debug)]
pub(crate) struct Profile {
    pub(crate) user: User,
    pub(crate) manager: Manager,
}

/// What is known of a manager.
#[derive(Debug)]
pub(crate) enum Manager {
    /// This one, or that there is none to be seen.
    Known(Option<User>),
    /// Nothing yet: the question failed.
    Due,
}

impl AsyncMsal {
    /// Fetches user and manager where that failed at sign-in, within 3 s, and keeps them in the session. Where nothing is due,
    /// nothing is asked; what failed is asked again a minute later. A manager who cannot be had keeps nobody from the
    /// user: that alone stays due.
    ///
    /// # Errors
    /// As [`me`](Self::me) and [`save`](Self::save).
    ///
    /// # Cancel safety
    /// Dropped, it stays due, for a minute later.
    pub async fn complete_profile(&self) -> Result<(), Error> {
        self.load().await?;
        let now = self.msal().clock().now();
        // An earlier version kept `true` here: due now.
        match self.own(item::PROFILE_DUE) {
            None => return Ok(()),
            Some(due) if due.as_i64().is_some_and(|due| (now + 1..=now + NEXT_TRY).contains(&due)) => {
                return Ok(());
            }
            Some(_) => {}
        }
        // Kept before anything is asked: a caller that gives up in between does not ask again at once either.
        self.set_own(item::PROFILE_DUE, Some((now + NEXT_TRY).into()));
        self.save().await?;
        let profile = self.fetch_profile(Instant::now() + PROFILE_TIME).await?;
        self.keep_profile(&profile);
        self.save().await
    }

    /// User and manager, asked side by side until `deadline`; the manager only where a granted scope allows it. A manager
    /// who is late stays due and costs nobody the user.
    async fn fetch_profile(&self, deadline: Instant) -> Result<Profile, Error> {
        let asking = async {
            let token = self.get_token(self.msal().settings().scopes()).await?;
            let graph = self.msal().api().graph_url(self.msal().client()).await?;
            Ok::<_, Error>(allows(&token.scopes, &graph, &MANAGER_SCOPES))
        };
        if !by(deadline, asking).await? {
            return Ok(Profile { user: by(deadline, self.me()).await?, manager: Manager::Known(None) });
        }
        let (user, manager) = futures_util::join!(by(deadline, self.me()), by(deadline, self.manager()));
        Ok(Profile { user: user?, manager: known(manager) })
    }

    /// Fetches the profile of a session that is just being made, until `deadline`; what fails is fetched later.
    pub(crate) async fn fetch_profile_by(&self, deadline: Instant) {
        if !self.holds_token(self.msal().settings().scopes()) {
            // Renewing must not be dropped at the deadline: the refresh token it brings would be lost.
            return self.set_own(item::PROFILE_DUE, Some(self.msal().clock().now().into()));
        }
        match self.fetch_profile(deadline).await {
            Ok(profile) => self.keep_profile(&profile),
            Err(error) => {
                tracing::warn!(target: crate::telemetry::TARGET, code = %error.code(), "profile is fetched later");
                self.set_own(item::PROFILE_DUE, Some(self.msal().clock().now().into()));
            }
        }
    }

    fn keep_profile(&self, Profile { user, manager }: &Profile) {
        // The mail is never emptied: Python counts a session without it as signed out.
        if let Some(mail) = &user.mail {
            self.set_own(item::MAIL, Some(mail.as_str().into()));
        }
        if let Some(name) = &user.display_name {
            self.set_own(item::NAME, Some(name.as_str().into()));
        }
        let Manager::Known(manager) = manager else {
            return self.set_own(item::PROFILE_DUE, Some((self.msal().clock().now() + NEXT_TRY).into()));
        };
        let manager = manager.as_ref();
        // Empty rather than left out: aiohttp_msal's `session_clean` deletes a record that lacks one of them.
        let text = |text: Option<&String>| Some(text.map_or("", String::as_str).into());
        self.set_own(item::MANAGER_MAIL, text(manager.and_then(|manager| manager.mail.as_ref())));
        self.set_own(item::MANAGER_NAME, text(manager.and_then(|manager| manager.display_name.as_ref())));
        self.set_own(item::PROFILE_DUE, None);
    }
}

/// The answer of a question to Graph, where it comes in time.
async fn by<T>(deadline: Instant, asking: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout_at(deadline, asking).await.unwrap_or_else(|_| Err(ApiError::Timeout.into()))
}

/// What an answer says of the manager. Who may not see them (403) will not see them a minute later either.
fn known(answer: Result<Option<User>, Error>) -> Manager {
    match answer {
        Ok(manager) => Manager::Known(manager),
        Err(Error::Api(ApiError::Status { status, .. })) if status == StatusCode::FORBIDDEN.as_u16() => {
            Manager::Known(None)
        }
        Err(error) => {
            tracing::warn!(target: crate::telemetry::TARGET, code = %error.code(), "manager is fetched later");
            Manager::Due
        }
    }
}

/// Whether one of Graph's scopes named in `wanted` is granted, in its short form or with Graph's address before it.
fn allows(granted: &Scopes, graph: &Url, wanted: &[&str]) -> bool {
    granted.iter().any(|scope| {
        short(scope, graph).is_some_and(|name| wanted.iter().any(|w| w.eq_ignore_ascii_case(name)))
    })
}

/// Whether the scopes ask for a token of Graph at all: a token of another API is not shown to Graph.
pub(crate) fn is_for_graph(scopes: &Scopes, graph: &Url) -> bool {
    scopes.iter().any(|scope| short(scope, graph).is_some())
}

/// The short name of a scope of Graph; `None` for another API's and for those that belong to no API.
fn short<'a>(scope: &'a str, graph: &Url) -> Option<&'a str> {
    match scope.rsplit_once('/') {
        Some((resource, name)) => {
            let resource = Url::parse(resource).ok()?;
            (resource.host_str() == graph.host_str()).then_some(name)
        }
        None => (!["openid", "profile", "email", "offline_access"].contains(&scope)).then_some(scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_asked_for_only_with_a_scope_that_allows_it() {
        let graph = Url::parse("https://graph.microsoft.com/v1.0").unwrap();
        let allowed = |scopes: &str| allows(&Scopes::parse(scopes), &graph, &MANAGER_SCOPES);
        assert!(allowed("User.Read User.Read.All openid"));
        assert!(allowed("https://graph.microsoft.com/directory.read.all"));
        assert!(!allowed("User.Read openid profile"));
        assert!(!allowed("https://api.example/User.Read.All"));
    }

    #[test]
    fn a_token_of_another_api_is_not_graphs() {
        let graph = Url::parse("https://graph.microsoft.com/v1.0").unwrap();
        assert!(is_for_graph(&Scopes::parse("User.Read"), &graph));
        assert!(!is_for_graph(&Scopes::parse("api://1234/read openid"), &graph));
    }
}
