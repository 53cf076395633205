//! Probes that fail because of their own settings.

use super::finding::{Finding, Strength};
use super::text::{has, short};
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::ContainerStatus;
use crate::model::object::{Container, PortRef, Probe};
use crate::model::time::MINUTE;
use crate::model::{Episode, Time};

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

/// Errors that show that the port serves another protocol than the probe uses.
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
        // A failing readiness probe keeps its pod unready; a failing liveness probe restarts it, so
        // that the pod may be healthy for the moment.
        let holds = match kind {
            ProbeKind::Readiness => !view.is_pod_well(idx),
            ProbeKind::Liveness | ProbeKind::Startup => {
                !view.is_pod_well(idx) || (restarts && recent)
            }
        };
        if holds && (!failed.is_empty() || view.is_pod_unwell(idx)) {
            out.extend(diagnose(view, idx, kind, &failed));
        }
    }
}

/// A pod's probe of one kind with what the kubelet reports about it.
struct Observation<'a> {
    view: &'a View<'a>,
    pod: Idx,
    owner: Idx,
    kind: ProbeKind,
    /// The container whose probe fails, if the pod's spec is known.
    container: Option<&'a Container>,
    probe: Option<&'a Probe>,
    /// Whether the kubelet reported any failure.
    has_failed: bool,
    /// The newest failure; empty if there is none.
    message: &'a str,
}

/// Why a probe fails.
struct Diagnosis {
    fault: FaultId,
    strength: Strength,
    message: String,
}

/// Reasons for which a probe can be at fault itself, the most specific first.
const CHECKS: [fn(&Observation<'_>) -> Option<Diagnosis>; 6] = [
    wrong_protocol,
    wrong_port,
    conflicting_protocol,
    failing_command,
    timeout_too_short,
    killed_before_listening,
];

fn diagnose(view: &View<'_>, idx: Idx, kind: ProbeKind, failed: &[&Episode]) -> Option<Finding> {
    let message = failed.last().map(|e| &*e.message).unwrap_or_default();
    let container = view.pod_spec(idx).and_then(|s| {
        s.containers
            .iter()
            .find(|c| kind.of(c).is_some_and(|p| fits(p, message)))
    });
    let observation = Observation {
        view,
        pod: idx,
        owner: view.top_owner(idx),
        kind,
        container,
        probe: container.and_then(|c| kind.of(c)),
        has_failed: !failed.is_empty(),
        message,
    };
    let diagnosis = CHECKS.iter().find_map(|check| check(&observation))?;
    let events = failed.iter().map(|e| view.event_evidence(idx, e));
    Some(
        view.finding(diagnosis.fault, observation.owner, idx, diagnosis.strength)
            .active(true)
            .message(diagnosis.message)
            .with(events)
            .build(),
    )
}

impl Observation<'_> {
    /// ``Liveness probe of Deployment `cart` ``
    fn title(&self) -> String {
        format!(
            "{} probe of {}",
            self.kind.word(),
            self.view.title(self.owner)
        )
    }

    /// Whether the probe is known to fail: the kubelet reports it, or the pod runs without ever
    /// becoming ready.
    fn is_failing(&self) -> bool {
        self.has_failed || (self.kind == ProbeKind::Readiness && runs_unready(self.view, self.pod))
    }
}

fn wrong_protocol(o: &Observation<'_>) -> Option<Diagnosis> {
    has(o.message, &OTHER_PROTOCOL).then(|| Diagnosis {
        fault: o.kind.wrong_protocol(),
        strength: Strength::Proof,
        message: format!(
            "{} uses {}, but the port serves another protocol: {}",
            o.title(),
            o.probe.map(protocol).unwrap_or("another protocol"),
            short(o.message, 160)
        ),
    })
}

fn wrong_port(o: &Observation<'_>) -> Option<Diagnosis> {
    let (container, probe) = (o.container?, o.probe?);
    let port = undeclared_port(container, probe)?;
    if !o.is_failing()
        || has(o.message, &["statuscode"])
        || passes_elsewhere(o.view, o.owner, o.kind, probe)
    {
        return None;
    }
    let declared: Vec<String> = container
        .ports
        .iter()
        .map(|p| p.container_port.to_string())
        .collect();
    Some(Diagnosis {
        fault: o.kind.wrong_port(),
        strength: if o.has_failed {
            Strength::Proof
        } else {
            Strength::Strong
        },
        message: format!(
            "{} uses port {port}, but container `{}` declares port {}",
            o.title(),
            container.name,
            declared.join(", ")
        ),
    })
}

/// Two probes of a container that use the same port with different protocols: one must be wrong.
fn conflicting_protocol(o: &Observation<'_>) -> Option<Diagnosis> {
    let (container, probe) = (o.container?, o.probe?);
    let port = probe.port();
    let (kind, other) = ProbeKind::ALL
        .into_iter()
        .filter(|k| *k != o.kind)
        .filter_map(|k| Some((k, k.of(container)?)))
        .find(|(_, p)| p.grpc.is_some() != probe.grpc.is_some() && p.port() == port)?;
    if !o.is_failing() || has(o.message, &["statuscode", "connection refused"]) {
        return None;
    }
    Some(Diagnosis {
        fault: o.kind.wrong_protocol(),
        strength: Strength::Strong,
        message: format!(
            "{} uses {}, but the {} probe uses {} on the same port{}",
            o.title(),
            protocol(probe),
            kind.word().to_lowercase(),
            protocol(other),
            port.map(|p| format!(" {p}")).unwrap_or_default()
        ),
    })
}

fn failing_command(o: &Observation<'_>) -> Option<Diagnosis> {
    // The kubelet prefixes the output of a command with nothing; network probes name their error.
    const COMMAND_ERRORS: [&str; 3] = [
        "probe errored: rpc error",
        "executable file not found",
        "OCI runtime exec failed",
    ];
    // A command that cannot run is wrong itself; one that ran and failed may be right.
    const CANNOT_RUN: [&str; 4] = [
        "probe errored",
        "executable file not found",
        "OCI runtime exec failed",
        "no such file or directory",
    ];
    let is_command = o.probe.is_some_and(|p| p.exec.is_some()) || has(o.message, &COMMAND_ERRORS);
    (o.has_failed && is_command).then(|| Diagnosis {
        fault: FaultId::RuntimeProbeCommandFails,
        strength: if has(o.message, &CANNOT_RUN) {
            Strength::Strong
        } else {
            Strength::Fair
        },
        message: format!(
            "{}: the command fails: {}",
            o.title(),
            short(o.message, 160)
        ),
    })
}

fn timeout_too_short(o: &Observation<'_>) -> Option<Diagnosis> {
    let times_out = has(o.message, &["deadline exceeded", "i/o timeout", "timeout:"])
        && !has(o.message, &["no route to host"]);
    let limits = |p: &Probe| {
        format!(
            " (timeoutSeconds {}, failureThreshold {})",
            p.timeout_seconds.unwrap_or(1),
            p.failure_threshold.unwrap_or(3)
        )
    };
    (o.has_failed && times_out).then(|| Diagnosis {
        fault: o.kind.too_strict(),
        strength: Strength::Fair,
        message: format!(
            "{} times out{}",
            o.title(),
            o.probe.map(limits).unwrap_or_default()
        ),
    })
}

fn killed_before_listening(o: &Observation<'_>) -> Option<Diagnosis> {
    let kills = o.has_failed
        && o.kind != ProbeKind::Readiness
        && has(o.message, &["connection refused"])
        && killed_by_probe(o.view, o.pod, o.kind);
    kills.then(|| Diagnosis {
        fault: o.kind.too_strict(),
        strength: Strength::Fair,
        message: format!("{} fails before the container starts listening", o.title()),
    })
}

/// Whether all containers of a pod have been running for a while and the pod is not ready: then its
/// readiness probe fails.
fn runs_unready(view: &View<'_>, idx: Idx) -> bool {
    let Some(pod) = view.pod(idx) else {
        return false;
    };
    let lasts = |c: &ContainerStatus| {
        c.state
            .running
            .as_ref()
            .is_some_and(|r| view.lasts(r.started_at.0))
    };
    let all = &pod.status.container_statuses;
    view.is_pod_unwell(idx) && !all.is_empty() && all.iter().all(lasts)
}

fn protocol(probe: &Probe) -> &'static str {
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

/// The probe's port, if the container declares ports and that is none of them. A container that
/// declares no ports proves nothing.
fn undeclared_port<'a>(container: &Container, probe: &'a Probe) -> Option<&'a PortRef> {
    if container.ports.is_empty() {
        return None;
    }
    let port = probe.port()?;
    let is_declared = match port {
        PortRef::Number(n) => container.ports.iter().any(|p| p.container_port == *n),
        // If no port has a name, names may not be recorded.
        PortRef::Name(name) => {
            container.ports.iter().all(|p| p.name.is_none())
                || container
                    .ports
                    .iter()
                    .any(|p| p.name.as_deref() == Some(name))
        }
    };
    (!is_declared).then_some(port)
}

/// Whether a ready pod of the same workload has the same probe: then the probe is not at fault.
fn passes_elsewhere(view: &View<'_>, owner: Idx, kind: ProbeKind, probe: &Probe) -> bool {
    let same = |p: &Idx| {
        view.pod_spec(*p).is_some_and(|s| {
            s.containers
                .iter()
                .filter_map(|c| kind.of(c))
                .any(|q| q.port() == probe.port())
        })
    };
    // Between two restarts a pod is ready as well.
    let is_stable = |c: &ContainerStatus| {
        let ended = c.last_state.terminated.as_ref();
        let is_long_ago = |at: Time| view.now.0 - at.0 > 60 * MINUTE;
        match ended {
            Some(ended) => ended.finished_at.0.is_some_and(is_long_ago),
            None => true,
        }
    };
    let has_no_restarts = |p: &Idx| {
        view.pod(*p)
            .is_some_and(|p| p.status.container_statuses.iter().all(is_stable))
    };
    view.pods_of(owner).iter().any(|p| {
        view.is_pod_well(*p) && (kind == ProbeKind::Readiness || has_no_restarts(p)) && same(p)
    })
}

fn killed_by_probe(view: &View<'_>, idx: Idx, kind: ProbeKind) -> bool {
    let words = format!("failed {} probe", kind.word());
    view.events(idx)
        .any(|e| &*e.reason == "Killing" && has(&e.message, &[&words]))
}
