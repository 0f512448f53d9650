//! Signed-in users for [`async_msal`]: session records, stores, one renewal at a time, Microsoft Graph. No web framework:
//! the routes are in `async-msal-axum`, background jobs and tools use this crate alone.
//!
//! # The smallest real program
//!
//! A job that reads a user's mailbox with the tokens of the user's newest session:
//!
//! ```no_run
//! use async_msal_session::{Error, Find, Msal};
//!
//! # async fn job() -> Result<(), Error> {
//! let msal = Msal::from_env()?;
//! if let Some(session) = msal.for_user(&Find::mail("ada@contoso.example")).await? {
//!     let inbox: serde_json::Value = session.get("me/messages?$top=5").send().await?.json().await?;
//!     println!("{} has {} new messages", session.mail().unwrap_or_default(), inbox["value"].as_array().map_or(0, Vec::len));
//! }
//! # Ok(()) }
//! ```
//!
//! # Msal and AsyncMsal
//!
//! [`Msal`] is the application: one per process, cheap to clone. [`AsyncMsal`] is one user's session: who they are, an access
//! token ([`AsyncMsal::get_token`]), calls to APIs in their name ([`AsyncMsal::get`] and its sisters), and the application's
//! own items ([`AsyncMsal::set_item`]).
//!
//! # Signing in and out
//!
//! [`sign_in`] starts a flow and completes it once, however often the browser submits it; [`sign_out`] ends the session
//! here and says where to send the browser.
//!
//! # Records and stores
//!
//! A record ([`record`]) is sealed ([`sealing`]) and kept in a [`store`]: in memory, in one SQLite file. A change is a patch,
//! saved by compare-and-set and merged on conflict; a record that is gone is signed out, and nothing brings it back.
//! Users are found by an index ([`Find`]), not by reading all sessions.
//!
//! # Looking after the store
//!
//! [`admin`] lists all sessions, ends one, removes what is old, mends what is broken and counts what is there, in pages and
//! bounded memory, whatever the layout and however many there are.
//!
//! # Renewal
//!
//! However many requests ask for a token, on however many nodes, one renewal is made. A token due ahead of time is handed out at
//! once and renewed in the background. A dropped caller loses nothing.
//!
//! # Tokens of no session
//!
//! [`Msal::app_token`] is the application's own, [`Msal::token_on_behalf_of`] what a caller's token was exchanged for: both from
//! this process's memory first.
//!
//! # Settings and telemetry
//!
//! [`settings`] lists every variable; [`telemetry`] names every span and counter.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `sqlite` | yes | [`store::SqliteStore`] |

pub mod admin;
mod adoption;
pub mod api_client;
mod app_tokens;
mod background;
mod endings;
pub mod env;
mod error;
pub mod graph;
#[path = "async_msal/mod.rs"] // `async_msal` is the name of the crate below, re-exported as such
mod handle;
mod health;
mod identity;
mod msal;
mod patch;
pub mod record;
mod records;
mod renewal;
pub mod sealing;
mod session;
mod session_id;
pub mod settings;
pub mod sign_in;
pub mod sign_out;
pub mod store;
pub mod telemetry;
mod turns;
mod unindexed;
mod user_index;

pub use ::async_msal;

pub use self::admin::SessionSummary;
pub use self::error::{EarlierFailure, Error};
pub use self::handle::{AsyncMsal, TokenInfo};
pub use self::health::Health;
pub use self::identity::Identity;
pub use self::msal::{Msal, MsalBuilder};
pub use self::records::{ItemChanges, RecordToken, Records};
pub use self::sealing::Purpose;
pub use self::session_id::{Handle, SessionId, SessionLayout, StoreKey};
pub use self::settings::Settings;
pub use self::sign_in::{
    Refused, SignInCallback, SignInHooks, SignInOutcome, SignInRequest, SignedIn, StartedSignIn,
};
pub use self::sign_out::SignedOut;
pub use self::user_index::{Find, PersonId};
