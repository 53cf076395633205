//! `kgrca agent install` and `kgrca agent upgrade`

use std::time::{Duration, Instant};

use kgrca_core::model::Time;
use serde_json::Value;

use super::cluster::{Cluster, Owner, Target, owner};
use super::keys::{self, NewSecrets};
use super::manifest::{self, Wanted};
use super::{Env, Settings, status, verify};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::output::Format;

/// Install or upgrade an agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    target: Target,
    /// Print what would change, as determined by the API server, without changing anything
    #[arg(long)]
    dry_run: bool,
    /// Wait until the server receives data from the cluster
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set,
        value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    wait: bool,
    /// Seconds to wait for data
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    timeout: u64,
}

pub fn install(env: &Env<'_>, args: &Args, is_upgrade: bool) -> Result {
    let wanted = args.settings.wanted(env)?;
    if args.dry_run && matches!(env.out.format, Format::Yaml | Format::Json) {
        return show(env, &manifest::objects(&wanted, Vec::new()));
    }
    let cluster = Cluster::of(&args.target)?;
    cluster.announce(env);
    let client = env.client()?;
    let installation = Installation::plan(env, args, is_upgrade, &cluster, wanted, client)?;
    installation.apply()?;
    if args.dry_run {
        env.out.message("dry run: nothing was changed");
        return Ok(());
    }
    if !args.wait {
        env.out.message(&format!(
            "run `kgrca agent status --cluster {}` to check for data",
            installation.wanted.cluster
        ));
        return Ok(());
    }
    installation.verify(Duration::from_secs(args.timeout))
}

/// Prints objects as YAML, or as JSON if requested.
pub fn show(env: &Env<'_>, objects: &[Value]) -> Result {
    if env.out.format == Format::Json {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
        return env.out.text(&format!("{list:#}\n"));
    }
    let yaml = manifest::yaml(objects)
        .map_err(|e| CliError::failed("cannot print the objects as YAML").source(&e))?;
    env.out.text(&yaml)
}

/// An installation of the agent in a cluster: planned, then applied, then verified.
struct Installation<'a> {
    env: &'a Env<'a>,
    args: &'a Args,
    cluster: &'a Cluster,
    client: Client,
    wanted: Wanted,
    /// When the server last heard from an agent of this cluster, before this installation.
    last_seen: Option<Time>,
    started: Instant,
}

impl<'a> Installation<'a> {
    /// Checks that the cluster can have this agent. Nothing is changed.
    fn plan(
        env: &'a Env<'a>,
        args: &'a Args,
        is_upgrade: bool,
        cluster: &'a Cluster,
        wanted: Wanted,
        client: Client,
    ) -> Result<Self> {
        let installed = installed(cluster)?;
        if is_upgrade && installed.is_none() {
            return Err(CliError::not_found("no agent is installed in this cluster")
                .hint(format!("kgrca agent install --cluster {}", wanted.cluster)));
        }
        if let Some(other) = installed.filter(|name| *name != wanted.cluster) {
            return Err(registered_as(&other).hint(format!(
                "pass --cluster {other}, or run `kgrca agent uninstall --cluster {other}` first"
            )));
        }
        warn_of_loopback(env, &wanted);
        let wanted = if is_upgrade {
            keep_unnamed(cluster, &args.settings, wanted)?
        } else {
            wanted
        };
        if let Some(url) = args.settings.kafka() {
            keys::check_kafka_user(&client, url)?;
        }
        let agents = status::agents(&client, Some(&wanted.cluster))?;
        Ok(Self {
            env,
            args,
            cluster,
            client,
            last_seen: verify::watching(&agents).map(|a| a.seen_at),
            wanted,
            started: Instant::now(),
        })
    }

    /// Creates missing secrets and applies all objects; a new key is revoked when that fails.
    fn apply(&self) -> Result {
        let new = self.new_secrets()?;
        let mut secrets: Vec<Value> = new
            .iter()
            .map(|new| manifest::secret(&new.secrets))
            .collect();
        secrets.extend(self.args.settings.kafka().map(manifest::kafka_secret));
        if let Err(e) = self.apply_objects(&manifest::objects(&self.wanted, secrets)) {
            if let Some(key_id) = new.and_then(|n| n.key_id) {
                self.roll_back(&key_id);
            }
            return Err(e);
        }
        // Last: running pods use the old objects until they are replaced.
        self.remove_unwanted()
    }

    /// Secrets for the agents; `None` when the cluster has them already.
    fn new_secrets(&self) -> Result<Option<NewSecrets>> {
        if self.cluster.get(&manifest::of_kind("Secret"))?.is_some() {
            return Ok(None);
        }
        if self.args.dry_run {
            keys::placeholder(&self.client).map(Some)
        } else {
            keys::create(&self.client, &self.wanted.cluster).map(Some)
        }
    }

    fn apply_objects(&self, objects: &[Value]) -> Result {
        for object in objects {
            let name = manifest::name(object);
            if self.is_foreign_namespace(object)? {
                self.env
                    .out
                    .message(&format!("{name} exists; left unchanged"));
                continue;
            }
            let applied = self.cluster.apply(object, self.args.dry_run)?;
            self.env.out.message(&format!("{name} {}", applied.word()));
        }
        Ok(())
    }

    fn is_foreign_namespace(&self, object: &Value) -> Result<bool> {
        if object["kind"] != "Namespace" {
            return Ok(false);
        }
        let existing = self.cluster.get(object)?;
        Ok(existing.is_some_and(|n| owner(&n) != Owner::Kgrca))
    }

    /// Revokes a new key and deletes its Secret, which the next attempt would otherwise keep.
    fn roll_back(&self, key_id: &str) {
        // The error that led here is the one to report.
        let _ = self.cluster.delete(&manifest::of_kind("Secret"));
        let _ = keys::revoke(&self.client, key_id);
    }

    /// Deletes objects of an earlier installation that this one no longer has.
    fn remove_unwanted(&self) -> Result {
        let mut kept: Vec<String> = manifest::objects(&self.wanted, Vec::new())
            .iter()
            .map(manifest::name)
            .collect();
        kept.push(manifest::name(&manifest::of_kind("Secret")));
        if self.wanted.kafka {
            kept.push(manifest::name(&manifest::kafka_secret("")));
        }
        for object in manifest::all() {
            let name = manifest::name(&object);
            if kept.contains(&name) {
                continue;
            }
            let existing = self.cluster.get(&object)?;
            if existing.is_some_and(|o| owner(&o) == Owner::Kgrca) {
                if !self.args.dry_run {
                    self.cluster.delete(&object)?;
                }
                self.env.out.message(&format!("{name} deleted"));
            }
        }
        Ok(())
    }

    /// Waits until the server receives data from the cluster.
    fn verify(&self, timeout: Duration) -> Result {
        verify::Verification {
            env: self.env,
            client: &self.client,
            cluster: &self.wanted.cluster,
            last_seen: self.last_seen,
            started: self.started,
            timeout,
        }
        .run()
    }
}

/// The error for a cluster whose agent reports another name.
pub fn registered_as(name: &str) -> CliError {
    CliError::usage(format!("this cluster is registered as `{name}`"))
}

/// Warns when the server's URL is only reachable from this machine.
pub fn warn_of_loopback(env: &Env<'_>, wanted: &Wanted) {
    if is_loopback(&wanted.server) {
        env.out.message(&format!(
            "warning: agents cannot reach {} (loopback); set --server to a URL reachable from \
             the cluster",
            wanted.server
        ));
    }
}

fn is_loopback(server: &str) -> bool {
    let url = reqwest::Url::parse(server).ok();
    let host = url.as_ref().and_then(|u| u.host_str()).unwrap_or_default();
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// The name under which the cluster's agent reports; `None` without an agent.
pub fn installed(cluster: &Cluster) -> Result<Option<String>> {
    let Some(deployment) = cluster.get(&manifest::of_kind("Deployment"))? else {
        return Ok(None);
    };
    match owner(&deployment) {
        Owner::Kgrca => {
            let name = manifest::setting(&deployment.data, "KGRCA_CLUSTER");
            Ok(Some(name.unwrap_or_default()))
        }
        Owner::Helm(release) => Err(CliError::usage("Helm manages the agent of this cluster")
            .hint(format!(
                "use `helm upgrade {release}` or `helm uninstall {release}`"
            ))),
        Owner::Other => {
            let message = format!("deployment/{} is not managed by kgrca", manifest::NAME);
            Err(CliError::usage(message).hint(
                "it has no label app.kubernetes.io/managed-by=kgrca; kgrca does not overwrite it",
            ))
        }
    }
}

/// Settings that an upgrade does not name keep their value: server, Kafka, logs, CA, Secrets.
fn keep_unnamed(cluster: &Cluster, given: &Settings, mut wanted: Wanted) -> Result<Wanted> {
    let existing = |object: &Value| {
        let object = cluster.get(object);
        object.map(|o| o.filter(|o| owner(o) == Owner::Kgrca))
    };
    if let Some(deployment) = existing(&manifest::of_kind("Deployment"))? {
        let setting = |name| manifest::setting(&deployment.data, name);
        if given.kafka.is_none() && setting("KGRCA_KAFKA_URL").is_some() {
            if cluster.get(&manifest::kafka_secret(""))?.is_none() {
                let message = format!("Secret {} not found", manifest::KAFKA);
                return Err(CliError::usage(message).hint(
                    "the agent sends to Kafka: pass --kafka again, or --kafka none to send to the \
                     server",
                ));
            }
            wanted.kafka = true;
        }
        if given.no_secrets.is_none() && setting("KGRCA_NO_SECRETS").is_some() {
            wanted.secrets = false;
        }
        if let (None, Some(server)) = (&given.server, setting("KGRCA_URL")) {
            wanted.server = server;
        }
    }
    wanted.logs |= existing(&manifest::of_kind("DaemonSet"))?.is_some();
    if wanted.ca.is_none()
        && let Some(certificates) = existing(&manifest::of_kind("ConfigMap"))?
    {
        let ca = certificates.data.pointer("/data/ca.crt");
        wanted.ca = ca.and_then(Value::as_str).map(str::to_owned);
    }
    Ok(wanted)
}
