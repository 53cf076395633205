//! What a line of text says is wrong: its classes of trouble, and the hosts that it names.
//!
//! The words are data (`trouble.yaml`); detectors ask for classes.

mod class;
pub mod host;
pub mod product;
pub mod report;
mod table;

pub use class::{AtFault, Class, Classes};
pub use table::{Row, Span};

use table::Table;

/// The classes of trouble that a message reports: those of its innermost cause that has any. That
/// a wait ended says less than what was waited for, which the exception around it says.
pub fn read(message: &str) -> Classes {
    if !report::nests(message) {
        return of_text(message);
    }
    let parts = report::causes(message);
    let mut wait = None;
    for part in &parts {
        let classes = of_text(part);
        if is_bare_wait(part, classes) {
            wait = wait.or(Some(classes));
        } else if !classes.is_empty() {
            let explains = wait.is_none() || classes.has(Class::PoolExhausted);
            return if explains {
                classes
            } else {
                wait.unwrap_or(classes)
            };
        }
    }
    wait.unwrap_or_default()
}

/// Whether a cause says only that time ran out, and not for which part of a call.
fn is_bare_wait(part: &str, classes: Classes) -> bool {
    const OF_CALLS: [&str; 4] = ["read", "socket", "connect", "http"];
    let lower = part.to_ascii_lowercase();
    classes.iter().eq([Class::TimedOut]) && !OF_CALLS.iter().any(|word| lower.contains(word))
}

fn of_text(text: &str) -> Classes {
    let table = Table::shipped();
    let mut classes = Classes::default();
    let mut add = |text: &str| {
        for hit in table.hits(text) {
            classes.insert(table.row(hit.row).class);
        }
    };
    add(text);
    // A line of JSON has the quotes of the message in it escaped.
    if text.contains("\\\"") {
        add(&text.replace("\\\"", "\""));
    }
    classes
}

/// A row of the vocabulary that matches a message, for explanations.
#[derive(Clone, Debug)]
pub struct Match {
    /// The row.
    pub row: &'static Row,
    /// The words that matched.
    pub words: String,
    /// The part of the message in which they are: the innermost cause is 0.
    pub depth: usize,
    /// The host that the row names, as `host` or `host:port`.
    pub host: Option<String>,
}

/// Every row that matches a message, innermost cause first.
pub fn matches(message: &str) -> Vec<Match> {
    let table = Table::shipped();
    let mut all = Vec::new();
    for (depth, part) in report::causes(message).iter().enumerate() {
        for hit in table.hits(part) {
            let row = table.row(hit.row);
            all.push(Match {
                row,
                words: part[hit.span.start..hit.span.end].to_owned(),
                depth,
                host: host::after(part, &row.host_after).map(|named| named.to_string()),
            });
        }
    }
    all
}

/// The host that a message names for a class of trouble, by the phrase before it; of the innermost
/// cause that names one.
pub fn host_of(message: &str, is_meant: impl Fn(Class) -> bool) -> Option<(String, Option<u16>)> {
    let table = Table::shipped();
    let parts = report::causes(message);
    parts.iter().find_map(|part| {
        let hits = table.hits(part);
        let mut rows = hits.iter().map(|hit| table.row(hit.row));
        rows.find_map(|row| {
            let named = host::after(part, &row.host_after).filter(|_| is_meant(row.class))?;
            Some((named.host.to_owned(), named.port))
        })
    })
}

/// Whether a line of an access log of Envoy has one of the flags of a request for which its
/// configuration has no cluster or no route.
pub fn is_unrouted(line: &str) -> bool {
    line.contains(" 503 NC ") || line.contains(" 404 NR ")
}

/// Whether a line that its writer calls information says that a server behind a proxy takes no more
/// writes, as `ProxySQL` and `MaxScale` do when it changes.
pub fn is_lost_writer(line: &str) -> bool {
    line.contains("but not found as reader") || line.contains("]: lost_master.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_a_line_of_json_are_escaped() {
        let line = r#"{"msg":"failed","err":"FATAL: database \"orders\" does not exist"}"#;
        assert!(read(line).has(Class::DatabaseMissing));
    }

    #[test]
    fn codes_of_errors_are_whole_words() {
        let quota = read("ProducerBlockedQuotaExceededException");
        assert!(!quota.has(Class::NoSpace) && quota.has(Class::BacklogFull));
        assert!(!read("StorageAccessPolicy was applied").has(Class::PermissionDenied));
        assert!(!read("BasePipeline started").has(Class::Disconnected));
        assert!(read("write EPIPE").has(Class::Disconnected));
        assert!(read("open /a: EACCES: no").has(Class::PermissionDenied));
    }

    #[test]
    fn a_proxy_says_as_information_that_a_server_lost_its_role() {
        assert!(is_lost_writer(
            "Server 'a:1' found with 'read_only=1', but not found as reader"
        ));
        assert!(is_lost_writer(
            "Server changed state: a[a:1]: lost_master. [Master] -> [Slave]"
        ));
        assert!(!is_lost_writer("Server 'a:1' found with 'read_only=0'"));
    }

    #[test]
    fn the_innermost_cause_names_the_trouble() {
        let message = [
            "HikariPool-1 - Connection is not available, request timed out after 30000ms",
            "\tat com.zaxxer.HikariPool.get(HikariPool.java:1)",
            "Caused by: org.postgresql.util.PSQLException: FATAL: sorry, too many clients already",
            "\t... 9 more",
        ]
        .join("\n");
        let classes = read(&message);
        assert!(classes.has(Class::ConnectionLimit));
        assert!(!classes.has(Class::PoolExhausted));
        let message = "Error creating bean\nCaused by: java.lang.IllegalStateException: no words";
        assert!(read(message).is_empty());
    }

    #[test]
    fn a_wait_that_ended_says_less_than_what_was_waited_for() {
        let pool = "Npgsql.NpgsqlException: The connection pool has been exhausted\n \
                    ---> System.TimeoutException: The operation has timed out.\n   at A.B()";
        assert!(read(pool).has(Class::PoolExhausted));
        let server = "HikariPool-1 - Connection is not available, request timed out after 30s\n\
                      Caused by: java.net.SocketTimeoutException: Read timed out";
        assert!(!read(server).has(Class::PoolExhausted));
        assert!(read(server).has(Class::TimedOut));
    }

    #[test]
    fn an_outer_exception_counts_when_no_inner_one_says_more() {
        let message = "com.x.CommunicationsException: Communications link failure\n\
                       Caused by: java.io.EOFException: null\n\t... 3 more";
        assert!(read(message).has(Class::Unavailable));
    }

    #[test]
    fn a_match_tells_the_row_the_words_and_the_host() {
        let all = matches("dial tcp: lookup mailer on 10.96.0.10:53: no such host");
        let first = all.iter().find(|m| m.row.class == Class::Unresolved);
        let first = first.unwrap();
        assert_eq!(first.words, "no such host");
        assert_eq!(first.host.as_deref(), Some("mailer"));
    }
}
