//! Addresses of B2C, of AD FS and of a provider without tenants, in the form that the routes know: `/{tenant}/...` with
//! `/v2.0` in its place.

use crate::directory::{POLICY_MARK, PROVIDER};

/// The path that is routed, where it differs from the one that was asked.
pub(crate) fn routed(path: &str) -> Option<String> {
    match path {
        "/.well-known/openid-configuration" => return Some(format!("/{PROVIDER}/v2.0{path}")),
        "/keys" => return Some(format!("/{PROVIDER}/discovery/v2.0{path}")),
        "/authorize" | "/token" | "/logout" => return Some(format!("/{PROVIDER}/oauth2/v2.0{path}")),
        _ => {}
    }
    let mut parts = path.strip_prefix('/')?.splitn(3, '/');
    let (first, second, rest) = (parts.next()?, parts.next()?, parts.next());
    if first.eq_ignore_ascii_case("adfs") {
        return Some(match (second, rest) {
            (".well-known", Some(rest)) => format!("/adfs/v2.0/.well-known/{rest}"),
            ("oauth2" | "discovery", Some(rest)) => format!("/adfs/{second}/v2.0/{rest}"),
            _ => return None,
        });
    }
    let is_policy = second.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("b2c_"));
    is_policy.then(|| format!("/{first}{POLICY_MARK}{second}/{}", rest.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_joins_its_tenant() {
        assert_eq!(routed("/t/B2C_1_in/oauth2/v2.0/token").as_deref(), Some("/t~B2C_1_in/oauth2/v2.0/token"));
    }

    #[test]
    fn adfs_gets_its_version() {
        assert_eq!(routed("/adfs/oauth2/token").as_deref(), Some("/adfs/oauth2/v2.0/token"));
        let metadata = routed("/adfs/.well-known/openid-configuration");
        assert_eq!(metadata.as_deref(), Some("/adfs/v2.0/.well-known/openid-configuration"));
    }

    #[test]
    fn provider_without_tenants_has_its_addresses_at_the_root() {
        assert_eq!(routed("/token").as_deref(), Some("/~openid/oauth2/v2.0/token"));
        let metadata = routed("/.well-known/openid-configuration");
        assert_eq!(metadata.as_deref(), Some("/~openid/v2.0/.well-known/openid-configuration"));
    }

    #[test]
    fn other_addresses_stay() {
        for path in ["/", "/t/oauth2/v2.0/token", "/v1.0/me", "/adfs/login", "/t/b2c"] {
            assert_eq!(routed(path), None, "{path}");
        }
    }
}
