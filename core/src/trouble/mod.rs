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

/// The classes of trouble that a message reports: those of its innermost cause that has any.
pub fn read(message: &str) -> Classes {
    if report::nests(message) {
        let parts = report::causes(message);
        let read = parts.iter().map(|part| of_text(part));
        return read.into_iter().find(|c| !c.is_empty()).unwrap_or_default();
    }
    of_text(message)
}

fn of_text(text: &str) -> Classes {
    let table = Table::shipped();
    let mut classes = Classes::default();
    for hit in table.hits(text) {
        classes.insert(table.row(hit.row).class);
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

#[cfg(test)]
mod tests {
    use super::*;

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
