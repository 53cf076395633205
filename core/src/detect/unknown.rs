//! A fault of which only the symptom is known.

use super::finding::{Evidence, Finding, Strength};
use super::text::short;
use super::{FaultId, View};
use crate::graph::Idx;
use crate::model::Time;

/// A finding for an affected resource that no detector explains, with its symptom as evidence.
pub fn unknown(view: &View<'_>, resource: Idx, since: Time, what: String) -> Finding {
    let owner = view.top_owner(resource);
    let message = format!(
        "{} is affected and shows no known fault of its own: {}",
        view.title(owner),
        short(what.lines().next().unwrap_or(&what), 200)
    );
    let evidence = Evidence {
        at: since,
        ..view.state_evidence(resource, short(&what, 300))
    };
    view.finding(FaultId::Unknown, owner, resource, Strength::Hint)
        .message(message)
        .with([evidence])
        .build()
}
