//! A Kubernetes cluster, as selected by a kubeconfig context.

use std::path::PathBuf;
use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

use super::{Env, manifest};
use crate::error::{CliError, Kind, Result};

/// Field manager for server-side apply.
const MANAGER: &str = "kgrca";
/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Selects the cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Target {
    /// Kubeconfig file [default: $KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig file [default: the current one]
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
}

/// What applying an object did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The object did not exist.
    Created,
    /// The object was different.
    Configured,
    /// The object was the same.
    Unchanged,
}

impl Applied {
    /// The word that kubectl prints for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Who manages an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This command.
    Kgrca,
    /// A Helm release, by name.
    Helm(String),
    /// Anyone else.
    Other,
}

/// Who manages an object, according to its labels and annotations.
pub fn owner(object: &DynamicObject) -> Owner {
    let of = |map: &Option<std::collections::BTreeMap<String, String>>, key: &str| {
        map.as_ref()?.get(key).cloned()
    };
    if let Some(release) = of(&object.metadata.annotations, "meta.helm.sh/release-name") {
        return Owner::Helm(release);
    }
    match of(&object.metadata.labels, "app.kubernetes.io/managed-by").as_deref() {
        Some("kgrca") => Owner::Kgrca,
        _ => Owner::Other,
    }
}

/// A client for a cluster.
pub struct Cluster {
    pub(super) client: kube::Client,
    pub(super) runtime: tokio::runtime::Runtime,
    /// Name of the kubeconfig context.
    pub context: String,
    /// URL of the API server.
    pub address: String,
}

impl Cluster {
    /// Reads the kubeconfig. Nothing is sent yet.
    pub fn of(target: &Target) -> Result<Self> {
        let unusable = |e: &dyn std::error::Error| {
            CliError::usage("cannot use the kubeconfig").source(e).hint(
                "pass --kubeconfig FILE and --kube-context NAME; list contexts with \
                 `kubectl config get-contexts`",
            )
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
        config.read_timeout = Some(TIMEOUT);
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

    /// Prints which cluster is used.
    pub fn announce(&self, env: &Env<'_>) {
        env.out.message(&format!(
            "using context `{}` at {}",
            self.context, self.address
        ));
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
            plural(&kind).ok_or_else(|| CliError::failed(format!("unexpected kind {kind}")))?,
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

    /// The existing object of the same kind and name.
    pub fn get(&self, object: &Value) -> Result<Option<DynamicObject>> {
        let (api, name) = self.api(object)?;
        self.runtime
            .block_on(api.get_opt(&name))
            .map_err(|e| self.failed(object, "get", &e))
    }

    /// Applies an object on the server side. Fields of other field managers are never taken over: a
    /// conflict is an error.
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
            // In a dry run the namespace is not created.
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

    /// Deletes an object. Returns whether it existed.
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

    fn failed(&self, object: &Value, verb: &str, error: &kube::Error) -> CliError {
        let message = format!("cannot {verb} {}", manifest::name(object));
        let kube::Error::Api(status) = error else {
            let message = format!("{message} at {} (context `{}`)", self.address, self.context);
            return CliError::new(Kind::Unreachable, message).source(error);
        };
        // Kubernetes has no machine-readable reason for a terminating namespace in dry runs.
        let is_terminating = status.message.contains("is being terminated");
        let error = match status.code {
            409 => CliError::failed(format!("{message}: field-manager conflict"))
                .hint("release the fields or delete the object; kgrca never forces"),
            401 | 403 => CliError::new(Kind::NotAllowed, message),
            _ if is_terminating => CliError::failed(message).hint(format!(
                "an earlier installation is still being removed: run `kubectl wait --for=delete \
                 namespace/{}`, then retry",
                manifest::NAMESPACE
            )),
            _ => CliError::failed(message),
        };
        error.cause(&status.message)
    }
}

/// The parts of an object that users set.
fn content(object: &DynamicObject) -> (Value, Option<std::collections::BTreeMap<String, String>>) {
    let mut data = object.data.clone();
    if let Some(fields) = data.as_object_mut() {
        fields.remove("status");
    }
    (data, object.metadata.labels.clone())
}

/// The plural of a kind of the agent's objects, as in URL paths.
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
