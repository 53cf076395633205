//! Which addresses tenants may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kgrca_core::tenancy::Network;

/// Whether an address is public, or in a network that is allowed.
pub fn may_reach(address: IpAddr, allowed: &[Network]) -> bool {
    let address = address.to_canonical();
    allowed.iter().any(|network| network.contains(address)) || is_public(address)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// By IANA's registry of special-purpose addresses.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    // Link-local and shared addresses have the metadata of clouds.
    let is_local = matches!(
        (a, b),
        (0 | 10 | 127, _) | (172, 16..=31) | (192, 168) | (169, 254) | (100, 64..=127)
    );
    // Protocol assignments, documentation, relays, benchmarks.
    let is_reserved = matches!(
        (a, b, c),
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18 | 19, _) | (198, 51, 100) | (203, 0, 113)
    );
    let is_unicast = a < 224;
    is_unicast && !is_local && !is_reserved
}

/// Only global unicast, without what contains an IPv4 address that is not public.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, ..] = address.segments();
    let octets = address.octets();
    let v4 = |at: usize| Ipv4Addr::new(octets[at], octets[at + 1], octets[at + 2], octets[at + 3]);
    match (a, b) {
        // NAT64 translates to the IPv4 address at its end; the local prefix to any.
        (0x64, 0xff9b) => c == 0 && is_public_v4(v4(12)),
        // 6to4.
        (0x2002, _) => is_public_v4(v4(2)),
        // Teredo, benchmarks, ORCHID, documentation.
        (0x2001, 0..=0x1ff | 0xdb8) | (0x3fff, 0..=0xfff) => false,
        (0x2000..=0x3fff, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaches(text: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<Network> = allowed.iter().map(|n| Network::parse(n).unwrap()).collect();
        may_reach(text.parse().unwrap(), &allowed)
    }

    #[test]
    fn only_public_addresses_are_reached() {
        for public in [
            "8.8.8.8",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
        ] {
            assert!(reaches(public, &[]), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "127.9.9.9",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:a00:1::",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!reaches(special, &[]), "{special}");
        }
    }

    #[test]
    fn the_operator_can_allow_a_network() {
        assert!(reaches("10.1.2.3", &["10.1.0.0/16"]));
        assert!(!reaches("10.2.2.3", &["10.1.0.0/16"]));
        assert!(reaches("::ffff:10.1.2.3", &["10.1.0.0/16"]));
    }
}
