//! Certificate authorities whose own certificate has expired: those that ask them for certificates
//! repeat what they answer.

use std::collections::BTreeMap;

use super::finding::{Evidence, Finding, Strength};
use super::text::short;
use super::{ComponentId, FaultId, View};
use crate::model::time::MINUTE;
use crate::model::{Severity, Time};
use crate::trouble::{self, Class, host};

/// Most pieces of evidence of each side.
const MAX_LINES: usize = 6;

/// Blames the authority, which says it about itself, and not its clients, which name it.
pub(super) fn expired(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut issuers: BTreeMap<ComponentId, Vec<Evidence>> = BTreeMap::new();
    let mut clients: Vec<Evidence> = Vec::new();
    for (text, evidence) in statements(view) {
        let names_another = host::in_text(text).iter().any(|named| named.is_stated);
        if names_another {
            clients.push(evidence);
        } else {
            let own = issuers
                .entry(view.component_id(evidence.resource))
                .or_default();
            own.push(evidence);
        }
    }
    clients.truncate(MAX_LINES);
    let is_only = issuers.len() == 1;
    for own in issuers.into_values() {
        let Some(first) = own.first() else { continue };
        let (owner, on) = (view.top_owner(first.resource), first.resource);
        let clients = clients.iter().filter(|_| is_only).cloned();
        let strength = if clients.clone().next().is_some() {
            Strength::Proof
        } else {
            Strength::Strong
        };
        let message = format!(
            "{} cannot sign certificates, its own has expired: {}",
            view.title(owner),
            short(&first.what, 160)
        );
        out.push(
            view.finding(FaultId::ServiceCertificateInvalid, owner, on, strength)
                .active(true)
                .message(message)
                .with(own.iter().take(MAX_LINES).cloned().chain(clients))
                .build(),
        );
    }
}

/// The warnings and log lines of the last 15 minutes about an expired authority.
fn statements<'a>(view: &'a View<'_>) -> impl Iterator<Item = (&'a str, Evidence)> {
    let is_recent = |at: Time| view.now.0 - at.0 <= 15 * MINUTE;
    let events = view
        .episodes
        .events
        .iter()
        .filter(move |(_, e)| e.severity >= Severity::Warning && is_recent(e.last))
        .filter(|(_, e)| trouble::read(&e.message).has(Class::IssuerExpired))
        .map(|(idx, e)| (&*e.message, view.event_evidence(*idx, e)));
    let logs = view
        .episodes
        .logs
        .iter()
        .filter(move |(idx, l)| l.severity >= Severity::Warning && view.is_current(*idx, l))
        .filter(|(_, l)| l.trouble().has(Class::IssuerExpired))
        .map(|(idx, l)| (&*l.sample, view.log_evidence(*idx, l)));
    events.chain(logs)
}
