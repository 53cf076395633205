//! Calls that fail for a reason which a line names without the server. The writer is where to look:
//! its settings name the server, whichever side is at fault.

use std::collections::{BTreeMap, BTreeSet};

use super::caller_errors::{CallFailure, failure};
use super::finding::{Finding, Strength};
use super::protocol::OF_SERVERS;
use super::text::{has, short};
use super::{CallError, ComponentId, FaultId, View};
use crate::episode::LogTemplate;
use crate::graph::Idx;
use crate::model::Severity;
use crate::trouble::Class;

/// How many lines are evidence.
const MAX_LINES: usize = 5;

/// What a line without a server means for its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Certificate,
    Protocol,
    Name,
}

impl Reason {
    fn of(log: &LogTemplate) -> Option<Self> {
        match failure(log.trouble())? {
            CallFailure::CertificateRejected => Some(Self::Certificate),
            CallFailure::ProtocolMismatch => Some(Self::Protocol),
            CallFailure::Unresolved if log.trouble().has(Class::Unresolved) => Some(Self::Name),
            _ => None,
        }
    }

    fn fault(self) -> FaultId {
        match self {
            Self::Certificate => FaultId::ServiceCertificateInvalid,
            Self::Protocol => FaultId::ServiceProtocolMismatch,
            Self::Name => FaultId::ServiceAddressWrong,
        }
    }

    /// To follow the name of the writer.
    fn predicate(self) -> &'static str {
        match self {
            Self::Certificate => "reports that a certificate is not accepted",
            Self::Protocol => "reports that a server speaks another protocol",
            Self::Name => "uses a name that does not resolve",
        }
    }
}

/// Reports writers whose errors name no server, as a possibility.
pub(super) fn errors(
    view: &View<'_>,
    errors: &[CallError],
    found: &[Finding],
    out: &mut Vec<Finding>,
) {
    let named: BTreeSet<usize> = errors.iter().map(|error| error.log).collect();
    let mut all: BTreeMap<(ComponentId, Reason), Vec<(Idx, &LogTemplate)>> = BTreeMap::new();
    for (i, (writer, log)) in view.episodes.logs.iter().enumerate() {
        let is_meant = log.severity >= Severity::Error
            && !named.contains(&i)
            && view.is_current(*writer, log)
            && !has(&log.sample, &OF_SERVERS)
            // Servers write so about their callers, too.
            && !has(&log.sample, &["during tls handshake"]);
        if let Some(reason) = Reason::of(log).filter(|_| is_meant) {
            let key = (view.component_id(*writer), reason);
            all.entry(key).or_default().push((*writer, log));
        }
    }
    let is_known = |id: ComponentId, fault: FaultId, findings: &[Finding]| {
        let is_same = |f: &Finding| {
            let of_writer = view.component_id(f.on) == id || view.component_id(f.blamed) == id;
            of_writer && (f.fault == fault || f.active && f.strength >= Strength::Strong)
        };
        findings.iter().any(is_same)
    };
    for ((id, reason), lines) in all {
        let fault = reason.fault();
        if is_known(id, fault, found) || is_known(id, fault, out) {
            continue;
        }
        let (writer, log) = lines[0];
        let owner = view.top_owner(writer);
        let message = format!(
            "{} {}, and does not name the server: {}",
            view.title(owner),
            reason.predicate(),
            short(&log.sample, 160)
        );
        let evidence = lines.iter().take(MAX_LINES);
        out.push(
            view.finding(fault, owner, writer, Strength::Hint)
                .active(false)
                .message(message)
                .with(evidence.map(|(writer, log)| view.log_evidence(*writer, log)))
                .build(),
        );
    }
}
