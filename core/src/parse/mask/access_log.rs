//! Addresses of clients in lines of access logs, which have no name beside them. Those of upstreams
//! stay: the diagnosis needs them.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use super::personal::is_person;
use super::scan::{Found, ahead, behind};

/// How Gin begins a line, whose only address is that of the client.
const GIN: &str = "[GIN] ";
/// How far before its time the address of a client is looked for, in bytes.
const BEFORE: usize = 256;

/// Whether a text may have a line of an access log, also where it is a value in JSON: there the
/// words around the value are joined to it.
pub(super) fn is_possible(text: &str) -> bool {
    text.match_indices('[').any(|(at, _)| {
        let rest = ahead(text, at);
        is_common_time(rest) || is_iso_time(rest) || rest.starts_with(GIN)
    })
}

/// Masks the clients of all lines.
pub(super) fn clients(text: &str, found: &mut Found) {
    let mut from = 0;
    while let Some(at) = text[from..].find('[') {
        let at = from + at;
        let rest = ahead(text, at);
        from = at + 1;
        // Before the line's end is looked for: a text may be nothing but brackets.
        if !(rest.starts_with(GIN) || is_common_time(rest) || is_iso_time(rest)) {
            continue;
        }
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        if line.starts_with(GIN) {
            for (word, range) in words(line, at) {
                found.add(client(word, range.start).unwrap_or_default());
            }
        } else if is_common_time(line) {
            before_time(text, at, found);
        } else if !(is_iso_time(line) && line.contains("] \"")) {
            continue;
        }
        after_request(at, line, is_iso_time(line), found);
        // One entry a line, which keeps the time linear.
        from = at + line.len();
    }
}

/// `[10/Oct/2026:13:55:36`.
fn is_common_time(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    is(3, b'/')
        && is(7, b'/')
        && is(12, b':')
        && [1, 2, 8, 9, 10, 11, 13, 14].map(is_digit) == [true; 8]
}

/// `[2026-10-10T13:55:36`, as Envoy begins a line.
fn is_iso_time(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    is(5, b'-') && is(8, b'-') && is(11, b'T') && bytes[1..5].iter().all(u8::is_ascii_digit)
}

/// `203.0.113.9 - jane [`, perhaps behind the name of a host; `203.0.113.9:51022 [` of `HAProxy`.
fn before_time(text: &str, time: usize, found: &mut Found) {
    let before = behind(text, time);
    let before = &before[before.ceil_char_boundary(before.len().saturating_sub(BEFORE))..];
    let line = before.rfind('\n').map(|n| n + 1).unwrap_or(0);
    let base = time - before.len();
    let words = words(&before[line..], base + line);
    for (back, (word, range)) in words.into_iter().rev().enumerate() {
        // A list of proxies and the client before them, as `X-Forwarded-For` has it.
        let listed = word.strip_suffix(',');
        if back >= 3 && listed.is_none() {
            return;
        }
        let address = client(listed.unwrap_or(word), range.start);
        found.add(address.unwrap_or_default());
    }
}

/// What follows the request: the addresses that are a quoted text of their own, such as that of
/// `X-Forwarded-For`, and in a line of Envoy those that are a word, such as that of the connection.
fn after_request(time: usize, line: &str, is_envoy: bool, found: &mut Found) {
    let mut quoted = line.split('"');
    let mut at = time + quoted.next().map(str::len).unwrap_or_default() + 1;
    for (number, part) in quoted.enumerate() {
        let is_text = number % 2 == 0;
        if is_text && number > 0 {
            let mut start = at;
            for element in part.split_inclusive(',') {
                let own = element.trim_end_matches(',');
                let lead = own.len() - own.trim_start().len();
                let own = own.trim();
                // With a port it is the address of an upstream.
                if let Ok(ip) = own.parse::<IpAddr>()
                    && is_person(ip)
                {
                    found.add(start + lead..start + lead + own.len());
                }
                start += element.len();
            }
        } else if !is_text && is_envoy {
            for (word, range) in words(part, at) {
                found.add(client(word, range.start).unwrap_or_default());
            }
        }
        at += part.len() + 1;
    }
}

/// The words of a text that begins at a position.
fn words(text: &str, base: usize) -> Vec<(&str, Range<usize>)> {
    let parts = text.split_inclusive(' ').scan(base, |at, part| {
        let start = *at;
        *at += part.len();
        let word = part.trim_end_matches(' ');
        Some((word, start..start + word.len()))
    });
    parts.filter(|(word, _)| !word.is_empty()).collect()
}

/// Where the address of a person is in a word that is an address, perhaps with a port.
fn client(word: &str, start: usize) -> Option<Range<usize>> {
    if let Ok(ip) = word.parse::<IpAddr>() {
        return is_person(ip).then(|| start..start + word.len());
    }
    let socket: SocketAddr = word.parse().ok()?;
    let host = word.rfind(':')?;
    is_person(socket.ip()).then(|| start..start + host)
}

#[cfg(test)]
mod tests {
    use super::super::{line, secrets};

    #[test]
    fn clients_of_access_logs_are_masked_and_upstreams_stay() {
        let time = "[10/Oct/2026:13:55:36 +0000]";
        for (text, masked) in [
            (
                format!(
                    "203.0.113.9 - jane {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"x\" \
                     \"2001:db8::7, 10.0.0.1\""
                ),
                format!("*** - jane {time} \"GET / HTTP/1.1\" 200 5 \"-\" \"x\" \"***, 10.0.0.1\""),
            ),
            (
                format!("a\nweb:80 203.0.113.9 - - {time} \"GET /\" 502 203.0.113.7:80"),
                format!("a\nweb:80 *** - - {time} \"GET /\" 502 203.0.113.7:80"),
            ),
            (
                format!("203.0.113.9, 198.51.100.7, 10.0.0.1 - - {time} \"GET /\" 200"),
                format!("***, ***, 10.0.0.1 - - {time} \"GET /\" 200"),
            ),
            (
                format!("haproxy[1]: 203.0.113.9:51022 {time} in out"),
                format!("haproxy[1]: ***:51022 {time} in out"),
            ),
            (
                "[2026-10-10T20:17:00.310Z] \"GET / HTTP/2\" 503 UF 0 \"203.0.113.9\" \"h\" \
                 \"203.0.113.7:443\" out 10.0.0.1:5 203.0.113.8:7 -"
                    .to_owned(),
                "[2026-10-10T20:17:00.310Z] \"GET / HTTP/2\" 503 UF 0 \"***\" \"h\" \
                 \"203.0.113.7:443\" out 10.0.0.1:5 ***:7 -"
                    .to_owned(),
            ),
        ] {
            assert_eq!(line(&text), masked);
            assert_eq!(secrets(&text), text, "not a secret");
        }
        for same in [
            format!("10.0.0.1 - - {time} \"GET / HTTP/1.1\" 200"),
            format!("server 203.0.113.9 is away since {time}"),
            "[2026-10-10T20:17:00Z] dial 203.0.113.9:443".to_owned(),
            "[error] 203.0.113.9 [1] [\"203.0.113.9\"]".to_owned(),
        ] {
            assert_eq!(line(&same), same);
        }
    }
}
