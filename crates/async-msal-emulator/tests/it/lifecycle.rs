//! Starting, stopping, and what survives a restart.

use std::net::IpAddr;

use async_msal_emulator::{Emulator, EmulatorError, TlsMode};
use serde_json::Value;

use crate::support::{
    ADA, REDIRECT, aadsts, auth_uri, builder, claims, code, emulator, http, redeem, refresh, sign_in, text,
};

#[tokio::test]
async fn a_restart_keeps_keys_secret_codes_and_refresh_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let first = builder().data_dir(folder.path()).start().await.unwrap();
    let (keys, secret) = (first.admin().published_keys(), first.client_secret());
    let ca = first.ca_pem().to_owned();
    let signed_in = sign_in(&first, ADA).await;
    let used = code(&first, ADA).await;
    redeem(&first, &used, &[]).await;
    let code = code(&first, ADA).await;
    first.shutdown().await;

    let second = builder().data_dir(folder.path()).start().await.unwrap();
    assert_eq!(second.admin().published_keys(), keys);
    assert_eq!(second.client_secret(), secret);
    assert_eq!(second.ca_pem(), ca);
    assert_eq!(refresh(&second, text(&signed_in, "refresh_token"), &[]).await.0, 200);
    assert_eq!(redeem(&second, &code, &[]).await.0, 200);
    assert_eq!(aadsts(&redeem(&second, &used, &[]).await.1), 54_005);
    let me = http().get(format!("{}/me", second.graph_url())).bearer_auth(text(&signed_in, "access_token"));
    assert_eq!(me.send().await.unwrap().status(), 200);
}

#[cfg(unix)]
#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made");
    let emulator = builder().data_dir(&path).start().await.unwrap();
    sign_in(&emulator, ADA).await;
    let mode = |p: &std::path::Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap().path();
        assert_eq!(mode(&entry), 0o600, "{}", entry.display());
    }
}

#[tokio::test]
async fn no_refresh_token_stands_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let emulator = builder().data_dir(folder.path()).start().await.unwrap();
    let answer = sign_in(&emulator, ADA).await;
    let grants = std::fs::read_to_string(folder.path().join("emulator-grants.json")).unwrap();
    assert!(!grants.contains(text(&answer, "refresh_token")));
}

#[tokio::test]
async fn a_data_folder_serves_one_emulator_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _first = builder().data_dir(folder.path()).start().await.unwrap();
    let second = builder().data_dir(folder.path()).start().await;
    assert!(matches!(second, Err(EmulatorError::DataFolderInUse(_))));
}

#[tokio::test]
async fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("emulator-identity.json"), "{").unwrap();
    let error = builder().data_dir(folder.path()).start().await.unwrap_err();
    assert!(error.to_string().contains("emulator-identity.json"));
}

#[tokio::test]
async fn two_emulators_share_nothing_but_ids_of_the_same_seed() {
    let start = || Emulator::builder().redirect_uri(REDIRECT).start();
    let (one, two) = (start().await.unwrap(), start().await.unwrap());
    assert_ne!(one.address().port(), two.address().port());
    assert_ne!(one.admin().published_keys(), two.admin().published_keys());
    assert_ne!(one.client_secret(), two.client_secret());
    assert_eq!(one.tenant_id(), two.tenant_id());
    assert_eq!(one.client_id(), two.client_id());
    let signed_in = sign_in(&one, ADA).await;
    assert_eq!(aadsts(&refresh(&two, text(&signed_in, "refresh_token"), &[]).await.1), 70_000);
    assert_eq!(two.admin().counters().token_authorization_code, 0);
}

#[tokio::test]
async fn another_seed_gives_other_ids() {
    let (one, two) = (emulator().await, builder().seed(1).start().await.unwrap());
    assert_ne!(one.tenant_id(), two.tenant_id());
    assert_ne!(one.users()[0].object_id, two.users()[0].object_id);
}

#[tokio::test]
async fn a_stopped_emulator_frees_its_port() {
    let first = emulator().await;
    let port = first.address().port();
    // A connection that is kept open does not hold the port either.
    let http = http();
    http.get(first.authority_url()).send().await.unwrap();
    first.shutdown().await;
    let second = builder().port(port).start().await.unwrap();
    assert_eq!(second.address().port(), port);
}

#[tokio::test]
async fn a_dropped_emulator_frees_its_port() {
    let address = emulator().await.address();
    let free = async {
        while std::net::TcpListener::bind(address).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), free).await.unwrap();
}

#[tokio::test]
async fn consent_and_the_signed_in_browser_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = builder().data_dir(folder.path()).start().await.unwrap();
    let port = first.address().port();
    let query = [("response_mode", "query")];
    let uri = auth_uri(&first, &query);
    let form = [("request", uri.split_once('?').unwrap().1), ("step", "consent"), ("person", ADA)];
    let answer = http().post(format!("{}/login", first.authority_url())).form(&form).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    first.shutdown().await;
    let second = builder().data_dir(folder.path()).port(port).start().await.unwrap();
    let silent = auth_uri(&second, &[query[0], ("prompt", "none")]);
    let answer = http().get(silent).header("cookie", cookie).send().await.unwrap();
    assert!(answer.headers()["location"].to_str().unwrap().contains("code="));
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let first = emulator().await;
    let error = builder().port(first.address().port()).start().await.unwrap_err();
    assert!(matches!(&error, EmulatorError::Bind { .. }));
    assert!(error.to_string().contains(&first.address().port().to_string()));
}

#[tokio::test]
async fn it_listens_on_loopback_unless_told_otherwise() {
    assert!(emulator().await.address().ip().is_loopback());
    let anywhere: IpAddr = "0.0.0.0".parse().unwrap();
    let open = Emulator::builder().dangerous_bind(anywhere).start().await.unwrap();
    assert_eq!(open.address().ip(), anywhere);
}

#[tokio::test]
async fn https_serves_its_leaf_under_an_extra_host_name() {
    let tls = TlsMode::ThrowAway { extra_hosts: vec!["login.example".into()] };
    let emulator = builder().tls(tls).start().await.unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([ca])
        .resolve("login.example", emulator.address())
        .build()
        .unwrap();
    for host in ["127.0.0.1", "localhost", "login.example"] {
        let base = format!("https://{host}:{}", emulator.address().port());
        let url = format!("{base}/{}/v2.0/.well-known/openid-configuration", emulator.tenant_id());
        let body: Value = client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["issuer"], format!("{base}/{}/v2.0", emulator.tenant_id()));
        assert!(text(&body, "token_endpoint").starts_with(&base));
    }
}

#[tokio::test]
async fn instance_discovery_knows_only_this_host() {
    let emulator = emulator().await;
    let host = emulator.address().to_string();
    for version in ["1.0", "1.1"] {
        let endpoint = format!("http://{host}/common/oauth2/v2.0/authorize");
        let url = format!("{}/common/discovery/instance", emulator.base_url());
        let query = [("api-version", version), ("authorization_endpoint", endpoint.as_str())];
        let body: Value = http().get(&url).query(&query).send().await.unwrap().json().await.unwrap();
        assert!(text(&body, "tenant_discovery_endpoint").ends_with("/.well-known/openid-configuration"));
        assert_eq!(body["metadata"][0]["aliases"][0], host);
        let query = [("api-version", version), ("authorization_endpoint", "https://evil.example/common/x")];
        let body: Value = http().get(&url).query(&query).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["error"], "invalid_instance");
    }
}

#[tokio::test]
async fn an_injected_clock_dates_the_tokens() {
    let emulator = builder().clock(|| 1_767_225_600).start().await.unwrap();
    let answer = sign_in(&emulator, ADA).await;
    assert_eq!(claims(text(&answer, "id_token"))["exp"], 1_767_225_600 + 3600);
}

#[tokio::test]
async fn a_shared_signing_key_is_shared_by_those_who_ask_and_rotated_by_each_for_itself() {
    let shared = || Emulator::builder().shared_signing_key().start();
    let (one, two) = (shared().await.unwrap(), shared().await.unwrap());
    let own = Emulator::builder().start().await.unwrap();
    let keys = async |emulator: &Emulator| -> Value {
        let url = format!("{}/discovery/v2.0/keys", emulator.authority_url());
        let body: Value = http().get(url).send().await.unwrap().json().await.unwrap();
        body["keys"][0]["kid"].clone()
    };
    let first = keys(&one).await;
    assert_eq!(keys(&two).await, first);
    assert_ne!(keys(&own).await, first);
    one.admin().rotate_keys().await.unwrap();
    assert_ne!(keys(&one).await, first);
    assert_eq!(keys(&two).await, first);
}
