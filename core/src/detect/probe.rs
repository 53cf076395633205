//! Probes that fail because of their own settings.

use super::finding::Finding;
use super::probe_checks::{CHECKS, Observation};
use super::text::has;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::object::{Container, PortRef, Probe};
use crate::model::time::MINUTE;
use crate::model::{Command, Episode};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeKind {
    Liveness,
    Readiness,
    Startup,
}

impl ProbeKind {
    pub(super) const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
            Self::Startup => "Startup",
        }
    }

    pub(super) fn of(self, container: &Container) -> Option<&Probe> {
        match self {
            Self::Liveness => container.liveness_probe.as_deref(),
            Self::Readiness => container.readiness_probe.as_deref(),
            Self::Startup => container.startup_probe.as_deref(),
        }
    }

    pub(super) fn wrong_port(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessWrongPort,
            Self::Readiness => FaultId::RuntimeReadinessWrongPort,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }

    pub(super) fn wrong_protocol(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessWrongProtocol,
            Self::Readiness => FaultId::RuntimeReadinessWrongProtocol,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }

    pub(super) fn too_strict(self) -> FaultId {
        match self {
            Self::Liveness => FaultId::RuntimeLivenessTooStrict,
            Self::Readiness => FaultId::RuntimeReadinessTooStrict,
            Self::Startup => FaultId::RuntimeStartupProbeWrong,
        }
    }
}

pub(super) fn pod(view: &View<'_>, idx: Idx, out: &mut Vec<Finding>) {
    if !view.exists(idx) {
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
            ProbeKind::Readiness => !view.is_pod_healthy(idx),
            ProbeKind::Liveness | ProbeKind::Startup => {
                !view.is_pod_healthy(idx) || (restarts && recent)
            }
        };
        if holds && (!failed.is_empty() || view.is_pod_unhealthy(idx)) {
            out.extend(diagnose(view, idx, kind, &failed));
        }
    }
}

fn diagnose(view: &View<'_>, idx: Idx, kind: ProbeKind, failed: &[&Episode]) -> Option<Finding> {
    let message = failed.last().map(|e| &*e.message).unwrap_or_default();
    let container = view.pod_spec(idx).and_then(|s| {
        s.containers
            .iter()
            .find(|c| kind.of(c).is_some_and(|p| fits(p, message)))
    });
    if container.is_some_and(|c| passes(view, idx, kind, &c.name)) {
        return None;
    }
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
    // What is usual for a wrong port would not help.
    let edit = || Command::of("kubectl -n <namespace> edit <kind>/<name>");
    let fix = has(message, &["statuscode: 404"]).then(edit);
    let events = failed.iter().map(|e| view.event_evidence(idx, e));
    Some(
        view.finding(diagnosis.fault, observation.owner, idx, diagnosis.strength)
            .active(true)
            .message(diagnosis.message)
            .with(events)
            .fix(fix)
            .build(),
    )
}

/// Whether a container's probe passes now: it is ready, and was never restarted.
fn passes(view: &View<'_>, idx: Idx, kind: ProbeKind, container: &str) -> bool {
    let statuses = view.pod(idx).map(|pod| &pod.status.container_statuses);
    let status = statuses.and_then(|all| all.iter().find(|c| &*c.name == container));
    status.is_some_and(|c| {
        let was_restarted = c.restart_count > 0 && kind != ProbeKind::Readiness;
        c.ready == Some(true) && !was_restarted
    })
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
