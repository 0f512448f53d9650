//! Codes, refresh tokens, signed-in browsers and consents: every table with a bound and an expiry.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

const MAX_CODES: usize = 1024;
const MAX_REFRESH_TOKENS: usize = 4096;
const MAX_ASSERTIONS: usize = 4096;
const MAX_BROWSERS: usize = 1024;
const MAX_ACCOUNTS: usize = 8;
/// A browser forgets who signed in after this many seconds.
const BROWSER_LIFETIME: i64 = 24 * 3600;

/// What an authorization code stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) tenant: String,
    pub(crate) username: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) challenge_is_plain: bool,
    pub(crate) auth_time: i64,
    pub(crate) wants_auth_time: bool,
    pub(crate) sid: String,
    pub(crate) expires: i64,
    pub(crate) redeemed: bool,
}

/// What a refresh token stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RefreshGrant {
    pub(crate) client_id: String,
    pub(crate) tenant: String,
    pub(crate) username: String,
    pub(crate) auth_time: i64,
    pub(crate) sid: String,
    pub(crate) expires: i64,
    pub(crate) used: bool,
    /// When it was first used.
    #[serde(default)]
    pub(crate) used_at: i64,
    pub(crate) revoked: bool,
}

/// Somebody signed in at the emulator in one browser.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SignedIn {
    pub(crate) username: String,
    pub(crate) auth_time: i64,
    pub(crate) sid: String,
    pub(crate) clients: BTreeSet<String>,
}

/// One browser, known by a cookie.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Browser {
    pub(crate) accounts: Vec<SignedIn>,
    expires: i64,
}

/// All tables. Secrets are keys only as their SHA-256.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Grants {
    codes: BTreeMap<String, Code>,
    refresh_tokens: BTreeMap<String, RefreshGrant>,
    browsers: BTreeMap<String, Browser>,
    /// The assertions that count once, each until it expires.
    #[serde(default)]
    assertions: BTreeMap<String, i64>,
    /// (client id, username, resource) joined by spaces to the scopes consented so far.
    consents: BTreeMap<String, BTreeSet<String>>,
}

impl Grants {
    pub(crate) fn add_code(&mut self, fingerprint: String, code: Code, now: i64) {
        // A redeemed or expired code stays for a while: a second use is told from an unknown code.
        self.codes.retain(|_, c| c.expires + 3600 > now);
        evict(&mut self.codes, MAX_CODES, |c| c.expires);
        self.codes.insert(fingerprint, code);
    }

    pub(crate) fn code(&self, fingerprint: &str) -> Option<&Code> {
        self.codes.get(fingerprint)
    }

    /// Marks a code redeemed; false if it already was.
    pub(crate) fn redeem(&mut self, fingerprint: &str) -> bool {
        self.codes.get_mut(fingerprint).is_some_and(|c| !std::mem::replace(&mut c.redeemed, true))
    }

    pub(crate) fn add_refresh_token(&mut self, fingerprint: String, grant: RefreshGrant, now: i64) {
        self.refresh_tokens.retain(|_, g| g.expires > now);
        evict(&mut self.refresh_tokens, MAX_REFRESH_TOKENS, |g| g.expires);
        self.refresh_tokens.insert(fingerprint, grant);
    }

    pub(crate) fn refresh_token(&self, fingerprint: &str) -> Option<&RefreshGrant> {
        self.refresh_tokens.get(fingerprint)
    }

    /// Marks a refresh token used; where it already was, how many seconds ago.
    pub(crate) fn use_refresh_token(&mut self, fingerprint: &str, now: i64) -> Option<i64> {
        let grant = self.refresh_tokens.get_mut(fingerprint)?;
        if grant.used {
            return Some(now - grant.used_at);
        }
        (grant.used, grant.used_at) = (true, now);
        None
    }

    /// Revokes all refresh tokens that came of the same sign-in at the same client.
    pub(crate) fn revoke_sign_in(&mut self, of: &RefreshGrant) {
        let same = |g: &&mut RefreshGrant| {
            (&g.client_id, &g.username, &g.sid) == (&of.client_id, &of.username, &of.sid)
        };
        self.refresh_tokens.values_mut().filter(same).for_each(|g| g.revoked = true);
    }

    pub(crate) fn revoke(&mut self, username: &str) -> usize {
        let mut count = 0;
        for grant in self.refresh_tokens.values_mut().filter(|g| g.username == username && !g.revoked) {
            grant.revoked = true;
            count += 1;
        }
        count
    }

    /// Whether an assertion comes for the first time.
    pub(crate) fn spend_assertion(&mut self, fingerprint: String, expires: i64, now: i64) -> bool {
        self.assertions.retain(|_, expires| *expires > now);
        if self.assertions.contains_key(&fingerprint) {
            return false;
        }
        evict(&mut self.assertions, MAX_ASSERTIONS, |expires| *expires);
        self.assertions.insert(fingerprint, expires);
        true
    }

    pub(crate) fn browser(&self, fingerprint: &str, now: i64) -> Option<&Browser> {
        self.browsers.get(fingerprint).filter(|b| b.expires > now)
    }

    /// Notes that somebody signed in: the newest first, nobody twice.
    pub(crate) fn sign_in(&mut self, fingerprint: &str, mut account: SignedIn, now: i64) {
        self.browsers.retain(|_, b| b.expires > now);
        if !self.browsers.contains_key(fingerprint) {
            evict(&mut self.browsers, MAX_BROWSERS, |b| b.expires);
        }
        let browser = self.browsers.entry(fingerprint.to_owned()).or_default();
        browser.expires = now + BROWSER_LIFETIME;
        if let Some(old) = browser.accounts.iter().position(|a| a.username == account.username) {
            account.clients.extend(browser.accounts.remove(old).clients);
        }
        browser.accounts.insert(0, account);
        browser.accounts.truncate(MAX_ACCOUNTS);
    }

    /// Ends the browser's sign-in of `username`, or of everybody; returns what ended.
    pub(crate) fn sign_out(&mut self, fingerprint: &str, username: Option<&str>) -> Vec<SignedIn> {
        let Some(browser) = self.browsers.get_mut(fingerprint) else { return Vec::new() };
        let (ended, kept) = std::mem::take(&mut browser.accounts)
            .into_iter()
            .partition(|a| username.is_none_or(|u| a.username == u));
        browser.accounts = kept;
        ended
    }

    pub(crate) fn consents(&self, client_id: &str, username: &str, resource: &str) -> BTreeSet<String> {
        self.consents.get(&consent_key(client_id, username, resource)).cloned().unwrap_or_default()
    }

    pub(crate) fn consent(
        &mut self,
        (client_id, username, resource): (&str, &str, &str),
        scopes: impl IntoIterator<Item = String>,
    ) {
        self.consents.entry(consent_key(client_id, username, resource)).or_default().extend(scopes);
    }

    pub(crate) fn forget_consents(&mut self) {
        self.consents.clear();
    }
}

fn consent_key(client_id: &str, username: &str, resource: &str) -> String {
    format!("{client_id} {username} {resource}")
}

/// Makes room for one more entry: the soonest to expire goes.
fn evict<T>(table: &mut BTreeMap<String, T>, bound: usize, expires: impl Fn(&T) -> i64) {
    while table.len() >= bound {
        let Some(oldest) = table.iter().min_by_key(|(_, v)| expires(v)).map(|(k, _)| k.clone()) else {
            return;
        };
        table.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refresh_token_table_is_bounded_and_the_soonest_to_expire_goes() {
        let mut grants = Grants::default();
        for n in 0..=i64::try_from(MAX_REFRESH_TOKENS).unwrap() {
            let grant = RefreshGrant {
                client_id: String::new(),
                tenant: String::new(),
                username: String::new(),
                auth_time: 0,
                sid: String::new(),
                expires: 100 + n,
                used: false,
                used_at: 0,
                revoked: false,
            };
            grants.add_refresh_token(n.to_string(), grant, 0);
        }
        assert_eq!(grants.refresh_tokens.len(), MAX_REFRESH_TOKENS);
        assert!(grants.refresh_token("0").is_none());
    }
}
