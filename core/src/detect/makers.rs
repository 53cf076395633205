//! What should make an object and fails: the reason for which the object is missing or invalid. A
//! certificate is ordered by a chain of requests, a Secret is written by an operator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::controller_log::about;
use super::finding::{Finding, Strength};
use super::{FaultId, View, behind};
use crate::graph::{Idx, Relation};
use crate::model::time::MINUTE;
use crate::model::{Kind, Severity};

/// How many objects of a chain are visited.
const MAX_VISITS: usize = 64;

/// Faults that say that an object is missing, or not as wanted.
const LACKS: [FaultId; 3] = [
    FaultId::ConfigSecretMissing,
    FaultId::ServiceCertificateInvalid,
    FaultId::OperatorConditionFailed,
];

/// Reports the fault of a controller, or of a store that an object of the chain refers to, as the
/// cause of what its objects lack: where its own log is about an object in the chain, or the store
/// says so.
pub(super) fn failing<'a>(view: &View<'a>, found: &'a [Finding], out: &mut Vec<Finding>) {
    let lines = lines(view, found);
    let named = named(view, &lines);
    let stores = stores(view, found);
    if lines.is_empty() && stores.is_empty() {
        return;
    }
    let mut reasons = Vec::new();
    let mut seen = BTreeSet::new();
    for user in found
        .iter()
        .filter(|f| f.active && LACKS.contains(&f.fault))
    {
        let chain = chain(view, user.on);
        let by = |all: &BTreeMap<Idx, &'a Finding>| {
            let mut reasons = chain.iter().filter_map(|object| all.get(object).copied());
            reasons.next()
        };
        let said = || {
            chain
                .iter()
                .find_map(|object| repeated(view, *object, &lines))
        };
        let reason = by(&named).or_else(said).or_else(|| by(&stores));
        let other = |f: &&Finding| view.component_id(f.blamed) != view.component_id(user.blamed);
        let Some(reason) = reason.filter(other).filter(|_| seen.insert(user.on)) else {
            continue;
        };
        // What those that need a server say of it is not why it does not serve.
        let deeper = reason.fault.is_failure_mode();
        let deeper = deeper.then(|| behind::reason(view, found, reason.blamed));
        reasons.push(behind::as_cause(deeper.flatten().unwrap_or(reason), user));
    }
    out.extend(reasons);
}

/// The custom objects that say of themselves why they cannot serve, each with the fault: a store of
/// secrets that is refused the login.
fn stores<'a>(view: &View<'_>, found: &'a [Finding]) -> BTreeMap<Idx, &'a Finding> {
    let says = |f: &&Finding| {
        let is_custom = matches!(view.graph.get(f.on).kind(), Kind::Other(_));
        let is_reason = f.strength >= Strength::Fair && f.fault != FaultId::Unknown;
        let is_own = view.component_id(f.blamed) == view.component_id(f.on);
        is_custom && f.active && is_reason && !(is_own && LACKS.contains(&f.fault))
    };
    found.iter().filter(says).map(|f| (f.on, f)).collect()
}

/// The lines that show a fault of the controller that writes them, each with the fault.
fn lines<'a>(view: &View<'a>, found: &'a [Finding]) -> Vec<(&'a str, &'a Finding)> {
    let mut all = Vec::new();
    for (writer, log) in &view.episodes.logs {
        let is_meant = log.severity >= Severity::Error
            && view.now.0 - log.last.0 <= 15 * MINUTE
            && !log.trouble().is_empty();
        if !is_meant {
            continue;
        }
        let own = view.component_id(*writer);
        let line = view.log_evidence(*writer, log).id;
        let fault = found.iter().find(|f| {
            f.active
                && f.strength >= Strength::Strong
                && !LACKS.contains(&f.fault)
                && view.component_id(f.blamed) == own
                && f.evidence.iter().any(|e| e.id == line)
        });
        all.extend(fault.map(|fault| (&*log.sample, fault)));
    }
    all
}

/// The objects that the lines of controllers are about, each with the fault of the controller.
fn named<'a>(view: &View<'_>, lines: &[(&str, &'a Finding)]) -> BTreeMap<Idx, &'a Finding> {
    let mut all = BTreeMap::new();
    for (line, fault) in lines {
        if let Some(object) = about(view, line) {
            all.entry(object).or_insert(*fault);
        }
    }
    all
}

/// The least length of words that two texts have in common by more than chance, in bytes.
const MIN_SHARED: usize = 30;

/// The fault of the controller that writes the end of what was warned about an object into its own
/// log: the object shows the controller's trouble.
fn repeated<'a>(
    view: &View<'_>,
    object: Idx,
    lines: &[(&str, &'a Finding)],
) -> Option<&'a Finding> {
    let mut warnings = view.warnings(object);
    warnings.find_map(|event| {
        let words = words(&event.message);
        let start = words.len().checked_sub(MIN_SHARED)?;
        let end = words.get(start..)?;
        let mut lines = lines.iter();
        let (_, fault) = lines.find(|(line, _)| self::words(line).contains(end))?;
        Some(*fault)
    })
}

/// A text without what quoting and escaping change.
fn words(text: &str) -> String {
    let text = text.replace("\\n", " ").replace("\\t", " ");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

/// What makes what a resource lacks: the custom objects that write a Secret which it uses, and all
/// that these own or refer to.
fn chain(view: &View<'_>, from: Idx) -> BTreeSet<Idx> {
    let is_custom = |idx: Idx| matches!(view.graph.get(idx).kind(), Kind::Other(_));
    let mut next: VecDeque<Idx> = VecDeque::from([from]);
    let mut seen = BTreeSet::new();
    while let Some(at) = next.pop_front() {
        if seen.len() >= MAX_VISITS || !seen.insert(at) {
            continue;
        }
        for (relation, to) in view.graph.out(at) {
            let leads = matches!(relation, Relation::Controls | Relation::Uses);
            if leads && is_custom(to) && view.object(to).is_some() {
                next.push_back(to);
            }
            let reads = matches!(relation, Relation::Uses | Relation::Mounts);
            if reads && *view.graph.get(to).kind() == Kind::Secret {
                let makers = view.graph.incoming(to);
                let makers =
                    makers.filter(|(r, maker)| *r == Relation::Controls && is_custom(*maker));
                next.extend(makers.map(|(_, maker)| maker));
            }
        }
    }
    seen
}
