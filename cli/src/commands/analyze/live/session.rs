//! One reading of a cluster: lists everything, then the logs of what is unhealthy.

use std::sync::Arc;

use kgrca_core::analyze::{Analysis, Live, LogPlan, Options};
use kgrca_core::model::Time;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::super::Env;
use super::api::{Api, Refusal};
use super::context::Context;
use super::list::{Listed, Part, list};
use super::{LiveArgs, MAX_AFFECTED, MAX_LOGS, MAX_QUIET, PARALLEL, logs, refused};
use crate::error::{CliError, Result};

/// One reading of one cluster.
pub(super) struct Session<'a> {
    pub env: &'a Env<'a>,
    args: &'a LiveArgs,
    pub options: Options,
    pub context: Context,
    pub api: Arc<Api>,
    pub live: Live,
    /// How kubectl is called to read the same cluster.
    pub kubectl: String,
    /// What was listed and can be watched, with the versions.
    pub listed: Vec<(Part, String)>,
}

impl<'a> Session<'a> {
    /// Chooses the cluster, and says which it is.
    pub(super) async fn open(
        env: &'a Env<'a>,
        args: &'a super::super::Args,
        options: Options,
    ) -> Result<Self> {
        if let Some(namespace) = options.namespace.as_deref().filter(|n| !is_label(n)) {
            return Err(CliError::usage(format!(
                "`{namespace}` is not the name of a namespace"
            )));
        }
        let args = &args.live;
        let context = Context::open(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        let scope = match &options.namespace {
            Some(namespace) => format!("namespace {namespace}"),
            None => "all namespaces".to_owned(),
        };
        env.out.message(&context.announcement(&scope));
        Ok(Self {
            env,
            args,
            api: Arc::new(Api::new(context.client.clone())),
            live: Live::new(&context.cluster, args.since),
            kubectl: refused::kubectl(args.context.as_deref()),
            listed: Vec::new(),
            options,
            context,
        })
    }

    /// Lists all kinds. What may not be listed in all namespaces is listed in that of the context.
    pub(super) async fn read(&mut self) -> Result {
        // The first answer also says what time it is there.
        let version = http::Request::get("/version").body(Vec::new());
        let version = version.map_err(|e| CliError::failed("invalid request").source(&e))?;
        if let Err(refusal) = self.api.get(&version, 1 << 20).await {
            refused::fatal(&refusal, &self.context)
                .map(Err)
                .unwrap_or(Ok(()))?;
        }
        let began = self.api.now();
        let own = self.options.namespace.clone();
        if let Some(namespace) = &own {
            self.check(namespace).await?;
        }
        let first = self.list_all(Part::all(own.as_deref()), began).await;
        let (mut listed, mut refused) = (Vec::new(), Vec::new());
        let may_narrow = !self.args.all_namespaces && own.is_none();
        let mut narrowed = Vec::new();
        for (part, result) in first {
            let is_forbidden = matches!(result, Err(Refusal::Status(403, _)));
            match result {
                Ok(found) => listed.push(found),
                Err(_) if is_forbidden && may_narrow && part.has_namespaces() => {
                    narrowed.push(part);
                }
                Err(refusal) => refused.push((part, refusal)),
            }
        }
        let namespace = self.context.namespace.clone();
        let parts = narrowed
            .iter()
            .map(|part| part.within(&namespace))
            .collect();
        narrowed.clear();
        for (part, result) in self.list_all(parts, began).await {
            match result {
                Ok(found) => {
                    narrowed.push(part);
                    listed.push(found);
                }
                Err(refusal) => refused.push((part, refusal)),
            }
        }
        for found in listed {
            self.take(found);
        }
        self.report_narrowed(&namespace, &narrowed);
        self.report_refused(refused)
    }

    /// Whether a namespace exists, as far as one may know.
    async fn check(&self, namespace: &str) -> Result {
        let path = format!("/api/v1/namespaces/{namespace}");
        let request = http::Request::get(path).body(Vec::new());
        let request = request.map_err(|e| CliError::failed("invalid request").source(&e))?;
        match self.api.get(&request, 1 << 20).await {
            Err(Refusal::Status(404, _)) => {
                let message = format!(
                    "namespace {namespace} is not in cluster {}",
                    self.context.cluster
                );
                let hint = format!("list them with `{} get namespaces`", self.kubectl);
                Err(CliError::not_found(message).hint(&hint))
            }
            _ => Ok(()),
        }
    }

    /// Lists some parts, in their order.
    async fn list_all(
        &self,
        parts: Vec<Part>,
        began: Time,
    ) -> Vec<(Part, std::result::Result<Listed, Refusal>)> {
        let permits = Arc::new(Semaphore::new(PARALLEL));
        let mut tasks = JoinSet::new();
        for (i, part) in parts.into_iter().enumerate() {
            let (api, permits) = (Arc::clone(&self.api), Arc::clone(&permits));
            let cluster = self.context.cluster.clone();
            tasks.spawn(async move {
                let _permit = permits.acquire().await;
                let result = list(&api, &cluster, &part, began).await;
                (i, part, result)
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_by_key(|(i, ..)| *i);
        done.into_iter()
            .map(|(_, part, result)| (part, result))
            .collect()
    }

    /// Takes what a listing gave.
    pub(super) fn take(&mut self, found: Listed) {
        let Listed {
            part,
            pages,
            began,
            version,
            is_cut,
        } = found;
        for page in pages {
            self.live.add(page);
        }
        if is_cut {
            self.live.lacks(refused::cut(&part));
        } else if part.is_whole() {
            self.live
                .listed(part.kind, part.namespace.as_deref(), began);
        }
        self.listed.push((part, version));
    }

    /// Says what was read of one namespace only.
    fn report_narrowed(&mut self, namespace: &str, parts: &[Part]) {
        let Some(missing) = refused::outside(namespace, parts, &self.kubectl) else {
            return;
        };
        self.env.out.message(&format!(
            "not allowed to list all namespaces: read namespace {namespace} only; choose another \
             one with -n (check with `{}`)",
            missing.command
        ));
        self.live.lacks(missing);
    }

    /// Says what could not be read.
    fn report_refused(&mut self, refused: Vec<(Part, Refusal)>) -> Result {
        let mut forbidden = Vec::new();
        for (part, refusal) in refused {
            if let Some(error) = refused::fatal(&refusal, &self.context) {
                return Err(error);
            }
            let missing = refused::missing(&part, "list", &refusal, &self.kubectl);
            self.live.lacks_kind(part.kind, missing);
            if matches!(refusal, Refusal::Status(403, _)) {
                forbidden.push(part);
            }
        }
        if let Some(message) = refused::message(&forbidden, &self.kubectl) {
            self.env.out.message(&message);
        }
        let wanted = ["Pod", "Deployment", "Event"];
        let mut read = self.listed.iter().map(|(part, _)| part.kind.kind);
        if !read.any(|kind| wanted.contains(&kind)) {
            let namespace = self.options.namespace.as_deref();
            return refused::nothing(&self.context, namespace, &self.kubectl);
        }
        Ok(())
    }

    /// Reads the logs of what is unhealthy and some of what looks healthy, evaluates, and reads more
    /// of what is affected.
    pub(super) async fn answer(&mut self) -> Result<Analysis> {
        let plan = self.live.unhealthy(self.api.now(), MAX_LOGS);
        let room = MAX_LOGS - plan.logs.len();
        self.read_logs(plan, "unhealthy containers").await?;
        let plan = self.live.quiet(room.min(MAX_QUIET));
        let room = room - plan.logs.len();
        self.read_logs(plan, "workloads that look healthy").await?;
        let analysis = self.evaluate();
        let plan = self.live.affected(&analysis, room.min(MAX_AFFECTED));
        if self.read_logs(plan, "").await? {
            return Ok(self.evaluate());
        }
        Ok(analysis)
    }

    /// Reads the logs of a plan. Returns whether there were any lines.
    pub(super) async fn read_logs(&mut self, plan: LogPlan, whose: &str) -> Result<bool> {
        let (live, since) = (&mut self.live, self.args.since);
        let read = logs::read(&self.api, live, (plan, whose), since, &self.kubectl).await;
        read.map_err(|refusal| {
            let error = refused::fatal(&refusal, &self.context);
            error.unwrap_or_else(|| CliError::failed("cannot read the logs"))
        })
    }

    /// The answer to what was read by now.
    pub(super) fn evaluate(&mut self) -> Analysis {
        self.options.now = self.api.now();
        self.live.analyze(&self.options)
    }
}

/// Whether a text can be the name of a namespace.
fn is_label(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(is_part)
}
