//! Reasons for which a probe can be at fault itself.

use super::finding::Strength;
use super::probe::ProbeKind;
use super::signalled::is_signalled;
use super::text::{has, short};
use super::{FaultId, View, probe_port};
use crate::graph::Idx;
use crate::model::Time;
use crate::model::object::{Container, ContainerStatus, PortRef, Probe};
use crate::model::time::MINUTE;
use crate::trouble::{self, Class};

/// A pod's probe of one kind with what the kubelet reports about it.
pub(super) struct Observation<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) pod: Idx,
    pub(super) owner: Idx,
    pub(super) kind: ProbeKind,
    /// The container whose probe fails, if the pod's spec is known.
    pub(super) container: Option<&'a Container>,
    pub(super) probe: Option<&'a Probe>,
    /// Whether the kubelet reported any failure.
    pub(super) has_failed: bool,
    /// The newest failure; empty if there is none.
    pub(super) message: &'a str,
}

/// Why a probe fails.
pub(super) struct Diagnosis {
    pub(super) fault: FaultId,
    pub(super) strength: Strength,
    pub(super) message: String,
}

/// Reasons for which a probe can be at fault itself, the most specific first.
pub(super) const CHECKS: [fn(&Observation<'_>) -> Option<Diagnosis>; 15] = [
    not_authorized,
    wrong_protocol,
    probe_port::plain_to_tls,
    probe_port::wrong_path,
    wrong_port,
    probe_port::listens_elsewhere,
    probe_port::nothing_listens,
    conflicting_protocol,
    killed_while_starting,
    killed_by_own_command,
    failing_command,
    timeout_too_short,
    killed_before_listening,
    ended_by_signal,
    not_ready,
];

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

impl Observation<'_> {
    /// ``Liveness probe of Deployment `cart` ``
    pub(super) fn title(&self) -> String {
        format!(
            "{} probe of {}",
            self.kind.word(),
            self.view.title(self.owner)
        )
    }

    /// Whether the probe is known to fail: the kubelet reports it, the pod runs without ever
    /// becoming ready, or its container was ended as the kubelet ends those whose probe fails.
    pub(super) fn is_failing(&self) -> bool {
        self.has_failed
            || match self.kind {
                ProbeKind::Readiness => runs_unready(self.view, self.pod),
                ProbeKind::Liveness | ProbeKind::Startup => self.is_signalled(),
            }
    }

    fn is_signalled(&self) -> bool {
        self.container
            .is_some_and(|c| is_signalled(self.view, self.pod, &c.name))
    }
}

/// A command that asks the API server what its account may do, and ends with an error when the
/// answer is no: `kubectl auth can-i list pods`.
fn not_authorized(o: &Observation<'_>) -> Option<Diagnosis> {
    let command = o.probe?.exec.as_ref()?.command.join(" ");
    let (_, asked) = command.split_once("auth can-i ")?;
    let has_other_reason = !trouble::read(o.message).is_empty();
    (o.is_failing() && !has_other_reason).then(|| Diagnosis {
        fault: FaultId::AdmissionRbacForbidden,
        strength: Strength::Strong,
        message: format!(
            "{} asks whether its account may `{}`, and it may not",
            o.title(),
            short(asked.trim_matches(['"', '\'']), 120)
        ),
    })
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

/// The server answers that it is starting, and the kubelet kills it for that.
fn killed_while_starting(o: &Observation<'_>) -> Option<Diagnosis> {
    let kills = o.has_failed
        && o.kind != ProbeKind::Readiness
        && says_starting(o.message)
        && killed_by_probe(o.view, o.pod, o.kind);
    kills.then(|| Diagnosis {
        fault: o.kind.too_strict(),
        strength: Strength::Strong,
        message: format!(
            "{} kills a server that is still starting: {}",
            o.title(),
            short(o.message, 160)
        ),
    })
}

/// Whether a server answers that it is about to serve.
fn says_starting(text: &str) -> bool {
    const STARTING: [&str; 4] = [
        "loading",
        "starting up",
        "recovery mode",
        "not yet accepting",
    ];
    trouble::read(text).has(Class::NotServing) && has(text, &STARTING)
}

/// Whether a probe kills the server of a pod that only needs more time to start.
pub(super) fn is_killed_while_starting(view: &View<'_>, pod: Idx, message: &str) -> bool {
    let kills = |kind| killed_by_probe(view, pod, kind);
    says_starting(message) && (kills(ProbeKind::Liveness) || kills(ProbeKind::Startup))
}

/// A probe command that keeps finding no listener in its own container, so that the kubelet
/// restarts the container: its program needs more time to start. Where the readiness probe does
/// not fail as well, the command may ask for a wrong port.
fn killed_by_own_command(o: &Observation<'_>) -> Option<Diagnosis> {
    let refused = |text: &str| {
        let is_own = has(text, &["127.0.0.1", "localhost", "[::1]"]);
        is_own && trouble::read(text).has(Class::Refused)
    };
    let is_unready = || {
        o.view
            .warnings(o.pod)
            .any(|e| e.message.starts_with(ProbeKind::Readiness.word()) && refused(&e.message))
    };
    let kills = o.has_failed
        && o.kind != ProbeKind::Readiness
        && o.probe.is_some_and(|p| p.exec.is_some())
        && refused(o.message)
        && killed_by_probe(o.view, o.pod, o.kind)
        && is_unready();
    kills.then(|| Diagnosis {
        fault: o.kind.too_strict(),
        strength: Strength::Strong,
        message: format!(
            "{} ends the container before its program listens: {}",
            o.title(),
            short(o.message, 160)
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
    // One that had no time to end did not fail.
    let is_cut = has(o.message, &["timed out after"]);
    (o.has_failed && is_command && !is_cut).then(|| Diagnosis {
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
    const CUT: [&str; 4] = [
        "deadline exceeded",
        "i/o timeout",
        "timeout:",
        "timed out after",
    ];
    let times_out = has(o.message, &CUT) && !has(o.message, &["no route to host"]);
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

/// A container that was ended by a signal, where no events are known: it is the liveness probe, or
/// the startup probe of one that has no other, unless something else asked the program to stop.
fn ended_by_signal(o: &Observation<'_>) -> Option<Diagnosis> {
    let is_meant = match o.kind {
        ProbeKind::Readiness => false,
        ProbeKind::Liveness => true,
        ProbeKind::Startup => o.container?.liveness_probe.is_none(),
    };
    (is_meant && o.is_signalled()).then(|| Diagnosis {
        fault: o.kind.too_strict(),
        strength: Strength::Fair,
        message: format!(
            "{} probably fails: container `{}` is ended by a signal repeatedly",
            o.title(),
            o.container.map(|c| &*c.name).unwrap_or_default()
        ),
    })
}

/// The probe itself is not known to be wrong: the program is not ready for a reason of its own or
/// of what it calls.
fn not_ready(o: &Observation<'_>) -> Option<Diagnosis> {
    let is_lasting = o.view.lasts(o.view.unhealthy_since(o.pod));
    (o.has_failed && o.kind == ProbeKind::Readiness && is_lasting).then(|| Diagnosis {
        fault: FaultId::RuntimeReadinessFailing,
        strength: Strength::Hint,
        message: format!("{} fails: {}", o.title(), short(o.message, 160)),
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
    view.is_pod_unhealthy(idx) && !all.is_empty() && all.iter().all(lasts)
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
        view.is_pod_healthy(*p) && (kind == ProbeKind::Readiness || has_no_restarts(p)) && same(p)
    })
}

fn killed_by_probe(view: &View<'_>, idx: Idx, kind: ProbeKind) -> bool {
    let words = format!("failed {} probe", kind.word());
    view.events(idx)
        .any(|e| &*e.reason == "Killing" && has(&e.message, &[&words]))
}
