//! Microsoft Graph: `/me`, `/me/manager`, `/me/photo/$value`, and the userinfo endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use crate::aadsts::Trace;
use crate::endpoint::params::Params;
use crate::persons::Person;
use crate::server::host;
use crate::state::Shared;
use crate::token::check_graph_token;

const READ_ME: &[&str] =
    &["User.Read", "User.ReadWrite", "User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All"];
const READ_ALL: &[&str] =
    &["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];
const READ_PHOTO: &[&str] = &[
    "User.Read",
    "User.ReadWrite",
    "User.ReadBasic.All",
    "User.Read.All",
    "User.ReadWrite.All",
    "ProfilePhoto.Read.All",
];

/// One Graph request, for its answers.
struct Call<'a> {
    shared: &'a Shared,
    headers: &'a HeaderMap,
    trace: Trace,
}

pub(crate) async fn me(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let call = Call::new(&shared, &headers);
    match call.person(READ_ME) {
        Ok(person) => call.user(&person, "users/$entity", query.as_deref()),
        Err(response) => *response,
    }
}

pub(crate) async fn manager(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let call = Call::new(&shared, &headers);
    let person = match call.person(READ_ALL) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    let directory = shared.directory();
    let manager = person.manager.as_deref().and_then(|m| directory.find(m));
    match manager {
        Some(manager) => call.user(manager, "directoryObjects/$entity", query.as_deref()),
        None => {
            let text = "Resource 'manager' does not exist or one of its queried reference-property objects are not present.";
            call.error(StatusCode::NOT_FOUND, "Request_ResourceNotFound", text)
        }
    }
}

pub(crate) async fn photo(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call::new(&shared, &headers);
    let person = match call.person(READ_PHOTO) {
        Ok(person) => person,
        Err(response) => return *response,
    };
    match person.photo() {
        Some(photo) => {
            let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("image/png"))];
            call.mark((kind, photo).into_response())
        }
        None => {
            let text = "Exception of type 'Microsoft.Fast.Profile.Core.Exception.ImageNotFoundException' was thrown.";
            call.error(StatusCode::NOT_FOUND, "ImageNotFound", text)
        }
    }
}

/// `/oidc/userinfo` (OIDC Core 5.3). Its `sub` is Graph's, not the one of the client's id token, as at Entra ID.
pub(crate) async fn userinfo(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let call = Call::new(&shared, &headers);
    let (person, claims) = match call.bearer(&["openid"]) {
        Ok(found) => found,
        Err(response) => return *response,
    };
    let mut answer = json!({
        "sub": claims.get("sub"), "name": person.display_name,
        "given_name": person.given_name, "family_name": person.surname,
        "picture": format!("{}/v1.0/me/photo/$value", shared.base_url_for(host(&headers))),
    });
    if let Some(mail) = person.mail {
        answer["email"] = json!(mail);
    }
    call.mark(Json(answer).into_response())
}

impl<'a> Call<'a> {
    fn new(shared: &'a Shared, headers: &'a HeaderMap) -> Self {
        Self { shared, headers, trace: Trace::new(headers, shared.now()) }
    }

    fn person(&self, scopes: &[&str]) -> Result<Person, Box<Response>> {
        self.bearer(scopes).map(|(person, _)| person)
    }

    /// Who the bearer token speaks for, if it allows one of `scopes`.
    fn bearer(&self, scopes: &[&str]) -> Result<(Person, Map<String, Value>), Box<Response>> {
        let header =
            self.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let token = match header.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Box::new(self.unauthorized("Access token is empty."))),
        };
        let claims =
            check_graph_token(self.shared, token).map_err(|text| Box::new(self.unauthorized(text)))?;
        let Some(granted) = claims.get("scp").and_then(Value::as_str) else {
            let text = "/me request is only valid with delegated authentication flow.";
            return Err(Box::new(self.error(StatusCode::BAD_REQUEST, "BadRequest", text)));
        };
        if !granted.split(' ').any(|s| scopes.contains(&s)) {
            let text = "Insufficient privileges to complete the operation.";
            return Err(Box::new(self.error(StatusCode::FORBIDDEN, "Authorization_RequestDenied", text)));
        }
        let object_id = claims.get("oid").and_then(Value::as_str).unwrap_or_default();
        let people = self.shared.directory().people;
        let person = people.into_iter().find(|p| p.object_id == object_id || p.home_object_id == object_id);
        let gone = || Box::new(self.unauthorized("The identity of the calling user was not found."));
        person.map(|p| (p, claims)).ok_or_else(gone)
    }

    fn user(&self, person: &Person, kind: &str, query: Option<&str>) -> Response {
        let params = Params::parse(query.unwrap_or_default()).unwrap_or_default();
        let base = self.shared.base_url_for(host(self.headers));
        let mut body = Map::new();
        body.insert("@odata.context".into(), json!(format!("{base}/v1.0/$metadata#{kind}")));
        if kind.starts_with("directoryObjects") {
            body.insert("@odata.type".into(), json!("#microsoft.graph.user"));
        }
        let properties = json!({
            "businessPhones": [], "displayName": person.display_name, "givenName": person.given_name,
            "jobTitle": person.job_title, "mail": person.mail, "mobilePhone": null, "officeLocation": null,
            "preferredLanguage": null, "surname": person.surname,
            "userPrincipalName": person.user_principal_name, "id": person.object_id,
        });
        let selected: Option<Vec<&str>> =
            params.get("$select").map(|s| s.split(',').map(str::trim).collect());
        if let Value::Object(properties) = properties {
            let wanted = |name: &str| selected.as_ref().is_none_or(|s| s.contains(&name));
            body.extend(properties.into_iter().filter(|(name, _)| wanted(name)));
        }
        self.mark(Json(Value::Object(body)).into_response())
    }

    fn unauthorized(&self, text: &str) -> Response {
        let mut response = self.error(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", text);
        let base = self.shared.base_url_for(host(self.headers));
        let challenge = format!(
            "Bearer realm=\"\", authorization_uri=\"{base}/common/oauth2/v2.0/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\""
        );
        if let Ok(value) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        }
        response
    }

    fn error(&self, status: StatusCode, code: &str, message: &str) -> Response {
        let date = self.trace.timestamp().replace(' ', "T").replace('Z', "");
        let body = json!({"error": {
            "code": code,
            "message": message,
            "innerError": {
                "date": date,
                "request-id": self.trace.trace_id,
                "client-request-id": self.trace.correlation_id,
            },
        }});
        self.mark((status, Json(body)).into_response())
    }

    fn mark(&self, mut response: Response) -> Response {
        let ids = [("request-id", &self.trace.trace_id), ("client-request-id", &self.trace.correlation_id)];
        for (name, id) in ids {
            if let Ok(value) = HeaderValue::from_str(id) {
                response.headers_mut().insert(name, value);
            }
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        response
    }
}
