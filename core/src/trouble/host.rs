//! The hosts that a message names. Source locations, classes, archives, loggers and versions look
//! like hosts and are none.

use std::fmt;
use std::net::Ipv4Addr;

use super::report;
use crate::model::address;

/// A host in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// Host name or IP address.
    pub host: &'a str,
    /// Port.
    pub port: Option<u16>,
    /// Whether the text says that it is a host: by a URL, or by a word such as `dial`. Otherwise
    /// only a resource of that name shows that it is one.
    pub is_stated: bool,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(self.host),
        }
    }
}

/// Words in front of an address; also as the end of a key, as in `server_addr=`.
const INTRODUCES: [&str; 27] = [
    "to",
    "at",
    "from",
    "tcp",
    "udp",
    "dial",
    "host",
    "hosts",
    "server",
    "servers",
    "broker",
    "brokers",
    "node",
    "endpoint",
    "endpoints",
    "address",
    "addr",
    "peer",
    "remote",
    "upstream",
    "backend",
    "target",
    "url",
    "uri",
    "econnrefused",
    "etimedout",
    "connecting",
];

/// Words in front of a link to documentation.
const EXPLAINS: [&str; 10] = [
    "see",
    "visit",
    "refer",
    "docs",
    "documentation",
    "help",
    "information",
    "info",
    "details",
    "guide",
];

/// Schemes that name no server.
const LOCAL_SCHEMES: [&str; 11] = [
    "file",
    "unix",
    "classpath",
    "jar",
    "containerd",
    "docker",
    "cri-o",
    "oci",
    "spiffe",
    "aws",
    "urn",
];

/// Endings of source files, archives and other files.
const FILES: [&str; 62] = [
    "java",
    "kt",
    "kts",
    "scala",
    "groovy",
    "clj",
    "go",
    "py",
    "pyc",
    "pyx",
    "rb",
    "erl",
    "ex",
    "exs",
    "js",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "jsx",
    "cs",
    "fs",
    "vb",
    "rs",
    "c",
    "cc",
    "cpp",
    "cxx",
    "h",
    "hpp",
    "php",
    "pl",
    "pm",
    "lua",
    "sh",
    "bash",
    "sql",
    "jar",
    "war",
    "ear",
    "whl",
    "dll",
    "exe",
    "so",
    "a",
    "o",
    "gz",
    "tgz",
    "zip",
    "tar",
    "yaml",
    "yml",
    "json",
    "xml",
    "toml",
    "ini",
    "conf",
    "cfg",
    "properties",
    "log",
    "sock",
    "md",
];

/// First labels of packages: a reversed domain, or a root of the language.
const PACKAGES: [&str; 22] = [
    "com",
    "org",
    "io",
    "net",
    "java",
    "javax",
    "jakarta",
    "jdk",
    "sun",
    "kotlin",
    "kotlinx",
    "scala",
    "akka",
    "reactor",
    "rx",
    "dev",
    "edu",
    "gov",
    "me",
    "system",
    "microsoft",
    "golang",
];

/// The host behind the first of the phrases that has one.
pub fn after<'a>(text: &'a str, phrases: &[String]) -> Option<Named<'a>> {
    phrases.iter().find_map(|phrase| behind(text, phrase))
}

fn behind<'a>(text: &'a str, phrase: &str) -> Option<Named<'a>> {
    let bytes = text.as_bytes();
    let last = bytes.len().checked_sub(phrase.len())?;
    let starts = (0..=last)
        .filter(|at| bytes[*at..*at + phrase.len()].eq_ignore_ascii_case(phrase.as_bytes()));
    let mut rests = starts.filter_map(|at| text.get(at + phrase.len()..));
    rests.find_map(|rest| {
        let rest = rest.trim_start_matches(['"', '\'', '`', '\\', '[', '(', ' ']);
        let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let end = rest.find(|c| !is_host(c)).unwrap_or(rest.len());
        let host = address::without_service(rest[..end].trim_end_matches(['.', '-']));
        let port = rest[end..].strip_prefix(':').and_then(leading_port);
        is_host_name(host).then_some(Named {
            host,
            port,
            is_stated: true,
        })
    })
}

fn leading_port(text: &str) -> Option<u16> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok().filter(|port| *port > 0)
}

/// The host that a proxy of Envoy sent a request to, as Istio names it: `outbound|PORT|SUBSET|HOST`.
fn of_mesh(line: &str) -> Option<Named<'_>> {
    let (_, cluster) = line.split_once("outbound|")?;
    let mut parts = cluster.splitn(3, '|');
    let port = leading_port(parts.next()?);
    let rest = parts.nth(1)?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let end = rest.find(|c| !is_host(c)).unwrap_or(rest.len());
    let host = &rest[..end];
    is_host_name(host).then_some(Named {
        host,
        port,
        is_stated: true,
    })
}

/// The hosts in a message outside of stack frames, each once.
pub fn in_text(message: &str) -> Vec<Named<'_>> {
    let mut found: Vec<Named<'_>> = Vec::new();
    let lines = message.lines().filter(|line| !report::is_frame(line));
    for named in lines.flat_map(|line| of_mesh(line).into_iter().chain(in_line(line))) {
        match found.iter_mut().find(|known| known.host == named.host) {
            Some(known) => {
                known.port = known.port.or(named.port);
                known.is_stated |= named.is_stated;
            }
            None => found.push(named),
        }
    }
    found
}

/// Escaped quotes occur in messages.
fn is_delimiter(c: char) -> bool {
    c == '\\' || address::is_delimiter(c)
}

fn in_line(line: &str) -> Vec<Named<'_>> {
    let mut before = ["", ""];
    let mut found = Vec::new();
    for token in line.split(is_delimiter).filter(|token| !token.is_empty()) {
        let end = token.as_ptr() as usize - line.as_ptr() as usize + token.len();
        let rest = &line[end..];
        let is_call = rest.starts_with('(');
        // The name of a field, such as `"process.thread.name":`, and not the URL that Go quotes.
        let is_key = rest.starts_with("\":") || rest.starts_with("\\\":");
        let is_field = is_key && !token.contains("://");
        if !(is_call || is_field) {
            found.extend(named(token, before));
        }
        before = [before[1], token];
    }
    found
}

/// The host of a token, with the two tokens before it.
fn named<'a>(token: &'a str, before: [&str; 2]) -> Option<Named<'a>> {
    if let Some((scheme, rest)) = token.split_once("://") {
        return of_url(scheme, rest, before);
    }
    // gRPC targets: `ipv4:10.0.0.1:80`.
    let target = token.strip_prefix("ipv4:");
    let is_target = target.is_some() || token.starts_with("jdbc:");
    let token = target.unwrap_or(token);
    let token = token.rsplit('@').next().unwrap_or(token);
    let token = token.trim_start_matches('/');
    // Java prints a resolved host as `host/10.0.0.1:80`.
    let behind = token.split_once('/').map(|(_, behind)| behind);
    let resolved = behind.filter(|b| b.split(':').next().is_some_and(is_ip));
    let text = resolved.unwrap_or(token).split(['/', '?', '#']).next()?;
    let text = text.trim_end_matches([':', '.', '!']);
    let is_introduced = before.iter().any(|word| introduces(word));
    let text = address::without_service(text);
    let Some((host, port)) = text.split_once(':') else {
        // Without a port only a name of the cluster's own domain is recognizable.
        let is_service = is_cluster_name(text);
        // `orders.created` behind `to` may be a queue as well.
        let is_plain = text.split('.').count() > 2
            && before.iter().any(|word| is_key(word))
            && !token.contains('/');
        return (is_host_name(text) && (is_service || is_plain && !is_ip(text))).then_some(Named {
            host: text,
            port: None,
            is_stated: true,
        });
    };
    let port = port.parse::<u16>().ok().filter(|port| *port > 0)?;
    is_host_name(host).then_some(Named {
        host,
        port: Some(port),
        is_stated: is_target || is_introduced || is_cluster_name(host),
    })
}

fn of_url<'a>(scheme: &str, rest: &'a str, before: [&str; 2]) -> Option<Named<'a>> {
    let scheme = scheme.rsplit([':', '+']).next().unwrap_or(scheme);
    // `dns:///host:port` has no authority.
    let rest = rest.trim_start_matches('/');
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if LOCAL_SCHEMES.contains(&scheme) || is_documentation(authority, path, before) {
        return None;
    }
    let authority = authority.rsplit('@').next()?;
    let authority = authority.trim_end_matches([':', '.']);
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(leading_port(port)?)),
        None => (authority, None),
    };
    is_dns_name(host).then_some(Named {
        host,
        port,
        is_stated: true,
    })
}

fn is_documentation(host: &str, path: &str, before: [&str; 2]) -> bool {
    let introduced = before
        .iter()
        .any(|word| EXPLAINS.contains(&plain(word).as_str()));
    let page = path.split(['?', '#']).next().unwrap_or(path);
    // "Background on this error at: URL".
    let is_background = before.map(plain) == ["error", "at"];
    introduced
        || is_background
        || host.starts_with("docs.")
        || [".html", ".md"].iter().any(|end| page.ends_with(end))
        || ["/docs", "/issues/", "/wiki/", "/blob/", "/guides/"]
            .iter()
            .any(|part| page.contains(part))
}

fn plain(word: &str) -> String {
    word.trim_end_matches([':', '.', ',']).to_ascii_lowercase()
}

/// Whether a word announces an address: itself, or as the end of a key.
fn introduces(word: &str) -> bool {
    let word = plain(word);
    let end = word.rsplit(['_', '-', '.', ':']).next().unwrap_or(&word);
    INTRODUCES.contains(&end)
}

/// Whether a name is one of the cluster's own domain.
fn is_cluster_name(text: &str) -> bool {
    text.split('.').skip(1).any(|label| label == "svc")
}

/// Whether a word says that a host follows, and nothing else can.
fn is_key(word: &str) -> bool {
    introduces(word) && !["to", "at", "from", "target", "node"].contains(&plain(word).as_str())
}

fn is_ip(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// Whether a text can be a host where no URL says so: a DNS name that is neither a file nor a
/// package nor a version, or an IPv4 address.
pub fn is_host_name(text: &str) -> bool {
    let mut labels = text.split('.');
    let first = labels.next().unwrap_or("");
    let last = text.rsplit('.').next().unwrap_or("");
    let is_dotted = text.contains('.');
    let is_file = is_dotted && FILES.contains(&last);
    let is_package = text.split('.').count() > 2 && PACKAGES.contains(&first);
    is_ip(text) || is_dns_name(text) && !is_file && !is_package
}

/// Whether a text is a DNS-1123 name in lower case, or an IPv4 address.
fn is_dns_name(text: &str) -> bool {
    if is_ip(text) {
        return true;
    }
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let is_edge =
            |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        (1..=63).contains(&bytes.len())
            && is_edge(bytes.first())
            && is_edge(bytes.last())
            && bytes
                .iter()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_'))
    };
    // A version has no letter at the start of its last label.
    let last = text.rsplit('.').next().unwrap_or("");
    let is_name =
        !text.contains('.') || last.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
    text.len() <= 253
        && text.split('.').all(is_label)
        && is_name
        && text.bytes().any(|c| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str) -> Vec<String> {
        let all = in_text(text);
        let stated = all.iter().filter(|named| named.is_stated);
        stated.map(ToString::to_string).collect()
    }

    #[test]
    fn hosts_of_urls_drivers_and_dials_are_stated() {
        for (text, expected) in [
            (
                "dial tcp 10.0.0.1:80: connect: connection refused",
                "10.0.0.1:80",
            ),
            ("jdbc:mysql://db.shop:3306/orders?x=1", "db.shop:3306"),
            ("Failed to connect to cart:7070", "cart:7070"),
            ("could not connect: dns:///quote:50051", "quote:50051"),
            (
                "failed to connect to all addresses; last error: ipv4:10.1.2.3:50051",
                "10.1.2.3:50051",
            ),
            ("error=timeout server_addr=cache:6379", "cache:6379"),
            (
                "Get \"https://api.pay.example.com/v1\": EOF",
                "api.pay.example.com",
            ),
            (
                "connect to geocoder/10.96.227.221:8181 failed",
                "10.96.227.221:8181",
            ),
            ("jdbc:oracle:thin:@//ledger:1521/x", "ledger:1521"),
            (
                "failed to lookup SRV records host=_grpc._tcp.store.mon.svc.cluster.local",
                "store.mon.svc.cluster.local",
            ),
        ] {
            assert_eq!(stated(text), [expected], "{text}");
        }
    }

    #[test]
    fn places_in_sources_are_no_hosts() {
        for text in [
            "E0101 10:00:00.000000 1 scraper.go:140] \"Failed to scrape node\"",
            "caller=client.go:88 level=error msg=timeout",
            "  File \"/app/db.py\", line 105, in connect",
            "\tat com.mysql.cj.Session.connect(Session.java:121) ~[mysql-8.0.33.jar!/:8.0.33]",
            "{db.py:105} ERROR - connection refused",
            "at node:internal/net:12 connect",
            "o.a.k.clients.NetworkClient:780 connection refused",
            "See https://kafka.apache.org/documentation.html for details: timeout",
            "{\"event.dataset\":\"es.server\",\"process.thread.name\":\"main\"}: timeout",
            "for more information visit https://docs.example.com/errors/7",
            "timeout 30.00 (Background on this error at: https://errs.example/e/20/7)",
            "version v1.29.3:4 timeout",
            "unix:///run/containerd/containerd.sock: timed out",
            "at 10:15:02 the timeout was 30",
            "from com.example.orders.client:88 timeout",
            "Caused by: java.net.ConnectException: Connection refused",
        ] {
            assert_eq!(stated(text), Vec::<String>::new(), "{text}");
        }
    }
}
