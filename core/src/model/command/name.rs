//! Which texts can be names of objects.

/// Placeholders that stand for the name of an object, or of a part of one.
const NAMES: [&str; 19] = [
    "account",
    "claim",
    "class",
    "configmap",
    "container",
    "cronjob",
    "deployment",
    "ingress",
    "job",
    "kind",
    "name",
    "namespace",
    "node",
    "pod",
    "policy",
    "quota",
    "secret",
    "service",
    "volume",
];

/// Longest name of an object.
const MAX_NAME: usize = 253;

/// Whether a value can stand at a placeholder: a name has no blanks, slashes or marks of the shell,
/// and is no directory. Names of RBAC have colons.
pub(super) fn may_be(placeholder: &str, value: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '_' | '@');
    let is_name = value.len() <= MAX_NAME
        && value.starts_with(|c: char| c.is_ascii_alphanumeric())
        && value.chars().all(is_part);
    is_name || !NAMES.contains(&placeholder)
}
