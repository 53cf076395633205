//! The catalogue of fault types: one data file for the command line, the API and the documentation.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::FaultId;

/// One entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The fault type, `family.name`.
    pub id: FaultId,
    /// Short name.
    pub title: String,
    /// The kind of component that has to change to fix it.
    pub blames: String,
    /// What shows it: events, states, log lines, alerts.
    pub reveals: String,
    /// Similar observations that mean another fault.
    pub rules_out: String,
    /// The usual fix, with placeholders in angle brackets.
    pub fix: String,
    /// Why it is not reported yet: the kind of record that would be needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
}

/// The catalogue: one entry for each fault type.
#[derive(Clone, Debug)]
pub struct Catalogue {
    /// In the order of [`FaultId::ALL`].
    faults: Arc<[Fault]>,
}

impl Catalogue {
    /// The catalogue that this build ships.
    pub fn shipped() -> Self {
        // Read once: each partition of each tenant has one.
        static SHIPPED: LazyLock<Arc<[Fault]>> = LazyLock::new(|| {
            let read: Result<Vec<Fault>, _> = serde_yaml::from_str(include_str!("catalogue.yaml"));
            // A test reads the file, so that it cannot be invalid here.
            read.unwrap_or_default().into()
        });
        Self {
            faults: Arc::clone(&SHIPPED),
        }
    }

    /// All entries in the order of the catalogue.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The entry of a fault type.
    pub fn get(&self, id: FaultId) -> &Fault {
        // A test shows that the entries are in the order of the ids.
        &self.faults[id as usize]
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::shipped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_describes_every_fault_type_once() {
        let parsed: Vec<Fault> = serde_yaml::from_str(include_str!("catalogue.yaml")).unwrap();
        let ids: Vec<FaultId> = parsed.iter().map(|f| f.id).collect();
        assert_eq!(ids, FaultId::ALL);
        let catalogue = Catalogue::shipped();
        for id in FaultId::ALL {
            assert_eq!(catalogue.get(*id).id, *id);
        }
    }

    #[test]
    fn entries_without_a_detector_are_marked_as_planned() {
        let named = |id: FaultId| {
            let word = format!("FaultId::{id:?}");
            let is_named = |source: &&str| {
                source
                    .match_indices(&word)
                    .any(|(at, _)| !source[at + word.len()..].starts_with(char::is_alphanumeric))
            };
            SOURCES.iter().any(is_named)
        };
        for fault in Catalogue::shipped().faults() {
            assert_eq!(named(fault.id), fault.planned.is_none(), "{}", fault.id);
        }
    }

    const SOURCES: [&str; 47] = [
        include_str!("addresses.rs"),
        include_str!("admission.rs"),
        include_str!("apiserver.rs"),
        include_str!("autoscaler.rs"),
        include_str!("condition.rs"),
        include_str!("client_error.rs"),
        include_str!("config.rs"),
        include_str!("controller_log.rs"),
        include_str!("node_condition.rs"),
        include_str!("scale_up.rs"),
        include_str!("termination.rs"),
        include_str!("controlplane.rs"),
        include_str!("crash.rs"),
        include_str!("crash_unseen.rs"),
        include_str!("dangling_route.rs"),
        include_str!("dependency.rs"),
        include_str!("dns.rs"),
        include_str!("exit_reason.rs"),
        include_str!("handshake.rs"),
        include_str!("image.rs"),
        include_str!("ingress.rs"),
        include_str!("job.rs"),
        include_str!("network.rs"),
        include_str!("node.rs"),
        include_str!("node_network.rs"),
        include_str!("own_words.rs"),
        include_str!("self_reported.rs"),
        include_str!("server_error.rs"),
        include_str!("performance.rs"),
        include_str!("preemption.rs"),
        include_str!("probe.rs"),
        include_str!("probe_checks.rs"),
        include_str!("proxy.rs"),
        include_str!("rollout.rs"),
        include_str!("runtime.rs"),
        include_str!("scheduling.rs"),
        include_str!("scheduling_verdict.rs"),
        include_str!("service_selector.rs"),
        include_str!("service_ports.rs"),
        include_str!("start_error.rs"),
        include_str!("storage.rs"),
        include_str!("storage_verdict.rs"),
        include_str!("unknown.rs"),
        include_str!("verdict.rs"),
        include_str!("load_balancer.rs"),
        include_str!("lone_client.rs"),
        include_str!("sandbox.rs"),
    ];
}
