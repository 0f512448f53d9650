use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use x509_cert::der::Decode as _;

use super::proof::{Means, Proof, Prover};
use super::*;
use crate::authority::AuthorityKind;
use crate::clock::ManualClock;
use crate::error::{ClientAssertionError, ClientCertificateError, ConfigError};
use crate::http_client::{HttpClient, HttpOptions};
use crate::random::SystemRandom;

const ENDPOINT: &str = "https://login.microsoftonline.com/t/oauth2/v2.0/token";
const NOW: i64 = 1_800_000_000;

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/fixtures/client-certificate/", $name)).as_slice()
    };
}

fn certificate() -> ClientCertificate {
    ClientCertificate::from_pem(file!("client.key"), None, file!("client.crt")).unwrap()
}

fn from_key(key: &[u8], passphrase: Option<&str>) -> Result<ClientCertificate, ClientCertificateError> {
    let passphrase = passphrase.map(Passphrase::new);
    reason(ClientCertificate::from_pem(key, passphrase.as_ref(), file!("client.crt")))
}

fn reason<T>(result: Result<T, Error>) -> Result<T, ClientCertificateError> {
    result.map_err(|error| match error {
        Error::Config(ConfigError::ClientCertificate(reason)) => reason,
        other => panic!("{other:?}"),
    })
}

struct Maker {
    prover: Prover,
    http: HttpClient,
    clock: ManualClock,
}

impl Maker {
    fn new(credential: impl Into<ClientCredential>) -> Self {
        Self::at(credential, AuthorityKind::Entra)
    }

    fn at(credential: impl Into<ClientCredential>, authority: AuthorityKind) -> Self {
        let options = HttpOptions::default().with_request_timeout(Duration::from_millis(200));
        let http = HttpClient::new(&options).unwrap();
        Self { prover: Prover::new(credential.into(), authority), http, clock: ManualClock::new(NOW) }
    }

    async fn make(&self) -> Result<String, Error> {
        let means = Means { http: &self.http, clock: &self.clock, random: &SystemRandom };
        let request = AssertionRequest::new("cid", ENDPOINT, ENDPOINT);
        match self.prover.proof(&request, &means).await? {
            Proof::Assertion(assertion) => Ok(assertion.expose_secret().to_owned()),
            Proof::Secret(_) => panic!("a secret"),
        }
    }
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Header and claims, after the signature.
fn verified(jwt: &str, algorithm: &'static dyn VerificationAlgorithm) -> (Value, Value) {
    let der = CertificateDer::from_pem_slice(file!("client.crt")).unwrap();
    let parsed = x509_cert::Certificate::from_der(&der).unwrap();
    let public = parsed.tbs_certificate().subject_public_key_info().subject_public_key.raw_bytes().to_vec();
    let (input, signature) = jwt.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(algorithm, public).verify(input.as_bytes(), &signature).unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    (decode(header), decode(claims))
}

#[tokio::test]
async fn certificate_signs_ps256_with_its_sha256_thumbprint() {
    let jwt = Maker::new(certificate()).make().await.unwrap();
    let (header, claims) = verified(&jwt, &RSA_PSS_2048_8192_SHA256);
    let x5t = URL_SAFE_NO_PAD.decode(header["x5t#S256"].as_str().unwrap()).unwrap();
    let hex: String = x5t.iter().map(|byte| format!("{byte:02x}")).collect();
    // As `openssl x509 -fingerprint -sha256` prints it.
    assert_eq!(hex, "3a41d9a30ea8a933adff8b651c5e34851cdfcb489ada9847431e592fb65892ed");
    assert_eq!(header, serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": header["x5t#S256"]}));
    assert_eq!(claims["aud"], ENDPOINT);
    assert_eq!([&claims["iss"], &claims["sub"]], ["cid", "cid"]);
    assert_eq!(
        [&claims["iat"], &claims["nbf"], &claims["exp"]].map(Value::as_i64),
        [NOW, NOW, NOW + 600].map(Some)
    );
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn rs256_names_the_sha1_thumbprint() {
    let by_choice = Maker::new(certificate().with_algorithm(AssertionAlgorithm::Rs256));
    for maker in [by_choice, Maker::at(certificate(), AuthorityKind::Adfs)] {
        let (header, _) = verified(&maker.make().await.unwrap(), &RSA_PKCS1_2048_8192_SHA256);
        assert_eq!(header["alg"], "RS256");
        let x5t = URL_SAFE_NO_PAD.decode(header["x5t"].as_str().unwrap()).unwrap();
        let hex: String = x5t.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, certificate().thumbprint());
        assert!(header.get("x5t#S256").is_none() && header.get("x5c").is_none());
    }
}

#[tokio::test]
async fn x5c_is_sent_on_request_with_the_keys_own_certificate_first() {
    let chain = [file!("ca.crt"), file!("client.crt")].concat();
    let certificate = ClientCertificate::from_pem(file!("client.key"), None, &chain).unwrap().with_x5c();
    let (header, _) = verified(&Maker::new(certificate).make().await.unwrap(), &RSA_PSS_2048_8192_SHA256);
    let expected = [file!("client.crt"), file!("ca.crt")]
        .map(|pem| STANDARD.encode(CertificateDer::from_pem_slice(pem).unwrap()));
    assert_eq!(header["x5c"], serde_json::json!(expected));
}

#[test]
fn keys_of_every_usual_form_are_read() {
    for key in [file!("client.key"), file!("client-pkcs1.key")] {
        from_key(key, None).unwrap();
    }
    for key in [file!("client-aes256.key"), file!("client-aes128-sha1.key")] {
        from_key(key, Some("correct")).unwrap();
    }
}

#[test]
fn key_and_certificate_may_stand_in_one_text() {
    let both = [file!("client.crt"), file!("client.key")].concat();
    ClientCertificate::from_pem(&both, None, &both).unwrap();
}

#[test]
fn unusable_keys_are_typed() {
    use ClientCertificateError::{KeyNotRsa, NoKey, Passphrase, UnsupportedEncryption};
    for (key, passphrase, expected) in [
        (file!("client-aes256.key"), None, Passphrase),
        (file!("client-aes256.key"), Some("wrong"), Passphrase),
        (file!("client-des3.key"), Some("correct"), UnsupportedEncryption),
        (file!("client-scrypt.key"), Some("correct"), UnsupportedEncryption),
        (file!("client-legacy.key"), Some("correct"), UnsupportedEncryption),
        (file!("ec.key"), None, KeyNotRsa),
        (file!("client.crt"), None, NoKey),
        (b"".as_slice(), None, NoKey),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA".as_slice(), Some("correct"), NoKey),
    ] {
        assert_eq!(from_key(key, passphrase).unwrap_err(), expected);
    }
}

#[test]
fn certificate_of_another_key_is_refused() {
    let found = reason(ClientCertificate::from_pem(file!("client.key"), None, file!("ca.crt")));
    assert_eq!(found.unwrap_err(), ClientCertificateError::KeyMismatch);
}

#[test]
fn text_without_a_certificate_is_refused() {
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".as_slice();
    for text in [b"".as_slice(), file!("client.key"), broken] {
        let found = reason(ClientCertificate::from_pem(file!("client.key"), None, text));
        assert_eq!(found.unwrap_err(), ClientCertificateError::NoCertificate);
    }
}

#[cfg(feature = "pfx")]
#[test]
fn pfx_of_today_and_of_yesterday_is_read() {
    for bytes in [file!("client.pfx"), file!("client-3des.pfx")] {
        let found = ClientCertificate::from_pfx(bytes, &Passphrase::new("correct")).unwrap();
        assert_eq!(found.thumbprint(), certificate().thumbprint());
    }
}

#[cfg(feature = "pfx")]
#[test]
fn pfx_errors_are_typed() {
    use ClientCertificateError::{Passphrase as Wrong, Pfx};
    for (bytes, passphrase, expected) in [
        (file!("client.pfx"), "wrong", Wrong),
        (file!("client.pfx"), "", Wrong),
        (file!("client.crt"), "correct", Pfx),
    ] {
        let found = reason(ClientCertificate::from_pfx(bytes, &Passphrase::new(passphrase)));
        assert_eq!(found.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn key_with_a_bare_thumbprint_signs_rs256() {
    let thumbprint = certificate().thumbprint();
    let colons: String = thumbprint
        .char_indices()
        .map(|(at, digit)| format!("{}{digit}", if at > 0 && at % 2 == 0 { ":" } else { "" }))
        .collect();
    for text in [thumbprint.clone(), colons] {
        let bare = ClientCertificate::from_key_and_thumbprint(file!("client.key"), None, &text).unwrap();
        let bare = bare.with_x5c().with_algorithm(AssertionAlgorithm::Ps256);
        let (header, _) = verified(&Maker::new(bare).make().await.unwrap(), &RSA_PKCS1_2048_8192_SHA256);
        assert!(header["x5t"].is_string() && header.get("x5c").is_none());
    }
    for text in ["", "12", "zz", &thumbprint[1..], &"é".repeat(20)] {
        let found = reason(ClientCertificate::from_key_and_thumbprint(file!("client.key"), None, text));
        assert_eq!(found.unwrap_err(), ClientCertificateError::Thumbprint);
    }
}

#[test]
fn debug_shows_nothing_but_the_thumbprint() {
    let text = format!("{:?}", ClientCredential::from(certificate()));
    assert_eq!(
        text,
        format!("Certificate(ClientCertificate {{ thumbprint: \"{}\", .. }})", certificate().thumbprint())
    );
    let app_service = ManagedIdentity::app_service("http://127.0.0.1:1/msi", "canary").unwrap();
    assert!(!format!("{app_service:?}").contains("canary"));
}

#[tokio::test]
async fn signed_assertion_is_used_for_nine_minutes() {
    let maker = Maker::new(certificate());
    let first = maker.make().await.unwrap();
    maker.clock.set(NOW + 539);
    assert_eq!(maker.make().await.unwrap(), first);
    maker.clock.set(NOW + 540);
    assert_ne!(maker.make().await.unwrap(), first);
}

#[tokio::test]
async fn generic_provider_never_sees_a_signed_assertion_twice() {
    let maker = Maker::at(certificate(), AuthorityKind::Oidc);
    let made = [maker.make().await.unwrap(), maker.make().await.unwrap()];
    let [first, second] = made.map(|jwt| decode(jwt.split('.').nth(1).unwrap())["jti"].clone());
    assert_ne!(first, second);
}

#[tokio::test]
async fn refused_assertion_is_not_sent_again() {
    let maker = Maker::new(certificate());
    let first = maker.make().await.unwrap();
    maker.prover.forget();
    assert_ne!(maker.make().await.unwrap(), first);
}

fn jwt_until(exp: i64) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{exp}}}")))
}

/// A callback that counts its calls, in a maker.
fn counting(text: &'static str, exp: Option<i64>) -> (Maker, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let credential = ClientCredential::assertion(move |request| {
        assert_eq!((request.client_id.as_str(), request.token_endpoint.as_str()), ("cid", ENDPOINT));
        counter.fetch_add(1, Ordering::Relaxed);
        let text = exp.map_or_else(|| text.to_owned(), jwt_until);
        async move {
            tokio::task::yield_now().await;
            Ok(ClientAssertion::new(text))
        }
    });
    (Maker::new(credential), calls)
}

#[tokio::test]
async fn callbacks_assertion_is_kept_until_a_minute_before_it_expires() {
    let (maker, calls) = counting("", Some(NOW + 300));
    for (now, expected) in [(NOW, 1), (NOW + 239, 1), (NOW + 240, 2)] {
        maker.clock.set(now);
        maker.make().await.unwrap();
        assert_eq!(calls.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test]
async fn callback_without_an_expiry_is_asked_each_time() {
    let (maker, calls) = counting("opaque", None);
    maker.make().await.unwrap();
    maker.make().await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn many_askers_share_one_call() {
    let (maker, calls) = counting("", Some(NOW + 300));
    let made = futures_util::future::join_all((0..50).map(|_| maker.make())).await;
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn failing_callback_is_a_typed_error() {
    let credential = ClientCredential::assertion(|_| async { Err("the vault is sealed".into()) });
    let error = Maker::new(credential).make().await.unwrap_err();
    assert!(
        matches!(&error, Error::ClientAssertion(ClientAssertionError::Failed(_))) && error.is_retryable()
    );
    assert_eq!(error.to_string(), "client assertion: its source failed");
}

#[tokio::test]
async fn hanging_callback_ends_at_the_time_limit() {
    let maker = Maker::new(ClientCredential::assertion(|_| std::future::pending()));
    let error = maker.make().await.unwrap_err();
    assert!(matches!(error, Error::ClientAssertion(ClientAssertionError::TimedOut)));
}

#[tokio::test]
async fn unusable_assertion_is_a_typed_error() {
    for text in ["", "two words", "line\nbreak"] {
        let error = counting(text, None).0.make().await.unwrap_err();
        assert!(matches!(error, Error::ClientAssertion(ClientAssertionError::Malformed)), "{text:?}");
    }
}

#[tokio::test]
async fn projected_token_is_read_again_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let maker = Maker::new(ClientCredential::Assertion(Arc::new(FederatedTokenFile::new(&path))));
    let error = maker.make().await.unwrap_err();
    assert!(matches!(error, Error::ClientAssertion(ClientAssertionError::Failed(_))), "{error:?}");
    for exp in [NOW + 3_600, NOW + 7_200] {
        std::fs::write(&path, format!("{}\n", jwt_until(exp))).unwrap();
        assert_eq!(maker.make().await.unwrap(), jwt_until(exp));
    }
}

#[tokio::test]
async fn projected_token_that_is_none_is_refused_by_name_and_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let maker = Maker::new(ClientCredential::Assertion(Arc::new(FederatedTokenFile::new(&path))));
    for content in [None, Some("x".repeat(64 * 1024 + 1))] {
        content.into_iter().for_each(|content| std::fs::write(&path, content).unwrap());
        let error = maker.make().await.unwrap_err();
        let Error::ClientAssertion(ClientAssertionError::Failed(source)) = error else { panic!("{error:?}") };
        assert!(source.to_string().starts_with(path.to_str().unwrap()), "{source}");
    }
}

#[tokio::test]
async fn silent_managed_identity_is_a_typed_error() {
    // A port that nothing listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let identity = ManagedIdentity::imds(&format!("http://{free}")).unwrap();
    let error = Maker::new(identity).make().await.unwrap_err();
    assert!(["client_assertion", "unreachable"].contains(&error.code()) && error.is_retryable());
    assert!(
        ManagedIdentity::imds("ftp://x").is_err()
            && ManagedIdentity::app_service("http://x", "a\nb").is_err()
    );
}

#[test]
fn expiry_of_the_certificate_is_told() {
    // 2126-10-31 12:02:54 UTC, as `openssl x509 -enddate` prints it.
    assert_eq!(certificate().not_after(), Some(4_949_121_774));
}
