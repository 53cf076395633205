//! The kinds that the agent watches: those whose fields the engine reads, and those that it only
//! names.

use super::Topic;

/// A kind of the Kubernetes API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// The plural name in paths and roles.
    pub plural: &'static str,
    /// Name of the kind.
    pub kind: &'static str,
    /// The topic of its records.
    pub topic: Topic,
}

impl Watched {
    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The API path that lists all objects.
    pub fn path(&self) -> String {
        let root = if self.group.is_empty() { "api" } else { "apis" };
        format!("/{root}/{}/{}", self.api_version(), self.plural)
    }
}

const fn state(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Watched {
    Watched {
        group,
        version,
        plural,
        kind,
        topic: Topic::Resource,
    }
}

/// All kinds that the agent watches. The API serves events under two groups; one of them is
/// watched.
pub const WATCHED: &[Watched] = &[
    state("", "v1", "namespaces", "Namespace"),
    state("", "v1", "nodes", "Node"),
    state("", "v1", "pods", "Pod"),
    state("", "v1", "services", "Service"),
    state("", "v1", "configmaps", "ConfigMap"),
    state("", "v1", "secrets", "Secret"),
    state("", "v1", "serviceaccounts", "ServiceAccount"),
    state("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    state("", "v1", "persistentvolumes", "PersistentVolume"),
    state("", "v1", "replicationcontrollers", "ReplicationController"),
    state("", "v1", "resourcequotas", "ResourceQuota"),
    state("", "v1", "limitranges", "LimitRange"),
    state("apps", "v1", "deployments", "Deployment"),
    state("apps", "v1", "replicasets", "ReplicaSet"),
    state("apps", "v1", "statefulsets", "StatefulSet"),
    state("apps", "v1", "daemonsets", "DaemonSet"),
    state("batch", "v1", "jobs", "Job"),
    state("batch", "v1", "cronjobs", "CronJob"),
    state(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    ),
    state(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
    ),
    state("networking.k8s.io", "v1", "ingresses", "Ingress"),
    state("networking.k8s.io", "v1", "ingressclasses", "IngressClass"),
    state(
        "networking.k8s.io",
        "v1",
        "networkpolicies",
        "NetworkPolicy",
    ),
    state("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    state("storage.k8s.io", "v1", "storageclasses", "StorageClass"),
    state(
        "scheduling.k8s.io",
        "v1",
        "priorityclasses",
        "PriorityClass",
    ),
    state("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass"),
    state("coordination.k8s.io", "v1", "leases", "Lease"),
    Watched {
        group: "",
        version: "v1",
        plural: "events",
        kind: "Event",
        topic: Topic::Events,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Kind;

    #[test]
    fn every_kind_that_the_engine_reads_is_watched() {
        let known: Vec<Kind> = WATCHED
            .iter()
            .filter(|w| w.topic == Topic::Resource)
            .map(|w| Kind::parse(w.kind))
            .collect();
        assert!(
            known.iter().all(|k| !matches!(k, Kind::Other(_))),
            "unknown kind"
        );
        // Endpoints repeat what slices contain; external hosts are not objects.
        for kind in Kind::ALL
            .iter()
            .filter(|k| !matches!(k, Kind::Endpoints | Kind::External))
        {
            assert!(known.contains(kind), "{kind}");
        }
    }
}
