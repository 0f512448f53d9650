//! The class `Client`: what both faces of the package, awaited and blocking, are made of.
//!
//! A question that the cache answers is answered on Python's thread; for everything else a flight is joined. `blocking`
//! chooses between the result itself and a future of the running loop.

use std::sync::Arc;

use async_msal::{
    AccessToken, Account, AuthCodeFlow, AuthResponse, ConfidentialClient, Lookup, RefreshToken, Scopes,
    TokenCache,
};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use serde_json::json;

use crate::assertion::EVENT_LOOP;
use crate::cache::Store;
use crate::calls::{ForClient, OnBehalfOf, Redemption, Silent, TakeOver};
use crate::convert::{self, object_to_python};
use crate::error::{Answer, as_object, raised};
use crate::flight::{Aboard, Caller, Flights};
use crate::graph::Graph;
use crate::options::Options;
use crate::request::auth_code_request;

/// A confidential client of one authority. Nothing is asked of the network before the first call that needs it.
#[pyclass(frozen, module = "async_msal._native")]
pub(crate) struct Client {
    client: ConfidentialClient,
    flights: Arc<Flights>,
    graph: Arc<Graph>,
}

#[pymethods]
impl Client {
    #[new]
    fn new(options: &Bound<'_, PyDict>) -> PyResult<Self> {
        Ok(Self { client: Options::read(options)?.build()?, flights: Arc::default(), graph: Arc::default() })
    }

    /// The authority's host, lower-case.
    #[getter]
    fn environment(&self) -> &str {
        self.client.environment()
    }

    /// The tenant in cache entries, where it is known without asking.
    #[getter]
    fn tenant(&self) -> Option<String> {
        self.client.realm_at_hand()
    }

    /// How many calls are under way, the same ones counted once.
    fn flights(&self) -> usize {
        self.flights.count()
    }

    /// How many renewals are under way that nobody waits for.
    fn unattended(&self) -> usize {
        self.flights.unattended()
    }

    /// The authority's metadata.
    #[pyo3(signature = (*, blocking=false))]
    fn metadata<'py>(&self, py: Python<'py>, blocking: bool) -> PyResult<Bound<'py, PyAny>> {
        let client = self.client.clone();
        self.fly(py, None, blocking, move |_| async move {
            match client.metadata().await {
                Ok(metadata) => Answer::object(as_object(json!({
                    "issuer": metadata.issuer(),
                    "authorization_endpoint": metadata.authorization_endpoint().as_str(),
                    "token_endpoint": metadata.token_endpoint().as_str(),
                    "end_session_endpoint": metadata.end_session_endpoint().map(url::Url::as_str),
                    "tenant": metadata.realm(),
                }))),
                Err(error) => Answer::raised(raised(&error)),
            }
        })
    }

    /// A document of Microsoft Graph: a dict of `status` and `body`.
    #[pyo3(signature = (url, access_token, *, blocking=false))]
    fn graph<'py>(
        &self,
        py: Python<'py>,
        url: &str,
        access_token: String,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let url = url::Url::parse(url).map_err(|_| PyValueError::new_err("url: an address is wanted"))?;
        let (client, graph) = (self.client.clone(), Arc::clone(&self.graph));
        let token = AccessToken::new(access_token);
        self.fly(
            py,
            None,
            blocking,
            move |_| async move { graph.get(client.http_options(), &url, &token).await },
        )
    }

    /// A dict, where the cache has the token; else a future (or, where it blocks, the result).
    #[pyo3(signature = (cache, home_account_id, scopes, *, local_account_id=None, realm=None, force_refresh=false,
        claims_challenge=None, client_claims=None, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn silent<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        home_account_id: String,
        scopes: &Bound<'py, PyAny>,
        local_account_id: Option<String>,
        realm: Option<String>,
        force_refresh: bool,
        claims_challenge: Option<&str>,
        client_claims: Option<&str>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let store = Store::of(cache)?;
        let mut asked = Silent {
            client: self.client.clone(),
            store,
            home_account_id,
            local_account_id,
            realm_of_account: realm,
            scopes: convert::scopes(scopes)?,
            force_refresh,
            claims: convert::claims("claims_challenge", claims_challenge)?,
            client_claims: convert::claims("forwarded_client_claims", client_claims)?,
            ahead_of_time: false,
            turn: None,
        };
        if let Some(Lookup::Hit(hit)) = asked.look(py)? {
            let found = cached(
                py,
                &hit.token.access_token,
                &hit.token.token_type,
                hit.token.expires_on - now(&self.client),
            )?;
            if let Some(refresh_on) = hit.token.refresh_on {
                found.set_item(intern!(py, "refresh_on"), refresh_on)?;
            }
            if hit.renew_due {
                self.renew_ahead(py, asked)?;
            }
            return Ok(found.into_any());
        }
        let identity = asked.store.identity();
        asked.turn = Some(self.flights.turn(&(identity, asked.home_account_id.clone())));
        let key = (identity, asked.key());
        self.fly(py, Some(key), blocking, move |gate| asked.through(gate).run())
    }

    /// As `silent`, for the application itself.
    #[pyo3(signature = (cache, scopes, *, claims_challenge=None, fmi_path=None, client_claims=None, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn for_client<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        scopes: &Bound<'py, PyAny>,
        claims_challenge: Option<&str>,
        fmi_path: Option<String>,
        client_claims: Option<&str>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut asked = ForClient {
            client: self.client.clone(),
            store: Store::of(cache)?,
            scopes: convert::scopes(scopes)?,
            claims: convert::claims("claims_challenge", claims_challenge)?,
            client_claims: convert::claims("forwarded_client_claims", client_claims)?,
            fmi_path,
            ahead_of_time: false,
        };
        let key = (asked.store.identity(), asked.key());
        if let Some(Lookup::Hit(hit)) = asked.look(py)? {
            let found = cached(
                py,
                &hit.token.access_token,
                &hit.token.token_type,
                hit.token.expires_on - now(&self.client),
            )?;
            if let Some(refresh_on) = hit.token.refresh_on {
                found.set_item(intern!(py, "refresh_on"), refresh_on)?;
            }
            if hit.renew_due {
                asked.ahead_of_time = true;
                let ahead = (key.0, format!("ahead {}", key.1));
                self.flights.begin_unattended(py, ahead, move |aboard| asked.through(aboard.gate).run())?;
            }
            return Ok(found.into_any());
        }
        self.fly(py, Some(key), blocking, move |gate| asked.through(gate).run())
    }

    /// A token for another API on behalf of the caller.
    #[pyo3(signature = (cache, user_assertion, scopes, *, claims_challenge=None, client_claims=None, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn on_behalf_of<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        user_assertion: String,
        scopes: &Bound<'py, PyAny>,
        claims_challenge: Option<&str>,
        client_claims: Option<&str>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked = OnBehalfOf {
            client: self.client.clone(),
            store: Store::of(cache)?,
            assertion: AccessToken::new(user_assertion),
            scopes: convert::scopes(scopes)?,
            claims: convert::claims("claims_challenge", claims_challenge)?,
            client_claims: convert::claims("forwarded_client_claims", client_claims)?,
        };
        let key = (asked.store.identity(), asked.key());
        self.fly(py, Some(key), blocking, move |gate| asked.through(gate).run())
    }

    /// Takes over a refresh token of another library.
    #[pyo3(signature = (cache, refresh_token, scopes, *, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn by_refresh_token<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        refresh_token: String,
        scopes: &Bound<'py, PyAny>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let asked = TakeOver {
            client: self.client.clone(),
            store: Store::of(cache)?,
            refresh_token: RefreshToken::new(refresh_token),
            scopes: convert::scopes(scopes)?,
        };
        self.fly(py, None, blocking, move |gate| asked.through(gate).run())
    }

    /// Starts a sign-in; a dict where the address of the sign-in page is known without asking.
    #[pyo3(signature = (request, *, blocking=false))]
    fn initiate<'py>(
        &self,
        py: Python<'py>,
        request: &Bound<'py, PyDict>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let request = auth_code_request(request)?;
        let started =
            self.client.initiate_without_network(request.clone()).map_err(|error| raised(&error))?;
        if let Some(flow) = started {
            return Ok(object_to_python(py, &flow_record(&flow))?.into_any());
        }
        let client = self.client.clone();
        self.fly(py, None, blocking, move |_| async move {
            match client.initiate_auth_code_flow(request).await {
                Ok(flow) => Answer::object(flow_record(&flow)),
                Err(error) => Answer::raised(raised(&error)),
            }
        })
    }

    /// Finishes a sign-in: the flow as JSON text, the response as pairs.
    #[pyo3(signature = (cache, flow, response, scopes=None, *, blocking=false))]
    #[expect(clippy::too_many_arguments, reason = "named one by one in Python")]
    fn redeem<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        flow: &str,
        response: Vec<(String, String)>,
        scopes: Option<&Bound<'py, PyAny>>,
        blocking: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let flow: AuthCodeFlow = serde_json::from_str(flow).map_err(|_| {
            PyValueError::new_err(
                "auth_code_flow: it is not what initiate_auth_code_flow gave, or parts of it are missing",
            )
        })?;
        let flow = match scopes {
            Some(scopes) => flow.with_scopes(convert::scopes(scopes)?),
            None => flow,
        };
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(response).finish();
        let asked = Redemption {
            client: self.client.clone(),
            store: Store::of(cache)?,
            flow,
            response: AuthResponse::parse(&form).map_err(|error| raised(&error))?,
        };
        self.fly(py, None, blocking, move |gate| asked.through(gate).run())
    }

    /// The accounts of this authority, as MSAL's dicts.
    #[pyo3(signature = (cache, username=None))]
    fn accounts<'py>(
        &self,
        py: Python<'py>,
        cache: &Bound<'py, PyAny>,
        username: Option<&str>,
    ) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        let accounts = Store::of(cache)?.look(py, |cache| self.grouped_accounts(cache))?;
        let username = username.filter(|name| !name.is_empty()).map(str::to_lowercase);
        let wanted = |account: &&Account| {
            username.as_ref().is_none_or(|wanted| account.username().to_lowercase() == *wanted)
        };
        for account in accounts.iter().filter(wanted) {
            let dict = PyDict::new(py);
            dict.set_item("home_account_id", account.home_account_id())?;
            dict.set_item("environment", account.environment())?;
            dict.set_item("username", account.username())?;
            dict.set_item("account_source", account.account_source())?;
            dict.set_item("authority_type", account.authority_type())?;
            dict.set_item("local_account_id", account.local_account_id())?;
            dict.set_item("realm", account.realm())?;
            list.append(dict)?;
        }
        Ok(list)
    }

    /// Forgets an account with its tokens.
    fn remove_account(
        &self,
        py: Python<'_>,
        cache: &Bound<'_, PyAny>,
        home_account_id: String,
        environment: String,
    ) -> PyResult<()> {
        let account = Account::new(home_account_id, environment, "");
        let now = now(&self.client);
        Store::of(cache)?.change(py, |cache| {
            cache.remove_account(&account, self.client.client_id());
            cache.remove_expired_access_tokens(now);
        })
    }

    /// Forgets the tokens that the application got for itself.
    fn remove_client_tokens(&self, py: Python<'_>, cache: &Bound<'_, PyAny>) -> PyResult<()> {
        let now = now(&self.client);
        Store::of(cache)?.change(py, |cache| {
            cache.remove_app_tokens(self.client.environment(), self.client.client_id());
            cache.remove_expired_access_tokens(now);
        })
    }
}

impl Client {
    pub(crate) fn protocol(&self) -> &ConfidentialClient {
        &self.client
    }

    /// Begins or joins work, with the call in reach of callbacks.
    fn fly<'py, F>(
        &self,
        py: Python<'py>,
        key: Option<crate::flight::Key>,
        blocking: bool,
        work: impl FnOnce(Arc<async_msal::SendGate>) -> F,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let caller = if blocking { Caller::Thread } else { Caller::Coroutine };
        self.flights.join(py, key, caller, move |aboard: Aboard| {
            EVENT_LOOP.scope(aboard.event_loop, work(aboard.gate))
        })
    }

    /// One renewal for each cache and account; nobody waits for it.
    fn renew_ahead(&self, py: Python<'_>, mut asked: Silent) -> PyResult<()> {
        let identity = asked.store.identity();
        asked.ahead_of_time = true;
        asked.turn = Some(self.flights.turn(&(identity, asked.home_account_id.clone())));
        let key = (identity, format!("ahead {}", asked.home_account_id));
        let begun = self.flights.begin_unattended(py, key, move |aboard| asked.through(aboard.gate).run());
        // A process that cannot renew (a forked child, an interpreter that ends) still has its token.
        drop(begun);
        Ok(())
    }

    /// Those of the authority's own host, else of the first of its other names; the last one of each home account.
    pub(crate) fn grouped_accounts(&self, cache: &TokenCache) -> Vec<Account> {
        let known = |account: &Account| matches!(account.authority_type(), "ADFS" | "MSSTS");
        let mut all: Vec<Account> =
            cache.accounts(self.client.environment()).into_iter().filter(known).collect();
        let host = all.first().map(|account| account.environment().to_owned());
        all.retain(|account| Some(account.environment()) == host.as_deref());
        let mut grouped: Vec<Account> = Vec::new();
        for account in all {
            match grouped.iter_mut().find(|earlier| earlier.home_account_id() == account.home_account_id()) {
                Some(earlier) => *earlier = account,
                None => grouped.push(account),
            }
        }
        grouped
    }
}

pub(crate) fn now(client: &ConfidentialClient) -> i64 {
    client.clock().now()
}

fn flow_record(flow: &AuthCodeFlow) -> serde_json::Map<String, serde_json::Value> {
    serde_json::to_value(flow).map(as_object).unwrap_or_default()
}

/// As MSAL answers from its cache.
pub(crate) fn cached<'py>(
    py: Python<'py>,
    access_token: &AccessToken,
    token_type: &str,
    expires_in: i64,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item(intern!(py, "access_token"), access_token.expose_secret())?;
    let token_type =
        if token_type == "Bearer" { intern!(py, "Bearer").clone() } else { PyString::new(py, token_type) };
    dict.set_item(intern!(py, "token_type"), token_type)?;
    dict.set_item(intern!(py, "expires_in"), expires_in)?;
    dict.set_item(intern!(py, "token_source"), intern!(py, "cache"))?;
    Ok(dict)
}

/// Of a key of flights.
pub(crate) fn part(scopes: &Scopes, claims: [Option<&async_msal::ClaimsChallenge>; 2]) -> String {
    let text =
        |claims: Option<&async_msal::ClaimsChallenge>| claims.map_or("", |claims| claims.as_str()).to_owned();
    format!("{scopes}\0{}\0{}", text(claims[0]), text(claims[1]))
}
