//! How far a new key reaches: until when, from where, for which cluster, with which certificate.

use kgrca_core::api::{KeyLimits, MAX_KEY_SECONDS, MAX_NETWORKS, MIN_KEY_SECONDS};
use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use kgrca_core::tenancy::{ApiKey, Scope};

use super::error::{Error, Result};
use super::text;

/// The longest name of a cluster.
const MAX_CLUSTER: usize = 253;

/// Sets the limits of a new key.
///
/// # Errors
/// `invalid_request` for limits that cannot be held, or would be of no use.
pub(super) fn set(key: &mut ApiKey, limits: KeyLimits, asks_for_certificates: bool) -> Result<()> {
    key.expires_at = expiry(key.created_at, limits.expires_in_seconds, limits.expires_at)?;
    if limits.allowed_networks.len() > MAX_NETWORKS {
        return Err(Error::invalid(format!(
            "`allowed_networks` must have at most {MAX_NETWORKS} items"
        )));
    }
    key.allowed_networks = limits.allowed_networks;
    if let Some(cluster) = &limits.cluster {
        check_cluster(key, cluster)?;
    }
    key.cluster = limits.cluster;
    if let Some(certificate) = &limits.certificate_sha256 {
        check_certificate(certificate, asks_for_certificates)?;
    }
    key.certificate_sha256 = limits.certificate_sha256;
    Ok(())
}

/// When a key expires that is created now.
pub(super) fn expiry(now: Time, seconds: Option<u32>, at: Option<Time>) -> Result<Option<Time>> {
    let range = |field: &str| {
        let message = format!(
            "`{field}` must be {MIN_KEY_SECONDS} seconds to {} days from now",
            MAX_KEY_SECONDS / 86_400
        );
        Error::invalid(message)
    };
    let lives = |at: Time| {
        let seconds = at.seconds_since(now);
        (f64::from(MIN_KEY_SECONDS)..=f64::from(MAX_KEY_SECONDS)).contains(&seconds)
    };
    match (seconds, at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(Error::invalid(
            "`expires_in_seconds` and `expires_at` exclude each other",
        )),
        (Some(seconds), None) => {
            let at = now.plus(i64::from(seconds) * SECOND);
            lives(at)
                .then_some(Some(at))
                .ok_or_else(|| range("expires_in_seconds"))
        }
        (None, Some(at)) => lives(at)
            .then_some(Some(at))
            .ok_or_else(|| range("expires_at")),
    }
}

fn check_cluster(key: &ApiKey, cluster: &str) -> Result<()> {
    if cluster.is_empty() {
        return Err(Error::invalid("`cluster` is empty"));
    }
    text("cluster", cluster, MAX_CLUSTER)?;
    // A key that can create others could create one without the limit.
    if key.scopes != [Scope::Ingest] {
        return Err(Error::invalid(
            "only a key that can do nothing but send can be bound to a cluster",
        )
        .hint("use the role `agent`"));
    }
    Ok(())
}

fn check_certificate(certificate: &str, asks_for_certificates: bool) -> Result<()> {
    let is_digest = certificate.len() == 64
        && certificate
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_digest {
        return Err(Error::invalid(
            "`certificate_sha256` must be 64 hexadecimal digits in lower case",
        )
        .hint("openssl x509 -in FILE -outform DER | sha256sum"));
    }
    if asks_for_certificates {
        return Ok(());
    }
    Err(
        Error::invalid("this server does not ask for client certificates: the key would not work")
            .hint("start the server with --tls-client-ca"),
    )
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::time::DAY;

    use super::*;

    #[test]
    fn a_key_expires_in_the_future_or_never() {
        let now = Time(1_000 * DAY);
        assert_eq!(expiry(now, None, None).unwrap(), None);
        let day = Some(now.plus(DAY));
        assert_eq!(expiry(now, Some(86_400), None).unwrap(), day);
        assert_eq!(expiry(now, None, day).unwrap(), day);
        for (seconds, at) in [
            (Some(1), None),
            (Some(u32::MAX), None),
            (None, Some(now)),
            (None, Some(now.plus(-DAY))),
            (None, Some(now.plus(4_000 * DAY))),
            (None, Some(Time(i64::MAX))),
            (Some(86_400), day),
        ] {
            assert!(expiry(now, seconds, at).is_err(), "{seconds:?} {at:?}");
        }
    }
}
