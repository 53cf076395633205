//! Public names without a DNS record: the controller that writes records for Ingresses is not
//! configured for their domain.

use super::caller_errors::CallFailure;
use super::finding::{Finding, Strength};
use super::protocol::edit;
use super::{CallError, FaultId, View};
use crate::graph::Idx;
use crate::model::Kind;

/// Reports `ExternalDNS` whose domain filters exclude the host of an Ingress that does not resolve.
pub(super) fn left_out(view: &View<'_>, errors: &[CallError], out: &mut Vec<Finding>) {
    let is_public = |e: &&CallError| {
        let target = e.target.map(|t| view.graph.get(t).kind());
        e.failure == CallFailure::Unresolved && target == Some(&Kind::Ingress)
    };
    let mut unresolved = errors.iter().filter(is_public).peekable();
    if unresolved.peek().is_none() {
        return;
    }
    let Some((publisher, domains)) = publisher(view) else {
        return;
    };
    let Some(error) = unresolved.find(|e| !domains.iter().any(|d| is_within(&e.name, d))) else {
        return;
    };
    let message = format!(
        "{} publishes only names of `{}`, and `{}` does not resolve",
        view.title(publisher),
        domains.join("`, `"),
        error.name
    );
    let ingress = error
        .target
        .map(|ingress| view.state_evidence(ingress, format!("has the host `{}`", error.name)));
    out.push(
        view.finding(
            FaultId::ConfigArgumentsInvalid,
            publisher,
            error.caller,
            Strength::Proof,
        )
        .active(true)
        .message(message)
        .with(ingress)
        .with([view.log_evidence(error.caller, view.episodes.logs[error.log].1)])
        .fix(edit(view, publisher))
        .build(),
    );
}

/// The workload that publishes names, with the only domains that it cares for.
fn publisher<'a>(view: &View<'a>) -> Option<(Idx, Vec<&'a str>)> {
    view.graph.of_kind(&Kind::Deployment).find_map(|workload| {
        let spec = view.pod_spec(workload).filter(|_| view.exists(workload))?;
        let is_meant = |image: &str| image.contains("external-dns");
        let container = spec
            .containers
            .iter()
            .find(|c| c.image.as_deref().is_some_and(is_meant))?;
        let filters = container.args.iter();
        let domains: Vec<&str> = filters
            .filter_map(|arg| arg.strip_prefix("--domain-filter="))
            .collect();
        (!domains.is_empty()).then_some((workload, domains))
    })
}

fn is_within(name: &str, domain: &str) -> bool {
    let rest = name
        .trim_end_matches('.')
        .strip_suffix(domain.trim_matches('.'));
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::is_within;

    #[test]
    fn a_name_is_within_its_domain() {
        assert!(is_within("www.example.org", "example.org"));
        assert!(is_within("example.org", ".example.org"));
        assert!(!is_within("www.notexample.org", "example.org"));
    }
}
