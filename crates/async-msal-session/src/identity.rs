//! Who is signed in: the item `async_msal`, made from a verified id token and bound to it by its hash.

use async_msal::{Account, ConfidentialClient, IdToken, IdTokenClaims, TokenCache};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::{SessionRecord, item};
use crate::session_id::sha256_hex;

/// Version of the item.
const VERSION: u32 = 1;
/// The Account entry's extra field that keeps the time of the sign-in over renewals.
pub(crate) const SIGNED_IN_AT: &str = "async_msal_signed_in_at";

/// The person of a session. A person is named by `tid` and `oid`, or by `iss` and `sub` where a provider has no such
/// claims: never by mail, which its owner's administrator can set to anything.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    v: u32,
    /// Issuer of the id token.
    pub iss: String,
    /// Tenant id.
    pub tid: Option<String>,
    /// Object id of the user in that tenant.
    pub oid: Option<String>,
    /// Subject: the user's id for this application.
    pub sub: String,
    /// The authority's own session id, for front-channel sign-out.
    pub sid: Option<String>,
    /// Application roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// When the user signed in, unix seconds. Renewals leave it alone.
    pub signed_in_at: i64,
    /// Hash of the id token this was made from; the item counts only while it matches.
    id_token_sha256: String,
}

impl Identity {
    /// Made from the claims of `token`.
    pub(crate) fn new(claims: &IdTokenClaims, token: &IdToken, signed_in_at: i64) -> Self {
        Self {
            v: VERSION,
            iss: claims.iss.clone(),
            tid: claims.tid.clone(),
            oid: claims.oid.clone(),
            sub: claims.sub.clone(),
            sid: claims.sid.clone(),
            roles: claims.roles.clone(),
            signed_in_at,
            id_token_sha256: hash(token),
        }
    }

    /// Whether both are the same verified person: tenant and object id, else issuer and subject.
    #[must_use]
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.person() == other.person()
    }

    /// The pair that names the person.
    pub(crate) fn person(&self) -> (&str, &str) {
        match (self.tid.as_deref(), self.oid.as_deref()) {
            (Some(tid), Some(oid)) => (tid, oid),
            _ => self.subject(),
        }
    }

    /// Issuer and subject, which name the person to this application alone.
    pub(crate) fn subject(&self) -> (&str, &str) {
        (&self.iss, &self.sub)
    }

    /// Issuer and subject where the person is known by other ids and a logout token may name these: the issuers of Entra ID,
    /// which send none, hold the tenant, and their users' sessions are spared one more name.
    pub(crate) fn subject_for_logout(&self) -> Option<(&str, &str)> {
        let is_tenant = |tid: &&str| uuid::Uuid::try_parse(tid).is_ok();
        let of_entra = (self.tid.as_deref().filter(is_tenant))
            .is_some_and(|tid| self.iss.split('/').any(|segment| segment == tid));
        Some(self.subject()).filter(|subject| !of_entra && *subject != self.person())
    }

    /// The item as it is stored.
    pub(crate) fn to_value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The same person after a renewal brought `token`.
    pub(crate) fn renewed(&self, claims: &IdTokenClaims, token: &IdToken) -> Self {
        let sid = claims.sid.clone().or_else(|| self.sid.clone());
        Self { sid, ..Self::new(claims, token, self.signed_in_at) }
    }
}

/// The person and the account of a record.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) identity: Identity,
    pub(crate) account: Account,
    /// The item was missing or belonged to another id token, and was made anew.
    pub(crate) made_anew: bool,
}

/// Finds who is signed in: the stored item while it matches the id token, else the id token itself.
pub(crate) fn find_person(
    client: &ConfidentialClient,
    record: &SessionRecord,
    cache: &TokenCache,
) -> Option<Person> {
    let stored = record.read::<Identity>(item::IDENTITY);
    let mut accounts: Vec<(Account, IdToken)> = (cache.accounts(client.environment()).into_iter())
        .filter_map(|account| cache.id_token(&account, client.client_id()).map(|token| (account, token)))
        .collect();
    if let Some(identity) = stored.filter(|identity| identity.v == VERSION)
        && let Some(matching) = accounts.iter().position(|(_, token)| hash(token) == identity.id_token_sha256)
    {
        let (account, _) = accounts.swap_remove(matching);
        return Some(Person { identity, account, made_anew: false });
    }
    // With several accounts and no item that names one, nobody is guessed.
    let [(account, token)] = accounts.as_slice() else { return None };
    let claims = IdTokenClaims::from_stored(token.expose_secret()).ok()?;
    let kept = cache.account_extra(account, SIGNED_IN_AT).and_then(|kept| number(&kept));
    // A session of another service starts at its id token's issue time.
    let issued = if claims.iat > 0 { claims.iat } else { record.created() };
    let identity = Identity::new(&claims, token, kept.unwrap_or(issued));
    Some(Person { identity, account: account.clone(), made_anew: true })
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn hash(token: &IdToken) -> String {
    sha256_hex(token.expose_secret().as_bytes())
}
