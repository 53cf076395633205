//! What to type against a cause: the command, aimed at the object that can be changed, with what is
//! known filled in; what it does to the cluster, how to try it, how to see that it worked, and how
//! to undo it.

mod choice;
mod effect;
mod known;
mod spec;
mod target;
mod undo;

use serde::{Deserialize, Serialize};

use super::answer::Change;
use crate::detect::{Catalogue, FaultId, Finding, View};
use crate::graph::Idx;
use crate::model::Command;
use target::Target;

/// What a command does to what runs.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub enum Risk {
    /// It only shows something.
    #[serde(rename = "read-only")]
    ReadOnly,
    /// It changes objects; what runs goes on.
    #[serde(rename = "restarts nothing")]
    RestartsNothing,
    /// Pods are replaced, one after the other where their workload does so.
    #[serde(rename = "restarts pods")]
    RestartsPods,
    /// Something is not served meanwhile.
    #[serde(rename = "interrupts service")]
    InterruptsService,
    /// Data may be gone afterwards.
    #[serde(rename = "deletes data")]
    DeletesData,
}

impl Risk {
    /// The words used on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::RestartsNothing => "restarts nothing",
            Self::RestartsPods => "restarts pods",
            Self::InterruptsService => "interrupts service",
            Self::DeletesData => "deletes data",
        }
    }
}

/// What belongs to the command that fixes a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Remedy {
    /// What the command does to what runs.
    pub risk: Risk,
    /// What to know before it is run; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The same command, which the API server checks and does not carry out; empty where kubectl
    /// cannot do that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dry_run: String,
    /// A command that shows whether it worked; empty where the command itself shows it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub check: String,
    /// The command that undoes it; empty where there is none or nothing to undo.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub undo: String,
}

/// What a remedy is chosen for.
pub(super) struct Cause<'a> {
    pub(super) view: View<'a>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) fault: FaultId,
    pub(super) blamed: Idx,
    /// The best finding first.
    pub(super) findings: Vec<&'a Finding>,
    pub(super) change: Option<&'a Change>,
}

/// The command against a cause and what belongs to it; an empty command if none is known.
pub(super) fn remedy(cause: &Cause<'_>) -> (String, Option<Remedy>) {
    let target = Target::of(&cause.view, aim(cause));
    let choice = choice::choose(cause, &target);
    let command = known::fill(cause, &target, choice.command);
    if command.is_empty() {
        return (String::new(), None);
    }
    let remedy = effect::describe(cause, &target, &command, choice.note);
    (command.to_string(), Some(remedy))
}

/// The resource that a command about a workload is aimed at: the blamed one, or what shows the
/// fault where that is no workload.
fn aim(cause: &Cause<'_>) -> Idx {
    use crate::model::Kind;

    let kind = cause.view.graph.get(cause.blamed).kind();
    let is_place = matches!(
        kind,
        Kind::Node | Kind::Namespace | Kind::ResourceQuota | Kind::LimitRange
    );
    match cause.findings.first() {
        Some(finding) if is_place => finding.on,
        _ => cause.blamed,
    }
}

/// A command from its text, as another part of the answer shows it.
fn parsed(text: &str) -> Command {
    let words = shlex::split(text).unwrap_or_default();
    Command::words(words.iter().map(String::as_str))
}
