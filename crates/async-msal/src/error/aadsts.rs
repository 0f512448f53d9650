//! What an AADSTS number means to the caller. For hints and logs: decisions use `error` and `suberror`.
//!
//! Source: Microsoft, "Microsoft Entra authentication and authorization error codes".

use super::Advice;

/// The meaning of an AADSTS number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Meaning {
    /// The redirect address is not registered.
    RedirectUri,
    /// A scope has no consent yet.
    ConsentRequired,
    /// The user declined.
    Declined,
    /// An administrator must consent.
    AdminConsent,
    /// `prompt=none` without a session.
    LoginRequired,
    /// A second factor is needed.
    SecondFactor,
    /// Conditional Access blocks the user or device.
    Blocked,
    /// The sign-in is too old for the tenant's policy.
    SignInFrequency,
    /// The code or refresh token is too old.
    Expired,
    /// The session was revoked.
    Revoked,
    /// The code was redeemed before.
    CodeRedeemed,
    /// The PKCE verifier does not fit.
    VerifierMismatch,
    /// The code belongs to another tenant's endpoint.
    WrongTenant,
    /// The client secret is wrong.
    WrongSecret,
    /// The client secret has expired.
    SecretExpired,
    /// No credential was sent.
    NoCredential,
    /// The registration is a public client's.
    PublicClient,
    /// The client's assertion or certificate is wrong.
    WrongAssertion,
    /// The application is not in the tenant.
    ApplicationUnknown,
    /// The application is switched off.
    ApplicationDisabled,
    /// A single-tenant application was used at `common`.
    SingleTenant,
    /// The API is not in the tenant.
    ResourceUnknown,
    /// A scope is wrong, or two resources in one token request.
    WrongScope,
    /// The user is not in the tenant.
    UserUnknown,
    /// The user is not assigned to the application.
    NotAssigned,
    /// The user's account is expired, disabled or locked.
    AccountUnusable,
    /// The incoming assertion of on-behalf-of is invalid.
    UserAssertion,
    /// The same request again and again.
    RequestLoop,
    /// Will pass.
    Transient,
    /// The request is malformed.
    Malformed,
}

impl Meaning {
    /// What a web application does about it.
    #[must_use]
    pub const fn advice(self) -> Advice {
        match self {
            Self::ConsentRequired => Advice::Consent,
            Self::LoginRequired
            | Self::SecondFactor
            | Self::SignInFrequency
            | Self::Expired
            | Self::Revoked
            | Self::VerifierMismatch
            | Self::WrongTenant => Advice::SignIn,
            Self::Declined => Advice::OfferRetry,
            Self::Blocked
            | Self::AdminConsent
            | Self::UserUnknown
            | Self::NotAssigned
            | Self::AccountUnusable => Advice::ShowMessage,
            Self::CodeRedeemed => Advice::IgnoreIfSignedIn,
            Self::UserAssertion => Advice::RefuseCaller,
            Self::RequestLoop | Self::Transient => Advice::Wait,
            Self::RedirectUri
            | Self::WrongSecret
            | Self::SecretExpired
            | Self::NoCredential
            | Self::PublicClient
            | Self::WrongAssertion
            | Self::ApplicationUnknown
            | Self::ApplicationDisabled
            | Self::SingleTenant
            | Self::ResourceUnknown
            | Self::WrongScope
            | Self::Malformed => Advice::AlertOperator,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::RedirectUri => "Register this redirect address with the application.",
            Self::ConsentRequired => "Send the user to consent to the missing scopes.",
            Self::Declined => "The user declined; offer to try again.",
            Self::AdminConsent => "An administrator of the tenant must consent.",
            Self::LoginRequired => "Send the user to sign in interactively.",
            Self::SecondFactor => "Send the user to sign in again with the claims of this error.",
            Self::Blocked => {
                "A Conditional Access policy blocks this sign-in; ask the tenant's administrator."
            }
            Self::SignInFrequency | Self::Expired | Self::Revoked => "Let the user sign in again.",
            Self::CodeRedeemed => "The answer was submitted twice; if the user is signed in, ignore it.",
            Self::VerifierMismatch => "The answer does not belong to this sign-in; start again.",
            Self::WrongTenant => "Redeem at the tenant whose authorization endpoint was used.",
            Self::WrongSecret => {
                "Use the secret's value, not its id; check that it belongs to this client id."
            }
            Self::SecretExpired => "Make a new client secret; this one has expired.",
            Self::NoCredential => "Configure a client secret or certificate.",
            Self::PublicClient => "Register the redirect address under the platform Web.",
            Self::WrongAssertion => "The certificate or assertion is not the registered one.",
            Self::ApplicationUnknown => {
                "Check the client id and the tenant; an administrator may have to consent."
            }
            Self::ApplicationDisabled => "The application is switched off in the tenant.",
            Self::SingleTenant => "Use the tenant's own authority instead of common.",
            Self::ResourceUnknown => "The API of these scopes is not in the tenant.",
            Self::WrongScope => {
                "Check the scopes: one request names one API, and an application's own token its .default scope."
            }
            Self::UserUnknown => "The user is not in this tenant; use another account or invite the user.",
            Self::NotAssigned => "Assign the user to the application.",
            Self::AccountUnusable => "The user's password or account needs attention at the directory.",
            Self::UserAssertion => "The incoming token is invalid or expired.",
            Self::RequestLoop => "The same request was repeated; keep tokens in the cache and back off.",
            Self::Transient => "Try again later.",
            Self::Malformed => "The request is malformed; please report it.",
        }
    }
}

pub(crate) const fn meaning(code: u64) -> Option<Meaning> {
    Some(match code {
        50011 => Meaning::RedirectUri,
        65001 => Meaning::ConsentRequired,
        65004 => Meaning::Declined,
        90094 | 90095 => Meaning::AdminConsent,
        50058 => Meaning::LoginRequired,
        50072 | 50074 | 50076 | 50078 | 50079 | 50158 => Meaning::SecondFactor,
        53000 | 53001 | 53003 | 530_032 => Meaning::Blocked,
        70043 => Meaning::SignInFrequency,
        70008 | 700_082 | 700_084 => Meaning::Expired,
        50173 | 50089 | 50132 | 50133 => Meaning::Revoked,
        54005 => Meaning::CodeRedeemed,
        501_481 => Meaning::VerifierMismatch,
        700_005 => Meaning::WrongTenant,
        7_000_215 => Meaning::WrongSecret,
        7_000_222 => Meaning::SecretExpired,
        7_000_218 => Meaning::NoCredential,
        700_025 => Meaning::PublicClient,
        700_027 | 50012 | 50027 | 700_021 | 700_023 | 700_024 | 700_211 | 700_212 | 700_213 => {
            Meaning::WrongAssertion
        }
        700_016 | 700_038 => Meaning::ApplicationUnknown,
        7_000_112 => Meaning::ApplicationDisabled,
        50194 => Meaning::SingleTenant,
        500_011 => Meaning::ResourceUnknown,
        70011 | 28002 | 700_022 | 1_002_012 => Meaning::WrongScope,
        50020 | 50034 | 16000 | 51004 | 90072 => Meaning::UserUnknown,
        50105 => Meaning::NotAssigned,
        50055 | 50057 | 50053 => Meaning::AccountUnusable,
        50013 | 500_133 => Meaning::UserAssertion,
        50196 => Meaning::RequestLoop,
        90033 | 90024 | 90006 | 50033 | 90055 => Meaning::Transient,
        9_002_313 | 900_144 | 90014 | 70003 => Meaning::Malformed,
        _ => return None,
    })
}
