//! Sending: the token, the retries, the redirects.

use std::time::Duration;

use async_msal::error::InteractionRequired;
use async_msal::http_client::retry_after;
use async_msal::{ClaimsChallenge, TokenResult};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::time::Instant;
use url::Url;

use super::{ApiError, ApiRequest, ApiResponse, Destination};
use crate::error::Error;
use crate::msal::join;
use crate::telemetry;

/// Redirects followed in one call.
const MAX_REDIRECTS: usize = 5;
/// Pauses before the second and third attempt where the API names none; up to as much again is added by chance.
const PAUSES: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(800)];

/// A call whose address has been checked.
struct Call<'a> {
    request: &'a ApiRequest,
    url: Url,
    graph: Url,
    deadline: Instant,
}

pub(super) async fn send(mut request: ApiRequest) -> Result<ApiResponse, Error> {
    if let Some(problem) = request.problem.take() {
        return Err(problem.into());
    }
    let msal = request.session.msal();
    let graph = msal.api().graph_url(msal.client()).await?;
    let absolute = request.url.contains("://");
    let url = if absolute { Url::parse(&request.url) } else { join(&graph, &request.url) };
    let url = url.map_err(|_| ApiError::InvalidUrl)?;
    let destination = msal.api().may_send(&url, &graph)?;
    let scopes = match (&request.scopes, destination) {
        (Some(scopes), _) => scopes.clone(),
        (None, Destination::Graph) => msal.settings().scopes().clone(),
        (None, Destination::Allowed) => {
            return Err(ApiError::ScopesNeeded { host: url.host_str().unwrap_or_default().to_owned() }.into());
        }
    };
    let deadline = Instant::now() + request.timeout;
    let call = Call { request: &request, url, graph, deadline };
    let result = call.answered(&scopes).await;
    let outcome = match &result {
        Ok(response) if response.status().is_success() => "ok",
        Ok(_) => "status",
        Err(_) => "failed",
    };
    telemetry::count(telemetry::API_CALLS, "outcome", outcome);
    result
}

impl Call<'_> {
    /// One call, and once more with a renewed token where the API demands claims.
    async fn answered(&self, scopes: &async_msal::Scopes) -> Result<ApiResponse, Error> {
        let session = &self.request.session;
        let token = session.get_token(scopes).await?;
        let response = self.exchange(&token).await?;
        let Some(challenge) = challenge(&response) else { return Ok(ApiResponse::new(response)) };
        telemetry::count(telemetry::API_RETRIES, "cause", "claims");
        let token = session.renew_for(scopes, challenge, &token).await?;
        let response = self.exchange(&token).await?;
        match self::challenge(&response) {
            // The authority gave a token that the API does not take: only the user can help now.
            Some(challenge) => Err(interaction_required(challenge)),
            None => Ok(ApiResponse::new(response)),
        }
    }

    /// Sends with retries, within the deadline.
    async fn exchange(&self, token: &TokenResult) -> Result<reqwest::Response, Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let attempt = tokio::time::timeout_at(self.deadline, self.follow(token)).await;
            let result = attempt.unwrap_or(Err(ApiError::Timeout));
            let retry = self.worth_retrying(&result).and_then(|(cause, asked)| {
                let pause = pauses.next()?;
                let pause = asked.unwrap_or_else(|| pause + pause.mul_f64(self.chance()));
                (Instant::now() + pause < self.deadline).then_some((cause, pause))
            });
            let Some((cause, pause)) = retry else { return Ok(result?) };
            telemetry::count(telemetry::API_RETRIES, "cause", cause);
            tokio::time::sleep(pause).await;
        }
    }

    /// Why another attempt can succeed, and the pause the API asks for.
    fn worth_retrying(
        &self,
        result: &Result<reqwest::Response, ApiError>,
    ) -> Option<(&'static str, Option<Duration>)> {
        let safe = matches!(self.request.method, Method::GET | Method::HEAD);
        match result {
            Err(ApiError::Unreachable(error)) if safe || error.is_connect() => Some(("connect", None)),
            Err(_) => None,
            Ok(response) => {
                let asked = retry_after(response.headers());
                match response.status() {
                    StatusCode::TOO_MANY_REQUESTS => Some(("throttled", asked)),
                    StatusCode::SERVICE_UNAVAILABLE if safe || asked.is_some() => {
                        Some(("unavailable", asked))
                    }
                    StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT if safe => {
                        Some(("unavailable", asked))
                    }
                    _ => None,
                }
            }
        }
    }

    /// Sends once and follows redirects. The token goes along where it may; elsewhere neither it, nor a body, nor a header but Accept goes.
    async fn follow(&self, token: &TokenResult) -> Result<reqwest::Response, ApiError> {
        let (mut url, mut method) = (self.url.clone(), self.request.method.clone());
        let mut body = self.request.body.clone();
        for _ in 0..=MAX_REDIRECTS {
            let api = self.request.session.msal().api();
            let trusted = api.may_send(&url, &self.graph).is_ok();
            let mut headers = headers_for(&self.request.headers, trusted);
            if trusted {
                headers.insert(AUTHORIZATION, bearer(token)?);
            }
            let mut sending = api.http.for_url(&url).request(method.clone(), url.clone());
            match &body {
                Some(bytes) => sending = sending.body(bytes.clone()),
                None => drop((headers.remove(CONTENT_TYPE), headers.remove(CONTENT_LENGTH))),
            }
            let response = sending
                .headers(headers)
                .send()
                .await
                .map_err(|error| ApiError::Unreachable(error.without_url()))?;
            let Some(next) = redirect(&response) else { return Ok(response) };
            let next = url.join(next).map_err(|_| ApiError::InvalidUrl)?;
            method = match (response.status(), &method) {
                (StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT, _)
                | (_, &Method::GET | &Method::HEAD) => method,
                // RFC 9110 15.4: after 303, and in practice after 301 and 302, a GET without the body follows.
                _ => {
                    body = None;
                    Method::GET
                }
            };
            if let Err(refused) = api.may_send(&next, &self.graph) {
                let plain_get = body.is_none() && next.scheme() == "https";
                if !plain_get {
                    return Err(refused);
                }
            }
            url = next;
        }
        Err(ApiError::TooManyRedirects)
    }

    /// A number from 0 to 1 that spreads retries of many callers.
    fn chance(&self) -> f64 {
        let mut byte = [0_u8];
        match self.request.session.msal().client().random().fill(&mut byte) {
            Ok(()) => f64::from(byte[0]) / 255.0,
            Err(_) => 0.5,
        }
    }
}

/// The application's own headers; a host that gets no token learns only what kind of answer is wanted.
fn headers_for(own: &HeaderMap, trusted: bool) -> HeaderMap {
    if trusted {
        return own.clone();
    }
    own.get(ACCEPT).map(|wanted| (ACCEPT, wanted.clone())).into_iter().collect()
}

fn bearer(token: &TokenResult) -> Result<HeaderValue, ApiError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.access_token.expose_secret()));
    let mut value = HeaderValue::try_from(text.as_str())
        .map_err(|_| ApiError::InvalidHeader { name: AUTHORIZATION.to_string() })?;
    value.set_sensitive(true);
    Ok(value)
}

fn interaction_required(challenge: ClaimsChallenge) -> Error {
    let mut interaction = InteractionRequired::default();
    interaction.claims = Some(challenge);
    async_msal::Error::from(interaction).into()
}

fn redirect(response: &reqwest::Response) -> Option<&str> {
    let followed = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    followed.then(|| response.headers().get(LOCATION)?.to_str().ok()).flatten()
}

/// The claims an API demands: 401 with `error="insufficient_claims"` (Continuous Access Evaluation).
fn challenge(response: &reqwest::Response) -> Option<ClaimsChallenge> {
    if response.status() != StatusCode::UNAUTHORIZED {
        return None;
    }
    ClaimsChallenge::from_www_authenticate(response.headers())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_gets_no_token_gets_no_header_but_accept() {
        let own: HeaderMap = [
            (ACCEPT, HeaderValue::from_static("image/png")),
            (http::header::COOKIE, HeaderValue::from_static("a=b")),
            (CONTENT_TYPE, HeaderValue::from_static("text/plain")),
        ]
        .into_iter()
        .collect();
        assert_eq!(headers_for(&own, true), own);
        let elsewhere = headers_for(&own, false);
        assert_eq!(elsewhere.len(), 1);
        assert_eq!(elsewhere[ACCEPT], "image/png");
    }
}
