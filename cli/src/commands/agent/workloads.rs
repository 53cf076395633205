//! What else is in the agent's namespace.

use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};

use super::cluster::Cluster;
use crate::error::{CliError, Result};

/// A kind of namespaced object.
struct Listed {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
}

const fn listed(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
) -> Listed {
    Listed {
        group,
        version,
        kind,
        plural,
    }
}

/// Kinds whose objects show that a namespace is in use.
const KINDS: [Listed; 11] = [
    listed("", "v1", "Pod", "pods"),
    listed("", "v1", "Service", "services"),
    listed("", "v1", "ConfigMap", "configmaps"),
    listed("", "v1", "Secret", "secrets"),
    listed("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    listed("apps", "v1", "Deployment", "deployments"),
    listed("apps", "v1", "StatefulSet", "statefulsets"),
    listed("apps", "v1", "DaemonSet", "daemonsets"),
    listed("batch", "v1", "Job", "jobs"),
    listed("batch", "v1", "CronJob", "cronjobs"),
    listed("networking.k8s.io", "v1", "Ingress", "ingresses"),
];

/// A ConfigMap that Kubernetes puts into every namespace.
const KUBE_ROOT_CA: &str = "kube-root-ca.crt";

impl Cluster {
    /// Objects of a namespace that belong neither to the agent nor to Kubernetes, as `kind/name`.
    pub fn foreign_objects(&self, namespace: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for listed in &KINDS {
            let kind = GroupVersionKind::gvk(listed.group, listed.version, listed.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, listed.plural);
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), namespace, &resource);
            let objects = self
                .runtime
                .block_on(api.list(&ListParams::default()))
                .map_err(|e| {
                    CliError::failed(format!("cannot list {} in {namespace}", listed.plural))
                        .source(&e)
                })?;
            let names = objects
                .items
                .iter()
                .filter(|o| !is_agents(o))
                .filter_map(|o| o.metadata.name.as_deref())
                .filter(|name| *name != KUBE_ROOT_CA);
            let kind = listed.kind.to_lowercase();
            all.extend(names.map(|name| format!("{kind}/{name}")));
        }
        Ok(all)
    }
}

fn is_agents(object: &DynamicObject) -> bool {
    let labels = object.metadata.labels.as_ref();
    let part_of = labels.and_then(|l| l.get("app.kubernetes.io/part-of"));
    part_of.is_some_and(|p| p == "kgrca")
}
