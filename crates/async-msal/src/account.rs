//! Accounts: whose tokens a cache holds.

use crate::token_cache::{Entry, Field};

/// One user in one tenant, as an Account entry of the cache describes it.
///
/// # Security
///
/// An account names cache entries. It is not an identity: `home_account_id` differs for guests and
/// `username` can be changed by the tenant's administrator. Identify people by `tid` and `oid` of a
/// [`VerifiedIdToken`](crate::VerifiedIdToken).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub(crate) home_account_id: String,
    pub(crate) environment: String,
    pub(crate) realm: String,
    pub(crate) local_account_id: Option<String>,
    pub(crate) username: String,
    pub(crate) authority_type: String,
    pub(crate) account_source: Option<String>,
}

impl Account {
    /// An account by the names that another library's account object has. The realm is the tenant in which its tokens are
    /// looked for.
    #[must_use]
    pub fn new(
        home_account_id: impl Into<String>,
        environment: impl Into<String>,
        realm: impl Into<String>,
    ) -> Self {
        Self {
            home_account_id: home_account_id.into(),
            environment: environment.into(),
            realm: realm.into(),
            local_account_id: None,
            username: String::new(),
            authority_type: "MSSTS".to_owned(),
            account_source: None,
        }
    }

    /// Whose object id in that tenant is known: a renewal for anybody else is refused.
    #[must_use]
    pub fn with_local_account_id(mut self, id: impl Into<String>) -> Self {
        self.local_account_id = Some(id.into());
        self
    }

    /// `uid.utid` of the home tenant, or `sub` at providers that send no `client_info`.
    #[must_use]
    pub fn home_account_id(&self) -> &str {
        &self.home_account_id
    }

    /// Host of the authority, lower-case.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Tenant segment of the token endpoint.
    #[must_use]
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// `oid` in this tenant, else `sub`.
    #[must_use]
    pub fn local_account_id(&self) -> Option<&str> {
        self.local_account_id.as_deref()
    }

    /// For display only; may be empty.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// `MSSTS` or `ADFS`.
    #[must_use]
    pub fn authority_type(&self) -> &str {
        &self.authority_type
    }

    /// The grant that brought the account, where it was written down.
    #[must_use]
    pub fn account_source(&self) -> Option<&str> {
        self.account_source.as_deref()
    }

    /// Reads an entry; one without a home account id names nobody.
    pub(crate) fn from_entry(entry: &Entry) -> Option<Self> {
        let text = |field: Field| entry.text(field).map(str::to_owned);
        Some(Self {
            home_account_id: text(Field::HomeAccountId)?,
            environment: text(Field::Environment)?,
            realm: text(Field::Realm).unwrap_or_default(),
            local_account_id: text(Field::LocalAccountId),
            username: text(Field::Username).unwrap_or_default(),
            authority_type: text(Field::AuthorityType).unwrap_or_else(|| "MSSTS".to_owned()),
            account_source: text(Field::AccountSource),
        })
    }
}
