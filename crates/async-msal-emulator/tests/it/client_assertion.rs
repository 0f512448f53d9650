//! Proofs in a secret's place: each claim of an assertion counts, and managed identities answer as Azure's do.

use async_msal_emulator::{ClientRegistration, Emulator};
use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::support::{ADA, REDIRECT, aadsts, builder, claims, code_with, http, post_token, redeem, text};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const NOW: i64 = 1_800_000_000;
const SUBJECT: &str = "system:serviceaccount:shop:web";

struct Certified {
    emulator: Emulator,
    key: KeyPair,
    der: Vec<u8>,
}

impl Certified {
    /// An emulator whose client has a certificate and no secret.
    async fn new() -> Self {
        let emulator = builder().clock(|| NOW).start().await.unwrap();
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let der = pkcs8.as_ref().to_vec().into();
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256).unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let client = ClientRegistration::new(emulator.client_id(), "").with_redirect_uri(REDIRECT);
        let client = client.with_certificate_pem(certificate.pem()).with_federated_credential(SUBJECT);
        emulator.admin().register_client(client).unwrap();
        Self { emulator, key, der: certificate.der().to_vec() }
    }

    fn header(&self) -> Value {
        let thumbprint = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.der);
        json!({"alg": "RS256", "typ": "JWT", "x5t": URL_SAFE_NO_PAD.encode(thumbprint)})
    }

    fn claims(&self) -> Value {
        let id = self.emulator.client_id();
        let audience = format!("{}/oauth2/v2.0/token", self.emulator.authority_url());
        json!({"aud": audience, "iss": id, "sub": id, "iat": NOW, "nbf": NOW, "exp": NOW + 600, "jti": "1"})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).unwrap();
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The number of the refusal; 0 where the token was given.
    async fn send(&self, assertion: &str) -> u64 {
        let fields = [
            ("client_secret", ""),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion),
        ];
        let (status, body) = post_token(&self.emulator, &fields).await;
        if status == 200 { 0 } else { aadsts(&body) }
    }

    /// As [`send`](Self::send), at the provider without tenants.
    async fn send_to_provider(&self, assertion: &str) -> u16 {
        let (url, id) = (format!("{}/token", self.emulator.base_url()), self.emulator.client_id());
        let fields = [
            ("client_id", id.as_str()),
            ("grant_type", "client_credentials"),
            ("scope", "https://graph.microsoft.com/.default"),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion),
        ];
        http().post(url).form(&fields).send().await.unwrap().status().as_u16()
    }

    async fn with_claim(&self, name: &str, value: Value) -> u64 {
        let mut claims = self.claims();
        claims[name] = value;
        self.send(&self.sign(&self.header(), &claims)).await
    }

    async fn with_header(&self, name: &str, value: Value) -> u64 {
        let mut header = self.header();
        header[name] = value;
        self.send(&self.sign(&header, &self.claims())).await
    }
}

#[tokio::test]
async fn each_claim_of_an_assertion_counts() {
    let it = Certified::new().await;
    assert_eq!(it.send(&it.sign(&it.header(), &it.claims())).await, 0);
    let issuer = format!("{}/v2.0", it.emulator.authority_url());
    assert_eq!(it.with_claim("aud", json!(issuer)).await, 0);
    for (name, value, number) in [
        ("aud", json!("https://login.microsoftonline.com/common/oauth2/v2.0/token"), 700_023),
        ("aud", Value::Null, 700_023),
        ("sub", json!("another"), 700_021),
        ("iss", json!("another"), 700_027),
        ("jti", Value::Null, 50_027),
        ("exp", json!(NOW - 600), 700_024),
        ("exp", json!((NOW + 600).to_string()), 700_024),
        ("exp", Value::Null, 700_024),
        ("nbf", json!(NOW + 600), 700_024),
    ] {
        assert_eq!(it.with_claim(name, value.clone()).await, number, "{name} {value}");
    }
}

#[tokio::test]
async fn an_assertion_counts_once_at_the_provider_and_as_often_as_it_comes_at_entra_id() {
    let it = Certified::new().await;
    let assertion = it.sign(&it.header(), &it.claims());
    assert_eq!((it.send(&assertion).await, it.send(&assertion).await), (0, 0));
    let mut claims = it.claims();
    claims["aud"] = json!(it.emulator.base_url());
    let assertion = it.sign(&it.header(), &claims);
    assert_eq!(it.send_to_provider(&assertion).await, 200);
    assert_eq!(it.send_to_provider(&assertion).await, 401);
    // Signed anew, later even: the id is what counts.
    claims["exp"] = json!(NOW + 700);
    assert_eq!(it.send_to_provider(&it.sign(&it.header(), &claims)).await, 401);
    claims["jti"] = json!("2");
    assert_eq!(it.send_to_provider(&it.sign(&it.header(), &claims)).await, 200);
    // Expired and with its time over, it is refused for that.
    it.emulator.admin().advance_clock(1_001);
    assert_eq!(it.send_to_provider(&it.sign(&it.header(), &claims)).await, 401);
}

#[tokio::test]
async fn the_header_names_algorithm_and_certificate() {
    let it = Certified::new().await;
    let own = STANDARD.encode(&it.der);
    assert_eq!(it.with_header("x5c", json!([own])).await, 0);
    for (name, value, number) in [
        ("alg", json!("none"), 50_027),
        ("alg", json!("HS256"), 50_027),
        ("alg", json!("PS256"), 700_027), // without x5t#S256
        ("x5t", json!("AAAA"), 700_027),
        ("x5t", Value::Null, 700_027),
        ("x5c", json!(["AAAA"]), 700_027),
        ("x5c", json!([]), 700_027),
    ] {
        assert_eq!(it.with_header(name, value.clone()).await, number, "{name} {value}");
    }
}

#[tokio::test]
async fn an_altered_or_malformed_assertion_is_refused() {
    let it = Certified::new().await;
    let good = it.sign(&it.header(), &it.claims());
    let (input, _) = good.rsplit_once('.').unwrap();
    assert_eq!(it.send(&format!("{input}.AAAA")).await, 700_027);
    for text in ["x", "a.b", "a.b.c", input] {
        assert_eq!(it.send(text).await, 50_027, "{text}");
    }
}

#[tokio::test]
async fn two_proofs_and_an_unknown_kind_are_refused() {
    let it = Certified::new().await;
    let assertion = it.sign(&it.header(), &it.claims());
    let base = [("grant_type", "client_credentials"), ("client_assertion", assertion.as_str())];
    let both = [&base[..], &[("client_assertion_type", TYPE), ("client_secret", "s")]].concat();
    assert_eq!(aadsts(&post_token(&it.emulator, &both).await.1), 9_002_313);
    let other = [&base[..], &[("client_assertion_type", "saml"), ("client_secret", "")]].concat();
    assert_eq!(aadsts(&post_token(&it.emulator, &other).await.1), 90_023);
}

#[tokio::test]
async fn a_projected_token_is_taken_for_its_subject_alone() {
    let it = Certified::new().await;
    let token = |subject: &str, life| it.emulator.workload_identity_token(subject, life).unwrap();
    assert_eq!(it.send(&token(SUBJECT, 600)).await, 0);
    assert_eq!(it.send(&token("system:serviceaccount:shop:other", 600)).await, 700_213);
    assert_eq!(it.send(&token(SUBJECT, -600)).await, 700_024);
}

#[tokio::test]
async fn the_metadata_service_wants_its_header_version_and_resource() {
    let it = Certified::new().await;
    let base = format!("{}/metadata/identity/oauth2/token", it.emulator.base_url());
    let good = "api-version=2018-02-01&resource=api%3A%2F%2FAzureADTokenExchange";
    let get = |query: &str| http().get(format!("{base}?{query}"));
    let answer: Value = get(good).header("Metadata", "true").send().await.unwrap().json().await.unwrap();
    assert_eq!(claims(text(&answer, "access_token"))["sub"], it.emulator.managed_identity_subject());
    assert_eq!(text(&answer, "expires_on"), (NOW + 86_400).to_string());
    for (query, metadata) in
        [(good, "false"), ("api-version=2018-02-01", "true"), ("api-version=1&resource=r", "true")]
    {
        let answer = get(query).header("Metadata", metadata).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
    }
    assert_eq!(get(good).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn on_behalf_of_wants_a_users_token_for_this_client() {
    let emulator = builder().start().await.unwrap();
    let scope = format!("openid api://{}/access_as_user", emulator.client_id());
    let token = |scope: String| {
        let emulator = &emulator;
        async move {
            let code = code_with(emulator, ADA, &[("scope", &scope)]).await;
            text(&redeem(emulator, &code, &[("scope", &scope)]).await.1, "access_token").to_owned()
        }
    };
    let graphs = token("openid User.Read".to_owned()).await;
    let own = token(scope).await;
    let exchange = |assertion: String, usage: &'static str| {
        let emulator = &emulator;
        async move {
            let fields = [
                ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                ("assertion", assertion.as_str()),
                ("requested_token_use", usage),
                ("scope", "User.Read"),
            ];
            post_token(emulator, &fields).await.1
        }
    };
    let answer = exchange(own.clone(), "on_behalf_of").await;
    let (before, after) = (claims(&own), claims(text(&answer, "access_token")));
    assert_eq!((&before["oid"], &before["tid"]), (&after["oid"], &after["tid"]));
    assert_eq!(aadsts(&exchange(graphs, "on_behalf_of").await), 50_013);
    assert_eq!(aadsts(&exchange("forged".to_owned(), "on_behalf_of").await), 50_013);
    assert_eq!(aadsts(&exchange(own.clone(), "").await), 900_144);
    emulator.admin().advance_clock(3_700);
    assert_eq!(aadsts(&exchange(own, "on_behalf_of").await), 500_133);
}
