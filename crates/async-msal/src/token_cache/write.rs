//! Writing a token response, as MSAL would have.

use super::key::Parts;
use super::lookup::requested;
use super::table::{Kind, Owner, Table};
use super::{Entry, Field, REQUESTED, SIGNED_IN_AT, Section, TokenCache};
use crate::id_token::VerifiedIdToken;
use crate::scope::Scopes;
use crate::token_endpoint::response::TokenResponse;

/// So many asked scope sets are remembered beside an access token.
const MOST_REQUESTED: usize = 8;

/// A response whose id token was verified, on its way into the cache.
pub(crate) struct TokenWrite<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) realm: &'a str,
    /// `None` where a token is nobody's: the application's own.
    pub(crate) home_account_id: Option<&'a str>,
    /// Of a request with parameters of its own ([`extended_cache_key`](super::extended_cache_key)).
    pub(crate) ext_cache_key: Option<&'a str>,
    pub(crate) response: &'a TokenResponse,
    /// What the application asked, undecorated.
    pub(crate) requested: &'a Scopes,
    pub(crate) granted: &'a Scopes,
    pub(crate) id_token: Option<&'a VerifiedIdToken>,
    pub(crate) now: i64,
    pub(crate) occasion: WriteOccasion<'a>,
}

/// A sign-in writes the account; a refresh leaves it alone and overwrites the entry it used.
pub(crate) enum WriteOccasion<'a> {
    SignIn,
    Refresh {
        used_key: &'a str,
    },
    /// A refresh token from elsewhere, or another's access token, was exchanged: the account is written without a source.
    Exchange,
    /// The application's own token: no account, no refresh token.
    Application,
}

impl TokenCache {
    /// Puts all parts of a response in.
    pub(crate) fn write(&mut self, write: &TokenWrite<'_>) {
        self.remove_expired_access_tokens(write.now);
        let parts = write.parts();
        let key = self
            .same_target(Kind::AccessToken, write)
            .unwrap_or_else(|| parts.access_token(write.granted, write.ext_cache_key));
        let entry = write.access_token(self.entry(Kind::AccessToken, &key));
        self.put(Kind::AccessToken, &key, entry);
        if write.home_account_id.is_some()
            && matches!(write.occasion, WriteOccasion::SignIn | WriteOccasion::Exchange)
        {
            self.put(Kind::Account, &parts.account(), write.account());
        }
        if let Some(id_token) = write.id_token {
            self.put(Kind::IdToken, &parts.id_token(), write.id_token_entry(id_token));
        }
        if let Some(entry) = write.refresh_token() {
            let key = match write.occasion {
                WriteOccasion::Refresh { used_key } => used_key.to_owned(),
                _ => self
                    .same_target(Kind::RefreshToken, write)
                    .unwrap_or_else(|| parts.refresh_token(write.granted)),
            };
            self.put_refresh_token(&key, entry);
        }
        self.put(Kind::AppMetadata, &parts.app_metadata(), write.app_metadata());
    }

    fn entry(&self, kind: Kind, key: &str) -> Option<&Entry> {
        self.table(kind)?.get(key)
    }

    /// The key of the entry for the same grant, which older libraries wrote in another order.
    fn same_target(&self, kind: Kind, write: &TokenWrite<'_>) -> Option<String> {
        let owner = Owner { home_account_id: write.home_account_id, realm: Some(write.realm) };
        let with_realm = kind == Kind::AccessToken;
        let mut theirs = self.rows_of(kind, owner);
        let found = theirs.find(|row| {
            let entry = &row.entry;
            entry.is(Field::Environment, write.environment)
                && entry.is(Field::ClientId, write.client_id)
                && (!with_realm || entry.text(Field::ExtCacheKey) == write.ext_cache_key)
                && Scopes::parse(entry.text(Field::Target).unwrap_or_default()) == *write.granted
        });
        found.map(|row| row.key.to_string())
    }

    /// The refreshed token keeps the target of the entry it overwrites.
    fn put_refresh_token(&mut self, key: &str, mut entry: Entry) {
        let earlier = self.entry(Kind::RefreshToken, key).and_then(|earlier| earlier.text(Field::Target));
        if let Some(target) = earlier {
            entry.set(Field::Target, target);
        }
        self.put(Kind::RefreshToken, key, entry);
    }

    fn put(&mut self, kind: Kind, key: &str, mut entry: Entry) {
        if let Some(earlier) = self.entry(kind, key) {
            entry.keep_unknown(earlier);
        }
        if self.table(kind).is_none() {
            self.sections.push(Section::Known(Table::new(kind)));
        }
        if let Some(table) = self.table_mut(kind) {
            table.put(key, entry);
            self.changed = true;
        }
    }
}

impl TokenWrite<'_> {
    fn parts(&self) -> Parts<'_> {
        Parts {
            home_account_id: self.home_account_id.unwrap_or_default(),
            environment: self.environment,
            client_id: self.client_id,
            realm: self.realm,
        }
    }

    fn access_token(&self, earlier: Option<&Entry>) -> Entry {
        let response = self.response;
        let after = |seconds: i64| self.now.saturating_add(seconds);
        let mut entry = Entry::new();
        entry.set(Field::CredentialType, Kind::AccessToken.name());
        entry.set_secret(response.access_token.to_shared());
        entry.set_or_null(Field::HomeAccountId, self.home_account_id);
        entry.set(Field::Environment, self.environment);
        entry.set(Field::ClientId, self.client_id);
        entry.set(Field::Target, self.granted.to_string());
        entry.set(Field::Realm, self.realm);
        entry.set(Field::TokenType, response.token_type.as_str());
        entry.set_time(Field::CachedAt, self.now);
        entry.set_time(Field::ExpiresOn, after(response.expires_in));
        let extended = response.ext_expires_in.unwrap_or(response.expires_in);
        entry.set_time(Field::ExtendedExpiresOn, after(extended));
        if let Some(ext_cache_key) = self.ext_cache_key {
            entry.set(Field::ExtCacheKey, ext_cache_key);
        }
        if let Some(refresh_in) = response.refresh_in {
            entry.set_time(Field::RefreshOn, after(refresh_in));
        }
        let requested = self.requested_sets(earlier);
        if !requested.is_empty() {
            entry.set_other_value(REQUESTED, &requested);
        }
        entry
    }

    /// The newest sets that this grant covers and whose text the grant does not hold already.
    fn requested_sets(&self, earlier: Option<&Entry>) -> Vec<String> {
        let earlier = earlier.map(requested).unwrap_or_default();
        let mut sets: Vec<String> = earlier.into_iter().map(std::borrow::Cow::into_owned).collect();
        let asked = self.requested.to_string();
        sets.retain(|set| *set != asked && Scopes::parse(set).missing_from(self.granted).is_empty());
        if !self.requested.is_subset(self.granted) && self.requested.missing_from(self.granted).is_empty() {
            sets.push(asked);
        }
        let surplus = sets.len().saturating_sub(MOST_REQUESTED);
        sets.split_off(surplus)
    }

    fn account(&self) -> Entry {
        let claims = self.id_token.map(VerifiedIdToken::claims);
        let upn = claims.and_then(|claims| claims.raw().get("upn")?.as_str());
        let username = claims.and_then(|claims| claims.preferred_username.as_deref()).or(upn);
        let local = claims.map(|claims| claims.oid.as_ref().unwrap_or(&claims.sub).as_str());
        let mut entry = Entry::new();
        entry.set_or_null(Field::HomeAccountId, self.home_account_id);
        entry.set(Field::Environment, self.environment);
        entry.set(Field::Realm, self.realm);
        entry.set_or_null(Field::LocalAccountId, local);
        entry.set(Field::Username, username.unwrap_or_default());
        entry.set(Field::AuthorityType, if self.realm == "adfs" { "ADFS" } else { "MSSTS" });
        if matches!(self.occasion, WriteOccasion::SignIn) {
            entry.set(Field::AccountSource, "authorization_code");
            entry.set_other_value(SIGNED_IN_AT, &self.now.to_string());
        }
        entry
    }

    fn id_token_entry(&self, id_token: &VerifiedIdToken) -> Entry {
        let mut entry = Entry::new();
        entry.set(Field::CredentialType, Kind::IdToken.name());
        entry.set_secret(id_token.raw().to_shared());
        entry.set_or_null(Field::HomeAccountId, self.home_account_id);
        entry.set(Field::Environment, self.environment);
        entry.set(Field::Realm, self.realm);
        entry.set(Field::ClientId, self.client_id);
        entry
    }

    fn refresh_token(&self) -> Option<Entry> {
        let secret = self.response.refresh_token.as_ref()?;
        if matches!(self.occasion, WriteOccasion::Application) {
            return None;
        }
        let mut entry = Entry::new();
        entry.set(Field::CredentialType, Kind::RefreshToken.name());
        entry.set_secret(secret.to_shared());
        entry.set_or_null(Field::HomeAccountId, self.home_account_id);
        entry.set(Field::Environment, self.environment);
        entry.set(Field::ClientId, self.client_id);
        entry.set(Field::Target, self.granted.to_string());
        entry.set_time(Field::LastModificationTime, self.now);
        self.add_family(&mut entry);
        Some(entry)
    }

    fn app_metadata(&self) -> Entry {
        let mut entry = Entry::new();
        entry.set(Field::ClientId, self.client_id);
        entry.set(Field::Environment, self.environment);
        self.add_family(&mut entry);
        entry
    }

    fn add_family(&self, entry: &mut Entry) {
        if let Some(family_id) = &self.response.family_id {
            entry.set(Field::FamilyId, family_id.as_str());
        }
    }
}
