//! How far a new key reaches: until when, from where, for which cluster, with which certificate.

use kgrca_core::api::{KeyLimits, MAX_KEY_SECONDS, MAX_NETWORKS, MIN_KEY_SECONDS};
use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use kgrca_core::tenancy::{ApiKey, Network, Scope};

use super::error::{Error, Result};
use super::text;

/// The longest name of a cluster.
const MAX_CLUSTER: usize = 253;

/// Limits of the key with which others are created. Otherwise a stolen key could create one that
/// works from everywhere, without the certificate, and for longer.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub networks: Vec<Network>,
    pub certificate: Option<String>,
    pub expires_at: Option<Time>,
}

impl Bounds {
    /// Gives a new key these limits where it has none or wider ones.
    ///
    /// # Errors
    /// `forbidden` for a network or a certificate that the key does not have itself.
    pub fn narrow(&self, key: &mut ApiKey) -> Result<()> {
        key.expires_at = [self.expires_at, key.expires_at]
            .into_iter()
            .flatten()
            .min();
        if key.allowed_networks.is_empty() {
            key.allowed_networks.clone_from(&self.networks);
        }
        let is_within = |new: &&Network| self.networks.iter().any(|own| own.includes(new));
        let mut outside = key.allowed_networks.iter().filter(|new| !is_within(new));
        if let Some(network) = outside.next().filter(|_| !self.networks.is_empty()) {
            let message = format!("{network} is outside the networks of your own key");
            return Err(Error::forbidden(message));
        }
        let Some(own) = &self.certificate else {
            return Ok(());
        };
        if key.certificate_sha256.get_or_insert_with(|| own.clone()) != own {
            return Err(Error::forbidden(
                "your own key is bound to another certificate",
            ));
        }
        Ok(())
    }

    /// Whether a key reaches no further than these limits.
    pub fn cover(&self, key: &ApiKey) -> bool {
        let is_within = |network: &Network| self.networks.iter().any(|own| own.includes(network));
        let networks = &key.allowed_networks;
        let in_networks =
            self.networks.is_empty() || (!networks.is_empty() && networks.iter().all(is_within));
        let in_time = match self.expires_at {
            None => true,
            Some(own) => key.expires_at.is_some_and(|at| at <= own),
        };
        let with_certificate =
            self.certificate.is_none() || self.certificate == key.certificate_sha256;
        in_networks && in_time && with_certificate
    }
}

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

    use crate::api_key;

    use super::*;

    #[test]
    fn a_key_passes_its_own_limits_on() {
        let network = |text: &str| Network::parse(text).unwrap();
        let own = Bounds {
            networks: vec![network("10.0.0.0/8"), network("2001:db8::/32")],
            certificate: Some("a".repeat(64)),
            expires_at: Some(Time(100)),
        };
        let key = |networks: &[&str], expires_at: Option<i64>| {
            let mut new = api_key::new_key(None, "new", vec![Scope::Read]).key;
            new.allowed_networks = networks.iter().map(|n| network(n)).collect();
            new.expires_at = expires_at.map(Time);
            new
        };
        let mut new = key(&[], None);
        own.narrow(&mut new).unwrap();
        assert_eq!(new.allowed_networks, own.networks);
        assert_eq!(new.expires_at, own.expires_at);
        assert_eq!(new.certificate_sha256, own.certificate);
        let mut narrower = key(&["10.2.0.0/16"], Some(50));
        own.narrow(&mut narrower).unwrap();
        assert_eq!(narrower.allowed_networks, [network("10.2.0.0/16")]);
        assert_eq!(narrower.expires_at, Some(Time(50)));
        for wider in ["0.0.0.0/0", "11.0.0.1", "2001::/16"] {
            let refused = own.narrow(&mut key(&[wider], None)).unwrap_err();
            assert!(refused.message.starts_with(wider), "{}", refused.message);
        }
        let mut other = key(&[], None);
        other.certificate_sha256 = Some("b".repeat(64));
        assert!(own.narrow(&mut other).is_err());
        assert!(own.cover(&new) && own.cover(&narrower));
        assert!(!own.cover(&key(&[], None)) && !own.cover(&other));
        let mut free = key(&[], None);
        assert!(Bounds::default().cover(&free));
        Bounds::default().narrow(&mut free).unwrap();
        assert_eq!((free.allowed_networks.len(), free.expires_at), (0, None));
    }

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
