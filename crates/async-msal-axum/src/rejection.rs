//! Why a request was not served, and how that is told: browsers get a redirect or a page, programs a status and JSON.

use std::time::Duration;

use async_msal::{ClaimsChallenge, Error as ProtocolError, Scopes};
use async_msal_session::Error;
use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::client_kind::ClientKind;
use crate::headers;
use crate::pages::{Page, texts, texts::PageText};
use crate::routes::ask::Ask;
use crate::visit::Visit;

const TARGET: &str = "async_msal::rejection";

/// Why a request was not served. Extractors, guards and the layer answer with it; a handler can too, since every
/// error of a session call turns into one by `?`.
///
/// Texts and statuses are fixed and never repeat the inner error, which is logged instead (target
/// `async_msal::rejection`). Outside the layer it is a plain status; the layer turns it into what the client reads.
///
/// ```
/// use async_msal_axum::{Rejection, Scopes, SignedIn};
///
/// async fn mail_count(user: SignedIn) -> Result<String, Rejection> {
///     // Not consented yet? The browser is sent to agree, and comes back here.
///     let token = user.get_token(&Scopes::from("Mail.Read")).await?;
///     Ok(format!("the token lives until {}", token.expires_on))
/// }
/// # let _ = axum::Router::<()>::new().route("/", axum::routing::get(mail_count));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// The route is not below [`crate::MsalLayer`]: 500.
    LayerMissing,
    /// Nobody is signed in: 303 to the login route for a browser that shows a page, else 401.
    SignInRequired,
    /// The user must do something at the authority first: as [`Rejection::SignInRequired`], asking for it.
    InteractionRequired(Box<Interaction>),
    /// Signed in, but a guard refused: 403.
    Forbidden,
    /// A page of another origin made an unsafe request: 403.
    CrossOrigin,
    /// More cookies than this library reads: 431.
    TooManyCookies,
    /// The session store does not answer: 503. The session, its cookie and the user's being signed in are untouched.
    StoreUnavailable,
    /// The authority or an API is unreachable, or asks to wait: 503.
    Unavailable {
        /// When to come back, where that is known.
        retry_after: Option<Duration>,
    },
    /// The application's registration, credential or settings are wrong; an operator must act: 500.
    Misconfigured,
    /// An answer from the authority or an API was not acceptable: 502.
    BadAnswer,
}

/// What the user has to agree to or to prove.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Interaction {
    /// Scopes to ask for beyond the configured ones.
    pub scopes: Option<Scopes>,
    /// The claims challenge to pass on.
    pub claims: Option<ClaimsChallenge>,
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let rejection = Self::classify(&error);
        match rejection {
            Self::Misconfigured => {
                tracing::error!(target: TARGET, code = %error.code(), %error, hint = %error.hint(), "an operator must act");
            }
            _ => tracing::warn!(target: TARGET, code = %error.code(), %error, "request not served"),
        }
        rejection
    }
}

impl From<ProtocolError> for Rejection {
    fn from(error: ProtocolError) -> Self {
        Self::from(Error::from(error))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.text().title).into_response();
        headers::forbid_storing(response.headers_mut());
        response.extensions_mut().insert(self);
        response
    }
}

impl Rejection {
    /// The status of the answer, redirects aside.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.text().status
    }

    /// What this client understands.
    pub(crate) async fn render(self, visit: &Visit) -> Response {
        let page = visit.page();
        match (&self, page.client) {
            (Self::SignInRequired, ClientKind::Page) => {
                let shared = visit.shared();
                let back = shared.return_to.resolve_request(&page.path_and_query);
                headers::see_other(&shared.site.login_returning_to(&back))
            }
            (Self::InteractionRequired(interaction), ClientKind::Page) => {
                Ask::redirect(interaction, visit).await
            }
            _ if page.reads_html => self.page(visit),
            _ => self.json(visit),
        }
    }

    fn classify(error: &Error) -> Self {
        match error.root() {
            Error::Store(_) => Self::StoreUnavailable,
            Error::NotSignedIn | Error::SessionEnded => Self::SignInRequired,
            Error::Refused(_) => Self::Forbidden,
            Error::Settings(_) => Self::Misconfigured,
            Error::Protocol(protocol) => Self::classify_protocol(protocol),
            Error::Earlier(failure) if failure.interaction => Self::InteractionRequired(Box::default()),
            Error::Earlier(failure) if failure.code == "credential" || failure.code == "config" => {
                Self::Misconfigured
            }
            other if other.is_retryable() => Self::Unavailable { retry_after: other.retry_after() },
            _ => Self::BadAnswer,
        }
    }

    fn classify_protocol(error: &ProtocolError) -> Self {
        match error {
            ProtocolError::InteractionRequired(wanted) => Self::InteractionRequired(Box::new(Interaction {
                scopes: (!wanted.missing_scopes.is_empty()).then(|| wanted.missing_scopes.clone()),
                claims: wanted.claims.clone(),
            })),
            ProtocolError::RefreshRefused(_) => Self::SignInRequired,
            ProtocolError::Config(_) | ProtocolError::Credential(_) => Self::Misconfigured,
            other if other.is_retryable() => Self::Unavailable { retry_after: other.retry_after() },
            ProtocolError::ClientAssertion(_) => Self::Misconfigured,
            _ => Self::BadAnswer,
        }
    }

    fn text(&self) -> PageText {
        match self {
            Self::SignInRequired | Self::InteractionRequired(_) => texts::SIGN_IN_NEEDED,
            Self::Forbidden => texts::FORBIDDEN,
            Self::CrossOrigin => texts::CROSS_ORIGIN,
            Self::TooManyCookies => texts::TOO_MANY_COOKIES,
            Self::StoreUnavailable => texts::STORE_DOWN,
            Self::Unavailable { .. } => texts::SERVICE_DOWN,
            Self::LayerMissing => texts::LAYER_MISSING,
            Self::Misconfigured => texts::OPERATOR,
            Self::BadAnswer => texts::BAD_ANSWER,
        }
    }

    /// A stable word for programs.
    fn code(&self) -> &'static str {
        match self {
            Self::LayerMissing => "layer_missing",
            Self::SignInRequired => "sign_in_required",
            Self::InteractionRequired(_) => "interaction_required",
            Self::Forbidden => "forbidden",
            Self::CrossOrigin => "cross_origin",
            Self::TooManyCookies => "too_many_cookies",
            Self::StoreUnavailable => "store_unavailable",
            Self::Unavailable { .. } => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::BadAnswer => "bad_answer",
        }
    }

    fn page(&self, visit: &Visit) -> Response {
        let site = &visit.shared().site;
        let page = Page::new(self.text());
        let page = match self {
            Self::SignInRequired | Self::InteractionRequired(_) => {
                page.with_link("Sign in", site.route("login"))
            }
            // What else was sent cannot be sent again by a link.
            Self::StoreUnavailable | Self::Unavailable { .. } if visit.page().client == ClientKind::Page => {
                let wanted = &visit.page().path_and_query;
                page.with_link("Try again", visit.shared().return_to.resolve_request(wanted))
            }
            _ => {
                page.with_link("Back to the application", visit.shared().return_to.default_page().to_owned())
            }
        };
        self.with_headers(page.respond(site), visit)
    }

    fn json(&self, visit: &Visit) -> Response {
        let mut body = json!({ "error": self.code(), "message": self.text().title });
        match self {
            Self::SignInRequired => body["login"] = json!(visit.shared().site.route("login")),
            Self::InteractionRequired(interaction) => body["login"] = json!(Ask::address(interaction, visit)),
            _ => {}
        }
        self.with_headers((self.status(), Json(body)).into_response(), visit)
    }

    fn with_headers(&self, mut response: Response, visit: &Visit) -> Response {
        let map = response.headers_mut();
        headers::forbid_storing(map);
        map.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            // The scheme of draft-broyer-http-cookie-auth: no browser answers it with a password dialog.
            Self::SignInRequired | Self::InteractionRequired(_) => {
                let shared = visit.shared();
                let challenge = format!(
                    "Cookie realm=\"{}\", form-action=\"{}\", cookie-name=\"{}\"",
                    shared.site.label(),
                    shared.site.route("login"),
                    shared.session_cookie.name()
                );
                map.extend(
                    HeaderValue::from_str(&challenge).ok().map(|value| (header::WWW_AUTHENTICATE, value)),
                );
            }
            Self::StoreUnavailable => headers::retry_after(map, headers::RETRY_AFTER),
            Self::Unavailable { retry_after } => {
                headers::retry_after(map, retry_after.unwrap_or(headers::RETRY_AFTER))
            }
            _ => {}
        }
        response
    }
}
