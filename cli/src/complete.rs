//! Completion in the shell, with the ids that the server knows.

use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;
use serde_json::Value;

use crate::client::{As, Client};
use crate::context;

/// How long the shell waits for ids: who presses a key wants none rather than late ones.
const PATIENCE: Duration = Duration::from_millis(800);

/// The variable by which the shell's script asks this program.
const ASKS: &str = "COMPLETE";

/// Answers the shell when it is the shell that asks. Returns whether it was.
pub(crate) fn answer(args: &[std::ffi::OsString]) -> bool {
    let folder = std::env::current_dir().ok();
    let asked = clap_complete::env::CompleteEnv::with_factory(crate::command).var(ASKS);
    // What the shell asks wrongly has no answer.
    asked.try_complete(args, folder.as_deref()).unwrap_or(true)
}

/// The script for a shell; `None` for one that nobody wrote a script for.
pub(crate) fn script(shell: &str) -> Option<Vec<u8>> {
    let mut script = Vec::new();
    Shells::builtins()
        .completer(shell)?
        .write_registration(ASKS, "kgrca", "kgrca", "kgrca", &mut script)
        .ok()?;
    Some(script)
}

/// Ids of incidents, newest first.
pub(crate) fn incidents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Tenant, "/api/v1/incidents", "incident_id"))
}

/// Ids of tenants.
pub(crate) fn tenants() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Operator, "/api/v1/admin/clients", "client_id"))
}

/// Uids of resources.
pub(crate) fn resources() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Tenant, "/api/v1/resources", "uid"))
}

/// Ids of faults.
pub(crate) fn faults() -> ArgValueCandidates {
    let all = || {
        kgrca_core::detect::FaultId::ALL
            .iter()
            .map(|id| CompletionCandidate::new(id.as_str()))
            .collect()
    };
    ArgValueCandidates::new(all)
}

/// Names of contexts.
pub(crate) fn contexts() -> ArgValueCandidates {
    let all = || {
        context::load()
            .map(|all| {
                all.contexts
                    .into_keys()
                    .map(CompletionCandidate::new)
                    .collect()
            })
            .unwrap_or_default()
    };
    ArgValueCandidates::new(all)
}

fn ids(who: As, path: &str, field: &str) -> Vec<CompletionCandidate> {
    let asked = context::resolve(None)
        .and_then(|context| Client::patient(context, PATIENCE)?.get::<Value>(who, path, &[]));
    let items = asked
        .ok()
        .and_then(|page| page["items"].as_array().cloned())
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| item[field].as_str())
        .map(CompletionCandidate::new)
        .collect()
}
