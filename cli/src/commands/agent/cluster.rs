//! The customer's cluster, as the kubeconfig's context says.

use std::path::PathBuf;
use std::time::Duration;

use kgrca_core::storage::with_causes;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::manifest;
use crate::error::{CliError, Result, exit};

/// Under which name our fields are known.
const MANAGER: &str = "kgrca";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Target {
    /// File with the cluster's address and credentials; $KUBECONFIG or ~/.kube/config when absent
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of that file; the current one when absent
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
}

/// What applying an object did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It was not there.
    Created,
    /// It was another.
    Configured,
    /// It was the same.
    Unchanged,
}

impl Applied {
    /// The word for it, as kubectl says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Whose an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This command's.
    Us,
    /// A release of Helm's.
    Helm(String),
    /// Anybody's.
    SomebodyElse,
}

/// Whose an object is, by its labels and annotations.
pub fn owner(object: &DynamicObject) -> Owner {
    let of = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        map.as_ref()?.get(key).cloned()
    };
    if let Some(release) = of(&object.metadata.annotations, "meta.helm.sh/release-name") {
        return Owner::Helm(release);
    }
    match of(&object.metadata.labels, "app.kubernetes.io/managed-by").as_deref() {
        Some("kgrca") => Owner::Us,
        _ => Owner::SomebodyElse,
    }
}

/// Kinds of which one object makes a namespace somebody's: (group, version, kind, plural).
const KINDS: [(&str, &str, &str, &str); 11] = [
    ("", "v1", "Pod", "pods"),
    ("", "v1", "Service", "services"),
    ("", "v1", "ConfigMap", "configmaps"),
    ("", "v1", "Secret", "secrets"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
];

/// A cluster to work on.
pub struct Cluster {
    client: kube::Client,
    runtime: tokio::runtime::Runtime,
    /// Name of the context.
    pub context: String,
    /// Address of its API server.
    pub address: String,
}

impl Cluster {
    /// The cluster of a context.
    pub fn of(target: &Target) -> Result<Self> {
        let hint = "--kubeconfig names the file, --kube-context the context; `kubectl config get-contexts` lists them";
        let unusable = |e: &dyn std::error::Error| {
            CliError::usage("no cluster to work on")
                .cause(with_causes(e))
                .hint(hint)
        };
        let file = match &target.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = file.map_err(|e| unusable(&e))?;
        let context = target
            .kube_context
            .clone()
            .or_else(|| file.current_context.clone())
            .unwrap_or_default();
        let options = KubeConfigOptions {
            context: Some(context.clone()),
            ..KubeConfigOptions::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut config = runtime
            .block_on(kube::Config::from_custom_kubeconfig(file, &options))
            .map_err(|e| unusable(&e))?;
        config.connect_timeout = Some(Duration::from_secs(5));
        config.read_timeout = Some(PATIENCE);
        let address = config.cluster_url.to_string();
        let client = runtime
            .block_on(async { kube::Client::try_from(config) })
            .map_err(|e| unusable(&e))?;
        Ok(Self {
            client,
            runtime,
            context,
            address,
        })
    }

    fn api(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (group, version) = match text("/apiVersion").split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (String::new(), text("/apiVersion")),
        };
        let kind = text("/kind");
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(&group, &version, &kind),
            plural(&kind).ok_or_else(|| CliError::failed(format!("{kind} is no kind of ours")))?,
        );
        let client = self.client.clone();
        let api = match object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
        {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        Ok((api, text("/metadata/name")))
    }

    /// An object of the same kind and name, if it is there.
    pub fn get(&self, object: &Value) -> Result<Option<DynamicObject>> {
        let (api, name) = self.api(object)?;
        self.runtime
            .block_on(api.get_opt(&name))
            .map_err(|e| self.failed(object, "look at", &e))
    }

    /// Objects of a namespace that belong neither to the agent nor to every namespace.
    pub fn others(&self, namespace: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (group, version, kind, plural) in KINDS {
            let resource = ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(group, version, kind),
                plural,
            );
            let api: Api<DynamicObject> =
                Api::namespaced_with(self.client.clone(), namespace, &resource);
            let listed = self.runtime.block_on(api.list(&ListParams::default()));
            let listed = listed.map_err(|e| {
                CliError::failed(format!("cannot list {plural} of {namespace}"))
                    .cause(with_causes(&e))
            })?;
            let is_agents = |o: &DynamicObject| {
                o.metadata.labels.as_ref().is_some_and(|l| {
                    l.get("app.kubernetes.io/part-of")
                        .is_some_and(|p| p == "kgrca")
                })
            };
            let names = listed
                .items
                .iter()
                .filter(|o| !is_agents(o))
                .filter_map(|o| o.metadata.name.clone());
            all.extend(
                names
                    .filter(|n| n != "kube-root-ca.crt")
                    .map(|n| format!("{}/{n}", kind.to_lowercase())),
            );
        }
        Ok(all)
    }

    /// Applies an object; fields that somebody else set stay theirs, and a conflict is an error.
    pub fn apply(&self, object: &Value, dry_run: bool) -> Result<Applied> {
        let before = self.get(object)?;
        let (api, name) = self.api(object)?;
        let params = PatchParams {
            dry_run,
            ..PatchParams::apply(MANAGER)
        };
        let after = match self
            .runtime
            .block_on(api.patch(&name, &params, &Patch::Apply(object)))
        {
            // A namespace that would be made is not there yet.
            Err(kube::Error::Api(status)) if dry_run && status.code == 404 => {
                return Ok(Applied::Created);
            }
            after => after.map_err(|e| self.failed(object, "apply", &e))?,
        };
        Ok(match before {
            None => Applied::Created,
            Some(before) if content(&before) == content(&after) => Applied::Unchanged,
            Some(_) => Applied::Configured,
        })
    }

    /// Removes an object. Returns whether it was there.
    pub fn delete(&self, object: &Value) -> Result<bool> {
        let (api, name) = self.api(object)?;
        match self
            .runtime
            .block_on(api.delete(&name, &DeleteParams::background()))
        {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(e) => Err(self.failed(object, "delete", &e)),
        }
    }

    fn failed(&self, object: &Value, act: &str, error: &kube::Error) -> CliError {
        let name = manifest::name(object);
        let at = format!("at {} (context `{}`)", self.address, self.context);
        match error {
            kube::Error::Api(status) if status.code == 409 => {
                CliError::failed(format!("cannot {act} {name}: somebody else manages fields of it"))
                    .cause(&status.message)
                    .hint("let them give the fields up, or remove the object: nothing is forced")
            }
            kube::Error::Api(status) if status.message.contains("is being terminated") => {
                CliError::failed(format!("cannot {act} {name}")).cause(&status.message).hint(
                    "an earlier installation is being removed: kubectl wait --for=delete namespace/observability, then again",
                )
            }
            kube::Error::Api(status) => {
                let code = if matches!(status.code, 401 | 403) { exit::NOT_ALLOWED } else { exit::FAILED };
                CliError::new(code, format!("cannot {act} {name}")).cause(&status.message)
            }
            other => CliError::new(exit::UNREACHABLE, format!("cannot {act} {name} {at}")).cause(with_causes(other)),
        }
    }
}

/// What an object says, without what the server notes about it.
fn content(object: &DynamicObject) -> (Value, Option<std::collections::BTreeMap<String, String>>) {
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    (data, object.metadata.labels.clone())
}

/// The kinds of our objects as paths name them.
fn plural(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "Namespace" => "namespaces",
        "ServiceAccount" => "serviceaccounts",
        "ClusterRole" => "clusterroles",
        "ClusterRoleBinding" => "clusterrolebindings",
        "Secret" => "secrets",
        "ConfigMap" => "configmaps",
        "Service" => "services",
        "NetworkPolicy" => "networkpolicies",
        "Deployment" => "deployments",
        "DaemonSet" => "daemonsets",
        _ => return None,
    })
}
