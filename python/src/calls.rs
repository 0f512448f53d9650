//! What runs on the runtime: load the cache, ask, store, answer.

use std::sync::Arc;

use async_msal::{
    AccessToken, Account, AuthCodeFlow, AuthResponse, ClaimsChallenge, ClientTokenOptions,
    ConfidentialClient, Error, Lookup, OnBehalfOfOptions, RawAnswer, RefreshOptions, RefreshToken, Scopes,
    SendGate, TokenCache, TokenResult, TokenSource,
};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use serde_json::{Map, Value, json};

use crate::assertion::FMI_PATH;
use crate::cache::{Loaded, Store};
use crate::client::{now, part};
use crate::error::{Answer, answer, as_object};
use crate::runtime::with_python;

macro_rules! through {
    ($($call:ident)+) => {$(
        impl $call {
            /// Lets its token requests leave by this gate.
            pub(crate) fn through(mut self, gate: Arc<SendGate>) -> Self {
                self.client = self.client.with_send_gate(gate);
                self
            }
        }
    )+};
}

through! { Silent ForClient OnBehalfOf TakeOver Redemption }

/// A user's token.
pub(crate) struct Silent {
    pub(crate) client: ConfidentialClient,
    pub(crate) store: Store,
    pub(crate) home_account_id: String,
    pub(crate) local_account_id: Option<String>,
    pub(crate) realm_of_account: Option<String>,
    pub(crate) scopes: Scopes,
    pub(crate) force_refresh: bool,
    pub(crate) claims: Option<ClaimsChallenge>,
    pub(crate) client_claims: Option<ClaimsChallenge>,
    /// A token that is still good is renewed.
    pub(crate) ahead_of_time: bool,
    /// Renewals of one account come one after the other.
    pub(crate) turn: Option<Arc<tokio::sync::Mutex<()>>>,
}

impl Silent {
    pub(crate) fn key(&self) -> String {
        let claims = [self.claims.as_ref(), self.client_claims.as_ref()];
        format!("silent\0{}\0{}\0{}", self.home_account_id, self.force_refresh, part(&self.scopes, claims))
    }

    /// In the cache as it is now; `None` where the cache may not be asked, or the tenant's name is not known yet.
    pub(crate) fn look(&self, py: Python<'_>) -> PyResult<Option<Lookup>> {
        if self.asks_past_the_cache() {
            return Ok(None);
        }
        let Some(realm) = self.client.realm_at_hand() else { return Ok(None) };
        let account = self.account(realm);
        self.store.look(py, |cache| Some(self.find(cache, &account)))
    }

    pub(crate) async fn run(mut self) -> Answer {
        let _turn = match self.turn.take() {
            Some(turn) => Some(turn.lock_owned().await),
            None => None,
        };
        let account = self.account(self.realm().await);
        let loaded = match load(&self.store) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        if !self.asks_past_the_cache()
            && let Lookup::Hit(hit) = self.find(&loaded.base, &account)
            && !(self.ahead_of_time && hit.renew_due)
        {
            return Answer::object(cached(&hit.into(), &self.client));
        }
        let mut worked = worked_on(&loaded);
        if !self.asks_past_the_cache() {
            worked.remove_expired_access_tokens(now(&self.client));
        }
        let cleared = worked.has_changed();
        worked.mark_unchanged();
        let options = RefreshOptions::default();
        let options = self.claims.clone().into_iter().fold(options, RefreshOptions::with_claims);
        let options =
            self.client_claims.clone().into_iter().fold(options, RefreshOptions::with_client_claims);
        let renewed = self.client.refresh(&mut worked, &account, &self.scopes, options).await;
        let in_hand = (!self.asks_past_the_cache() && self.client_claims.is_none())
            .then(|| self.client.find_unexpired_token(&loaded.base, &account, &self.scopes))
            .flatten();
        let granted = worked.has_changed();
        if (granted || cleared)
            && let Err(answer) = store(&self.store, &loaded, worked)
        {
            return answer;
        }
        match renewed {
            Ok(token) => Answer::object(issued(&token)),
            // Whose session this is has become doubtful: no token of it is handed out.
            Err(error) if error.ends_session() => answer(&error),
            Err(error) => match in_hand {
                Some(hit) if !self.ahead_of_time => {
                    self.client.hold_refresh(&loaded.base, &account, &self.scopes, &error);
                    Answer::object(cached(&hit.into(), &self.client))
                }
                _ => not_renewed(&error, granted),
            },
        }
    }

    fn asks_past_the_cache(&self) -> bool {
        self.force_refresh || self.claims.is_some()
    }

    fn find(&self, cache: &TokenCache, account: &Account) -> Lookup {
        self.client.find_first_access_token(cache, account, &self.scopes, self.client_claims.as_ref())
    }

    /// The authority's tenant; where it cannot be asked, that of the account.
    async fn realm(&self) -> String {
        match self.client.realm_at_hand() {
            Some(realm) => realm,
            None => match self.client.metadata().await {
                Ok(metadata) => metadata.realm().to_owned(),
                Err(_) => self.realm_of_account.clone().unwrap_or_default(),
            },
        }
    }

    fn account(&self, realm: String) -> Account {
        let same = self.realm_of_account.as_deref() == Some(realm.as_str());
        let account = Account::new(self.home_account_id.clone(), self.client.environment(), realm);
        match self.local_account_id.clone().filter(|_| same) {
            Some(id) => account.with_local_account_id(id),
            None => account,
        }
    }
}

/// The application's own token.
pub(crate) struct ForClient {
    pub(crate) client: ConfidentialClient,
    pub(crate) store: Store,
    pub(crate) scopes: Scopes,
    pub(crate) claims: Option<ClaimsChallenge>,
    pub(crate) client_claims: Option<ClaimsChallenge>,
    pub(crate) fmi_path: Option<String>,
    pub(crate) ahead_of_time: bool,
}

impl ForClient {
    pub(crate) fn key(&self) -> String {
        let claims = [self.claims.as_ref(), self.client_claims.as_ref()];
        format!("client\0{}\0{}", self.fmi_path.as_deref().unwrap_or_default(), part(&self.scopes, claims))
    }

    pub(crate) fn look(&self, py: Python<'_>) -> PyResult<Option<Lookup>> {
        if self.claims.is_some() || self.client.realm_at_hand().is_none() {
            return Ok(None);
        }
        let options = self.options();
        self.store.look(py, |cache| Some(self.client.find_client_token(cache, &self.scopes, &options)))
    }

    pub(crate) async fn run(self) -> Answer {
        let options = self.options();
        let loaded = match load(&self.store) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        let mut worked = worked_on(&loaded);
        if self.claims.is_none() {
            worked.remove_expired_access_tokens(now(&self.client));
        }
        let options = if self.ahead_of_time { options.renewing() } else { options };
        let asked = self.client.acquire_token_for_client(&mut worked, &self.scopes, options);
        let result = FMI_PATH.scope(self.fmi_path.clone(), asked).await;
        with_classification(finish(&self.client, &self.store, &loaded, worked, result))
    }

    fn options(&self) -> ClientTokenOptions {
        let options = ClientTokenOptions::default();
        let options = self.claims.clone().into_iter().fold(options, ClientTokenOptions::with_claims);
        let options =
            self.client_claims.clone().into_iter().fold(options, ClientTokenOptions::with_client_claims);
        self.fmi_path.iter().fold(options, |options, path| options.with_fmi_path(path.as_str()))
    }
}

/// A token for another API, on behalf of a caller.
pub(crate) struct OnBehalfOf {
    pub(crate) client: ConfidentialClient,
    pub(crate) store: Store,
    pub(crate) assertion: AccessToken,
    pub(crate) scopes: Scopes,
    pub(crate) claims: Option<ClaimsChallenge>,
    pub(crate) client_claims: Option<ClaimsChallenge>,
}

impl OnBehalfOf {
    pub(crate) fn key(&self) -> String {
        let claims = [self.claims.as_ref(), self.client_claims.as_ref()];
        format!("obo\0{}\0{}", self.assertion.expose_secret(), part(&self.scopes, claims))
    }

    pub(crate) async fn run(self) -> Answer {
        let options = OnBehalfOfOptions::default();
        let options = self.claims.clone().into_iter().fold(options, OnBehalfOfOptions::with_claims);
        let options =
            self.client_claims.clone().into_iter().fold(options, OnBehalfOfOptions::with_client_claims);
        let loaded = match load(&self.store) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        let mut worked = worked_on(&loaded);
        let result =
            self.client.acquire_token_on_behalf_of(&mut worked, &self.assertion, &self.scopes, options).await;
        finish(&self.client, &self.store, &loaded, worked, result)
    }
}

/// A refresh token of another library.
pub(crate) struct TakeOver {
    pub(crate) client: ConfidentialClient,
    pub(crate) store: Store,
    pub(crate) refresh_token: RefreshToken,
    pub(crate) scopes: Scopes,
}

impl TakeOver {
    pub(crate) async fn run(self) -> Answer {
        let loaded = match load(&self.store) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        let mut worked = worked_on(&loaded);
        let result =
            self.client.acquire_token_by_refresh_token(&mut worked, &self.refresh_token, &self.scopes).await;
        finish(&self.client, &self.store, &loaded, worked, result.map(|signed_in| signed_in.token))
    }
}

/// The second half of a sign-in.
pub(crate) struct Redemption {
    pub(crate) client: ConfidentialClient,
    pub(crate) store: Store,
    pub(crate) flow: AuthCodeFlow,
    pub(crate) response: AuthResponse,
}

impl Redemption {
    pub(crate) async fn run(self) -> Answer {
        let loaded = match load(&self.store) {
            Ok(loaded) => loaded,
            Err(answer) => return answer,
        };
        let mut worked = worked_on(&loaded);
        let result =
            self.client.acquire_token_by_auth_code_flow(&mut worked, &self.flow, self.response).await;
        finish(&self.client, &self.store, &loaded, worked, result.map(|signed_in| signed_in.token))
    }
}

fn load(store: &Store) -> Result<Loaded, Answer> {
    with_python(|py| store.load(py)).ok_or_else(shutting_down)?.map_err(Answer::raised)
}

fn worked_on(loaded: &Loaded) -> TokenCache {
    let mut worked = loaded.base.clone();
    worked.mark_unchanged();
    worked
}

fn store(store: &Store, loaded: &Loaded, worked: TokenCache) -> Result<(), Answer> {
    with_python(|py| store.store(py, loaded, worked)).ok_or_else(shutting_down)?.map_err(Answer::raised)
}

fn shutting_down() -> Answer {
    Answer::raised(PyRuntimeError::new_err("the interpreter is shutting down"))
}

fn finish(
    client: &ConfidentialClient,
    into: &Store,
    loaded: &Loaded,
    worked: TokenCache,
    result: Result<TokenResult, Error>,
) -> Answer {
    if worked.has_changed()
        && let Err(answer) = store(into, loaded, worked)
    {
        return answer;
    }
    match result {
        Ok(token) if token.source == TokenSource::Cache => Answer::object(cached(&token, client)),
        Ok(token) => Answer::object(issued(&token)),
        Err(error) => answer(&error),
    }
}

/// The answer word for word, with what MSAL adds and leaves out.
pub(crate) fn issued(token: &TokenResult) -> Map<String, Value> {
    let members = token.raw_answer.as_ref().map(RawAnswer::members).unwrap_or_default();
    let kept = members.into_iter().filter(|(name, _)| name != "refresh_in" && !name.starts_with('_'));
    let mut members: Map<String, Value> = kept.collect();
    if let Some(refresh_on) = token.refresh_on {
        members.insert("refresh_on".to_owned(), refresh_on.into());
    }
    if let Some(id_token) = &token.id_token {
        members.insert("id_token_claims".to_owned(), Value::Object(id_token.claims().raw().clone()));
    }
    members.insert("token_source".to_owned(), "identity_provider".into());
    members
}

pub(crate) fn cached(token: &TokenResult, client: &ConfidentialClient) -> Map<String, Value> {
    let mut members = as_object(json!({
        "access_token": token.access_token.expose_secret(),
        "token_type": token.token_type,
        "expires_in": token.expires_on - now(client),
        "token_source": "cache",
    }));
    if let Some(refresh_on) = token.refresh_on {
        members.insert("refresh_on".to_owned(), refresh_on.into());
    }
    members
}

/// Nothing where there was nothing to renew with.
fn not_renewed(error: &Error, granted: bool) -> Answer {
    if let Error::InteractionRequired(wanted) = error
        && wanted.server.is_none()
    {
        if !granted {
            return Answer::Nothing;
        }
        return with_classification(Answer::object(as_object(json!({
            "error": "interaction_required",
            "suberror": "consent_required",
            "error_description": error.to_string(),
        }))));
    }
    with_classification(answer(error))
}

/// MSAL's `classification` beside a `suberror`.
fn with_classification(answer: Answer) -> Answer {
    let Answer::Object(members) = &answer else { return answer };
    let Some(suberror) = members.get("suberror").and_then(Value::as_str).filter(|text| !text.is_empty())
    else {
        return answer;
    };
    let mut members = (**members).clone();
    members.insert("classification".to_owned(), classification(suberror).into());
    Answer::object(members)
}

/// These mean nothing to an application.
fn classification(suberror: &str) -> &str {
    match suberror {
        "bad_token"
        | "token_expired"
        | "protection_policy_required"
        | "client_mismatch"
        | "device_authentication_failed" => "",
        other => other,
    }
}
