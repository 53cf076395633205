//! Reads the last lines of containers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use kgrca_core::analyze::{ContainerLog, Live, LogPlan};
use kgrca_core::model::Time;
use kgrca_core::rca::MissingEvidence;
use kube::core::Request as Builder;
use kube::core::subresource::LogParams;
use tokio::task::JoinSet;

use super::PARALLEL;
use super::api::{Api, Refusal};

/// How many lines are read of a run of a container.
const LINES: i64 = 200;
/// The same where these are very long.
const FEW_LINES: i64 = 20;
/// Maximum bytes of them.
const BYTES: usize = 256 << 10;

/// What reading logs came to.
#[derive(Default)]
struct Outcome {
    /// Namespaces whose logs may not be read.
    denied: BTreeSet<String>,
    failed: Vec<(ContainerLog, String)>,
}

/// Reads the logs of a plan into a cluster, and says whose were left out. Returns whether there
/// were any lines.
pub(super) async fn read(
    api: &Arc<Api>,
    live: &mut Live,
    (plan, whose): (LogPlan, &str),
    since: Option<Time>,
    kubectl: &str,
) -> Result<bool, Refusal> {
    let mut outcome = Outcome::default();
    let denied = Arc::new(Mutex::new(BTreeSet::new()));
    let permits = Arc::new(tokio::sync::Semaphore::new(PARALLEL));
    let mut tasks = JoinSet::new();
    for (i, log) in plan.logs.into_iter().enumerate() {
        let (api, denied, permits) = (Arc::clone(api), Arc::clone(&denied), Arc::clone(&permits));
        tasks.spawn(async move {
            let _permit = permits.acquire().await;
            let is_denied = denied.lock().is_ok_and(|all| all.contains(&log.namespace));
            if is_denied {
                return (i, log, None);
            }
            let lines = lines(&api, &log, since).await;
            if let (Err(Refusal::Status(403, _)), Ok(mut all)) = (&lines, denied.lock()) {
                all.insert(log.namespace.clone());
            }
            (i, log, Some(lines))
        });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(i, ..)| *i);
    let mut has_lines = false;
    for (_, log, lines) in done {
        match lines {
            Some(Ok(lines)) => {
                has_lines |= !lines.is_empty();
                live.log(&log, &lines, api.now());
                continue;
            }
            Some(Err(Refusal::Status(403, _))) | None => {
                outcome.denied.insert(log.namespace.clone());
            }
            // It never ran, or its log is gone by now.
            Some(Err(Refusal::Status(400 | 404, _))) => {}
            Some(Err(Refusal::Status(_, words) | Refusal::Unreachable(words))) => {
                outcome.failed.push((log.clone(), words));
            }
            Some(Err(Refusal::TooLarge)) => outcome.failed.push((log.clone(), "too long".into())),
            Some(Err(refusal @ Refusal::NoCredentials(_))) => return Err(refusal),
        }
        live.log_failed(&log);
    }
    report(live, &outcome, kubectl);
    if plan.left_out > 0 {
        live.lacks(MissingEvidence::new(
            &format!("logs of {} more {whose}", plan.left_out),
            "errors that only they show",
            "kgrca analyze -n <namespace>",
        ));
    }
    Ok(has_lines)
}

fn report(live: &mut Live, outcome: &Outcome, kubectl: &str) {
    for namespace in &outcome.denied {
        live.lacks(MissingEvidence::new(
            &format!("logs of namespace {namespace}"),
            "you are not allowed to read them",
            &format!("{kubectl} auth can-i get pods --subresource=log -n {namespace}"),
        ));
    }
    if let Some((log, words)) = outcome.failed.first() {
        let previous = if log.previous { " --previous" } else { "" };
        live.lacks(MissingEvidence::new(
            &format!("logs of {} containers", outcome.failed.len()),
            &format!("they could not be read: {words}"),
            &format!(
                "{kubectl} -n {} logs {} -c {}{previous}",
                log.namespace, log.pod, log.container
            ),
        ));
    }
}

async fn lines(api: &Api, log: &ContainerLog, since: Option<Time>) -> Result<Vec<u8>, Refusal> {
    match of_at_most(api, log, since, LINES).await {
        // The newest lines are what counts.
        Ok(lines) if lines.len() >= BYTES => of_at_most(api, log, since, FEW_LINES).await,
        lines => lines,
    }
}

async fn of_at_most(
    api: &Api,
    log: &ContainerLog,
    since: Option<Time>,
    lines: i64,
) -> Result<Vec<u8>, Refusal> {
    let seconds = since.map(|since| (api.now().0 - since.0) / 1_000_000);
    let params = LogParams {
        container: Some(log.container.clone()),
        limit_bytes: Some(BYTES as i64),
        previous: log.previous,
        since_seconds: seconds.map(|s| s.max(1)),
        tail_lines: Some(lines),
        timestamps: true,
        ..LogParams::default()
    };
    let pods = format!("/api/v1/namespaces/{}/pods", log.namespace);
    let request = Builder::new(pods).logs(&log.pod, &params);
    let request = request.map_err(|e| Refusal::Status(400, e.to_string()))?;
    // The server may send slightly more than asked for.
    api.get(&request, 2 * BYTES).await
}
