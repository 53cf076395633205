//! The cluster that a kubeconfig context names.

use std::path::Path;
use std::time::Duration;

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::{CliError, Result};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// A cluster and how it is reached.
pub(super) struct Context {
    /// Name of the context.
    pub name: String,
    /// Name of the cluster in the kubeconfig.
    pub cluster: String,
    /// URL of the API server.
    pub address: String,
    /// The namespace of the context.
    pub namespace: String,
    pub client: kube::Client,
}

impl Context {
    /// Reads the kubeconfig, as kubectl does; inside a pod without one, its service account.
    /// Nothing is sent yet.
    pub(super) async fn open(file: Option<&Path>, name: Option<&str>) -> Result<Self> {
        let read = match file {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let file = match read {
            Ok(file) => file,
            Err(e) => {
                let is_plain = file.is_none() && name.is_none();
                let own = is_plain
                    .then(Config::incluster)
                    .and_then(std::result::Result::ok);
                let Some(config) = own else {
                    return Err(no_kubeconfig(&e));
                };
                return Self::of("in-cluster", "in-cluster", config);
            }
        };
        let Some(name) = name
            .or(file.current_context.as_deref())
            .filter(|n| !n.is_empty())
        else {
            return Err(CliError::usage("the kubeconfig has no current context")
                .hint(format!("pass --context NAME; {}", contexts(&file))));
        };
        let named = file.contexts.iter().find(|c| c.name == name);
        let Some(context) = named.and_then(|c| c.context.as_ref()) else {
            return Err(
                CliError::not_found(format!("the kubeconfig has no context `{name}`"))
                    .hint(contexts(&file)),
            );
        };
        let (name, cluster) = (name.to_owned(), context.cluster.clone());
        let options = KubeConfigOptions {
            context: Some(name.clone()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(file, &options).await;
        let config = config.map_err(|e| unusable(&name, &e))?;
        Self::of(&name, &cluster, config)
    }

    fn of(name: &str, cluster: &str, mut config: Config) -> Result<Self> {
        config.connect_timeout = Some(CONNECT);
        // Each attempt waits for its turn instead.
        config.default_retry = false;
        let (address, namespace) = (
            config.cluster_url.to_string(),
            config.default_namespace.clone(),
        );
        let client = kube::Client::try_from(config).map_err(|e| unusable(name, &e))?;
        Ok(Self {
            name: name.to_owned(),
            cluster: cluster.to_owned(),
            address: address.trim_end_matches('/').to_owned(),
            namespace,
            client,
        })
    }

    /// What is printed before anything is read.
    pub(super) fn announcement(&self, scope: &str) -> String {
        format!(
            "Reading {scope} of cluster {} (context {}, {}) …",
            self.cluster, self.name, self.address
        )
    }
}

fn no_kubeconfig(e: &KubeconfigError) -> CliError {
    CliError::usage("cannot read the kubeconfig")
        .source(e)
        .hint(
            "set KUBECONFIG or pass --kubeconfig FILE; to analyze files instead, name them: \
         `kgrca analyze FILE`",
        )
}

/// The text of an error without the command of a credential plugin, whose environment and output
/// may have secrets.
pub(super) fn without_output(text: &str) -> String {
    match text.find("auth exec command") {
        Some(at) => format!(
            "{}the credential plugin of the kubeconfig failed",
            &text[..at]
        ),
        None => text.to_owned(),
    }
}

fn unusable(context: &str, e: &dyn std::error::Error) -> CliError {
    let error = CliError::usage(format!("cannot use context `{context}` of the kubeconfig"));
    let causes = CliError::failed("").source(e).causes.join(": ");
    error
        .source(&std::io::Error::other(without_output(&causes)))
        .hint(format!(
            "check it with `kubectl --context {context} get --raw /version`"
        ))
}

/// The contexts that there are.
fn contexts(file: &Kubeconfig) -> String {
    const MOST: usize = 10;
    let names: Vec<&str> = file.contexts.iter().map(|c| c.name.as_str()).collect();
    match names.len() {
        0 => "it has no contexts".to_owned(),
        n if n > MOST => format!(
            "its contexts include {}; list all with `kubectl config get-contexts`",
            names[..MOST].join(", ")
        ),
        _ => format!("its contexts: {}", names.join(", ")),
    }
}
