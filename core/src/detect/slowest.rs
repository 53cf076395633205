//! Of several slow components, the one where the delay arises.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, Strength};
use super::signals::{Signal, measured, signals};
use super::{ComponentId, FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::{Alert, Kind};

/// The largest rise in an alert's annotations, in percent.
fn rise(alert: &Alert) -> Option<f64> {
    let number = |text: &str| {
        let start = text
            .rfind(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map(|at| at + 1)
            .unwrap_or(0);
        text[start..].parse::<f64>().ok()
    };
    let texts = alert
        .annotations
        .iter()
        .flat_map(|(_, v)| v.split('%').collect::<Vec<_>>());
    texts.filter_map(number).reduce(f64::max)
}

/// A slow component.
#[derive(Clone, Copy)]
struct Slow<'a> {
    idx: Idx,
    alert: &'a Alert,
    /// The rise against its own past, in percent.
    rise: f64,
    /// The largest value.
    measured: f64,
}

/// Of the slow components, the one whose latency rose most against its own past. A delay is the
/// largest share of the time where it arises: its callers take longer to begin with. From there, a
/// callee that is slow as well and accounts for half of its caller's time is closer to the cause.
pub(super) fn slowest(view: &View<'_>, out: &mut Vec<Finding>) {
    let mut slow: BTreeMap<ComponentId, Slow<'_>> = BTreeMap::new();
    for (idx, alert) in &view.episodes.alerts {
        let is_slow =
            signals(alert).contains(&Signal::Latency) && *view.graph.get(*idx).kind() != Kind::Node;
        let Some(rise) = rise(alert).filter(|_| is_slow) else {
            continue;
        };
        let this = Slow {
            idx: *idx,
            alert,
            rise,
            measured: measured(alert),
        };
        let known = slow.entry(view.component_id(*idx)).or_insert(this);
        if this.rise > known.rise {
            *known = this;
        }
    }
    let known = out.iter().any(|f| {
        f.active
            && f.strength >= Strength::Strong
            && matches!(
                f.fault,
                FaultId::NodeNetworkDelay | FaultId::NodeNetworkLoss
            )
    });
    let by_rise = |a: &&Slow<'_>, b: &&Slow<'_>| a.rise.total_cmp(&b.rise);
    let Some(first) = slow.values().max_by(by_rise).filter(|_| !known) else {
        return;
    };
    // Several that rose about as much: the shares of callers and callees do not tell them apart.
    let is_close = |other: &&Slow<'_>| other.idx != first.idx && first.rise < other.rise * 1.5;
    if slow.values().any(|other| is_close(&other)) {
        return;
    }
    let Slow {
        idx, alert, rise, ..
    } = *walk_down(view, &slow, first);
    let owner = view.top_owner(idx);
    out.push(
        view.finding(FaultId::PerformanceNetworkDelay, owner, idx, Strength::Fair)
            .active(true)
            .message(format!(
                "Latency of {} rose by {rise:.0} %, the largest increase (alert {})",
                view.title(owner),
                alert.name
            ))
            .with([view.alert_evidence(idx, alert)])
            .build(),
    );
}

/// Follows calls to slow components that account for at least half of their caller's time and rose
/// at least half as much.
fn walk_down<'s, 'a>(
    view: &View<'_>,
    slow: &'s BTreeMap<ComponentId, Slow<'a>>,
    first: &'s Slow<'a>,
) -> &'s Slow<'a> {
    let mut at = first;
    let mut seen = BTreeSet::from([view.component_id(first.idx)]);
    loop {
        let callees: BTreeSet<ComponentId> = callees(view, at.idx);
        let deeper = slow
            .iter()
            .filter(|(id, s)| {
                callees.contains(id)
                    && !seen.contains(id)
                    && s.measured >= at.measured / 2.0
                    && s.rise >= at.rise / 2.0
            })
            .max_by(|(_, a), (_, b)| a.measured.total_cmp(&b.measured));
        let Some((id, next)) = deeper else {
            return at;
        };
        seen.insert(*id);
        at = next;
    }
}

/// The components that the component of a resource calls.
fn callees(view: &View<'_>, idx: Idx) -> BTreeSet<ComponentId> {
    let owner = view.top_owner(idx);
    let holders = [idx, owner].into_iter().chain(view.pods_of(owner));
    holders
        .flat_map(|holder| view.graph.out(holder))
        .filter(|(relation, _)| *relation == Relation::Calls)
        .map(|(_, callee)| view.component_id(callee))
        .collect()
}
