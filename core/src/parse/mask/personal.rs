//! Personal data: e-mail addresses, card numbers and the IP addresses of people.

use std::net::IpAddr;
use std::ops::Range;

use super::encoded::long_runs;
use super::scan::{Found, ahead, behind};

/// Names before the address of a client. Addresses of pods, services and nodes stay: see
/// [`is_person`].
pub(super) const CLIENT_WORDS: [&str; 17] = [
    "client",
    "connecting-ip",
    "connecting_ip",
    "source.ip",
    "source_ip",
    "sourceip",
    "src_ip",
    "srcip",
    "remote",
    "forwarded",
    "real-ip",
    "real_ip",
    "realip",
    "rhost",
    "user_ip",
    "user-ip",
    "userip",
];

/// Masks the part before the `@` of an e-mail address; its domain stays.
pub(super) fn email(text: &str, at: usize, found: &mut Found) {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"._%+-".contains(b);
    let name = text.as_bytes()[..at]
        .iter()
        .rev()
        .take_while(|b| is_name(b))
        .count();
    let host = &text[at + 1..];
    let is_host = |b: &u8| b.is_ascii_alphanumeric() || b".-".contains(b);
    let length = host.as_bytes().iter().take_while(|b| is_host(b)).count();
    let has_domain = host[..length]
        .trim_end_matches('.')
        .rsplit_once('.')
        .is_some_and(|(_, top)| top.len() >= 2 && top.bytes().all(|b| b.is_ascii_alphabetic()));
    if name > 0 && has_domain {
        found.add(at - name..at);
    }
}

/// Masks the addresses behind a name such as `client_ip` or `X-Forwarded-For`.
pub(super) fn client(text: &str, word: Range<usize>, found: &mut Found) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let rest = ahead(text, word.end);
    let end = rest.floor_char_boundary(rest.len().min(64));
    let rest = &rest[..end];
    let Some(name) = rest.find(|c: char| !is_name(c)).filter(|n| *n <= 12) else {
        return;
    };
    let skip = |c: char| matches!(c, '"' | '\'' | '\\' | ' ' | ':' | '=' | '[' | '(');
    let Some(gap) = rest[name..]
        .find(|c| !skip(c))
        .filter(|n| (1..=8).contains(n))
    else {
        return;
    };
    let mut start = word.end + name + gap;
    // `Forwarded: for=203.0.113.9`.
    if let Some(node) = ahead(text, start).strip_prefix("for=") {
        start += 4 + node.len() - node.trim_start_matches(['"', '[', '\\']).len();
    }
    // A proxy appends the address it sees: `X-Forwarded-For: client, proxy`.
    for part in ahead(text, start).split_inclusive(',').take(8) {
        let lead = part.len() - part.trim_start().len();
        let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
        let inner = &part[lead..];
        let len = inner.find(|c| !is_part(c)).unwrap_or(inner.len());
        // A private one may stand before the client's, too.
        if let Some(len) = address(&inner[..len]) {
            found.add(start + lead..start + lead + len);
        } else if inner[..len].parse::<IpAddr>().is_err() {
            return;
        }
        start += part.len();
    }
}

/// Masks the address in `from 203.0.113.9 port 51022`, as servers name whoever logs in.
pub(super) fn login(text: &str, port: usize, found: &mut Found) {
    let before = behind(text, port);
    let Some((rest, word)) = before.rsplit_once(' ') else {
        return;
    };
    let is_person = word.parse().is_ok_and(is_person);
    if is_person && (rest == "from" || rest.ends_with(" from")) {
        found.add(port - word.len()..port);
    }
}

/// The length of the address of a person at the start of a text, without a port.
fn address(text: &str) -> Option<usize> {
    let host = match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => text,
    };
    let ip: IpAddr = host.parse().ok()?;
    is_person(ip).then_some(host.len())
}

/// Whether an address can be that of a person: not one of a private network, as pods, services and
/// nodes have it, on which the diagnosis depends.
pub(super) fn is_person(ip: IpAddr) -> bool {
    // `::ffff:10.244.1.7` is how some servers write an address of version 4.
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || a == 0 || is_shared)
        }
        IpAddr::V6(ip) => {
            let is_local = ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local();
            !(is_local || ip.is_unicast_link_local())
        }
    }
}

/// Masks card numbers: 13 to 19 digits of a card scheme whose check digit is right.
pub(super) fn cards(text: &str, found: &mut Found) {
    let is_part = |b: u8| b.is_ascii_digit() || matches!(b, b' ' | b'-');
    for run in long_runs(text.as_bytes(), 13, is_part) {
        let bytes = text.as_bytes();
        let inner = text[run.clone()].trim_matches([' ', '-']);
        let start = run.start + text[run.clone()].find(inner).unwrap_or(0);
        let end = start + inner.len();
        let is_inside = |at: Option<&u8>| {
            at.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        };
        // A dash joins a number to what follows it, such as the rest of an identifier.
        let is_joined = bytes.get(end) == Some(&b'-')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
        let is_cut =
            start > 0 && is_inside(bytes.get(start - 1)) || is_inside(bytes.get(end)) || is_joined;
        if !is_cut && is_card(inner) {
            found.add(start..end);
        }
    }
}

fn is_card(text: &str) -> bool {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|b| b - b'0')
        .collect();
    let groups: Vec<&str> = text.split([' ', '-']).collect();
    let is_grouped = match groups.as_slice() {
        [_] => true,
        [a, b, c] => [a.len(), b.len(), c.len()] == [4, 6, 5],
        all => all[..all.len() - 1].iter().all(|g| g.len() == 4),
    };
    let first: u32 = digits.iter().take(4).fold(0, |n, d| n * 10 + u32::from(*d));
    let is_scheme = match digits.len() {
        13 | 19 => first / 1000 == 4,
        15 => matches!(first / 100, 34 | 37),
        14 => matches!(first / 100, 36 | 38),
        16 => {
            matches!(first / 1000, 4)
                || (5100..5600).contains(&first)
                || (2221..2721).contains(&first)
                || matches!(first / 100, 65 | 35)
                || first == 6011
        }
        _ => false,
    };
    is_grouped && is_scheme && luhn(&digits)
}

/// The check of ISO/IEC 7812.
fn luhn(digits: &[u8]) -> bool {
    let double = |d: u8| if d > 4 { 2 * d - 9 } else { 2 * d };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, d)| u32::from(if at % 2 == 1 { double(*d) } else { *d }))
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::super::{line, secrets};

    #[test]
    fn personal_data_is_masked_and_addresses_of_the_cluster_stay() {
        for (text, masked) in [
            (
                "login of jane.doe+x@example.com failed",
                "login of ***@example.com failed",
            ),
            ("card 4111 1111 1111 1111 declined", "card *** declined"),
            ("card=5500-0000-0000-0004;", "card=***;"),
            (
                "client: 203.0.113.9, server: web",
                "client: ***, server: web",
            ),
            (
                "X-Forwarded-For: 203.0.113.9, 10.0.0.1",
                "X-Forwarded-For: ***, 10.0.0.1",
            ),
            (
                "X-Forwarded-For: 10.0.0.5, 203.0.113.9",
                "X-Forwarded-For: 10.0.0.5, ***",
            ),
            (
                "remote_addr=::ffff:10.244.1.7 status=200",
                "remote_addr=::ffff:10.244.1.7 status=200",
            ),
            (
                "remote_addr=2001:db8::7 status=200",
                "remote_addr=*** status=200",
            ),
        ] {
            assert_eq!(line(text), masked);
            assert_eq!(secrets(text), text, "not a secret");
        }
        for same in [
            "image app@sha256:0abc",
            "user@localhost",
            "order 4111111111111112 failed",
            "client: 10.244.1.7, server: web",
            "dial tcp 203.0.113.9:443: i/o timeout",
            "epoch 1772359872123456",
        ] {
            assert_eq!(line(same), same);
        }
    }
}
