//! Networks from which a key may be used.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A range of addresses in CIDR notation, such as `10.0.0.0/8`; an address alone is a range of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Parses CIDR notation; `None` for anything else, also where bits behind the prefix are set:
    /// `10.0.0.1/8` may be a mistake for `10.0.0.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let (network, address) = Self::parts(text)?;
        (network.address == address).then_some(network)
    }

    /// The network of an address with bits behind the prefix.
    fn with_host(text: &str) -> Option<Self> {
        Self::parts(text).map(|(network, _)| network)
    }

    /// The network that an address is in, and the address.
    fn parts(text: &str) -> Option<(Self, IpAddr)> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(text) if text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok().filter(|prefix| *prefix <= bits)?
            }
            Some(_) => return None,
        };
        let given = Self { address, prefix };
        let bits = given.masked(address)?;
        let address_of = match address {
            IpAddr::V4(_) => IpAddr::V4(((bits >> 96) as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(bits.into()),
        };
        let network = Self {
            address: address_of,
            prefix,
        };
        Some((network, address))
    }

    /// Whether an address belongs to it. IPv4 addresses within IPv6 are IPv4 addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4()
            && self.masked(address) == Some(self.bits(self.address))
    }

    /// Whether all addresses of another network belong to it.
    pub fn includes(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// The bits of an address, at the left of 128.
    fn bits(&self, address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn masked(&self, address: IpAddr) -> Option<u128> {
        let hidden = 128 - u32::from(self.prefix);
        let mask = u128::MAX.checked_shl(hidden).unwrap_or(0);
        (self.prefix <= 128).then(|| self.bits(address) & mask)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| match Self::with_host(&text) {
            Some(meant) => format!(
                "`{text}` has bits behind its prefix: write `{meant}` for the network, or `{}` for \
                 the address",
                text.split('/').next().unwrap_or_default()
            ),
            None => format!(
                "invalid network `{text}`, expected an address, or CIDR notation such as 10.0.0.0/8"
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_of_its_range_only() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.4/30", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{network}");
            assert_eq!(Network::parse(&parsed.to_string()), Some(parsed));
        }
    }

    #[test]
    fn what_was_meant_is_said() {
        for (text, meant) in [
            (
                "127.0.0.1/8",
                "write `127.0.0.0/8` for the network, or `127.0.0.1` for",
            ),
            (
                "2001:db8::7/32",
                "write `2001:db8::/32` for the network, or `2001:db8::7` for",
            ),
            ("example.com", "expected an address, or CIDR notation"),
        ] {
            let error = Network::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(meant), "{error}");
        }
    }

    #[test]
    fn what_is_not_a_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "::1/129",
            "::1/64",
            "example.com",
            "10.0.0.0/8/8",
            "10.0.0.0/08x",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
