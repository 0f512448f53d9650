//! The accounts of a cache as this client sees them: its authority's, with its own tokens.

use super::ConfidentialClient;
use crate::account::Account;
use crate::authority::Tenant;
use crate::token_cache::TokenCache;

impl ConfidentialClient {
    /// Who signed in at this client's authority, each person once, as MSAL lists them: those under the authority's own
    /// host, or where there are none, those under the host's alias names. `username` takes only those with that name, in
    /// upper or lower case. Of a guest's several entries it is the one in this client's tenant, else the last.
    ///
    /// ```
    /// # use async_msal::{Authority, ClientSecret, ConfidentialClient, TokenCache};
    /// # let client = ConfidentialClient::builder("33333333-3333-3333-3333-333333333333")
    /// #     .authority(Authority::parse("https://login.microsoftonline.com/contoso.onmicrosoft.com")?)
    /// #     .client_secret(ClientSecret::new("from your vault"))
    /// #     .build()?;
    /// let mut cache = TokenCache::new();
    /// for account in client.get_accounts(&cache, Some("ada@contoso.example")) {
    ///     client.remove_account(&mut cache, &account);
    /// }
    /// # Ok::<(), async_msal::Error>(())
    /// ```
    ///
    /// # Security
    ///
    /// A username can be changed and given to somebody else: it is for finding, not for recognising a person. In a cache
    /// that several people share, take the account by [`get_account`](Self::get_account).
    #[must_use]
    pub fn get_accounts(&self, cache: &TokenCache, username: Option<&str>) -> Vec<Account> {
        let mut accounts = cache.accounts(self.environment());
        accounts.retain(|account| matches!(account.authority_type.as_str(), "MSSTS" | "ADFS"));
        // The authority's own host comes first, and where it has accounts, only those count.
        let environment = accounts.first().map(|first| first.environment.clone());
        accounts.retain(|account| Some(&account.environment) == environment.as_ref());
        let mut people: Vec<Account> = Vec::new();
        for account in accounts {
            match people.iter_mut().find(|known| known.home_account_id == account.home_account_id) {
                Some(known) if self.is_at_home(known) => {}
                Some(known) => *known = account,
                None => people.push(account),
            }
        }
        if let Some(wanted) = username.map(str::to_lowercase) {
            people.retain(|account| account.username.to_lowercase() == wanted);
        }
        people
    }

    /// The one with this home account id, as in [`get_accounts`](Self::get_accounts).
    #[must_use]
    pub fn get_account(&self, cache: &TokenCache, home_account_id: &str) -> Option<Account> {
        let accounts = self.get_accounts(cache, None);
        accounts.into_iter().find(|account| account.home_account_id == home_account_id)
    }

    /// Forgets an account: in all its tenants and under all names of its host, with all its access and id tokens, and this
    /// client's refresh tokens, those of its family too. The authority is told nothing: see
    /// [`sign_out_url`](Self::sign_out_url).
    pub fn remove_account(&self, cache: &mut TokenCache, account: &Account) {
        cache.remove_account(account, self.client_id());
    }

    /// Forgets the tokens that this client got for itself, under all names of its authority's host. Those of other clients
    /// and of users stay.
    pub fn remove_tokens_for_client(&self, cache: &mut TokenCache) {
        cache.remove_app_tokens(self.environment(), self.client_id());
    }

    /// Whether an account's entry is the one that this client's tokens belong to.
    fn is_at_home(&self, account: &Account) -> bool {
        matches!(self.authority().tenant(), Some(Tenant::Id(id)) if account.realm.eq_ignore_ascii_case(id))
    }
}
