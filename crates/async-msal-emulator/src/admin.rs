use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::client::ClientRegistration;
use crate::counters::Counters;
use crate::error::EmulatorError;
use crate::fault::{FaultRule, IdTokenFaultRule, MAX_RULES};
use crate::logout_token::{self, LogoutTokenRequest};
use crate::policy::Policy;
use crate::state::{Shared, lock};

/// How many clients may be registered.
const MAX_CLIENTS: usize = 64;

/// Settings, counters, keys and faults of a running [`Emulator`](crate::Emulator). Cheap to clone.
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// use async_msal_emulator::{Emulator, Endpoint, Fault, FaultRule};
///
/// let emulator = Emulator::builder().start().await?;
/// let admin = emulator.admin();
/// admin.set_policy(|policy| policy.access_token_lifetime = 60);
/// admin.fail_next(FaultRule::new(Endpoint::Token, Fault::answer(503, "{}")))?;
/// assert_eq!(admin.counters().token(), 0);
/// # Ok::<(), async_msal_emulator::EmulatorError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Admin {
    shared: Arc<Shared>,
}

impl Admin {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The settings as they stand.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.shared.policy()
    }

    /// Changes settings; they hold from the next request on.
    pub fn set_policy(&self, change: impl FnOnce(&mut Policy)) {
        change(&mut lock(&self.shared.policy));
    }

    /// How often each endpoint was asked.
    #[must_use]
    pub fn counters(&self) -> Counters {
        lock(&self.shared.counters).clone()
    }

    /// Sets every counter to zero.
    pub fn reset_counters(&self) {
        *lock(&self.shared.counters) = Counters::default();
    }

    /// Plans a fault. Rules that fit the same request are used up in the order they were planned.
    ///
    /// # Errors
    /// 256 rules are waiting already.
    pub fn fail_next(&self, rule: FaultRule) -> Result<(), EmulatorError> {
        let mut plan = lock(&self.shared.faults);
        room(plan.rules.len())?;
        if rule.count > 0 {
            plan.rules.push(rule);
        }
        Ok(())
    }

    /// Plans a fault of id tokens.
    ///
    /// # Errors
    /// 256 rules are waiting already.
    pub fn fail_next_id_token(&self, rule: IdTokenFaultRule) -> Result<(), EmulatorError> {
        let mut plan = lock(&self.shared.faults);
        room(plan.id_token_rules.len())?;
        if rule.count > 0 {
            plan.id_token_rules.push(rule);
        }
        Ok(())
    }

    /// The faults that wait, those of endpoints and those of id tokens.
    #[must_use]
    pub fn faults(&self) -> (Vec<FaultRule>, Vec<IdTokenFaultRule>) {
        let plan = lock(&self.shared.faults);
        (plan.rules.clone(), plan.id_token_rules.clone())
    }

    /// Forgets all planned faults.
    pub fn clear_faults(&self) {
        *lock(&self.shared.faults) = crate::fault::FaultPlan::default();
    }

    /// Whether a refresh token can be used once only. Off at start, as at Entra ID.
    pub fn strict_single_use_refresh(&self, on: bool) {
        self.set_policy(|policy| policy.single_use_refresh_tokens = on);
    }

    /// Publishes a new key, signs with it, and stops publishing the others.
    ///
    /// # Errors
    /// The key cannot be made or saved.
    ///
    /// # Cancel safety
    /// Dropped, the rotation has happened as a whole, in part, or not at all.
    pub async fn rotate_keys(&self) -> Result<(), EmulatorError> {
        self.publish_new_key().await?;
        self.switch_signer().await?;
        self.remove_old_keys().await
    }

    /// Publishes a new key; the old one still signs.
    ///
    /// # Errors
    /// The key cannot be made or saved, or 16 are published.
    ///
    /// # Cancel safety
    /// Dropped, the key is published or not.
    pub async fn publish_new_key(&self) -> Result<(), EmulatorError> {
        let key = Shared::new_key().await?;
        lock(&self.shared.keys).publish(key)?;
        self.shared.save_identity().await
    }

    /// Signs with the newest published key; the old ones stay published.
    ///
    /// # Errors
    /// The change cannot be saved.
    ///
    /// # Cancel safety
    /// Dropped, the change holds but may not be on disk.
    pub async fn switch_signer(&self) -> Result<(), EmulatorError> {
        lock(&self.shared.keys).switch_to_newest();
        self.shared.save_identity().await
    }

    /// Publishes only the key that signs.
    ///
    /// # Errors
    /// The change cannot be saved.
    ///
    /// # Cancel safety
    /// Dropped, the change holds but may not be on disk.
    pub async fn remove_old_keys(&self) -> Result<(), EmulatorError> {
        lock(&self.shared.keys).remove_others();
        self.shared.save_identity().await
    }

    /// The ids of the published keys, the oldest first.
    #[must_use]
    pub fn published_keys(&self) -> Vec<String> {
        lock(&self.shared.keys).kids()
    }

    /// Revokes all refresh tokens of a person (named by username, mail or id); returns how many.
    ///
    /// # Errors
    /// No such person, or the change cannot be saved.
    ///
    /// # Cancel safety
    /// Dropped, the tokens are revoked but this may not be on disk.
    pub async fn revoke_refresh_tokens(&self, person: &str) -> Result<usize, EmulatorError> {
        let directory = self.shared.directory();
        let person = directory.find(person).ok_or_else(|| EmulatorError::UnknownPerson(person.to_owned()))?;
        let count = lock(&self.shared.grants).revoke(&person.username);
        self.shared.save_grants().await?;
        Ok(count)
    }

    /// Makes a logout token, for the test to send to a back-channel logout address.
    ///
    /// # Errors
    /// No such person, or the crypto library fails.
    pub fn logout_token(&self, request: &LogoutTokenRequest) -> Result<String, EmulatorError> {
        logout_token::make(&self.shared, request)
    }

    /// Forgets every consent a user gave: the consent page is shown again.
    ///
    /// # Errors
    /// The change cannot be saved.
    ///
    /// # Cancel safety
    /// Dropped, the change holds but may not be on disk.
    pub async fn forget_consents(&self) -> Result<(), EmulatorError> {
        lock(&self.shared.grants).forget_consents();
        self.shared.save_grants().await
    }

    /// Sets a person's application roles, the `roles` claim of id tokens made from now on.
    ///
    /// # Errors
    /// No such person.
    pub fn set_roles(&self, person: &str, roles: &[&str]) -> Result<(), EmulatorError> {
        let mut directory = lock(&self.shared.directory);
        let found = directory.people.iter_mut().find(|p| p.is(person));
        let found = found.ok_or_else(|| EmulatorError::UnknownPerson(person.to_owned()))?;
        found.roles = roles.iter().map(|r| (*r).to_owned()).collect();
        Ok(())
    }

    /// Moves the emulator's clock, in seconds: forward to let codes and tokens expire, back with a negative number.
    pub fn advance_clock(&self, seconds: i64) {
        self.shared.clock_offset.fetch_add(seconds, Ordering::Relaxed);
    }

    /// The registered clients.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientRegistration> {
        lock(&self.shared.clients).clone()
    }

    /// Registers a client, or replaces the one with its id.
    ///
    /// # Errors
    /// An address is not absolute, or 64 clients are registered.
    pub fn register_client(&self, client: ClientRegistration) -> Result<(), EmulatorError> {
        client.check()?;
        let mut clients = lock(&self.shared.clients);
        if let Some(known) = clients.iter_mut().find(|c| c.client_id == client.client_id) {
            *known = client;
        } else if clients.len() < MAX_CLIENTS {
            clients.push(client);
        } else {
            return Err(EmulatorError::TooMany(format!("{MAX_CLIENTS} clients are registered")));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("base_url", &self.shared.base_url()).finish_non_exhaustive()
    }
}

fn room(waiting: usize) -> Result<(), EmulatorError> {
    if waiting < MAX_RULES {
        return Ok(());
    }
    Err(EmulatorError::TooMany(format!("{MAX_RULES} faults are waiting; clear them first")))
}
