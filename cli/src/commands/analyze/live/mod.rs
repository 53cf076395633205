//! `kgrca analyze` of a cluster that runs: reads what the user may read, writes nothing.

mod api;
mod context;
mod list;
mod logs;
mod refused;
mod session;
mod watch;
mod watcher;

use std::path::PathBuf;

use kgrca_core::analyze::Options;
use kgrca_core::model::Time;

use super::super::Env;
use crate::error::{CliError, Result};
use session::Session;

/// How many requests wait for their answer at a time.
const PARALLEL: usize = 4;
/// Most containers whose logs are read before the first answer.
const MAX_LOGS: usize = 100;
/// Most of these that look healthy.
const MAX_QUIET: usize = 40;
/// Most of these that are read because of what the first evaluation found.
const MAX_AFFECTED: usize = 20;

/// Heading of the options that choose what is read of a cluster.
const LIVE: &str = "Live cluster";

/// Which cluster is read, and what of it.
#[derive(Debug, clap::Args)]
pub(super) struct LiveArgs {
    /// Read the cluster of the current kubeconfig context; the default without FILE
    #[arg(long, help_heading = LIVE, conflicts_with = "inputs")]
    live: bool,
    /// All namespaces, without the fallback to the context's namespace where that is not allowed
    #[arg(short = 'A', long, help_heading = LIVE, conflicts_with_all = ["inputs", "namespace"])]
    all_namespaces: bool,
    /// Context of the kubeconfig instead of the current one, as for kubectl; kgrca's own contexts do
    /// not matter here
    #[arg(long, visible_alias = "kube-context", help_heading = LIVE, value_name = "NAME", conflicts_with = "inputs")]
    context: Option<String>,
    /// Kubeconfig file [default: $KUBECONFIG or ~/.kube/config]
    #[arg(long, help_heading = LIVE, value_name = "FILE", conflicts_with = "inputs")]
    kubeconfig: Option<PathBuf>,
    /// Only events and log lines since this time: RFC 3339, or how long ago, e.g. 1h
    #[arg(long, help_heading = LIVE, value_name = "TIME", value_parser = super::time,
        conflicts_with = "inputs")]
    since: Option<Time>,
    /// Continue and print a new answer whenever it changes; ends with Ctrl-C
    #[arg(short, long, help_heading = LIVE, conflicts_with_all = ["inputs", "fail_on"])]
    watch: bool,
}

impl LiveArgs {
    /// Whether one of the options says that a cluster is meant.
    pub(super) fn is_asked(&self) -> bool {
        self.live
            || self.all_namespaces
            || self.watch
            || self.context.is_some()
            || self.kubeconfig.is_some()
            || self.since.is_some()
    }
}

/// Reads the cluster, answers, and with `--watch` continues.
pub(super) fn run(env: &Env<'_>, args: &super::Args, options: Options) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut session = Session::open(env, args, options).await?;
        session.read().await?;
        let analysis = session.answer().await?;
        if args.live.watch {
            return watch::follow(session, &analysis).await;
        }
        super::print(env, &analysis)?;
        match args.fail_on {
            Some(fail_on) if fail_on.includes(analysis.verdict) => Err(CliError::found()),
            _ => Ok(()),
        }
    })
}

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
