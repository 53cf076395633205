//! How far a new key reaches, and how that is shown.

use kgrca_core::api::{KeyLimits, MAX_KEY_SECONDS, MIN_KEY_SECONDS};
use kgrca_core::tenancy::{ApiKey, Network};

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct LimitArgs {
    /// Time until the key expires, such as 12h or 90d [default: it does not]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<u32>,
    /// Networks from which the key can be used, such as 10.0.0.0/8 [default: all]
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    allow_network: Vec<Network>,
    /// The only cluster whose records the key can send; for --role agent
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// SHA-256 of the client certificate that the key can be used with, as `openssl x509 -noout
    /// -fingerprint -sha256` prints it
    #[arg(long, value_name = "HEX", value_parser = digest)]
    certificate_sha256: Option<String>,
}

impl From<LimitArgs> for KeyLimits {
    fn from(args: LimitArgs) -> Self {
        Self {
            expires_in_seconds: args.expires_in,
            expires_at: None,
            allowed_networks: args.allow_network,
            cluster: args.cluster,
            certificate_sha256: args.certificate_sha256,
        }
    }
}

/// Seconds of a number with a unit.
pub(super) fn lifetime(text: &str) -> Result<u32, String> {
    let units = [
        ('s', 1),
        ('m', 60),
        ('h', 3600),
        ('d', 86_400),
        ('w', 604_800),
        ('y', 31_536_000),
    ];
    let parse = || {
        let unit = text.chars().next_back()?;
        let (_, seconds) = units.iter().find(|(name, _)| *name == unit)?;
        let number = &text[..text.len() - unit.len_utf8()];
        let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = is_number.then(|| number.parse().ok()).flatten()?;
        number.checked_mul(*seconds)
    };
    match parse() {
        Some(seconds) if (MIN_KEY_SECONDS..=MAX_KEY_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err("expected 1m to 10y: a number with s, m, h, d, w or y".to_owned()),
    }
}

fn network(text: &str) -> Result<Network, String> {
    Network::try_from(text.to_owned())
}

fn digest(text: &str) -> Result<String, String> {
    let text = text.rsplit('=').next().unwrap_or(text);
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(digits.to_ascii_lowercase());
    }
    Err("expected 64 hexadecimal digits".to_owned())
}

/// The limits of a key in a cell of a table.
pub(super) fn summary(key: &ApiKey) -> String {
    let cluster = key
        .cluster
        .iter()
        .map(|cluster| format!("cluster {cluster}"));
    let networks = key.allowed_networks.iter().map(Network::to_string);
    let certificate = key.certificate_sha256.iter();
    let certificate = certificate.map(|sha256| format!("certificate {}…", &sha256[..8]));
    cluster
        .chain(networks)
        .chain(certificate)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_unit_and_a_range() {
        assert_eq!(lifetime("90d"), Ok(7_776_000));
        assert_eq!(lifetime("12h"), Ok(43_200));
        assert_eq!(lifetime("10y"), Ok(MAX_KEY_SECONDS));
        for wrong in [
            "",
            "90",
            "d",
            "-1d",
            "+1d",
            "1s",
            "11y",
            "1.5d",
            "9é",
            "99999999999d",
        ] {
            assert!(lifetime(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_is_taken_as_openssl_prints_it() {
        let printed = format!("sha256 Fingerprint={}AB", "AB:".repeat(31));
        assert_eq!(digest(&printed), Ok("ab".repeat(32)));
        assert!(digest("abcd").is_err());
    }
}
