//! Client assertions (RFC 7523 3): signed by a registered certificate, or by an issuer that the registration trusts.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::aadsts::Aadsts;
use crate::client::ClientRegistration;
use crate::directory::Tenant;
use crate::random::fingerprint;
use crate::state::{Shared, lock};

/// The audience of federated credentials.
pub(crate) const EXCHANGE: &str = "api://AzureADTokenExchange";
/// How far two clocks may differ, in seconds.
const SKEW: i64 = 300;

/// Whom an assertion must be for.
pub(crate) struct Audience<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) base_url: &'a str,
}

struct Assertion<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    input: &'a str,
    signature: &'a str,
}

pub(crate) fn check(
    shared: &Shared,
    client: &ClientRegistration,
    text: &str,
    audience: &Audience<'_>,
) -> Result<(), Aadsts> {
    let assertion = Assertion::parse(text).ok_or_else(Aadsts::invalid_jwt)?;
    assertion.check_times(shared.now())?;
    if assertion.claim("iss").eq_ignore_ascii_case(&client.client_id) {
        assertion.check_certificate(client)?;
        assertion.check_own_claims(client, audience)?;
        if matches!(audience.tenant, Tenant::Provider(_)) { assertion.spend(shared, client) } else { Ok(()) }
    } else {
        assertion.check_federated(shared, client)
    }
}

impl<'a> Assertion<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (input, signature) = text.rsplit_once('.')?;
        let (header, claims) = input.split_once('.')?;
        let decode = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self { header: decode(header)?, claims: decode(claims)?, input, signature })
    }

    fn claim(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    fn time(&self, name: &str) -> Option<i64> {
        self.claims.get(name).and_then(Value::as_f64).map(whole)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    /// `exp` is required and not passed. MSAL Python sends fractions (RFC 7519 2, NumericDate).
    fn check_times(&self, now: i64) -> Result<(), Aadsts> {
        let good = self.time("exp").is_some_and(|exp| now < exp.saturating_add(SKEW))
            && self.time("nbf").is_none_or(|nbf| nbf <= now.saturating_add(SKEW));
        if good { Ok(()) } else { Err(Aadsts::assertion_times()) }
    }

    /// The certificate is found by its thumbprint, SHA-1 for RS256 and SHA-256 for PS256, and signed this.
    fn check_certificate(&self, client: &ClientRegistration) -> Result<(), Aadsts> {
        let (name, hash, algorithm): (_, _, &'static dyn VerificationAlgorithm) = match self.header("alg") {
            Some("RS256") => ("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY, &RSA_PKCS1_2048_8192_SHA256),
            Some("PS256") => ("x5t#S256", &digest::SHA256, &RSA_PSS_2048_8192_SHA256),
            _ => return Err(Aadsts::invalid_jwt()),
        };
        let thumbprint = self.header(name).unwrap_or_default().trim_end_matches('=');
        let is_named = |der: &Vec<u8>| URL_SAFE_NO_PAD.encode(digest::digest(hash, der)) == thumbprint;
        let der = client.certificates().into_iter().find(is_named).ok_or_else(Aadsts::assertion_unknown)?;
        // RFC 7515 4.1.6: what is sent along begins with the certificate that signed.
        // MSAL Python leaves the line breaks of PEM inside.
        let first = |chain: &Value| {
            let first = chain.get(0).and_then(Value::as_str).unwrap_or_default();
            first.split_whitespace().collect::<String>()
        };
        if self.header.get("x5c").is_some_and(|chain| first(chain) != STANDARD.encode(&der)) {
            return Err(Aadsts::assertion_unknown());
        }
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|_| Aadsts::assertion_unknown())?;
        let signature = URL_SAFE_NO_PAD.decode(self.signature).map_err(|_| Aadsts::invalid_jwt())?;
        UnparsedPublicKey::new(algorithm, &parsed.public_key().subject_public_key.data)
            .verify(self.input.as_bytes(), &signature)
            .map_err(|_| Aadsts::assertion_unknown())
    }

    fn check_own_claims(&self, client: &ClientRegistration, audience: &Audience<'_>) -> Result<(), Aadsts> {
        if !self.claim("sub").eq_ignore_ascii_case(&client.client_id) {
            return Err(Aadsts::assertion_subject());
        }
        let Audience { tenant, base_url } = audience;
        if ![tenant.token_endpoint(base_url), tenant.issuer(base_url)]
            .iter()
            .any(|aud| aud == self.claim("aud"))
        {
            return Err(Aadsts::assertion_realm());
        }
        if self.claim("jti").is_empty() { Err(Aadsts::invalid_jwt()) } else { Ok(()) }
    }

    /// RFC 7523 3, item 7: a `jti` counts once, as long as its assertion would. Entra ID does not look.
    fn spend(&self, shared: &Shared, client: &ClientRegistration) -> Result<(), Aadsts> {
        let id = fingerprint(&format!("{} {}", client.client_id, self.claim("jti")));
        let expires = self.time("exp").unwrap_or_default().saturating_add(SKEW);
        let fresh = lock(&shared.grants).spend_assertion(id, expires, shared.now());
        if fresh { Ok(()) } else { Err(Aadsts::assertion_replayed()) }
    }

    /// A token of the managed identity or of the projected file, for a subject that the registration lists.
    fn check_federated(&self, shared: &Shared, client: &ClientRegistration) -> Result<(), Aadsts> {
        let key = lock(&shared.keys).find(self.header("kid").unwrap_or_default());
        let signed = self.header("alg") == Some("RS256")
            && key.is_some_and(|key| key.verify(self.input, self.signature));
        if !signed {
            return Err(Aadsts::assertion_unknown());
        }
        let (issuer, subject) = (self.claim("iss"), self.claim("sub"));
        let known = client.federated_credentials.iter().any(|credential| {
            credential.subject == subject && credential.issuer.as_deref().is_none_or(|own| own == issuer)
        });
        if !known {
            return Err(Aadsts::federated_unknown(subject));
        }
        if self.claim("aud") == EXCHANGE {
            Ok(())
        } else {
            Err(Aadsts::federated_audience(self.claim("aud")))
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fractions of a second do not matter; the cast saturates"
)]
fn whole(seconds: f64) -> i64 {
    seconds as i64
}
