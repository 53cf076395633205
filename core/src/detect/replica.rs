//! Clients that send their writes to one fixed replica: only the primary accepts writes, and which
//! one that is can change.

use super::View;
use crate::graph::{Idx, derive};
use crate::model::Kind;

/// Parts of names of Services that lead to the replicas of a database.
const REPLICAS: [&str; 10] = [
    "replica",
    "replicas",
    "ro",
    "read",
    "readonly",
    "reader",
    "slave",
    "secondary",
    "standby",
    "follower",
];

/// The setting of a workload that names a single pod of a `StatefulSet` or a Service of replicas:
/// its variable and its host.
pub(super) fn chosen<'a>(view: &View<'a>, workload: Idx) -> Option<(&'a str, &'a str)> {
    let namespace = view.graph.get(workload).namespace();
    let spec = view.pod_spec(workload)?;
    let addresses = derive::addresses(spec);
    // A client that is given several members finds the primary among them.
    let is_only = |name: &str| addresses.iter().filter(|(v, _)| *v == name).count() == 1;
    addresses
        .iter()
        .filter(|(variable, _)| is_only(variable) && !is_for_reading(variable))
        .map(|(variable, address)| (*variable, address.host))
        .find(|(_, host)| is_single_pod(view, host, namespace) || names_replicas(host))
}

/// Whether a host is a pod's own name behind a headless Service: `db-0.db-headless[.namespace…]`.
fn is_single_pod(view: &View<'_>, host: &str, namespace: &str) -> bool {
    let mut labels = host.split('.');
    let (pod, service) = (labels.next().unwrap_or(host), labels.next());
    let namespace = labels.next().unwrap_or(namespace);
    service.is_some_and(|s| view.graph.find_live(Kind::Service, namespace, s).is_some())
        && view.graph.find(Kind::Pod, namespace, pod).is_some()
}

/// Whether a variable is the address for reading, beside one for writing.
fn is_for_reading(variable: &str) -> bool {
    variable
        .split('_')
        .any(|part| REPLICAS.iter().any(|word| part.eq_ignore_ascii_case(word)))
}

fn names_replicas(host: &str) -> bool {
    let service = host.split('.').next().unwrap_or(host);
    service.split('-').any(|part| REPLICAS.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::names_replicas;

    #[test]
    fn a_name_can_say_that_it_leads_to_replicas() {
        assert!(names_replicas("orders-db-ro.shop.svc"));
        assert!(names_replicas("mysql-replica"));
        assert!(!names_replicas("orders-db-rw.shop.svc"));
        assert!(!names_replicas("rollouts"));
    }
}
