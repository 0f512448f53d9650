use std::path::Path;
use std::time::Duration;

use super::*;
use crate::env::Env;

const GOOD: [(&str, &str); 5] = [
    ("SP_APP_ID", "app"),
    ("SP_APP_PW", "canary-secret"),
    ("SP_AUTHORITY", "https://login.microsoftonline.com/contoso.example"),
    ("PUBLIC_URL", "https://app.example"),
    ("HOME", "/home/ada"),
];

fn read(more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let env = Env::memory(GOOD.iter().chain(more).copied());
    SettingsSource::new().env(&env, "").read()
}

fn problem(more: &[(&str, &str)]) -> String {
    read(more).unwrap_err().to_string()
}

#[test]
fn all_missing_settings_are_named_at_once() {
    let error =
        SettingsSource::new().env(&Env::memory([("HOME", "/h")]), "APP_").read().unwrap_err().to_string();
    for name in ["APP_SP_APP_ID", "APP_SP_AUTHORITY", "APP_PUBLIC_URL", "APP_SP_APP_PW"] {
        assert!(error.contains(&format!("{name} is missing")), "{error}");
    }
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let settings = read(&[]).unwrap();
    assert_eq!(settings.cookie_name(), "__Host-async_msal");
    assert_eq!(settings.session_idle(), Duration::from_secs(86_400));
    assert_eq!(settings.session_absolute(), Duration::from_secs(30 * 86_400));
    assert_eq!(settings.store_timeout(), Duration::from_millis(500));
    assert_eq!(settings.store(), &StoreUrl::Sqlite("/home/ada/.local/state/async-msal/sessions.db".into()));
    assert!(!settings.debug_route() && !settings.dangerous_allow_loopback_authority());
}

#[test]
fn layout_aiohttp_has_pythons_cookie_name_and_lifetimes() {
    let settings = read(&[("SESSION_LAYOUT", "aiohttp")]).unwrap();
    assert_eq!(settings.cookie_name(), "AIOHTTP_SESSION");
    assert_eq!(settings.session_idle(), Duration::from_secs(90 * 86_400));
    assert_eq!(settings.session_absolute(), Duration::from_secs(90 * 86_400));
}

#[test]
fn the_cookie_name_follows_domain_and_scheme() {
    assert_eq!(read(&[("DOMAIN", "example.org")]).unwrap().cookie_name(), "__Secure-async_msal");
    assert_eq!(read(&[("PUBLIC_URL", "http://localhost:8400")]).unwrap().cookie_name(), "async_msal");
    assert!(problem(&[("COOKIE_NAME", "__Host-x"), ("DOMAIN", "example.org")]).contains("COOKIE_NAME"));
}

#[test]
fn an_unknown_name_is_refused_with_the_nearest_known_in_a_file() {
    let error = SettingsSource::new().toml("SP_APP_IDD = \"x\"").unwrap().read().unwrap_err().to_string();
    assert!(error.contains("SP_APP_IDD is unknown, is SP_APP_ID meant?"), "{error}");
}

#[test]
fn an_unknown_name_is_refused_in_the_environment_where_a_prefix_is_set() {
    let env = Env::memory(GOOD.iter().map(|(name, value)| (format!("APP_{name}"), *value)));
    let error = SettingsSource::new().env(&env, "APP_").read().unwrap_err().to_string();
    assert!(error.contains("APP_HOME is unknown"), "{error}");
    read(&[("SESSION_MANAGER", "local/host")]).unwrap();
}

#[test]
fn an_issuer_takes_the_authoritys_place_and_asks_for_no_scope_of_graph() {
    let good = || GOOD.iter().filter(|(name, _)| *name != "SP_AUTHORITY");
    let issuer = [("SP_ISSUER", "https://id.example/realm")];
    let env = Env::memory(good().chain(&issuer).copied());
    let settings = SettingsSource::new().env(&env, "").read().unwrap();
    assert_eq!((settings.authority(), settings.generic), ("https://id.example/realm", true));
    assert!(settings.scopes().is_empty());
    assert!(problem(&issuer).contains("SP_ISSUER"));
}

/// The settings without a secret.
fn without_secret(more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let good = GOOD.iter().filter(|(name, _)| *name != "SP_APP_PW");
    SettingsSource::new().env(&Env::memory(good.chain(more).copied()), "").read()
}

#[test]
fn a_certificate_a_file_or_an_identity_takes_the_secrets_place() {
    let credential = |more: &[(&str, &str)]| without_secret(more).unwrap().credential;
    let certificate = credential(&[("SP_APP_CERT", "/c.pem"), ("SP_APP_CERT_PW", "canary")]);
    assert!(!format!("{certificate:?}").contains("canary"));
    assert!(
        matches!(certificate, CredentialSetting::Certificate { path, passphrase: Some(_) } if path == Path::new("/c.pem"))
    );
    assert!(matches!(credential(&[("SP_APP_ASSERTION_FILE", "/t")]), CredentialSetting::AssertionFile(_)));
    let identity = |id| credential(&[("SP_APP_MANAGED_IDENTITY", id)]);
    assert!(matches!(identity("system"), CredentialSetting::ManagedIdentity(None)));
    assert!(matches!(identity("cid"), CredentialSetting::ManagedIdentity(Some(id)) if id == "cid"));
}

#[test]
fn hosts_of_authorities_are_a_list() {
    let settings = read(&[("SP_AUTHORITY_HOSTS", "login.internal.example, LOGIN.example")]).unwrap();
    assert_eq!(settings.authority_hosts, ["login.internal.example", "login.example"]);
    assert!(problem(&[("SP_AUTHORITY_HOSTS", "https://login.example/t")]).contains("SP_AUTHORITY_HOSTS"));
}

#[test]
fn exactly_one_credential_is_wanted() {
    assert!(without_secret(&[]).unwrap_err().to_string().contains("SP_APP_PW is missing"));
    assert!(problem(&[("SP_APP_CERT", "/c.pem")]).contains("one credential is wanted"));
    let two = [("SP_APP_CERT", "/c.pem"), ("SP_APP_ASSERTION_FILE", "/t")];
    assert!(without_secret(&two).unwrap_err().to_string().contains("one credential is wanted"));
    assert!(problem(&[("SP_APP_CERT_PW", "canary")]).contains("SP_APP_CERT_PW"));
}

#[test]
fn aiohttp_msals_name_for_the_store_is_understood() {
    let settings = read(&[("REDIS", "redis://user:canary@redis1:6379")]).unwrap();
    assert!(matches!(settings.store(), StoreUrl::Redis(address) if address.scheme() == "redis"));
    assert!(!format!("{settings:?}").contains("canary"));
    let error = problem(&[("REDIS", "redis:user:canary@redis1")]);
    assert!(error.contains("REDIS") && !error.contains("canary"), "{error}");
}

#[test]
fn two_names_for_two_stores_are_refused() {
    let both = |redis| [("STORE_URL", "redis://:canary@redis1"), ("REDIS", redis)];
    let error = problem(&both("redis://:canary@redis2"));
    assert!(error.contains("REDIS") && error.contains("STORE_URL") && !error.contains("canary"), "{error}");
    assert!(matches!(read(&both("redis://:canary@redis1")).unwrap().store(), StoreUrl::Redis(_)));
    assert!(matches!(read(&both("")).unwrap().store(), StoreUrl::Redis(_)));
}

#[test]
fn a_read_cache_is_for_redis() {
    assert!(read(&[("REDIS", "redis://redis1"), ("STORE_CACHE", "on")]).unwrap().store_cache());
    assert!(!read(&[]).unwrap().store_cache());
    assert!(problem(&[("STORE_CACHE", "on")]).contains("STORE_CACHE"));
}

#[test]
fn a_retired_secret_alone_seals_nothing() {
    let problem =
        problem(&[("SP_APP_PW", ""), ("SP_APP_ASSERTION_FILE", "/t"), ("SP_APP_PW_FORMER", "canary")]);
    assert!(problem.contains("SP_APP_PW_FORMER") && !problem.contains("canary"), "{problem}");
}

#[test]
fn neither_debug_nor_an_error_repeats_a_secret() {
    let settings = read(&[("SP_APP_PW_FORMER", "canary-old"), ("SESSION_KEYS", &"0a".repeat(32))]).unwrap();
    assert!(!format!("{settings:?}").contains("canary"));
    assert!(!problem(&[("SESSION_KEYS", "canary"), ("STORE_URL", "canary")]).contains("canary"));
}

#[test]
fn a_file_gives_numbers_switches_and_lists() {
    let text = "SP_APP_ID = \"a\"\nSP_APP_PW = \"b\"\nSP_AUTHORITY = \"https://l/t\"\nPUBLIC_URL = \"https://a\"\n\
                SESSION_IDLE = 60\nDEBUG_ROUTE = true\nALLOWED_HOSTS = [\"api.example\", \"b.example\"]\nDATA_DIR = \"/d\"";
    let settings = SettingsSource::new().toml(text).unwrap().read().unwrap();
    assert_eq!(settings.session_idle(), Duration::from_secs(60));
    assert!(settings.debug_route());
    assert_eq!(settings.allowed_hosts(), ["api.example", "b.example"]);
}

#[test]
fn the_later_source_wins() {
    let env = Env::memory(GOOD);
    let settings = SettingsSource::new().env(&env, "").value("SP_APP_ID", "flag").read().unwrap();
    assert_eq!(settings.app_id(), "flag");
}
