//! Objects that the message of a controller names.

use super::View;
use super::text::has;
use crate::graph::Idx;
use crate::model::Kind;

/// An object that a message names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) kind: Kind,
    /// The namespace, if the message has one.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// Whether the message says that it does not exist.
    pub(super) is_missing: bool,
}

/// Words by which a message says that what it names does not exist.
const MISSING: [&str; 6] = [
    "not found",
    "notfound",
    "does not exist",
    "doesn't exist",
    "not present",
    "no such",
];

/// How many words after a name its absence can be said.
const NEAR: usize = 6;

/// Whether the words around a name say that what has it does not exist.
fn is_missing(before: &[&str], after: &[&str]) -> bool {
    let near = &after[..after.len().min(NEAR)];
    let sought = before[before.len().saturating_sub(3)..].join(" ");
    has(&near.join(" "), &MISSING) || has(&sought, &["failed to find"])
}

impl Mention {
    /// The object, if it is known; a name without a namespace is in that of `from`.
    pub(super) fn resolve(&self, view: &View<'_>, from: Idx) -> Option<Idx> {
        let own = view.graph.get(from).namespace();
        let namespace = if self.kind.is_cluster_scoped() {
            ""
        } else {
            self.namespace.as_deref().unwrap_or(own)
        };
        let found = view
            .graph
            .find_live(self.kind.clone(), namespace, &self.name);
        found.filter(|i| *i != from && view.graph.get(*i).object.is_some())
    }
}

/// The objects that a message names, in its order: `Deployment/shop/web`, `secrets "ca-key"`,
/// `Secret shop/ca-key`, `service/prometheus-adapter in "monitoring"`.
pub(super) fn mentions(message: &str) -> Vec<Mention> {
    let words: Vec<&str> = message
        .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '[' | ']'))
        .filter(|word| !word.is_empty())
        .collect();
    let mut found: Vec<Mention> = Vec::new();
    for (i, word) in words.iter().enumerate() {
        let rest = &words[i + 1..];
        let named = path(word, rest).map(|m| (m, rest)).or_else(|| {
            let (next, rest) = rest.split_first()?;
            Some((pair(word, next)?, rest))
        });
        let mention = named.map(|(mention, rest)| Mention {
            is_missing: is_missing(&words[..i], rest),
            ..mention
        });
        found.extend(mention.filter(|m| !found.contains(m)));
    }
    found
}

/// `Kind/namespace/name` or `Kind/name`, perhaps with `in "namespace"` behind it.
fn path(word: &str, rest: &[&str]) -> Option<Mention> {
    let parts: Vec<&str> = bare(word).split('/').collect();
    let (kind, namespace, name) = match parts.as_slice() {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some((*namespace).to_owned()), name),
        _ => return None,
    };
    let beside = match rest {
        ["in", namespace, ..] if namespace.starts_with('"') => Some(bare(namespace).to_owned()),
        _ => None,
    };
    Some(Mention {
        kind: kind_of(kind)?,
        namespace: namespace.or(beside),
        name: name_of(name)?,
        is_missing: false,
    })
}

/// A kind and the name behind it, which is quoted or cannot be a word of a sentence.
fn pair(word: &str, after: &str) -> Option<Mention> {
    // A reason, which what it is about follows.
    if word.ends_with(':') {
        return None;
    }
    let is_quoted = after.starts_with(['"', '\'', '`']);
    let is_kind = word.starts_with(|c: char| c.is_ascii_uppercase())
        || kind_of(word).is_some_and(|kind| kind.is_workload() || kind == Kind::Pod);
    if !(is_quoted || is_kind && after.contains(['-', '/'])) {
        return None;
    }
    let (namespace, name) = match bare(after).split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, bare(after)),
    };
    Some(Mention {
        kind: kind_of(word)?,
        namespace,
        name: name_of(name)?,
        is_missing: false,
    })
}

fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| matches!(c, '"' | '\'' | '`' | ':' | '.' | '*' | '\\'))
}

/// A name that an object can have.
fn name_of(word: &str) -> Option<String> {
    let is_name = !word.is_empty()
        && word.len() <= 253
        && word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.'));
    is_name.then(|| word.to_owned())
}

/// The kind that a word means: in the singular, in the plural or with its group.
fn kind_of(word: &str) -> Option<Kind> {
    let word = bare(word).split('.').next().filter(|w| !w.is_empty())?;
    if !word.chars().all(|c| c.is_ascii_alphabetic()) {
        return None;
    }
    let singular = |word: &str| {
        let of_ies = word.strip_suffix("ies").map(|stem| format!("{stem}y"));
        let of_es = word.strip_suffix("sses").map(|stem| format!("{stem}ss"));
        let of_s = word.strip_suffix('s').map(str::to_owned);
        of_ies.or(of_es).or(of_s)
    };
    let is_known = |kind: &Kind| !matches!(kind, Kind::Other(_) | Kind::External);
    let plain = Kind::parse(word);
    let known = Some(plain)
        .filter(is_known)
        .or_else(|| Some(Kind::parse(&singular(word)?)).filter(is_known));
    // Kinds of operators are written with a capital letter inside or at their start.
    let is_custom = word.len() > 3 && word.starts_with(|c: char| c.is_ascii_uppercase());
    known.or_else(|| is_custom.then(|| Kind::Other(word.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(message: &str) -> Vec<String> {
        let text = |m: Mention| {
            let namespace = m.namespace.map(|n| format!("{n}/")).unwrap_or_default();
            format!("{}/{namespace}{}", m.kind, m.name)
        };
        mentions(message).into_iter().map(text).collect()
    }

    #[test]
    fn objects_are_found_however_a_controller_writes_them() {
        assert_eq!(named("secrets \"ca-key\" not found"), ["Secret/ca-key"]);
        assert_eq!(
            named("timeout waiting for: [Deployment/shop/web status: 'InProgress']"),
            ["Deployment/shop/web"]
        );
        assert_eq!(
            named("service/adapter in \"monitoring\" is not present"),
            ["Service/monitoring/adapter"]
        );
        assert_eq!(
            named("deployments.apps \"worker\" not found"),
            ["Deployment/worker"]
        );
        assert_eq!(named("Pod \"data/t-0\" is not ready"), ["Pod/data/t-0"]);
    }

    #[test]
    fn only_what_is_said_to_be_missing_is() {
        let missing = |text: &str| mentions(text).into_iter().any(|m| m.is_missing);
        assert!(missing("secrets \"ca-key\" not found"));
        assert!(missing(
            "Revision \"hello-1\" referenced in traffic not found."
        ));
        assert!(!missing("job migrate-1 failed: BackoffLimitExceeded"));
        assert!(!missing(
            "Metric \"rate\" assessed Error due to consecutive errors (5 > 4): no such host"
        ));
    }

    #[test]
    fn prose_and_paths_name_nothing() {
        assert!(named("the service is not ready, see /var/log/pods").is_empty());
        assert!(named("Waiting for controller").is_empty());
        assert!(named("LoginFailed: shop/api").is_empty());
        assert!(named("GET https://host/v1/login: 401").is_empty());
    }
}
