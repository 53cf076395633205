//! Probes that fail because of themselves.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Episode;
use crate::model::object::ContainerStatus;
use crate::model::object::{Container, PortRef, Probe};
use crate::model::time::MINUTE;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
}

impl ProbeKind {
    const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    fn word(self) -> &'static str {
        match self {
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
            Self::Startup => "Startup",
        }
    }

    fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Liveness => container.liveness_probe.as_deref(),
            Self::Readiness => container.readiness_probe.as_deref(),
            Self::Startup => container.startup_probe.as_deref(),
        }
    }

    fn wrong_port(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessWrongPort,
            Self::Readiness => FaultId::RuntimeReadinessWrongPort,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }

    fn wrong_protocol(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessWrongProtocol,
            Self::Readiness => FaultId::RuntimeReadinessWrongProtocol,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }

    fn too_strict(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessTooStrict,
            Self::Readiness => FaultId::RuntimeReadinessTooStrict,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }
}

/// Words by which an answer shows that the probe speaks another protocol than the port.
const OTHER_PROTOCOL: [&str; 8] = [
    "malformed http",
    "server gave http response to https client",
    "client sent an http request to an https server",
    "first record does not look like a tls handshake",
    "does not implement the grpc health protocol",
    "unexpected http status code received from server",
    "error reading server preface",
    "http/1.x transport connection broken",
];

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.is_living(idx) {
        return;
    }
    let restarts = view.pod(idx).is_some_and(|p| {
        p.status
            .container_statuses
            .iter()
            .any(|c| c.restart_count > 0)
    });
    for kind in ProbeKind::ALL {
        let failed: Vec<&Episode> = view
            .warnings(idx)
            .filter(|e| {
                &*e.reason == "Unhealthy" && has(&e.message, &[&format!("{} probe", kind.word())])
            })
            .collect();
        let recent = failed
            .last()
            .is_some_and(|e| view.now.0 - e.last.0 <= 5 * MINUTE);
        // A readiness probe that fails keeps its pod unready; a liveness probe that fails restarts
        // it, so that the pod may look well for the moment.
        let holds = match kind {
            ProbeKind::Readiness => !view.is_pod_well(idx),
            ProbeKind::Liveness | ProbeKind::Startup => {
                !view.is_pod_well(idx) || (restarts && recent)
            }
        };
        if holds && (!failed.is_empty() || view.is_pod_unwell(idx)) {
            judge(view, idx, kind, &failed, out);
        }
    }
}

fn judge(view: &View<'_>, idx: Idx, kind: ProbeKind, failed: &[&Episode], out: &mut Vec<Finding>) {
    let last = failed.last().map_or("", |e| &*e.message);
    let owner = view.top_owner(idx);
    let container = view.pod_spec(idx).and_then(|s| {
        s.containers
            .iter()
            .find(|c| kind.of(c).is_some_and(|p| fits(p, last)))
    });
    let probe = container.and_then(|c| kind.of(c));
    let evidence = || failed.iter().map(|e| view.event_evidence(idx, e));
    let mut push = |fault, strength, summary: String| {
        out.push(
            view.finding(fault, owner, idx, strength)
                .active(true)
                .message(summary)
                .with(evidence())
                .build(),
        );
    };
    let word = kind.word();
    if has(last, &OTHER_PROTOCOL) {
        let asks = probe.map_or("another protocol", spoken);
        return push(
            kind.wrong_protocol(),
            Strength::Proof,
            format!(
                "{word} probe of {} asks {asks} of a port that speaks something else: {}",
                view.title(owner),
                short(last, 160)
            ),
        );
    }
    if let (Some(container), Some(probe)) = (container, probe) {
        if let Some((wrong, has_ports)) = wrong_port(container, probe)
            && (!failed.is_empty() || (kind == ProbeKind::Readiness && runs_unready(view, idx)))
            && !has(last, &["statuscode"])
            && !passes_elsewhere(view, owner, kind, probe)
        {
            return push(
                kind.wrong_port(),
                if failed.is_empty() {
                    Strength::Strong
                } else {
                    Strength::Proof
                },
                format!(
                    "{word} probe of {} asks port {wrong}; container `{}` has {has_ports}",
                    view.title(owner),
                    container.name
                ),
            );
        }
        if let Some(other) = other_protocol(container, kind, probe)
            && (!failed.is_empty() || (kind == ProbeKind::Readiness && runs_unready(view, idx)))
            && !has(last, &["statuscode", "connection refused"])
        {
            return push(
                kind.wrong_protocol(),
                Strength::Strong,
                format!(
                    "{word} probe of {} asks {} where {other}",
                    view.title(owner),
                    spoken(probe)
                ),
            );
        }
    }
    if failed.is_empty() {
        return;
    }
    // The kubelet marks what a command printed by nothing; network probes name themselves or their
    // error.
    let is_exec = probe.is_some_and(|p| p.exec.is_some())
        || has(
            last,
            &[
                "probe errored: rpc error",
                "executable file not found",
                "OCI runtime exec failed",
            ],
        );
    if is_exec {
        // A command that cannot be run is wrong itself; one that ran and said no may be right.
        let cannot_run = has(
            last,
            &[
                "probe errored",
                "executable file not found",
                "OCI runtime exec failed",
                "no such file or directory",
            ],
        );
        return push(
            FaultId::RuntimeProbeCommandFails,
            if cannot_run {
                Strength::Strong
            } else {
                Strength::Fair
            },
            format!(
                "{word} probe command of {} fails: {}",
                view.title(owner),
                short(last, 160)
            ),
        );
    }
    if has(last, &["deadline exceeded", "i/o timeout", "timeout:"])
        && !has(last, &["no route to host"])
    {
        let limits = probe.map_or(String::new(), |p| {
            format!(
                " ({} s, {}×)",
                p.timeout_seconds.unwrap_or(1),
                p.failure_threshold.unwrap_or(3)
            )
        });
        return push(
            kind.too_strict(),
            Strength::Fair,
            format!(
                "{word} probe of {} gets no answer in time{limits}",
                view.title(owner)
            ),
        );
    }
    if kind != ProbeKind::Readiness
        && has(last, &["connection refused"])
        && killed_while_starting(view, idx, kind)
    {
        push(
            kind.too_strict(),
            Strength::Fair,
            format!(
                "{word} probe of {} kills the container before it listens",
                view.title(owner)
            ),
        );
    }
}

/// Whether all containers of a pod run, have for a while, and the pod is not ready: then its
/// readiness probe summary no.
fn runs_unready(view: &View<'_>, idx: Idx) -> bool {
    let Some(pod) = view.pod(idx) else {
        return false;
    };
    let lasts = |c: &crate::model::object::ContainerStatus| {
        c.state
            .running
            .as_ref()
            .is_some_and(|r| view.lasts(r.started_at.0))
    };
    let all = &pod.status.container_statuses;
    view.is_pod_unwell(idx) && !all.is_empty() && all.iter().all(lasts)
}

fn spoken(probe: &Probe) -> &'static str {
    match probe {
        Probe { grpc: Some(_), .. } => "gRPC",
        Probe {
            http_get: Some(http),
            ..
        } if http.scheme.as_deref() == Some("HTTPS") => "HTTPS",
        Probe {
            http_get: Some(_), ..
        } => "HTTP",
        Probe {
            tcp_socket: Some(_),
            ..
        } => "TCP",
        _ => "a command",
    }
}

/// Whether a message can come from this probe: when it names a port, it is the probe's.
fn fits(probe: &Probe, message: &str) -> bool {
    match probe.port() {
        Some(PortRef::Number(port)) if message.contains(':') => {
            let wanted = format!(":{port}");
            let named = message.match_indices(&wanted).any(|(at, _)| {
                !message[at + wanted.len()..].starts_with(|c: char| c.is_ascii_digit())
            });
            named
                || !message.contains("//")
                    && !message.contains("dial tcp")
                    && !message.contains("service \"")
        }
        _ => true,
    }
}

/// The probed port and the container's ports, when the one is not among the others. A container
/// that declares no ports proves nothing; one that does, and is healthy on them otherwise, summary
/// where it listens.
fn wrong_port(container: &Container, probe: &Probe) -> Option<(String, String)> {
    if container.ports.is_empty() {
        return None;
    }
    let known = match probe.port()? {
        PortRef::Number(n) => container.ports.iter().any(|p| p.container_port == *n),
        // Without any recorded name, names are unknown.
        PortRef::Name(name) => {
            container.ports.iter().all(|p| p.name.is_none())
                || container
                    .ports
                    .iter()
                    .any(|p| p.name.as_deref() == Some(name))
        }
    };
    let ports: Vec<String> = container
        .ports
        .iter()
        .map(|p| p.container_port.to_string())
        .collect();
    (!known).then(|| {
        (
            probe.port().map_or(String::new(), ToString::to_string),
            format!("port {}", ports.join(", ")),
        )
    })
}

/// Another probe of the container that asks the same port in another protocol; one of the two must
/// be wrong.
fn other_protocol(container: &Container, kind: ProbeKind, probe: &Probe) -> Option<String> {
    let other = ProbeKind::ALL
        .into_iter()
        .filter(|k| *k != kind)
        .find_map(|k| {
            let p = k.of(container)?;
            let differs = p.grpc.is_some() != probe.grpc.is_some() && (p.port() == probe.port());
            differs.then(|| format!("the {} probe asks {}", k.word().to_lowercase(), spoken(p)))
        });
    other.map(|o| {
        format!(
            "{o} on the same port {}",
            probe.port().map_or(String::new(), ToString::to_string)
        )
    })
}

/// Whether a ready pod of the same workload has the very same probe: then the probe is not at
/// fault.
fn passes_elsewhere(view: &View<'_>, owner: Idx, kind: ProbeKind, probe: &Probe) -> bool {
    let same = |p: &Idx| {
        view.pod_spec(*p).is_some_and(|s| {
            s.containers
                .iter()
                .filter_map(|c| kind.of(c))
                .any(|q| q.port() == probe.port())
        })
    };
    // Between two restarts a pod is well, too.
    let is_old = |c: &ContainerStatus| {
        let ended = c.last_state.terminated.as_ref();
        ended.is_none_or(|t| {
            t.finished_at
                .0
                .is_some_and(|at| view.now.0 - at.0 > 60 * MINUTE)
        })
    };
    let calm = |p: &Idx| {
        view.pod(*p)
            .is_some_and(|p| p.status.container_statuses.iter().all(is_old))
    };
    view.pods_of(owner)
        .iter()
        .any(|p| view.is_pod_well(*p) && (kind == ProbeKind::Readiness || calm(p)) && same(p))
}

fn killed_while_starting(view: &View<'_>, idx: Idx, kind: ProbeKind) -> bool {
    let words = format!("failed {} probe", kind.word());
    view.events(idx)
        .any(|e| &*e.reason == "Killing" && has(&e.message, &[&words]))
}
