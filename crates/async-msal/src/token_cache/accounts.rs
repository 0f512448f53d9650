//! Accounts in a cache: listing, finding, removing.

use std::sync::Arc;

use serde_json::Value;

use super::table::{Kind, Owner};
use super::{Entry, Field, TokenCache};
use crate::account::Account;
use crate::authority::cloud::same_cloud;
use crate::secret::{AccessToken, IdToken};

impl TokenCache {
    /// The accounts of an authority host, those of its alias names behind them.
    ///
    /// One person may stand here twice: a guest has one entry for each tenant.
    #[must_use]
    pub fn accounts(&self, environment: &str) -> Vec<Account> {
        let all = self.rows(Kind::Account).iter().map(|row| &row.entry);
        accounts(all, environment)
    }

    /// As [`accounts`](Self::accounts), those of one home account id: one for each tenant it was used in.
    #[must_use]
    pub fn accounts_of(&self, environment: &str, home_account_id: &str) -> Vec<Account> {
        let theirs = self.rows_of(Kind::Account, Owner::user(home_account_id, None));
        accounts(theirs.map(|row| &row.entry), environment)
    }

    /// As [`accounts`](Self::accounts), those with this username, in upper or lower case.
    ///
    /// # Security
    ///
    /// A username can be changed and given to somebody else: it is for finding, not for recognising a person.
    #[must_use]
    pub fn accounts_by_username(&self, environment: &str, username: &str) -> Vec<Account> {
        let wanted = username.to_lowercase();
        let mut accounts = self.accounts(environment);
        accounts.retain(|account| account.username.to_lowercase() == wanted);
        accounts
    }

    /// The account of a person, by object id and tenant of a verified id token.
    #[must_use]
    pub fn account_by_local_id(&self, environment: &str, oid: &str, tid: &str) -> Option<Account> {
        let is_theirs = |account: &Account| {
            account.local_account_id.as_deref() == Some(oid)
                && (account.realm.eq_ignore_ascii_case(tid)
                    || !crate::authority::tenant::is_guid(&account.realm))
        };
        self.accounts(environment).into_iter().find(is_theirs)
    }

    /// The raw id token kept for an account.
    #[must_use]
    pub fn id_token(&self, account: &Account, client_id: &str) -> Option<IdToken> {
        let owner = Owner::user(&account.home_account_id, Some(&account.realm));
        let mut theirs = self.rows_of(Kind::IdToken, owner).map(|row| &row.entry);
        let found = theirs.find(|entry| is_of(entry, account) && entry.is(Field::ClientId, client_id));
        found?.secret().cloned().map(IdToken::from_shared)
    }

    /// Removes an account in all its tenants, with all its access and id tokens, and this client's refresh tokens: those of the
    /// client's family too.
    pub fn remove_account(&mut self, account: &Account, client_id: &str) {
        let family = self.family_of(&account.environment, client_id);
        self.remove_where(Kind::RefreshToken, |entry| {
            let of_family = family.as_deref().is_some_and(|family| entry.is(Field::FamilyId, family));
            is_of(entry, account) && (of_family || entry.is(Field::ClientId, client_id))
        });
        for kind in [Kind::AccessToken, Kind::IdToken, Kind::Account] {
            self.remove_where(kind, |entry| is_of(entry, account));
        }
    }

    /// Removes the access tokens that an application got for itself, under the host's alias names too.
    pub fn remove_app_tokens(&mut self, environment: &str, client_id: &str) {
        self.remove_where(Kind::AccessToken, |entry| {
            !entry.has(Field::HomeAccountId)
                && entry.is(Field::ClientId, client_id)
                && entry.text(Field::Environment).is_some_and(|host| same_cloud(host, environment))
        });
    }

    /// Removes the access tokens of which `is_gone` says so, whoever's: one that an API refused would be handed out
    /// again as long as it seems to live. Says whether there were any.
    pub fn remove_access_tokens(&mut self, is_gone: impl Fn(&AccessToken) -> bool) -> bool {
        self.remove_where(Kind::AccessToken, |entry| {
            entry.secret().is_some_and(|secret| is_gone(&AccessToken::from_shared(Arc::clone(secret))))
        })
    }

    /// An extra field of an account's entry.
    #[must_use]
    pub fn account_extra(&self, account: &Account, name: &str) -> Option<Value> {
        let owner = Owner::user(&account.home_account_id, None);
        let mut theirs = self.rows_of(Kind::Account, owner).map(|row| &row.entry);
        let found = theirs.find(|entry| is_account(entry, account))?;
        serde_json::from_str(found.other(name)?.get()).ok()
    }

    /// Sets an extra field of an account's entry; MSAL keeps it until the entry is replaced. MSAL's own fields stay as they
    /// are.
    pub fn set_account_extra(&mut self, account: &Account, name: &str, value: Value) {
        let Ok(value) = serde_json::value::to_raw_value(&value) else { return };
        let Some(table) = self.table_mut(Kind::Account) else { return };
        let mut changed = false;
        for entry in table.entries_mut().filter(|entry| is_account(entry, account)) {
            changed |= entry.set_other(name, &value);
        }
        self.changed |= changed;
    }

    /// The account a sign-in has just written.
    pub(crate) fn account_written(&self, home: &str, environment: &str, realm: &str) -> Option<Account> {
        let mut theirs = self.rows_of(Kind::Account, Owner::user(home, None)).map(|row| &row.entry);
        let found = theirs
            .find(|entry| entry.is(Field::Environment, environment) && entry.is(Field::Realm, realm))?;
        Account::from_entry(found)
    }

    /// The family of first-party clients that a client is known to belong to.
    fn family_of(&self, environment: &str, client_id: &str) -> Option<String> {
        let found = self.rows(Kind::AppMetadata).iter().map(|row| &row.entry).find(|entry| {
            entry.is(Field::ClientId, client_id)
                && entry.text(Field::Environment).is_some_and(|host| same_cloud(host, environment))
        });
        found?.text(Field::FamilyId).map(str::to_owned)
    }
}

fn accounts<'a>(entries: impl Iterator<Item = &'a Entry>, environment: &str) -> Vec<Account> {
    let all = entries.filter_map(Account::from_entry);
    let mut accounts: Vec<_> = all.filter(|account| same_cloud(&account.environment, environment)).collect();
    accounts.sort_by_key(|account| account.environment != environment);
    accounts
}

/// Is it this person's, in whatever tenant?
pub(super) fn is_of(entry: &Entry, account: &Account) -> bool {
    entry.is(Field::HomeAccountId, &account.home_account_id)
        && same_cloud(entry.text(Field::Environment).unwrap_or_default(), &account.environment)
}

fn is_account(entry: &Entry, account: &Account) -> bool {
    is_of(entry, account) && entry.is(Field::Realm, &account.realm)
}
