//! Shell completion, with IDs from the server.

use std::time::Duration;

use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;
use serde_json::Value;

use crate::client::{As, Client};
use crate::context;
use crate::output::escape;

/// How long a completion may wait for the server: no candidates are better than late ones.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The environment variable with which the shell's script asks this program for candidates.
const VARIABLE: &str = "COMPLETE";

/// Answers a request of the shell for candidates. Returns whether it was one.
pub(crate) fn answer(args: &[std::ffi::OsString]) -> bool {
    let directory = std::env::current_dir().ok();
    let completer = clap_complete::env::CompleteEnv::with_factory(crate::command).var(VARIABLE);
    // A malformed request of the shell gets no candidates.
    completer
        .try_complete(args, directory.as_deref())
        .unwrap_or(true)
}

/// The script for a shell; `None` for an unknown one.
pub(crate) fn script(shell: &str) -> Option<Vec<u8>> {
    let mut script = Vec::new();
    Shells::builtins()
        .completer(shell)?
        .write_registration(VARIABLE, "kgrca", "kgrca", "kgrca", &mut script)
        .ok()?;
    Some(script)
}

/// Incident IDs, newest first.
pub(crate) fn incidents() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Tenant, "/api/v1/incidents", "incident_id"))
}

/// Tenant IDs.
pub(crate) fn tenants() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Operator, "/api/v1/admin/clients", "client_id"))
}

/// UIDs of resources.
pub(crate) fn resources() -> ArgValueCandidates {
    ArgValueCandidates::new(|| ids(As::Tenant, "/api/v1/resources", "uid"))
}

/// Fault IDs.
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
        let names = context::load().map(|all| all.contexts.into_keys());
        names
            .map(|names| names.filter_map(candidate).collect())
            .unwrap_or_default()
    };
    ArgValueCandidates::new(all)
}

fn ids(who: As, path: &str, field: &str) -> Vec<CompletionCandidate> {
    let page = context::resolve(None)
        .and_then(|context| Client::with_timeout(context, TIMEOUT)?.get::<Value>(who, path, &[]));
    let items = page
        .ok()
        .and_then(|page| page["items"].as_array().cloned())
        .unwrap_or_default();
    items
        .iter()
        .filter_map(|item| candidate(item[field].as_str()?.to_owned()))
        .collect()
}

/// A candidate, unless the shell could run a part of it once it is inserted.
fn candidate(word: String) -> Option<CompletionCandidate> {
    escape::is_safe_word(&word).then(|| CompletionCandidate::new(word))
}
