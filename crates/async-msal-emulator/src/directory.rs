//! The tenant: its ids, its people, and what a path segment means.

use std::borrow::Cow;

use crate::persons::{Person, people};
use crate::random::seeded_guid;

/// The tenant of personal accounts, the same everywhere.
const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// Joins tenant and policy in one segment, inside the emulator ([`crate::shape`]).
pub(crate) const POLICY_MARK: char = '~';
/// The segment of the provider without tenants, inside the emulator.
pub(crate) const PROVIDER: &str = "~openid";
const DOMAIN: &str = "contoso.example";

/// Who is there. Fixed at start but for roles.
#[derive(Debug, Clone)]
pub(crate) struct Directory {
    pub(crate) seed: u64,
    pub(crate) tenant_id: String,
    pub(crate) people: Vec<Person>,
}

/// What the first path segment of an address names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tenant {
    Id(String),
    Common,
    Organizations,
    Consumers,
    /// Azure AD B2C: a tenant and one of its policies, written `id/b2c_...` in addresses.
    B2c {
        id: String,
        policy: String,
    },
    /// AD FS of the emulator's own people, at `/adfs`.
    Adfs(String),
    /// An OpenID provider that is none of Microsoft's: its issuer is the emulator's own address, and no path names a
    /// tenant. A client's assertion counts once there.
    Provider(String),
}

/// Who somebody is in the tenant that issues the token.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) person: Person,
    pub(crate) tenant_id: String,
    pub(crate) object_id: String,
}

impl Directory {
    pub(crate) fn new(seed: u64) -> Self {
        let tenant_id = seeded_guid(seed, "tenant");
        let people = people(seed, &tenant_id);
        Self { seed, tenant_id, people }
    }

    /// The tenant of a path segment: the id or the domain of a tenant somebody belongs to, or one of the three words.
    pub(crate) fn tenant(&self, segment: &str) -> Option<Tenant> {
        let segment = segment.to_ascii_lowercase();
        match segment.as_str() {
            "common" => Some(Tenant::Common),
            "organizations" => Some(Tenant::Organizations),
            "consumers" | CONSUMERS => Some(Tenant::Consumers),
            DOMAIN => Some(Tenant::Id(self.tenant_id.clone())),
            "adfs" => Some(Tenant::Adfs(self.tenant_id.clone())),
            PROVIDER => Some(Tenant::Provider(self.tenant_id.clone())),
            id if id.contains(POLICY_MARK) => {
                let (id, policy) = id.split_once(POLICY_MARK)?;
                let Some(Tenant::Id(id)) = self.tenant(id) else { return None };
                Some(Tenant::B2c { id, policy: policy.to_owned() })
            }
            id => {
                let known = id == self.tenant_id || self.people.iter().any(|p| p.home_tenant_id == id);
                known.then(|| Tenant::Id(id.to_owned()))
            }
        }
    }

    pub(crate) fn find(&self, hint: &str) -> Option<&Person> {
        self.people.iter().find(|p| p.is(hint))
    }

    /// The people who can sign in at `tenant`, each with the ids that hold there. A guest signs in to this tenant by
    /// its own id; under `/common` everybody signs in at home.
    pub(crate) fn identities(&self, tenant: &Tenant) -> Vec<Identity> {
        let at = |person: &Person| match tenant {
            Tenant::Id(id) if *id == self.tenant_id => Some((id.clone(), person.object_id.clone())),
            Tenant::Id(id) if *id == person.home_tenant_id => {
                Some((id.clone(), person.home_object_id.clone()))
            }
            Tenant::Common | Tenant::Organizations => {
                Some((person.home_tenant_id.clone(), person.home_object_id.clone()))
            }
            Tenant::B2c { id, .. } | Tenant::Adfs(id) | Tenant::Provider(id)
                if *id == person.home_tenant_id =>
            {
                Some((id.clone(), person.home_object_id.clone()))
            }
            _ => None,
        };
        self.people
            .iter()
            .filter_map(|p| {
                at(p).map(|(tenant_id, object_id)| Identity { person: p.clone(), tenant_id, object_id })
            })
            .collect()
    }

    pub(crate) fn identity(&self, tenant: &Tenant, hint: &str) -> Option<Identity> {
        self.identities(tenant).into_iter().find(|i| i.person.is(hint) || i.object_id == hint)
    }
}

impl Tenant {
    /// The segment of this tenant's own addresses.
    pub(crate) fn segment(&self) -> Cow<'_, str> {
        match self {
            Self::Id(id) => Cow::Borrowed(id),
            Self::Common => Cow::Borrowed("common"),
            Self::Organizations => Cow::Borrowed("organizations"),
            Self::Consumers => Cow::Borrowed(CONSUMERS),
            Self::B2c { id, policy } => Cow::Owned(format!("{id}/{policy}")),
            Self::Adfs(_) => Cow::Borrowed("adfs"),
            Self::Provider(_) => Cow::Borrowed(PROVIDER),
        }
    }

    /// What `iss` says; a template where the tenant depends on who signs in. External ID has a host for each tenant.
    pub(crate) fn issuer(&self, base_url: &str) -> String {
        match self {
            Self::Common | Self::Organizations => format!("{base_url}/{{tenantid}}/v2.0"),
            Self::Id(id) => format!("{}/{id}/v2.0", ciam_base(base_url, id).as_deref().unwrap_or(base_url)),
            Self::Consumers => format!("{base_url}/{CONSUMERS}/v2.0"),
            Self::B2c { id, .. } => format!("{base_url}/{id}/v2.0/"),
            Self::Adfs(_) => format!("{base_url}/adfs"),
            Self::Provider(_) => base_url.to_owned(),
        }
    }

    /// Where tokens are asked for.
    pub(crate) fn token_endpoint(&self, base_url: &str) -> String {
        self.address(base_url, "oauth2", "token")
    }

    /// The address of one endpoint. AD FS has no `/v2.0` in it.
    pub(crate) fn address(&self, base_url: &str, group: &str, name: &str) -> String {
        match self {
            Self::Provider(_) => format!("{base_url}/{name}"),
            Self::Adfs(_) => format!("{base_url}/adfs/{group}/{name}"),
            _ => format!("{base_url}/{}/{group}/v2.0/{name}", self.segment()),
        }
    }
}

fn ciam_base(base_url: &str, tenant_id: &str) -> Option<String> {
    let (scheme, host) = base_url.split_once("://")?;
    let (_, rest) = host.split_once('.').filter(|(_, rest)| rest.starts_with("ciamlogin.com"))?;
    Some(format!("{scheme}://{tenant_id}.{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_other_ids_here_than_at_home() {
        let directory = Directory::new(0);
        let here =
            directory.identity(&Tenant::Id(directory.tenant_id.clone()), "gil@fabrikam.example").unwrap();
        let home = directory.identity(&Tenant::Common, "gil@fabrikam.example").unwrap();
        assert_ne!(here.object_id, home.object_id);
        assert_ne!(here.tenant_id, home.tenant_id);
    }

    #[test]
    fn an_unknown_tenant_is_none() {
        assert_eq!(Directory::new(0).tenant("nobody.example"), None);
    }
}
