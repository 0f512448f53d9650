//! Whose session is meant.

use async_msal_axum::async_msal_session::{Find, Handle, Identity};
use clap::{ArgGroup, Args};

/// The ways to say it, of which one is taken.
pub(crate) const WHOM: [&str; 3] = ["mail", "tenant", "handle"];

/// Whose session.
#[derive(Clone, Debug, Default, Args)]
#[command(group = ArgGroup::new("whom").args(WHOM).multiple(false))]
pub(crate) struct Whom {
    /// By mail address
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// By the person's tenant id (of a provider without tenants: its issuer); with --oid
    #[arg(long, value_name = "TENANT", requires = "oid")]
    tenant: Option<String>,
    /// By the person's object id (of a provider without tenants: the subject); with --tenant
    #[arg(long, value_name = "OBJECT", requires = "tenant")]
    oid: Option<String>,
    /// One session by its handle, as `sessions list` shows it
    #[arg(long, value_name = "HANDLE", value_parser = handle)]
    handle: Option<Handle>,
}

/// Reads a handle.
///
/// # Errors
/// Says what one looks like.
pub(crate) fn handle(text: &str) -> Result<Handle, &'static str> {
    Handle::parse(&text.trim().to_ascii_lowercase())
        .ok_or("a handle is 12 digits 0-9 and a-f, as `sessions list` shows them")
}

impl Whom {
    /// What to look for; `None` where nobody was named.
    pub(crate) fn find(&self) -> Option<Find> {
        match self {
            Self { mail: Some(mail), .. } => Some(Find::mail(mail.trim())),
            Self { tenant: Some(tenant), oid: Some(oid), .. } => Some(Find::user(tenant.trim(), oid.trim())),
            Self { handle: Some(handle), .. } => Some(Find::Handle(handle.clone())),
            _ => None,
        }
    }
}

/// The same in words.
pub(crate) fn named(find: &Find) -> String {
    match find {
        Find::Mail(mail) => format!("of {mail:?}"),
        Find::User { tenant, object } => format!("of {object:?} in tenant {tenant:?}"),
        Find::Handle(handle) => format!("with handle {handle}"),
        _ => "like that".to_owned(),
    }
}

/// The pair that names a person: tenant and object id, else issuer and subject.
pub(crate) fn pair(identity: &Identity) -> (&str, &str) {
    match (identity.tid.as_deref(), identity.oid.as_deref()) {
        (Some(tenant), Some(object)) => (tenant, object),
        _ => (&identity.iss, &identity.sub),
    }
}
