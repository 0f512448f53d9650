//! Sign in with Microsoft for axum.
//!
//! One layer gives every request its session, one set of routes signs in and out, extractors say in a handler's
//! signature who is there. Tokens stay on the server and renew themselves; the browser holds nothing but the name of
//! its session.
//!
//! # The smallest program
//! ```
//! use async_msal_axum::{Msal, MsalLayer, SignedIn};
//! use axum::{Router, routing::get};
//!
//! async fn home(user: SignedIn) -> String {
//!     format!("Hello {}", user.name().unwrap_or_default())
//! }
//!
//! fn app() -> Result<Router, async_msal_axum::Error> {
//!     let auth = MsalLayer::new(Msal::from_env()?);
//!     Ok(Router::new().route("/", get(home)).merge(auth.routes()).layer(auth))
//! }
//! # let _ = app;
//! ```
//! `SP_APP_ID`, `SP_APP_PW`, `SP_AUTHORITY` and `PUBLIC_URL` have to be set; making the layer asks nothing of the
//! network. Register `PUBLIC_URL` + `/user/authorized` and `PUBLIC_URL` + `/user/signed-out` as redirect addresses.
//!
//! # The layer
//! [`MsalLayer`] is made once, at start. What it does to a request stands in one function, `service.rs`, `call`: the
//! session is loaded when somebody asks, at most once; changes are saved before the answer's headers go out; an
//! answer that depends on a session is marked as nobody else's. A store that does not answer makes a 503 and never
//! a signed-out user.
//!
//! # Who is there
//! [`SignedIn`] lets a handler run for signed-in users only: a browser that shows a page is redirected to the login
//! route and comes back, everybody else gets 401. `Option<SignedIn>` and [`AsyncMsal`] let it run for all. The handle
//! gives tokens, calls APIs with them, and keeps items of the application's own.
//!
//! # Who may
//! [`guard`] has conditions to put on a router: roles, scopes, functions of your own, all or one of several.
//!
//! # What went wrong
//! [`Rejection`] is what extractors and guards answer with, and what a handler can answer with: every error of a
//! session call becomes one by `?`. Where a token needs the user, the browser is sent to agree and comes back.
//!
//! # The routes
//! Under the prefix (`/user`), from [`MsalLayer::routes`]:
//!
//! | route | what it does |
//! |---|---|
//! | `GET login`, `GET login/{to}` | starts a sign-in, returns to `/{to}`; takes `prompt`, `login_hint`, `domain_hint` |
//! | `POST authorized`, `GET authorized` | the way back: `form_post` over https, `query` over plain http |
//! | `GET login/resume` | where a repeated callback ends |
//! | `GET info` | mail, name, manager as JSON, and what [`MsalLayer::info_provider`] adds |
//! | `GET photo` | the user's picture |
//! | `POST logout`, `GET logout`, `…/{to}` | signs out here and at the authority; `GET` from elsewhere asks first |
//! | `GET signed-out` | the way back from there |
//! | `GET frontchannel-logout` | the authority ends a session by `sid` |
//! | `POST backchannel-logout` | the provider ends sessions by a signed token |
//! | `GET debug` | what the session holds, secrets masked; off unless `DEBUG_ROUTE` is on |
//! | `GET style.css` | the stylesheet of the pages |
//!
//! [`routes::health`] is for a route of the application's own.
//!
//! # Stopping
//! [`serve_until`] lets callbacks and renewals in flight finish, and gives clients deadlines.
//!
//! # Testing
//! With feature `testing`, `testing::msal()` and `testing::signed_in_cookie()` give an application's tests a
//! signed-in user, on an emulator of their own.
//!
//! # Features
//! | feature | default | adds |
//! |---|---|---|
//! | `sqlite` | yes | the session store in a file |
//! | `redis` | no | the session store of several nodes: one server, TLS, Sentinel, Cluster |
//! | `postgres` | no | the same in PostgreSQL |
//! | `testing` | no | module `testing` |

mod client_kind;
mod cookies;
mod extract;
mod flow_cookie;
pub mod guard;
mod headers;
mod layer;
mod origin;
mod pages;
mod rejection;
mod return_to;
pub mod routes;
mod server;
mod service;
mod session_cookie;
mod shutdown;
mod site;
#[cfg(feature = "testing")]
pub mod testing;
mod tries;
mod trusted_proxy;
mod visit;

pub use async_msal;
pub use async_msal_session;

pub use async_msal::Scopes;
pub use async_msal_session::{Error, Msal, Settings};
pub use extract::{AsyncMsal, ClientAddress, SignedIn};
pub use layer::MsalLayer;
pub use pages::STYLESHEET;
pub use rejection::{Interaction, Rejection};
pub use server::Server;
pub use service::MsalService;
pub use shutdown::{GRACE, serve_until};

/// The program in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
