//! Why a program exited, by the lines that it logged last.

use super::FaultId;
use super::text::{has, word_after};
use crate::model::object::container::EnvVar;
use crate::model::object::pod::PodSpec;
use crate::trouble::{self, Class, Classes, report};

/// Shorter values of variables occur in lines by chance.
const MIN_VALUE: usize = 6;

/// How programs quote the value of a setting; they quote the names of servers otherwise.
const QUOTES: [(char, char); 3] = [('"', '"'), ('(', ')'), ('[', ']')];

/// How programs call the system call that takes a port.
const BINDS: [&str; 5] = ["bind:", "bind(", "bind to", " bind ", "binding to"];

/// How programs reject the value of a setting, or its absence.
const REFUSALS: [&str; 20] = [
    "differs from",
    "does not match",
    "keyerror",
    "invalid",
    "parse",
    "must be",
    "must have",
    "malformed",
    "expected",
    "out of range",
    "not a valid",
    "unsupported",
    "required",
    "missing",
    "not set",
    "unset",
    "is empty",
    "undefined",
    "cannot be",
    "not configured",
];

/// Why a program exited, by what it logged.
pub(super) fn from_lines(
    spec: Option<&PodSpec>,
    container: &str,
    lines: &[&str],
) -> Option<FaultId> {
    const BY_CLASS: [(Class, FaultId); 13] = [
        (Class::ExecFormat, FaultId::ImageArchitectureMismatch),
        (Class::PortTaken, FaultId::RuntimePortConflict),
        (
            Class::CertificateExpired,
            FaultId::ServiceCertificateInvalid,
        ),
        (Class::CertificateBroken, FaultId::ServiceCertificateInvalid),
        (Class::CommandNotFound, FaultId::ConfigCommandNotFound),
        (Class::ArgumentsRejected, FaultId::ConfigArgumentsInvalid),
        (Class::SyntaxError, FaultId::ConfigArgumentsInvalid),
        (Class::SourceUnavailable, FaultId::ConfigSourceUnavailable),
        (Class::DataIncompatible, FaultId::DependencyVersionMismatch),
        (Class::VersionMismatch, FaultId::DependencyVersionMismatch),
        (Class::RecordUnreadable, FaultId::DependencyVersionMismatch),
        (Class::SchemaMissing, FaultId::DependencyVersionMismatch),
        (Class::SettingMissing, FaultId::ConfigEnvInvalid),
    ];
    // The source lines of a report name variables whatever failed.
    let told: Vec<String> = lines.iter().map(|l| report::causes(l).join("\n")).collect();
    let lines: Vec<&str> = told.iter().map(String::as_str).collect();
    let classes: Vec<Classes> = lines.iter().map(|line| trouble::read(line)).collect();
    // Of a setting that is missing, programs also warn and go on.
    let count = |class: Class| match class {
        Class::SettingMissing => 1,
        _ => classes.len(),
    };
    let is_version = |class: Class| class == Class::VersionMismatch;
    let named = |(class, _): &&(Class, FaultId)| {
        let mut last = classes.iter().rev().take(count(*class));
        // Fields that a file should not have are unknown, too.
        last.any(|c| c.has(*class) && !(is_version(*class) && c.has(Class::ConfigRejected)))
            && !(*class == Class::CertificateExpired && is_of_server(&lines))
    };
    if let Some((_, fault)) = BY_CLASS.iter().find(named) {
        return Some(*fault);
    }
    // A port below 1024, as another user than root.
    let binds = |(line, c): (&&str, &Classes)| has(line, &BINDS) && c.has(Class::PermissionDenied);
    if lines.iter().zip(&classes).any(binds) {
        return Some(FaultId::ConfigSecurityContextDenied);
    }
    if spec.is_some_and(|spec| {
        lines
            .iter()
            .any(|line| rejects_argument(spec, container, line))
    }) {
        return Some(FaultId::ConfigArgumentsInvalid);
    }
    // A report over several lines has the name of the setting on a line of its own.
    let report = lines.join(" ");
    let joined = has(
        &report,
        &[
            "validation error",
            "environment",
            "settings",
            "configuration",
        ],
    )
    .then_some(&*report);
    let is_rejected = lines
        .iter()
        .copied()
        .chain(joined)
        .any(|s| rejects_variable(spec, container, s));
    is_rejected.then_some(FaultId::ConfigEnvInvalid)
}

/// Whether an expired certificate is that of a server which a line names.
fn is_of_server(lines: &[&str]) -> bool {
    let expired = |line: &&&str| trouble::read(line).has(Class::CertificateExpired);
    let named = lines
        .iter()
        .filter(expired)
        .flat_map(|line| trouble::host::in_text(line));
    named
        .filter(|named| named.is_stated)
        .any(|named| !matches!(named.host, "localhost" | "127.0.0.1"))
}

/// Whether a line rejects an option of the container's own command line.
fn rejects_argument(spec: &PodSpec, container: &str, line: &str) -> bool {
    const PHRASES: [&str; 6] = [
        "unknown option",
        "unknown argument",
        "unknown directive",
        "unrecognized",
        "bad directive",
        "wrong number of arguments",
    ];
    if !has(line, &PHRASES) {
        return false;
    }
    let container = spec.all_containers().find(|c| &*c.name == container);
    let words = container
        .into_iter()
        .flat_map(|c| c.command.iter().chain(c.args.iter()))
        .flat_map(|a| a.split_whitespace());
    // Only the options: values of a command line may occur in any error.
    let mut options = words
        .filter_map(|w| w.strip_prefix('-')?.split('=').next())
        .map(|w| w.trim_start_matches('-'));
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    options
        .any(|name| name.len() > 3 && line.split(part).any(|w| w.trim_start_matches('-') == name))
}

/// Whether a line rejects an environment variable: one of the container's own, or one that it calls
/// an environment variable.
fn rejects_variable(spec: Option<&PodSpec>, container: &str, line: &str) -> bool {
    // A stream that ends early is no value that was expected.
    let told = line.replace("unexpected", "");
    if !has(&told, &REFUSALS) {
        return false;
    }
    let variables: Vec<&EnvVar> = spec
        .into_iter()
        .flat_map(PodSpec::all_containers)
        .filter(|c| &*c.name == container)
        .flat_map(|c| c.env.iter())
        .collect();
    let quotes = |v: &&EnvVar| {
        let value = v.value.as_deref().unwrap_or_default();
        let quoted = || {
            QUOTES
                .iter()
                .any(|(left, right)| line.contains(&format!("{left}{value}{right}")))
        };
        value.len() >= MIN_VALUE && quoted()
    };
    let words = || line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let is_named = variables
        .iter()
        .any(|v| v.name.len() > 2 && words().any(|w| w == &*v.name));
    is_named
        || variables.iter().copied().any(|v| quotes(&v))
        || has(line, &["keyerror: "]) && words().any(is_variable)
        || has(line, &["environment variable", "env var", "envvar"]) && words().any(is_variable)
        || word_after(line, "environment variable ").is_some_and(is_capital)
}

/// `LIKETHIS`: a variable only where the text says so.
fn is_capital(word: &str) -> bool {
    word.len() > 2 && word.bytes().all(|c| c.is_ascii_uppercase())
}

/// `LIKE_THIS`: the usual form of environment variables.
fn is_variable(word: &str) -> bool {
    word.len() > 3
        && word.contains('_')
        && word
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: &str) -> Option<FaultId> {
        from_lines(None, "main", &[line])
    }

    #[test]
    fn missing_settings_are_told_from_other_keys() {
        let report = |last: &str| {
            format!(
                "Traceback (most recent call last):\n  File \"/app/main.py\", line 12, in f\n    \
                 url = os.environ[\"QUEUE_URL\"]\n{last}"
            )
        };
        let env = Some(FaultId::ConfigEnvInvalid);
        assert_eq!(reason(&report("KeyError: 'QUEUE_URL'")), env);
        assert_eq!(reason("required key APP_SECRET missing value"), env);
        assert_eq!(reason(&report("KeyError: 'id'")), None);
        assert_eq!(reason(&report("InvalidRequest: code=2200")), None);
    }

    #[test]
    fn a_value_of_a_variable_may_stand_in_parentheses() {
        let variable = EnvVar {
            name: "STORE_REGION".into(),
            value: Some("coast-west".into()),
            ..EnvVar::default()
        };
        let container = crate::model::object::Container {
            name: "main".into(),
            env: [variable].into_iter().collect(),
            ..crate::model::object::Container::default()
        };
        let spec = PodSpec {
            containers: [container].into_iter().collect(),
            ..PodSpec::default()
        };
        let reason = |line: &str| from_lines(Some(&spec), "main", &[line]);
        let differs = "cannot start: the region (coast-west) differs from that of the data";
        assert_eq!(reason(differs), Some(FaultId::ConfigEnvInvalid));
        assert_eq!(reason("the region (coast-east) differs"), None);
        let cut = "connection to (coast-west): failed to receive message: unexpected EOF";
        assert_eq!(reason(cut), None, "no value was expected");
    }

    #[test]
    fn data_that_does_not_fit_has_a_fault_of_its_own() {
        let nginx = "nginx: [emerg] unknown directive \"proxy_passs\" in /etc/nginx/nginx.conf:7";
        assert_eq!(reason(nginx), None, "a file is not an argument");
        let files = "FATAL:  database files are incompatible with server";
        assert_eq!(reason(files), Some(FaultId::DependencyVersionMismatch));
        assert_eq!(reason("nginx: configuration file test is successful"), None);
    }
}
