//! Tenants, and which spellings of them may enter an address.

use std::fmt;

use crate::error::{ConfigError, Error};

/// A directory, or one of the words that stand for several.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tenant {
    /// A tenant's GUID, lower-case.
    Id(String),
    /// A verified domain, lower-case.
    Domain(String),
    /// Work, school and personal accounts.
    Common,
    /// Work and school accounts.
    Organizations,
    /// Personal accounts.
    Consumers,
}

impl Tenant {
    /// Takes a GUID, a domain, `common`, `organizations` or `consumers`.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for every other text; none of it can reach an address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lower = text.to_ascii_lowercase();
        Ok(match lower.as_str() {
            "common" => Self::Common,
            "organizations" => Self::Organizations,
            "consumers" => Self::Consumers,
            _ if is_guid(&lower) => Self::Id(lower),
            _ if is_domain(&lower) => Self::Domain(lower),
            _ => return Err(ConfigError::Tenant.into()),
        })
    }

    /// As it stands in an address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(text) | Self::Domain(text) => text,
            Self::Common => "common",
            Self::Organizations => "organizations",
            Self::Consumers => "consumers",
        }
    }

    /// The GUID, where one is configured.
    pub(crate) fn guid(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Consumers => Some(super::PERSONAL_TENANT),
            _ => None,
        }
    }

    /// Does it stand for many tenants?
    pub(crate) const fn is_shared(&self) -> bool {
        matches!(self, Self::Common | Self::Organizations | Self::Consumers)
    }

    pub(super) fn of_ciam_host(host: &str) -> Result<Self, Error> {
        let name = host.split('.').next().unwrap_or_default();
        Self::parse(&format!("{name}.onmicrosoft.com"))
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// 8-4-4-4-12 hexadecimal digits.
pub(crate) fn is_guid(text: &str) -> bool {
    let groups = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == groups.len()
        && parts
            .iter()
            .zip(groups)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A host name of one or more labels (RFC 1123 2.1). A bare word is a B2C tenant or an emulator's.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_spellings_are_taken() {
        for text in
            ["common", "11111111-1111-1111-1111-111111111111", "contoso.onmicrosoft.com", "CONTOSO.example"]
        {
            assert!(Tenant::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn spellings_that_could_steer_an_address_are_refused() {
        let long = "a".repeat(300);
        for text in
            ["", "..", "a/b", "a?b", "a#b", "a@b", "%2f", "a\\b", "a。b", ".a", "-a", "a..b", long.as_str()]
        {
            assert!(Tenant::parse(text).is_err(), "{text}");
        }
    }
}
