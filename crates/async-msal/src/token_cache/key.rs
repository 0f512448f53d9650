//! The keys MSAL writes entries under: parts joined by `-`, then lower-cased.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::pkce::sha256;
use crate::scope::Scopes;

pub(crate) struct Parts<'a> {
    pub(crate) home_account_id: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) realm: &'a str,
}

impl Parts<'_> {
    pub(crate) fn access_token(&self, target: &Scopes, ext_cache_key: Option<&str>) -> String {
        let Self { home_account_id, environment, client_id, realm } = self;
        match ext_cache_key {
            None => format!("{home_account_id}-{environment}-accesstoken-{client_id}-{realm}-{target}"),
            Some(ext) => format!("{home_account_id}-{environment}-atext-{client_id}-{realm}-{target}-{ext}"),
        }
        .to_lowercase()
    }

    /// The realm stays empty: a refresh token is good in every tenant.
    pub(crate) fn refresh_token(&self, target: &Scopes) -> String {
        let Self { home_account_id, environment, client_id, .. } = self;
        format!("{home_account_id}-{environment}-refreshtoken-{client_id}--{target}").to_lowercase()
    }

    pub(crate) fn id_token(&self) -> String {
        let Self { home_account_id, environment, client_id, realm } = self;
        format!("{home_account_id}-{environment}-idtoken-{client_id}-{realm}-").to_lowercase()
    }

    pub(crate) fn account(&self) -> String {
        let Self { home_account_id, environment, realm, .. } = self;
        format!("{home_account_id}-{environment}-{realm}").to_lowercase()
    }

    /// The one key that is not lower-cased.
    pub(crate) fn app_metadata(&self) -> String {
        format!("appmetadata-{}-{}", self.environment, self.client_id)
    }
}

/// The extra part of an access token's key when its request carried parameters of its own: a hash of
/// the non-empty pairs, sorted by name, each with its lengths in bytes.
#[must_use]
pub fn extended_cache_key(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<_> = pairs.iter().filter(|(_, value)| !value.is_empty()).collect();
    pairs.sort_unstable();
    let joined: String =
        pairs.iter().map(|(name, value)| format!("{}:{name}{}:{value}", name.len(), value.len())).collect();
    URL_SAFE_NO_PAD.encode(sha256(joined.as_bytes())).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extended_keys_equal_msals() {
        for (pairs, expected) in [
            (&[("fmi_path", "a/b")][..], "ov4rzjppsoorvfirec6knwpq_ewdthx-s92gexiklps"),
            (&[("fmi_path", "SomeFmiPath/FmiCredentialPath")], "cojvfy5tzae3njpkvcebguvvx5vvmnj8hphqrbogjoi"),
            (&[("client_claims", "{\"a\":1}")], "xdmjlz0zwrstgjaehevog4ojgscbobntwudxxaie1ui"),
            (&[("fmi_path", "é")], "iwrjtfu5h_b7uk_zrnzuf--e8asvkzvpfsifj3e4t60"),
            (&[("b", "2"), ("a", "1"), ("c", "")], "qbbgmw9aetutnzje_lzqthjbpj_-n3jyka74uytptnk"),
        ] {
            assert_eq!(extended_cache_key(pairs), expected);
        }
    }

    #[test]
    fn keys_have_msals_form() {
        let parts = Parts { home_account_id: "U.T", environment: "host", client_id: "Cid", realm: "R" };
        let target = Scopes::parse("User.Read email");
        assert_eq!(parts.access_token(&target, None), "u.t-host-accesstoken-cid-r-user.read email");
        assert_eq!(parts.access_token(&target, Some("x")), "u.t-host-atext-cid-r-user.read email-x");
        assert_eq!(parts.refresh_token(&target), "u.t-host-refreshtoken-cid--user.read email");
        assert_eq!(parts.id_token(), "u.t-host-idtoken-cid-r-");
        assert_eq!(parts.account(), "u.t-host-r");
        assert_eq!(parts.app_metadata(), "appmetadata-host-Cid");
    }
}
