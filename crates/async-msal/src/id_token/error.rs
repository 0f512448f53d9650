//! One variant for each check that can refuse an id token.

/// Why an id token is refused. Values of the token that are no secrets stand in the variant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdTokenError {
    /// Not three parts of canonical base64url with JSON objects (RFC 7515 5.2).
    #[error("not a signed token in compact form: {0}")]
    Structure(&'static str),
    /// Five parts: encrypted tokens are not taken (RFC 7516).
    #[error("encrypted tokens are not accepted")]
    Encrypted,
    /// `crit` or `b64` (RFC 7515 4.1.11, RFC 7797).
    #[error("the header demands an extension")]
    Critical,
    /// `typ` of another kind of token (RFC 8725 3.11).
    #[error("the header names another kind of token")]
    Type,
    /// The algorithm is not on the list (RFC 8725 3.1).
    #[error("the signing algorithm is not allowed")]
    Algorithm,
    /// No key of that name, after a refetch where one was allowed.
    #[error("no key of the authority fits")]
    KeyNotFound,
    /// The key belongs to another issuer.
    #[error("the key belongs to another issuer")]
    KeyIssuer,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    Signature,
    /// A required claim is missing.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// A claim has the wrong type or form.
    #[error("the claim {0} has the wrong type or form")]
    Malformed(&'static str),
    /// Another issuer (OpenID Connect Core 3.1.3.7 step 2).
    #[error("issuer: expected {expected:?}, found {found:?}")]
    #[non_exhaustive]
    Issuer {
        /// What it should be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Not for this client, or for others too (step 3).
    #[error("the audience is not this client alone")]
    Audience,
    /// `azp` is another client, or missing beside several audiences (steps 4 and 5).
    #[error("the authorized party is not this client")]
    AuthorizedParty,
    /// Too late (step 9).
    #[error("expired at {exp}, now {now}")]
    #[non_exhaustive]
    Expired {
        /// Unix seconds.
        exp: i64,
        /// Unix seconds.
        now: i64,
    },
    /// Too early (RFC 7519 4.1.5).
    #[error("not valid before {nbf}, now {now}")]
    #[non_exhaustive]
    NotYetValid {
        /// Unix seconds.
        nbf: i64,
        /// Unix seconds.
        now: i64,
    },
    /// Issued in the future or long ago (step 10).
    #[error("issued at {iat}, now {now}")]
    #[non_exhaustive]
    IssuedAt {
        /// Unix seconds.
        iat: i64,
        /// Unix seconds.
        now: i64,
    },
    /// Another sign-in's nonce (step 11).
    #[error("the nonce is not the one of this sign-in")]
    Nonce,
    /// The user's last sign-in is older than `max_age` (step 13).
    #[error("the sign-in is older than allowed")]
    AuthTime,
    /// The access token is not the one this id token came with (3.1.3.8).
    #[error("the access token does not belong to this id token")]
    AccessTokenHash,
    /// `tid` does not agree with the issuer.
    #[error("the tenant does not agree with the issuer")]
    Tenant,
    /// The tenant is not on the list.
    #[error("the tenant is not allowed")]
    TenantNotAllowed,
    /// Personal accounts are not allowed here.
    #[error("personal accounts are not allowed")]
    PersonalAccount,
    /// A logout token that was used before (OpenID Connect Back-Channel Logout 1.0, 2.6 step 8).
    #[error("the token was used before")]
    Replayed,
    /// A refreshed id token changed this claim (OpenID Connect Core 12.2).
    #[error("the claim {0} changed at the refresh")]
    Changed(&'static str),
}

impl IdTokenError {
    /// Whether the token is good for somebody else, or for another application or authority: then it is in
    /// doubt whose session received it. A clock that is off, a key that cannot be had or a broken signature
    /// leave that as it was.
    pub(crate) const fn names_another(&self) -> bool {
        matches!(
            self,
            Self::Changed(_)
                | Self::Issuer { .. }
                | Self::KeyIssuer
                | Self::Audience
                | Self::AuthorizedParty
                | Self::Tenant
                | Self::TenantNotAllowed
                | Self::PersonalAccount
        )
    }
}
