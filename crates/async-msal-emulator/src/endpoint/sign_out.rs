//! `/{tenant}/oauth2/v2.0/logout` (OpenID Connect RP-Initiated Logout 1.0, Front-Channel Logout 1.0).

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use url::Url;

use crate::aadsts::{Aadsts, Trace};
use crate::endpoint::authorize::cookie;
use crate::endpoint::params::Params;
use crate::grants::SignedIn;
use crate::pages;
use crate::random::fingerprint;
use crate::state::{Shared, lock};

pub(crate) async fn by_query(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    sign_out(&shared, &segment, &query.unwrap_or_default(), &headers).await
}

pub(crate) async fn by_form(
    State(shared): State<Arc<Shared>>,
    Path(segment): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    sign_out(&shared, &segment, &body, &headers).await
}

async fn sign_out(shared: &Shared, segment: &str, raw: &str, headers: &HeaderMap) -> Response {
    let trace = Trace::new(headers, shared.now());
    if shared.directory().tenant(segment).is_none() {
        return pages::error(&Aadsts::unknown_tenant(segment), &trace);
    }
    let params = match Params::parse(raw) {
        Ok(params) => params,
        Err(error) => return pages::error(&error, &trace),
    };
    let hinted =
        params.get("logout_hint").and_then(|h| shared.directory().find(h).map(|p| p.username.clone()));
    let ended = match cookie(shared, headers) {
        Some(browser) => lock(&shared.grants).sign_out(&fingerprint(&browser), hinted.as_deref()),
        None => Vec::new(),
    };
    if let Err(error) = shared.save_grants().await {
        tracing::error!(%error, "the sign-out is not on disk");
    }
    let frames = frames(shared, &ended);
    let wanted = params.get("post_logout_redirect_uri");
    match wanted.filter(|uri| is_registered(shared, uri)) {
        None => pages::signed_out(&frames, None, wanted),
        Some(uri) => {
            let target = with_state(uri, params.get("state"));
            if frames.is_empty() {
                redirect(&target)
            } else {
                pages::signed_out(&frames, Some(&target), None)
            }
        }
    }
}

/// The front-channel logout addresses of the clients that the ended sign-ins visited. Entra ID sends `sid`, no `iss`.
fn frames(shared: &Shared, ended: &[SignedIn]) -> Vec<String> {
    let mut frames = Vec::new();
    for account in ended {
        for client in account.clients.iter().filter_map(|id| shared.client(id)) {
            let url = client.frontchannel_logout_uri.as_deref().and_then(|u| Url::parse(u).ok());
            frames.extend(url.map(|mut url| {
                url.query_pairs_mut().append_pair("sid", &account.sid);
                String::from(url)
            }));
        }
    }
    frames
}

fn is_registered(shared: &Shared, uri: &str) -> bool {
    lock(&shared.clients).iter().any(|c| c.redirect_uris.iter().any(|known| known == uri))
}

fn with_state(uri: &str, state: Option<&str>) -> String {
    let (Ok(mut url), Some(state)) = (Url::parse(uri), state) else { return uri.to_owned() };
    url.query_pairs_mut().append_pair("state", state);
    url.into()
}

fn redirect(target: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(target) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers =
        [(header::LOCATION, location), (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (StatusCode::FOUND, headers).into_response()
}
