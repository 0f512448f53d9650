//! Microsoft's own client for Python signs in here, over https, and renews silently.
//!
//! Needs python3 with venv and, the first time, the package index; the environment is kept under the target folder.

use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use async_msal_emulator::{ClientRegistration, Emulator, TlsMode};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;

use crate::support::{ADA, REDIRECT, builder};

const MSAL: &str = "msal==1.39.0";

/// A virtual environment with MSAL, made once; tests run side by side.
fn python() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(make).clone()
}

fn make() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("msal-1.39.0");
    let python = folder.join("bin/python");
    let done = folder.join("done");
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            MSAL,
        ]));
        std::fs::write(done, "").unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("python3 is installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Starts MSAL's half; it prints an address to sign in at and reads the answer's form fields.
const CLIENT: &str = r#"
import json, sys, time, urllib.parse, msal
settings = json.loads(sys.argv[1])
cache = msal.SerializableTokenCache()
app = msal.ConfidentialClientApplication(
    settings["client_id"], client_credential=settings["secret"], authority=settings["authority"],
    instance_discovery=False, verify=settings["ca"], token_cache=cache)
flow = app.initiate_auth_code_flow(["User.Read"], redirect_uri=settings["redirect_uri"], response_mode="form_post")
print(flow["auth_uri"], flush=True)
response = dict(urllib.parse.parse_qsl(sys.stdin.readline().strip()))
result = app.acquire_token_by_auth_code_flow(flow, response)
assert "access_token" in result, result
assert result["id_token_claims"]["preferred_username"] == settings["username"], result["id_token_claims"]
account, = app.get_accounts()
assert account["home_account_id"] == settings["home_account_id"], account
hit = app.acquire_token_silent(["User.Read"], account)
assert hit["token_source"] == "cache" and hit["access_token"] == result["access_token"], hit
for entry in list(cache.find("AccessToken")) if hasattr(cache, "find") else []:
    cache.modify("AccessToken", entry, {"expires_on": str(int(time.time()) - 1)})
renewed = app.acquire_token_silent(["User.Read"], account)
assert renewed["token_source"] == "identity_provider", renewed
assert renewed["access_token"] != result["access_token"]
print("renewed", flush=True)
"#;

#[tokio::test]
async fn msal_python_signs_in_and_renews_silently() {
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let (emulator, folder) = https().await;
    let ca = folder.path().join("ca.pem");
    let ada = emulator.users()[0].clone();
    let settings = serde_json::json!({
        "client_id": emulator.client_id(), "secret": emulator.client_secret(), "authority": emulator.authority_url(),
        "ca": ca, "redirect_uri": REDIRECT, "username": ADA,
        "home_account_id": format!("{}.{}", ada.home_object_id, ada.home_tenant_id),
    });
    let mut command = client(&python, CLIENT, &settings);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (auth_uri, mut output) =
        tokio::task::spawn_blocking(move || (line(&mut output), output)).await.unwrap();
    let answer = emulator.authorize(&auth_uri, ADA).await.unwrap();
    let finished = tokio::task::spawn_blocking(move || {
        writeln!(child.stdin.take().unwrap(), "{}", answer.body()).unwrap();
        let last = line(&mut output);
        (last, child.wait_with_output().unwrap())
    });
    let (last, finished) = finished.await.unwrap();
    assert_eq!(last, "renewed", "{}", String::from_utf8_lossy(&finished.stderr));
    assert!(finished.status.success());
    assert_eq!(emulator.admin().counters().token_refresh_token, 1);
}

/// MSAL signs with the certificate, by both algorithms, once for each application object.
const CERTIFIED: &str = r#"
import json, sys, msal
settings = json.loads(sys.argv[1])
for credential in (
    {"private_key": settings["key"], "public_certificate": settings["certificate"]},
    {"private_key": settings["key"], "thumbprint": settings["thumbprint"]},
):
    app = msal.ConfidentialClientApplication(
        settings["client_id"], client_credential=credential, authority=settings["authority"],
        instance_discovery=False, verify=settings["ca"])
    result = app.acquire_token_for_client(["https://graph.microsoft.com/.default"])
    assert "access_token" in result, result
print("certified", flush=True)
"#;

#[tokio::test]
async fn msal_pythons_certificate_assertions_are_accepted() {
    let python = tokio::task::spawn_blocking(python).await.unwrap();
    let (emulator, folder) = https().await;
    let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
    let der = pkcs8.as_ref().to_vec().into();
    let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    let client_id = emulator.client_id();
    let registration = ClientRegistration::new(&client_id, "").with_certificate_pem(certificate.pem());
    emulator.admin().register_client(registration).unwrap();
    let sha1 = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, certificate.der());
    let thumbprint: String = sha1.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    let settings = serde_json::json!({
        "client_id": client_id, "authority": emulator.authority_url(), "ca": folder.path().join("ca.pem"),
        "key": pair.serialize_pem(), "certificate": certificate.pem(), "thumbprint": thumbprint,
    });
    let mut command = client(&python, CERTIFIED, &settings);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "certified", "{errors}");
    assert_eq!(emulator.admin().counters().token_client_credentials, 2);
}

/// An emulator on https, since MSAL speaks nothing else, and a folder with its authority.
async fn https() -> (Emulator, tempfile::TempDir) {
    let emulator = builder().tls(TlsMode::ThrowAway { extra_hosts: Vec::new() }).start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), emulator.ca_pem()).unwrap();
    (emulator, folder)
}

fn client(python: &Path, script: &str, settings: &serde_json::Value) -> Command {
    let mut command = Command::new(python);
    command.arg("-c").arg(script).arg(settings.to_string());
    // Where set, these beat MSAL's own `verify=`; a proxy must not see loopback.
    for name in
        ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
    {
        command.env_remove(name);
    }
    command
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}
