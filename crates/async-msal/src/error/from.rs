//! Reasons become errors here, and not by `#[from]`, which would make of each the source too of an error whose text says
//! it already.

use super::{
    AuthResponseError, ClientAssertionError, ClientCertificateError, ConfigError, Error, InteractionRequired,
    InvalidResponse, Unreachable, UserAssertionError,
};
use crate::id_token::IdTokenError;
use crate::random::RandomError;
use crate::token_cache::CacheError;

macro_rules! reasons {
    ($($reason:ident => $variant:ident),* $(,)?) => {$(
        impl From<$reason> for Error {
            fn from(reason: $reason) -> Self {
                Self::$variant(reason.into())
            }
        }
    )*};
}

reasons! {
    InteractionRequired => InteractionRequired,
    ConfigError => Config,
    ClientCertificateError => Config,
    Unreachable => Unreachable,
    InvalidResponse => InvalidResponse,
    IdTokenError => IdToken,
    AuthResponseError => AuthResponse,
    ClientAssertionError => ClientAssertion,
    UserAssertionError => UserAssertion,
    CacheError => Cache,
    RandomError => Random,
}

impl From<ClientCertificateError> for ConfigError {
    fn from(reason: ClientCertificateError) -> Self {
        Self::ClientCertificate(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::sync::Arc;

    use super::*;

    fn all() -> Vec<Error> {
        let cause = || Arc::new(std::io::Error::other("the cause"));
        vec![
            InteractionRequired::default().into(),
            ConfigError::Tenant.into(),
            ClientCertificateError::NoKey.into(),
            Unreachable { what: "the token endpoint", reason: "connect", source: Some(cause()) }.into(),
            InvalidResponse::NoIdToken.into(),
            IdTokenError::KeyNotFound.into(),
            Error::RefreshRefused(IdTokenError::KeyNotFound),
            AuthResponseError::CodeMissing.into(),
            ClientAssertionError::Failed(cause()).into(),
            UserAssertionError::Expired.into(),
            CacheError::TooLarge { bytes: 2, largest: 1 }.into(),
            RandomError::new().into(),
        ]
    }

    #[test]
    fn chain_of_an_error_says_nothing_twice() {
        for error in all() {
            let mut said = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                assert!(!said.contains(&cause.to_string()), "{said}: {cause}");
                said = format!("{said}: {cause}");
                source = cause.source();
            }
        }
    }

    #[test]
    fn cause_that_the_text_leaves_out_is_the_source() {
        let with_cause: Vec<_> =
            all().iter().filter_map(|error| error.source()?.to_string().into()).collect();
        assert_eq!(with_cause, ["the cause", "the cause"]);
    }
}
