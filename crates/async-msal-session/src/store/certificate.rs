//! Telling a server's certificate that was refused from a connection that failed.

use std::error::Error as StdError;
use std::sync::Arc;

/// Whether TLS refused the server's certificate: no waiting mends that.
pub(crate) fn was_refused(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(mut error) = cause {
        // redis shares its causes.
        if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
            error = &**shared;
        }
        let by_tls = match error.downcast_ref::<std::io::Error>() {
            // What an I/O error wraps is not among its sources.
            Some(wrapping) => wrapping.get_ref().and_then(|wrapped| wrapped.downcast_ref()),
            None => error.downcast_ref(),
        };
        if matches!(by_tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_certificate_is_found_inside_and_nothing_else_is_taken_for_one() {
        let refused = || rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(was_refused(&refused()));
        assert!(was_refused(&std::io::Error::other(refused())));
        #[cfg(feature = "redis")]
        assert!(was_refused(&redis::RedisError::from(std::io::Error::other(refused()))));
        assert!(!was_refused(&std::io::Error::other(rustls::Error::DecryptError)));
        assert!(!was_refused(&std::io::Error::from(std::io::ErrorKind::ConnectionReset)));
    }
}
