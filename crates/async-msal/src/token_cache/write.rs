//! Writing a token response, as MSAL would have.

use serde_json::{Map, Value, json};

use super::entry::{keep_unknown, time};
use super::key::Parts;
use super::{
    ACCESS_TOKEN, ACCOUNT, APP_METADATA, ID_TOKEN, REFRESH_TOKEN, REQUESTED, SIGNED_IN_AT, TokenCache, is,
    is_or_null,
};
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
        let now = write.now;
        self.remove_where(ACCESS_TOKEN, |entry| {
            time(entry, "expires_on").is_some_and(|expires_on| expires_on < now)
        });
        let parts = write.parts();
        let key = self
            .same_target(ACCESS_TOKEN, write)
            .unwrap_or_else(|| parts.access_token(write.granted, write.ext_cache_key));
        let entry = write.access_token(self.entry(ACCESS_TOKEN, &key));
        self.put(ACCESS_TOKEN, key, entry);
        if write.home_account_id.is_some()
            && matches!(write.occasion, WriteOccasion::SignIn | WriteOccasion::Exchange)
        {
            self.put(ACCOUNT, parts.account(), write.account());
        }
        if let Some(id_token) = write.id_token {
            self.put(ID_TOKEN, parts.id_token(), write.id_token_entry(id_token));
        }
        if let Some(entry) = write.refresh_token() {
            let key = match write.occasion {
                WriteOccasion::Refresh { used_key } => used_key.to_owned(),
                _ => self
                    .same_target(REFRESH_TOKEN, write)
                    .unwrap_or_else(|| parts.refresh_token(write.granted)),
            };
            self.put_refresh_token(key, entry);
        }
        self.put(APP_METADATA, parts.app_metadata(), write.app_metadata());
    }

    fn entry(&self, section: &str, key: &str) -> Option<&Map<String, Value>> {
        self.root.get(section)?.get(key)?.as_object()
    }

    /// The key of the entry for the same grant, which older libraries wrote in another order.
    fn same_target(&self, section: &str, write: &TokenWrite<'_>) -> Option<String> {
        let with_realm = section == ACCESS_TOKEN;
        let found = self.entries(section).find(|(_, entry)| {
            let target = entry.get("target").and_then(Value::as_str).unwrap_or_default();
            is_or_null(entry, "home_account_id", write.home_account_id)
                && is(entry, "environment", write.environment)
                && is(entry, "client_id", write.client_id)
                && (!with_realm || is(entry, "realm", write.realm))
                && (!with_realm || is_or_null(entry, "ext_cache_key", write.ext_cache_key))
                && Scopes::parse(target) == *write.granted
        });
        found.map(|(key, _)| key.clone())
    }

    /// The refreshed token keeps the target of the entry it overwrites.
    fn put_refresh_token(&mut self, key: String, mut entry: Map<String, Value>) {
        if let Some(target) = self.entry(REFRESH_TOKEN, &key).and_then(|earlier| earlier.get("target")) {
            entry.insert("target".to_owned(), target.clone());
        }
        self.put(REFRESH_TOKEN, key, entry);
    }

    fn put(&mut self, section: &str, key: String, mut entry: Map<String, Value>) {
        if let Some(earlier) = self.entry(section, &key) {
            keep_unknown(&mut entry, earlier);
        }
        let entries = self.root.entry(section).or_insert_with(|| json!({}));
        if let Some(entries) = entries.as_object_mut() {
            entries.insert(key, Value::Object(entry));
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

    fn access_token(&self, earlier: Option<&Map<String, Value>>) -> Map<String, Value> {
        let response = self.response;
        let after = |seconds: i64| Value::from(self.now.saturating_add(seconds).to_string());
        let mut entry = object(json!({
            "credential_type": "AccessToken",
            "secret": response.access_token.expose_secret(),
            "home_account_id": self.home_account_id,
            "environment": self.environment,
            "client_id": self.client_id,
            "target": self.granted.to_string(),
            "realm": self.realm,
            "token_type": response.token_type,
            "cached_at": self.now.to_string(),
            "expires_on": after(response.expires_in),
            "extended_expires_on": after(response.ext_expires_in.unwrap_or(response.expires_in)),
        }));
        if let Some(ext_cache_key) = self.ext_cache_key {
            entry.insert("ext_cache_key".to_owned(), Value::from(ext_cache_key));
        }
        if let Some(refresh_in) = response.refresh_in {
            entry.insert("refresh_on".to_owned(), after(refresh_in));
        }
        let requested = self.requested_sets(earlier);
        if !requested.is_empty() {
            entry.insert(REQUESTED.to_owned(), Value::from(requested));
        }
        entry
    }

    /// The newest sets that this grant covers and whose text the grant does not hold already.
    fn requested_sets(&self, earlier: Option<&Map<String, Value>>) -> Vec<String> {
        let earlier = earlier.and_then(|entry| entry.get(REQUESTED)).and_then(Value::as_array);
        let mut sets: Vec<String> =
            earlier.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        let asked = self.requested.to_string();
        sets.retain(|set| *set != asked && Scopes::parse(set).missing_from(self.granted).is_empty());
        if !self.requested.is_subset(self.granted) && self.requested.missing_from(self.granted).is_empty() {
            sets.push(asked);
        }
        let surplus = sets.len().saturating_sub(MOST_REQUESTED);
        sets.split_off(surplus)
    }

    fn account(&self) -> Map<String, Value> {
        let claims = self.id_token.map(VerifiedIdToken::claims);
        let upn = claims.and_then(|claims| claims.raw().get("upn")?.as_str());
        let mut entry = object(json!({
            "home_account_id": self.home_account_id,
            "environment": self.environment,
            "realm": self.realm,
            "local_account_id": claims.map(|claims| claims.oid.as_ref().unwrap_or(&claims.sub)),
            "username": claims.and_then(|claims| claims.preferred_username.as_deref()).or(upn).unwrap_or_default(),
            "authority_type": if self.realm == "adfs" { "ADFS" } else { "MSSTS" },
        }));
        if matches!(self.occasion, WriteOccasion::SignIn) {
            entry.insert("account_source".to_owned(), Value::from("authorization_code"));
            entry.insert(SIGNED_IN_AT.to_owned(), Value::from(self.now.to_string()));
        }
        entry
    }

    fn id_token_entry(&self, id_token: &VerifiedIdToken) -> Map<String, Value> {
        object(json!({
            "credential_type": "IdToken",
            "secret": id_token.raw().expose_secret(),
            "home_account_id": self.home_account_id,
            "environment": self.environment,
            "realm": self.realm,
            "client_id": self.client_id,
        }))
    }

    fn refresh_token(&self) -> Option<Map<String, Value>> {
        let secret = self.response.refresh_token.as_ref()?;
        if matches!(self.occasion, WriteOccasion::Application) {
            return None;
        }
        let mut entry = object(json!({
            "credential_type": "RefreshToken",
            "secret": secret.expose_secret(),
            "home_account_id": self.home_account_id,
            "environment": self.environment,
            "client_id": self.client_id,
            "target": self.granted.to_string(),
            "last_modification_time": self.now.to_string(),
        }));
        self.add_family(&mut entry);
        Some(entry)
    }

    fn app_metadata(&self) -> Map<String, Value> {
        let mut entry = object(json!({ "client_id": self.client_id, "environment": self.environment }));
        self.add_family(&mut entry);
        entry
    }

    fn add_family(&self, entry: &mut Map<String, Value>) {
        if let Some(family_id) = &self.response.family_id {
            entry.insert("family_id".to_owned(), Value::from(family_id.as_str()));
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
