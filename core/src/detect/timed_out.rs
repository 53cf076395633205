//! The calls that log lines say timed out: found once for all network policies of a cluster.

use std::cell::{OnceCell, RefCell};

use super::View;
use super::caller_errors::by_host;
use super::policy_peers::{is_timeout, protocol};
use crate::graph::{Idx, Relation};
use crate::model::object::{Object, PortRef};
use crate::model::{Kind, Str};
use crate::trouble::host;

type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;

/// How many answers are remembered at a time.
const MAX_ADMITTED: usize = 100_000;

/// A call that timed out.
#[derive(Clone, Debug)]
pub struct TimedOutCall {
    /// The pod that called.
    pub(super) caller: Idx,
    /// Position of the log template in the view's logs.
    pub(super) log: usize,
    /// The pod or Service that was called.
    pub(super) target: Idx,
    /// Its transport protocol.
    pub(super) protocol: &'static str,
    /// The port of the pods that were called: a number, or a name of theirs.
    port: PortRef,
}

/// A port with its transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CalledPort {
    pub(super) number: u16,
    pub(super) protocol: &'static str,
}

/// What a policy admits or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Admission {
    pub(super) pod: Idx,
    pub(super) caller: Idx,
    /// `None` for any port.
    pub(super) port: Option<CalledPort>,
}

/// A Service with the pods that say that their calls to it timed out.
#[derive(Debug)]
pub(super) struct Unanswered {
    pub(super) service: Idx,
    pub(super) callers: Vec<Caller>,
}

/// A pod that calls, by an edge of its own or of its workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) pod: Idx,
    pub(super) edge: Idx,
}

/// The calls of one evaluation of a cluster that timed out.
#[derive(Debug, Default)]
pub struct TimedOut {
    calls: OnceCell<Map<Str, Vec<TimedOutCall>>>,
    unanswered: OnceCell<Map<Str, Vec<Unanswered>>>,
    admitted: RefCell<Map<Admission, bool>>,
}

impl TimedOut {
    /// The calls in the order of their lines, by the namespace of what was called.
    pub(super) fn calls(&self, view: &View<'_>) -> &Map<Str, Vec<TimedOutCall>> {
        self.calls.get_or_init(|| {
            let mut calls: Map<Str, Vec<TimedOutCall>> = Map::default();
            for (i, (caller, log)) in view.episodes.logs.iter().enumerate() {
                // Of a caller that was not recorded, the labels are unknown.
                if !is_timeout(view.now, log) || view.pod(*caller).is_none() {
                    continue;
                }
                let mut add = |called: Called| {
                    let namespace = &view.graph.get(called.target).alias.namespace;
                    let to_namespace = calls.entry(namespace.clone()).or_default();
                    to_namespace.push(TimedOutCall {
                        caller: *caller,
                        log: i,
                        target: called.target,
                        protocol: protocol(&log.sample),
                        port: called.port,
                    });
                };
                let with_port = host::in_text(&log.sample)
                    .into_iter()
                    .filter_map(|named| called(view, *caller, named.host, named.port?));
                let mut is_named = false;
                for call in with_port {
                    is_named = true;
                    add(call);
                }
                if let Some(call) = called_by_name(view, *caller, &log.sample).filter(|_| !is_named)
                {
                    add(call);
                }
            }
            calls
        })
    }

    /// The Services of each namespace, in their order, with the pods whose calls to them time out.
    pub(super) fn unanswered(
        &self,
        view: &View<'_>,
        times_out: impl Fn(Idx, Idx) -> bool,
    ) -> &Map<Str, Vec<Unanswered>> {
        self.unanswered.get_or_init(|| {
            let mut found: Map<Str, Vec<Unanswered>> = Map::default();
            for service in view.graph.of_kind(&Kind::Service) {
                if view.is_late() {
                    break;
                }
                let edges = view.graph.incoming(service);
                let edges = edges.filter(|(r, _)| *r == Relation::Calls);
                let callers: Vec<Caller> = edges
                    .flat_map(|(_, edge)| {
                        let pods = match view.pod(edge) {
                            Some(_) => vec![edge],
                            None => view.pods_of(edge),
                        };
                        pods.into_iter().map(move |pod| Caller { pod, edge })
                    })
                    .filter(|caller| times_out(caller.pod, service))
                    .collect();
                if !callers.is_empty() {
                    let namespace = view.graph.get(service).alias.namespace.clone();
                    let of_namespace = found.entry(namespace).or_default();
                    of_namespace.push(Unanswered { service, callers });
                }
            }
            found
        })
    }

    /// Whether policies admit a call, which is found out once.
    pub(super) fn admitted(&self, call: Admission, is_admitted: impl FnOnce() -> bool) -> bool {
        if let Some(known) = self.admitted.borrow().get(&call) {
            return *known;
        }
        let answer = is_admitted();
        let mut admitted = self.admitted.borrow_mut();
        if admitted.len() >= MAX_ADMITTED {
            admitted.clear();
        }
        admitted.insert(call, answer);
        answer
    }
}

impl TimedOutCall {
    /// The number of the port that was called of a pod; `None` where the pod has none of that name.
    pub(super) fn port_of(&self, view: &View<'_>, pod: Idx) -> Option<u16> {
        match &self.port {
            PortRef::Number(number) => u16::try_from(*number).ok(),
            PortRef::Name(name) => {
                let containers = view.pod_spec(pod)?.containers.iter();
                let mut ports = containers.flat_map(|c| c.ports.iter());
                let meant = ports.find(|p| p.name.as_ref() == Some(name))?;
                u16::try_from(meant.container_port).ok()
            }
        }
    }
}

/// A pod or Service, with the port of its pods.
struct Called {
    target: Idx,
    port: PortRef,
}

/// The Service with one port that a caller names without it: proxies call servers by their names.
fn called_by_name(view: &View<'_>, caller: Idx, line: &str) -> Option<Called> {
    let namespace = view.graph.get(caller).namespace();
    let (_, after) = line.split_once(" to ")?;
    let end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let name = after.split(end).next().filter(|name| name.len() > 2)?;
    let target = view.graph.find_live(Kind::Service, namespace, name)?;
    let service = view.object(target).and_then(Object::service)?;
    let mut ports = service.ports.iter();
    let (Some(port), None) = (ports.next(), ports.next()) else {
        return None;
    };
    let same = PortRef::Number(port.port);
    let port = port.target_port.clone().unwrap_or(same);
    Some(Called { target, port })
}

/// What a caller means by a host and a port: a pod, or a Service that has the port.
fn called(view: &View<'_>, caller: Idx, host: &str, port: u16) -> Option<Called> {
    let target = by_host(view, host, view.graph.get(caller).namespace())?;
    let same = PortRef::Number(i64::from(port));
    if view.pod(target).is_some() {
        return Some(Called { target, port: same });
    }
    let service = view.object(target).and_then(Object::service)?;
    let called = service.ports.iter().find(|p| p.port == i64::from(port))?;
    let port = called.target_port.clone().unwrap_or(same);
    Some(Called { target, port })
}
