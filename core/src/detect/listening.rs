//! The ports that programs say they listen on.

use super::View;
use super::text::find;
use crate::graph::Idx;

/// How servers of common frameworks report that they accept connections.
const PHRASES: [&str; 8] = [
    "listening on",
    "listening at",
    "listening for",
    "listen on",
    "started on port",
    "running on http",
    "serving on",
    "server started at",
];

/// The ports that a container reports to listen on.
pub(super) fn ports(view: &View<'_>, pod: Idx, container: &str) -> Vec<u16> {
    let is_own = |of: Option<&str>| of.unwrap_or(container) == container;
    view.logs(pod)
        .filter(|log| is_own(log.container.as_deref()))
        .filter_map(|log| port(&log.sample))
        .collect()
}

/// The port in a line that reports a listener: behind a colon, or after the word `port`.
fn port(line: &str) -> Option<u16> {
    let at = PHRASES
        .iter()
        .find_map(|phrase| Some(find(line, phrase)? + phrase.len()))?;
    // Before the number there may be an address: `http://[::]:8080`, `port(s): 8080 (http)`.
    let rest = line.get(at..)?.lines().next()?;
    let words = rest.split_whitespace().take(4);
    words.into_iter().find_map(|word| {
        let word = word.trim_end_matches(['/', '.', ',', ';', ')', '"']);
        let number = word.rsplit(':').next().unwrap_or(word);
        number.parse().ok().filter(|port| *port > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::port;

    #[test]
    fn programs_name_the_port_that_they_listen_on() {
        for (line, expected) in [
            ("Now listening on: http://[::]:8080", Some(8080)),
            (
                "Tomcat started on port(s): 8081 (http) with context",
                Some(8081),
            ),
            ("Tomcat started on port 8082 (http)", Some(8082)),
            ("Listening at: http://0.0.0.0:8000 (7)", Some(8000)),
            ("Uvicorn running on http://0.0.0.0:8000", Some(8000)),
            ("server listening on port 3000", Some(3000)),
            ("listening on unix socket /run/app.sock", None),
            ("loaded 8080 rows", None),
        ] {
            assert_eq!(port(line), expected, "{line}");
        }
    }
}
