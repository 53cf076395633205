//! What could not be read, and how a user checks why.

use kgrca_core::rca::MissingEvidence;

use super::api::Refusal;
use super::context::Context;
use super::list::Part;
use crate::error::{CliError, Kind, Result};

/// The kubectl command of the context that is read.
pub(super) fn kubectl(context: Option<&str>) -> String {
    match context {
        Some(name) => format!("kubectl --context {name}"),
        None => "kubectl".to_owned(),
    }
}

/// The error that ends the reading; `None` when only this part is missing.
pub(super) fn fatal(refusal: &Refusal, context: &Context) -> Option<CliError> {
    let at = format!("{} (context `{}`)", context.address, context.name);
    let whoami = format!("kubectl --context {} auth whoami", context.name);
    match refusal {
        Refusal::Status(401, words) => {
            let message = format!("the API server at {at} does not accept the credentials");
            let error = CliError::new(Kind::NotAllowed, message).cause(words);
            Some(error.hint(format!("log in again, then check with `{whoami}`")))
        }
        Refusal::NoCredentials(why) => {
            let message = format!("cannot get credentials for context `{}`", context.name);
            let error = CliError::new(Kind::NotAllowed, message).cause(why);
            Some(error.hint(format!("check with `{whoami}`")))
        }
        Refusal::Unreachable(why) => {
            let error = CliError::new(Kind::Unreachable, format!("cannot read from {at}"));
            let version = format!("kubectl --context {} get --raw /version", context.name);
            Some(error.cause(why).hint(format!("check with `{version}`")))
        }
        Refusal::Status(..) | Refusal::TooLarge => None,
    }
}

/// The evidence that is missing because a part could not be listed, or watched, as the verb says.
pub(super) fn missing(
    part: &Part,
    verb: &str,
    refusal: &Refusal,
    kubectl: &str,
) -> MissingEvidence {
    let what = named(part);
    match refusal {
        Refusal::Status(403, _) => {
            let why = format!("you are not allowed to {verb} them");
            let check = can_i(part, verb, kubectl);
            MissingEvidence::new(&what, &why, &check)
        }
        Refusal::Status(404, _) => {
            let version = part.kind.api_version();
            let why = format!("the API server does not serve {version}");
            MissingEvidence::new(&what, &why, &format!("{kubectl} api-versions"))
        }
        Refusal::Status(code, words) => {
            let why = format!("the API server answered {code}: {words}");
            let get = format!("{kubectl} get {}{}", part.resource(), scope(part));
            MissingEvidence::new(&what, &why, &get)
        }
        Refusal::TooLarge | Refusal::NoCredentials(_) | Refusal::Unreachable(_) => {
            MissingEvidence::new(&what, "the answer is too large", "")
        }
    }
}

fn can_i(part: &Part, verb: &str, kubectl: &str) -> String {
    format!(
        "{kubectl} auth can-i {verb} {}{}",
        part.resource(),
        scope(part)
    )
}

/// What is missing where only one namespace could be listed instead of all.
pub(super) fn outside(namespace: &str, parts: &[Part], kubectl: &str) -> Option<MissingEvidence> {
    let first = parts.first()?;
    let kinds: Vec<String> = parts.iter().map(Part::resource).collect();
    Some(MissingEvidence::new(
        &format!("{} outside namespace {namespace}", kinds.join(", ")),
        "you are not allowed to list them in all namespaces",
        &can_i(&first.everywhere(), "list", kubectl),
    ))
}

/// What is missing of a kind that has too many objects.
pub(super) fn cut(part: &Part) -> MissingEvidence {
    let what = format!("more {}, of which there are too many", named(part));
    MissingEvidence::new(&what, "faults of these", "kgrca analyze -n <namespace>")
}

/// The line that names what may not be listed.
pub(super) fn message(forbidden: &[Part], kubectl: &str) -> Option<String> {
    let first = forbidden.first()?;
    let kinds: Vec<String> = forbidden.iter().map(Part::resource).collect();
    let check = match forbidden {
        [only] => can_i(only, "list", kubectl),
        _ => match &first.namespace {
            Some(namespace) => format!("{kubectl} auth can-i --list -n {namespace}"),
            None => format!("{kubectl} auth can-i --list"),
        },
    };
    Some(format!(
        "not allowed to list: {} (check with `{check}`)",
        kinds.join(", ")
    ))
}

/// The error when nothing may be read.
pub(super) fn nothing(context: &Context, namespace: Option<&str>, kubectl: &str) -> Result {
    let place = match namespace {
        Some(namespace) => format!("namespace {namespace}"),
        None => "any namespace".to_owned(),
    };
    let of = &context.name;
    let message =
        format!("context `{of}` is not allowed to list pods, workloads or events of {place}");
    let list = match namespace {
        Some(namespace) => format!("{kubectl} auth can-i --list -n {namespace}"),
        None => format!("{kubectl} auth can-i --list"),
    };
    let hint = format!("see what is allowed with `{list}`, or choose a namespace with -n");
    Err(CliError::new(Kind::NotAllowed, message).hint(hint))
}

/// The error when nothing may be watched.
pub(super) fn unwatchable(context: &Context, kubectl: &str) -> CliError {
    let message = format!(
        "context `{}` is not allowed to watch anything",
        context.name
    );
    let hint = format!("check with `{kubectl} auth can-i watch pods`, or run without --watch");
    CliError::new(Kind::NotAllowed, message).hint(hint)
}

fn named(part: &Part) -> String {
    match &part.namespace {
        Some(namespace) => format!("{} of namespace {namespace}", part.resource()),
        None => part.resource(),
    }
}

fn scope(part: &Part) -> String {
    match &part.namespace {
        Some(namespace) => format!(" -n {namespace}"),
        None if part.has_namespaces() => " -A".to_owned(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(resource: &str, namespace: Option<&str>) -> Part {
        let mut parts = Part::all(namespace).into_iter();
        parts.find(|part| part.resource() == resource).unwrap()
    }

    #[test]
    fn what_is_forbidden_is_named_with_the_command_that_checks_it() {
        let forbidden = Refusal::Status(403, "no".to_owned());
        let of = |resource, namespace| {
            let missing = missing(&part(resource, namespace), "list", &forbidden, "kubectl");
            (missing.what, missing.command)
        };
        let expected = |what: &str, command: &str| (what.to_owned(), command.to_owned());
        assert_eq!(
            of("deployments.apps", None),
            expected(
                "deployments.apps",
                "kubectl auth can-i list deployments.apps -A"
            )
        );
        assert_eq!(
            of("pods", Some("shop")),
            expected(
                "pods of namespace shop",
                "kubectl auth can-i list pods -n shop"
            )
        );
        assert_eq!(
            of("nodes", Some("shop")),
            expected("nodes", "kubectl auth can-i list nodes")
        );
    }

    #[test]
    fn one_line_names_all_that_is_forbidden() {
        let two = [part("nodes", None), part("secrets", None)];
        assert_eq!(message(&[], "kubectl"), None);
        assert_eq!(
            message(&two, "kubectl").unwrap(),
            "not allowed to list: nodes, secrets (check with `kubectl auth can-i --list`)"
        );
    }
}
