//! Finds network addresses in env values, arguments, configuration and messages.

use std::fmt;

/// A host, with a port if the text has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address<'a> {
    /// Host name or IP address.
    pub host: &'a str,
    /// Port.
    pub port: Option<u16>,
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(self.host),
        }
    }
}

impl<'a> Address<'a> {
    /// Reads `host` or `host:port` as [`fmt::Display`] writes it.
    pub fn parse(text: &'a str) -> Option<Self> {
        in_text(text).next().or_else(|| {
            is_host(text).then_some(Self {
                host: text,
                port: None,
            })
        })
    }
}

/// The addresses in a text: `host:port` anywhere, and hosts after `://`.
///
/// A single word without a port does not count: only the graph shows whether it names a Service.
pub fn in_text(text: &str) -> impl Iterator<Item = Address<'_>> {
    text.split(is_delimiter).filter_map(token)
}

/// Whether a character ends an address in a text.
pub fn is_delimiter(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            ',' | ';'
                | '"'
                | '\''
                | '('
                | ')'
                | '['
                | ']'
                | '{'
                | '}'
                | '<'
                | '>'
                | '='
                | '|'
                | '`'
        )
}

/// Fully qualified host names in a text, with at least three labels, without port or scheme.
pub fn hosts_in_text(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| {
        !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@'))
    });
    // A quoted word before a colon is the name of a JSON field.
    let is_field = |w: &str| {
        let end = w.as_ptr() as usize - text.as_ptr() as usize + w.len();
        text[end..].starts_with("\":") || text[end..].starts_with("\\\":")
    };
    words
        .map(|w| w.trim_end_matches(['.', ':']))
        .filter(move |w| !is_field(w))
        .filter(|w| {
            let last = w.rsplit('.').next().unwrap_or("");
            w.matches('.').count() >= 2
                && is_host(w)
                && last.len() >= 2
                && last.bytes().all(|c| c.is_ascii_lowercase())
        })
}

/// How Thanos, Cortex and Loki say by which records a name is looked up.
const LOOKUPS: [&str; 3] = ["dns+", "dnssrv+", "dnssrvnoa+"];

/// A name without the service and the protocol of a SRV record: `_grpc._tcp.store`.
pub fn without_service(name: &str) -> &str {
    let rest = name.strip_prefix('_').and_then(|n| n.split_once("._"));
    let rest = rest.and_then(|(_, protocol)| protocol.split_once('.'));
    rest.map(|(_, host)| host).unwrap_or(name)
}

fn token(token: &str) -> Option<Address<'_>> {
    let lookup = LOOKUPS.iter().find_map(|l| token.strip_prefix(l));
    let (rest, has_scheme) = match token.find("://") {
        Some(at) => (&token[at + 3..], true),
        // Oracle: `jdbc:oracle:thin:@//host:1521/service`.
        None => match token.find("@//") {
            Some(at) => (&token[at + 3..], true),
            None => (lookup.unwrap_or(token), lookup.is_some()),
        },
    };
    // Java prints a resolved host as `host/10.0.0.1:80`.
    let resolved = (!has_scheme)
        .then(|| rest.split_once('/'))
        .flatten()
        .map(|(_, behind)| behind);
    let resolved = resolved.filter(|r| {
        r.split(':')
            .next()
            .is_some_and(|ip| ip.parse::<std::net::Ipv4Addr>().is_ok())
    });
    let rest = resolved.unwrap_or(rest).split(['/', '?', '#']).next()?;
    let rest = rest.rsplit('@').next()?;
    let rest = rest.trim_end_matches([':', '.']);
    let (host, port) = match rest.split_once(':') {
        Some((host, port)) => (host, Some(port.parse::<u16>().ok().filter(|p| *p > 0)?)),
        None if has_scheme => (rest, None),
        None => return None,
    };
    let host = without_service(host);
    is_host(host).then_some(Address { host, port })
}

/// The keys of connection strings behind which a host stands: libpq, Npgsql, `ADO.NET`, `MySQL`.
const HOST_KEYS: [&str; 7] = [
    "host",
    "hostname",
    "server",
    "data source",
    "address",
    "addr",
    "hostaddr",
];

/// The host of a connection string such as `Host=db;Port=5432` or `Server=tcp:db,1433;Database=a`.
pub fn in_connection_string(text: &str) -> Option<Address<'_>> {
    let by = if text.contains(';') { ';' } else { ' ' };
    let pairs = || {
        let parts = text.split(by).filter_map(|part| part.split_once('='));
        parts.map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()))
    };
    let (_, value) = pairs().find(|(key, _)| HOST_KEYS.contains(&&**key))?;
    let value = value.strip_prefix("tcp:").unwrap_or(value);
    let (host, behind) = value.split_once([',', ':']).unwrap_or((value, ""));
    let port = || pairs().find(|(key, _)| key == "port").map(|(_, port)| port);
    let port = behind.parse().ok().or_else(|| port()?.parse().ok());
    is_host(host).then_some(Address { host, port })
}

/// Whether a text is a DNS name or an IPv4 address; times and version numbers are not.
pub fn is_host(host: &str) -> bool {
    let b = host.as_bytes();
    if b.is_empty()
        || b.len() > 253
        || !b[0].is_ascii_alphanumeric()
        || !b[b.len() - 1].is_ascii_alphanumeric()
    {
        return false;
    }
    if !b
        .iter()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_'))
    {
        return false;
    }
    b.iter().any(u8::is_ascii_alphabetic) && !host.contains("..")
        || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// Whether the value of a variable is a host by the variable's name: then a single word is one.
pub fn names_host(variable: &str) -> bool {
    const ENDS: [&str; 14] = [
        "HOST",
        "HOSTS",
        "_SERVER",
        "_SERVERS",
        "_ADDR",
        "_ADDRESS",
        "_ADDRESSES",
        "_ENDPOINT",
        "_ENDPOINTS",
        "_BROKER",
        "_BROKERS",
        "_SEEDS",
        "_NODES",
        "CONTACT_POINTS",
    ];
    let variable = variable.to_ascii_uppercase();
    ENDS.iter().any(|end| variable.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(text: &str) -> Vec<String> {
        in_text(text).map(|a| a.to_string()).collect()
    }

    #[test]
    fn names_of_records_lead_to_their_host() {
        assert_eq!(
            all("--endpoint=dnssrv+_grpc._tcp.store.mon.svc"),
            ["store.mon.svc"]
        );
        assert_eq!(all("dns+store.mon:10901"), ["store.mon:10901"]);
        assert_eq!(without_service("_private.name"), "_private.name");
    }

    #[test]
    fn addresses_are_found_in_common_forms() {
        assert_eq!(all("cart:7070"), ["cart:7070"]);
        assert_eq!(
            all("jdbc:mysql://db.shop:3306/orders?x=1"),
            ["db.shop:3306"]
        );
        assert_eq!(all("postgres://***@db:5432/shop"), ["db:5432"]);
        assert_eq!(
            all("dial tcp: lookup cart on 10.96.0.10:53: no such host"),
            ["10.96.0.10:53"]
        );
        assert_eq!(all("at 10:00:03 version 1.2.3"), Vec::<String>::new());
        assert_eq!(
            all("http://billing/api, http://mail:8080"),
            ["billing", "mail:8080"]
        );
        assert_eq!(
            all("Connection refused: geocoder/10.96.227.221:8181"),
            ["10.96.227.221:8181"]
        );
    }

    #[test]
    fn hosts_are_found_in_connection_strings() {
        assert_eq!(
            all("jdbc:oracle:thin:@//ora-scan.corp.example:1521/PRD"),
            ["ora-scan.corp.example:1521"]
        );
        let of = |text| in_connection_string(text).map(|a| a.to_string());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("Host=db;Port=5432;Username=app"), some("db:5432"));
        assert_eq!(
            of("Server=tcp:sql.corp,1433;Database=a"),
            some("sql.corp:1433")
        );
        assert_eq!(of("host=db port=6432 dbname=a"), some("db:6432"));
        assert_eq!(of("server=db"), some("db"));
        assert_eq!(of("level=info"), None);
        assert_eq!(of("a sentence about a host"), None);
    }

    #[test]
    fn field_names_are_not_hosts() {
        let text =
            r#"{"http.req.id":"1","url":"api.pay.example.com"} calls db.shop.example.com: refused"#;
        assert_eq!(
            hosts_in_text(text).collect::<Vec<_>>(),
            ["api.pay.example.com", "db.shop.example.com"]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_searched(text in ".{0,80}") {
            let _ = all(&text);
        }
    }
}
