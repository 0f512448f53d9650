//! The listener, the routes, and what happens to every request: counting and faults.

use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum_server::tls_rustls::RustlsConfig;
use axum_server::{Handle, Server};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tower::{Service, ServiceExt as _, service_fn};

use crate::aadsts::{Aadsts, Trace};
use crate::emulator::Emulator;
use crate::endpoint::client_auth::client_id_of;
use crate::endpoint::{
    admin, authorize, discovery, graph, managed_identity, params::Params, sign_out, token,
};
use crate::error::EmulatorError;
use crate::fault::{Endpoint, Fault};
use crate::pages;
use crate::shape;
use crate::state::{Shared, lock};

/// No request body that the emulator understands is larger.
const MAX_BODY: usize = 64 * 1024;
/// Planned faults may come over HTTP, so they have bounds too.
const MAX_LARGE_BODY: usize = 64 * 1024 * 1024;
const MAX_DELAY_MILLIS: u64 = 3_600_000;
/// How long a client may take for a request's header block; an idle connection is closed after it too.
const HEADER_DEADLINE: Duration = Duration::from_secs(30);

/// Starts to serve; the emulator returned stops it.
pub(crate) fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    config: Option<rustls::ServerConfig>,
) -> Result<Emulator, EmulatorError> {
    let handle = Handle::new();
    let app = MayClose(router(Arc::clone(&shared)));
    let make = service_fn(move |_: SocketAddr| std::future::ready(Ok::<_, Infallible>(app.clone())));
    let failed = |source| EmulatorError::Bind { address: shared.address.to_string(), source };
    let server = match config {
        Some(config) => {
            let config = RustlsConfig::from_config(Arc::new(config));
            let server =
                axum_server::from_tcp_rustls(listener, config).map_err(failed)?.handle(handle.clone());
            let server = with_deadlines(server);
            tokio::spawn(async move { ended(server.serve(make).await) })
        }
        None => {
            let server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle.clone());
            let server = with_deadlines(server);
            tokio::spawn(async move { ended(server.serve(make).await) })
        }
    };
    Ok(Emulator::new(shared, handle, server))
}

/// The first covers a connection that sends nothing at all, which the second does not see.
fn with_deadlines<A>(server: Server<SocketAddr, A>) -> Server<SocketAddr, A> {
    let mut server = server.first_request_timeout(HEADER_DEADLINE);
    server.http_builder().http1().header_read_timeout(HEADER_DEADLINE);
    server
}

/// The `Host` the caller used, if it sent one.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST).and_then(|v| v.to_str().ok())
}

fn ended(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "the emulator's server ended");
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(discovery::configuration))
        .route("/common/discovery/instance", get(discovery::instance))
        .route("/{tenant}/discovery/v2.0/keys", get(discovery::keys))
        .route("/{tenant}/oauth2/v2.0/authorize", get(authorize::by_query).post(authorize::by_form))
        .route("/{tenant}/login", post(authorize::step))
        .route("/{tenant}/oauth2/v2.0/token", post(token::token))
        .route("/{tenant}/oauth2/v2.0/logout", get(sign_out::by_query).post(sign_out::by_form))
        .route(managed_identity::IMDS, get(managed_identity::imds))
        .route(managed_identity::APP_SERVICE, get(managed_identity::app_service))
        .route("/v1.0/me", get(graph::me))
        .route("/v1.0/me/manager", get(graph::manager))
        .route("/v1.0/me/photo/$value", get(graph::photo))
        .route("/oidc/userinfo", get(graph::userinfo).post(graph::userinfo))
        .nest("/_admin", admin::router(&shared))
        .layer(from_fn_with_state(Arc::clone(&shared), intercept))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(shared)
}

async fn home(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    pages::home(&shared.base_url_for(host(&headers)), &shared.tenant_id, &shared.directory().people)
}

/// Counts a request, then lets it through or gives it the fault that was planned for it.
async fn intercept(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let Some(endpoint) = endpoint_of(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (client_id, grant_type) = caller(&parts, &body);
    lock(&shared.counters).count(endpoint, grant_type.as_deref());
    let fault = lock(&shared.faults).take(endpoint, client_id.as_deref());
    let trace = Trace::new(&parts.headers, shared.now());
    let request = Request::from_parts(parts, Body::from(body));
    match fault {
        None => next.run(request).await,
        Some(fault) => suffer(fault, &trace, request, next).await,
    }
}

async fn suffer(fault: Fault, trace: &Trace, request: Request, next: Next) -> Response {
    match fault {
        Fault::Answer { status, body, content_type, headers } => answer(status, body, content_type, headers),
        Fault::OAuthError { status, error, code, suberror, claims } => {
            let mut refusal = Aadsts::new(code, &error, "This error was planned by a test.");
            refusal.status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            refusal.suberror = suberror;
            refusal.claims = claims;
            refusal.json(trace)
        }
        Fault::DelayMillis(millis) => {
            tokio::time::sleep(Duration::from_millis(millis.min(MAX_DELAY_MILLIS))).await;
            next.run(request).await
        }
        Fault::TruncatedBody => truncate(next.run(request).await).await,
        Fault::NotJson => {
            let page = "<!doctype html><title>Proxy</title><p>This is not JSON.".to_owned();
            answer(200, page, Some("text/html".into()), Vec::new())
        }
        Fault::LargeBody(bytes) => answer(
            200,
            format!("{{\"padding\":\"{}\"}}", "x".repeat(bytes.min(MAX_LARGE_BODY))),
            None,
            Vec::new(),
        ),
        Fault::Redirect(to) => answer(307, String::new(), None, vec![("location".into(), to)]),
        Fault::CloseConnection => closing(),
        Fault::CloseAfterServing => {
            drop(next.run(request).await);
            closing()
        }
    }
}

fn answer(status: u16, body: String, content_type: Option<String>, extra: Vec<(String, String)>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    let content_type = content_type.unwrap_or_else(|| "application/json".into());
    let all = std::iter::once(("content-type".to_owned(), content_type)).chain(extra);
    for (name, value) in all {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Announces the whole length, sends half of it, and breaks off.
async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let half = bytes.slice(..bytes.len() / 2);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let first = futures_util::stream::iter([Ok::<Bytes, std::io::Error>(half)]);
    // An error right away would drop the half that hyper has not flushed yet.
    let cut = futures_util::stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(std::io::ErrorKind::ConnectionAborted.into())
    });
    let stream = futures_util::StreamExt::chain(first, cut);
    Response::from_parts(parts, Body::from_stream(stream))
}

fn closing() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.extensions_mut().insert(CloseConnection);
    response
}

fn endpoint_of(method: &Method, path: &str) -> Option<Endpoint> {
    if !matches!(*method, Method::GET | Method::POST) {
        return None;
    }
    let endpoint = match path {
        "/common/discovery/instance" => Endpoint::InstanceDiscovery,
        "/v1.0/me" => Endpoint::GraphMe,
        "/v1.0/me/manager" => Endpoint::GraphManager,
        "/v1.0/me/photo/$value" => Endpoint::GraphPhoto,
        "/oidc/userinfo" => Endpoint::UserInfo,
        managed_identity::IMDS | managed_identity::APP_SERVICE => Endpoint::ManagedIdentity,
        _ => match path.get(1..)?.split_once('/')?.1 {
            "v2.0/.well-known/openid-configuration" => Endpoint::Discovery,
            "discovery/v2.0/keys" => Endpoint::Keys,
            "oauth2/v2.0/authorize" => Endpoint::Authorize,
            "oauth2/v2.0/token" => Endpoint::Token,
            "oauth2/v2.0/logout" => Endpoint::Logout,
            _ => return None,
        },
    };
    Some(endpoint)
}

/// Client id and grant type, as far as a request tells before it is checked.
fn caller(parts: &http::request::Parts, body: &Bytes) -> (Option<String>, Option<String>) {
    let query = Params::parse(parts.uri.query().unwrap_or_default()).unwrap_or_default();
    let form = Params::parse(std::str::from_utf8(body).unwrap_or_default()).unwrap_or_default();
    let field = |name| form.get(name).or_else(|| query.get(name)).map(str::to_owned);
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let client_id = field("client_id").or_else(|| authorization.and_then(client_id_of));
    (client_id, field("grant_type"))
}

/// B2C's and AD FS's addresses become those of the routes.
fn reroute(uri: &mut http::Uri) {
    let Some(path) = shape::routed(uri.path()) else { return };
    let path = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = std::mem::take(uri).into_parts();
    parts.path_and_query = path.parse().ok();
    *uri = http::Uri::from_parts(parts).unwrap_or_default();
}

/// Marks an answer that must not be sent: the connection closes instead.
#[derive(Clone)]
struct CloseConnection;

/// The router, but an answer marked [`CloseConnection`] becomes an error, on which hyper closes the connection.
#[derive(Clone)]
struct MayClose(Router);

impl<B> Service<http::Request<B>> for MayClose
where
    B: axum::body::HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        reroute(request.uri_mut());
        let router = self.0.clone();
        Box::pin(async move {
            let response =
                router.oneshot(request.map(Body::new)).await.unwrap_or_else(|never| match never {});
            if response.extensions().get::<CloseConnection>().is_some() {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            Ok(response)
        })
    }
}
