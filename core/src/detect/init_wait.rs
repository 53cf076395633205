//! Init containers that wait for a container of their own pod, which starts only after they end, or
//! for a server that does not exist.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::{self, Idx};
use crate::model::Kind;
use crate::model::object::ContainerStatus;
use crate::model::time::MINUTE;
use crate::trouble::Class;

/// Names of a pod's own network interface.
const LOOPBACK: [&str; 4] = ["127.0.0.1", "localhost", "[::1]", "\"::1\""];

/// Reports an init container that is refused by its own pod. Init containers that stay, which are
/// sidecars, may be what it waits for.
pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    // A script may start a server of its own and wait for it.
    let lasts = |idx: Idx| view.exists(idx) && view.lasts(view.unhealthy_since(idx));
    let Some(pod) = view.pod(idx).filter(|_| lasts(idx)) else {
        return;
    };
    let mut init = pod.status.init_container_statuses.iter();
    let Some(waiting) = init.find(|c| c.ready != Some(true)) else {
        return;
    };
    let has_sidecar = view.pod_spec(idx).is_some_and(|spec| {
        let mut all = spec.init_containers.iter();
        all.any(|c| c.restart_policy.as_deref() == Some("Always"))
    });
    let refused = view.logs(idx).find(|log| {
        log.container.as_deref() == Some(&*waiting.name)
            && view.now.0 - log.last.0 <= 15 * MINUTE
            && log.trouble().has_any(&[Class::Refused, Class::Unavailable])
            && has(&log.sample, &LOOPBACK)
    });
    let Some(refused) = refused.filter(|_| !has_sidecar) else {
        out.extend(endless(view, idx, waiting));
        return;
    };
    let owner = view.top_owner(idx);
    let message = format!(
        "Init container `{}` of {} waits for a server in its own pod, whose containers start only \
         after it ends: {}",
        waiting.name,
        view.title(owner),
        short(&refused.sample, 160)
    );
    out.push(
        view.finding(
            FaultId::RuntimeInitContainerFailed,
            owner,
            idx,
            Strength::Strong,
        )
        .active(true)
        .message(message)
        .with([view.log_evidence(idx, refused)])
        .build(),
    );
}

/// An init container that has been running for minutes. Which server it waits for, only its command
/// may say.
fn endless(view: &View<'_>, idx: Idx, waiting: &ContainerStatus) -> Option<Finding> {
    let started = waiting.state.running.as_ref()?.started_at.0?;
    let spec = view.pod_spec(idx)?;
    let container = spec
        .init_containers
        .iter()
        .find(|c| c.name == waiting.name)?;
    let is_sidecar = container.restart_policy.as_deref() == Some("Always");
    if is_sidecar || view.now.0 - started.0 < 5 * MINUTE {
        return None;
    }
    let owner = view.top_owner(idx);
    let command = [&container.command[..], &container.args[..]]
        .concat()
        .join(" ");
    let namespace = view.graph.get(idx).namespace();
    let missing = awaited(&command).filter(|host| {
        let meant = graph::called(host, namespace);
        meant.kind == Kind::Service && view.is_absent(&Kind::Service, &meant.namespace, &meant.name)
    });
    let seen = view.state_evidence(idx, format!("init container `{}` is running", waiting.name));
    let build = |fault, strength, message: String| {
        view.finding(fault, owner, idx, strength)
            .active(true)
            .message(message)
            .with([seen])
            .build()
    };
    let (name, title) = (&waiting.name, view.title(owner));
    Some(match missing {
        Some(host) => build(
            FaultId::ServiceAddressWrong,
            Strength::Strong,
            format!("Init container `{name}` of {title} waits for `{host}`, which does not exist"),
        ),
        None => build(
            FaultId::RuntimeInitContainerFailed,
            Strength::Hint,
            format!(
                "Init container `{name}` of {title} has been running for {} minutes",
                (view.now.0 - started.0) / MINUTE
            ),
        ),
    })
}

/// The host that a command waits for: the word before a port, as in `nc -z db 5432`.
fn awaited(command: &str) -> Option<&str> {
    let words: Vec<&str> = command
        .split(|c: char| c.is_whitespace() || matches!(c, ';' | '"' | '\'' | ')' | '/' | ':'))
        .filter(|word| !word.is_empty())
        .collect();
    let is_host = |word: &str| {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(is_name)
    };
    let is_port = |word: &str| word.len() > 1 && word.parse::<u16>().is_ok();
    let mut parts = words.windows(3);
    parts.find_map(|part| match part {
        [first, host, port] if is_port(port) && is_host(host) => {
            // `echo -n done 20` has a word before a number as well.
            let is_option = first.starts_with('-') && words.contains(&"nc");
            let waits = is_option || ["nc", "http", "https", "tcp"].contains(first);
            waits.then_some(*host)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::awaited;

    #[test]
    fn a_command_waits_for_a_host_and_a_port() {
        assert_eq!(
            awaited("sh -c until nc -z db 5432; do sleep 2; done"),
            Some("db")
        );
        assert_eq!(
            awaited("until curl -s http://api:8080/health; do sleep 10; done"),
            Some("api")
        );
        assert_eq!(awaited("sh -c echo -n done 20; sleep 30"), None);
    }
}
