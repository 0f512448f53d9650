//! Records of the other layout: after SESSION_LAYOUT was changed, each is read once, rewritten and deleted, so that
//! nobody has to sign in again. COOKIE_NAME must stay, since it begins the keys of both.

use crate::error::Error;
use crate::msal::Msal;
use crate::session::Loaded;
use crate::session_id::{SessionId, SessionLayout, StoreKey};
use crate::store::Operation;
use crate::turns::Rounds;
use crate::{telemetry, user_index};

impl Msal {
    /// The key of `id` in the layout that is not the present one.
    pub(crate) fn other_key(&self, id: &SessionId) -> StoreKey {
        let other = match self.settings().layout() {
            SessionLayout::Sealed => SessionLayout::Aiohttp,
            SessionLayout::Aiohttp => SessionLayout::Sealed,
        };
        StoreKey::new(other, self.settings().cookie_name(), id)
    }

    /// Takes over a record of the other layout; `false` where there is none. What stands under the present key, `{}` of
    /// a sign-out too, is left as it is. The old one is removed only as it was read: where somebody signed out or renewed
    /// meanwhile, the new one goes again, and the old one is looked at anew.
    pub(crate) async fn adopt(&self, id: &SessionId) -> Result<bool, Error> {
        let (old, key) = (self.other_key(id), self.store_key(id));
        let mut rounds = Rounds::new(self, &key);
        loop {
            let Some(stored) = self.store().run(Operation::Load, |store| store.load(&old)).await? else {
                return Ok(false);
            };
            let Some(loaded) = self.understand_stored(&old, stored) else { return Ok(false) };
            let identity = loaded.person.as_ref().map(|person| &person.identity);
            let Some(_) = self.create_under(&key, &loaded.record, identity).await? else {
                // Another request takes it over, or it was signed out under the new key.
                return Ok(true);
            };
            match self.remove_unchanged(&old, &loaded.stored).await {
                Ok(true) => {
                    self.forget_former(&old, &loaded).await;
                    tracing::info!(target: telemetry::TARGET, session = %key.handle(), "record taken over from the other layout");
                    return Ok(true);
                }
                // Two records of one session would outlive its sign-out: rather none of the new.
                changed => {
                    self.store().run(Operation::Delete, |store| store.delete(&key)).await?;
                    changed?;
                }
            }
            rounds.lost().await?;
        }
    }

    async fn forget_former(&self, old: &StoreKey, loaded: &Loaded) {
        let Some(person) = &loaded.person else { return };
        let removed = user_index::remove(self, old, &person.identity, &loaded.record).await;
        if let Err(error) = removed {
            tracing::debug!(target: telemetry::TARGET, %error, "index entry of the other layout stays behind");
        }
    }
}
