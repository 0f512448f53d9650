//! The arguments of a sign-in.

use async_msal::{AuthCodeRequest, Prompt, ResponseMode, State};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::convert;

/// What `async_msal.application` has checked and named.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Arguments<'py> {
    scopes: Bound<'py, PyAny>,
    redirect_uri: String,
    state: Option<String>,
    prompt: Option<String>,
    login_hint: Option<String>,
    domain_hint: Option<String>,
    claims_challenge: Option<String>,
    max_age: Option<u64>,
    response_mode: Option<String>,
}

pub(crate) fn auth_code_request(arguments: &Bound<'_, PyDict>) -> PyResult<AuthCodeRequest> {
    let arguments: Arguments<'_> = arguments.extract()?;
    let redirect_uri = arguments.redirect_uri.parse();
    let redirect_uri =
        redirect_uri.map_err(|_| PyValueError::new_err("redirect_uri: an absolute address is wanted"))?;
    let mode = response_mode(arguments.response_mode.as_deref())?;
    let mut request =
        AuthCodeRequest::new(redirect_uri, convert::scopes(&arguments.scopes)?).with_response_mode(mode);
    if let Some(state) = arguments.state.filter(|state| !state.is_empty()) {
        request = request.with_state(State::new(state));
    }
    if let Some(name) = arguments.prompt.filter(|name| !name.is_empty()) {
        request = request.with_prompt(prompt(&name)?);
    }
    if let Some(hint) = arguments.login_hint.filter(|hint| !hint.is_empty()) {
        request = request.with_login_hint(hint);
    }
    if let Some(hint) = arguments.domain_hint.filter(|hint| !hint.is_empty()) {
        request = request.with_domain_hint(hint);
    }
    if let Some(claims) = convert::claims("claims_challenge", arguments.claims_challenge.as_deref())? {
        request = request.with_claims(claims);
    }
    Ok(arguments.max_age.into_iter().fold(request, AuthCodeRequest::with_max_age))
}

/// Without one the answer comes in the query, as in MSAL.
fn response_mode(name: Option<&str>) -> PyResult<ResponseMode> {
    match name {
        None | Some("" | "query") => Ok(ResponseMode::Query),
        Some("form_post") => Ok(ResponseMode::FormPost),
        Some(_) => Err(PyValueError::new_err("response_mode: \"form_post\" or \"query\" is wanted")),
    }
}

fn prompt(name: &str) -> PyResult<Prompt> {
    let all = [Prompt::Login, Prompt::None, Prompt::Consent, Prompt::SelectAccount, Prompt::Create];
    let found = all.into_iter().find(|prompt| prompt.as_str() == name);
    found.ok_or_else(|| {
        PyValueError::new_err(
            "prompt: \"login\", \"none\", \"consent\", \"select_account\" or \"create\" is wanted",
        )
    })
}
