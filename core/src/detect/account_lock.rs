//! Accounts that a server has locked: the client with the wrong password locks out all others that
//! use the same account.

use super::finding::{Finding, Strength};
use super::text::short;
use super::{FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::time::MINUTE;
use crate::trouble::{Class, product};

/// Reports the client that was refused the login before the account was locked; without one, that
/// which is locked out, as it may have the wrong password itself.
pub(super) fn locked(view: &View<'_>, out: &mut Vec<Finding>) {
    let reports: Vec<&(Idx, &LogTemplate)> = view
        .episodes
        .logs
        .iter()
        .filter(|(_, log)| log.trouble().has(Class::AccountLocked))
        .collect();
    let is_recent = |log: &LogTemplate| view.now.0 - log.last.0 <= 15 * MINUTE;
    let Some(found) = reports.iter().find(|(_, log)| is_recent(log)) else {
        return;
    };
    let (victim, locked) = found;
    let since = reports.iter().map(|(_, log)| log.first).min();
    let refused = view.episodes.logs.iter().find(|(_, log)| {
        log.trouble().has(Class::LoginRefused)
            && since.is_some_and(|since| log.first < since)
            && server(log).is_some()
            && server(log) == server(locked)
    });
    let (client, line) = refused.unwrap_or(found);
    let owner = view.top_owner(*client);
    let (strength, does) = match refused {
        Some(_) => (
            Strength::Proof,
            "logs in with a wrong password, until the server locks the account",
        ),
        None => (Strength::Fair, "uses an account that is locked"),
    };
    let fault = FaultId::DependencyCredentialsRejected;
    let evidence = reports.iter().take(4);
    out.push(
        view.finding(fault, owner, *victim, strength)
            .active(true)
            .message(format!(
                "{} {does}: {}",
                view.title(owner),
                short(&line.sample, 200)
            ))
            .with([view.log_evidence(*client, line)])
            .with(evidence.map(|(idx, log)| view.log_evidence(*idx, log)))
            .build(),
    );
}

/// The product of the server that a line is about.
fn server(log: &LogTemplate) -> Option<&'static str> {
    product::named(&log.sample).map(|product| &*product.product)
}
