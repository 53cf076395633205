//! What counts as one client of the network.

use std::fmt::Debug;
use std::net::{IpAddr, Ipv6Addr};

/// An address of IPv4, or a network of IPv6, of which one customer of a provider has at least a
/// /64.
pub fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Sources of which something good is known.
pub trait Known: Debug + Send + Sync {
    /// Whether a source is known.
    fn has(&self, source: IpAddr) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_of_a_provider_is_one_source() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(source(ip("2001:db8:0:1::7")), ip("2001:db8:0:1::"));
        assert_ne!(source(ip("2001:db8:0:2::7")), ip("2001:db8:0:1::"));
        assert_eq!(source(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }
}
