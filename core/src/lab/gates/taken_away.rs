//! Takes away what an answer depends on most: a greedy search, since which lines are decisive is
//! the engine's own choice.

use std::collections::{BTreeMap, BTreeSet};

use super::demand::Demand;
use super::lines::{Line, lines, only};
use super::{Subject, Tally};
use crate::analyze::Analysis;
use crate::rca::Cause;

/// How many things are taken away, one after another.
const ROUNDS: usize = 3;

/// Leaves out all that is said about one thing, for each of them; then leaves out for good what
/// cost most confidence, and begins again. What breaks the answer alone is not left out again.
pub(super) fn check(subject: &Subject<'_>, tally: &mut Tally) {
    let lines = lines(&subject.case.bytes);
    let mut things = things(&lines, &subject.before);
    let (mut gone, mut names) = (BTreeSet::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut most: Option<(f64, String)> = None;
        let mut breaking = Vec::new();
        for (name, own) in &things {
            let bytes = only(&lines, |i, _| !gone.contains(&i) && !own.contains(&i));
            let what = format!("without {}{name}", names.concat());
            let already = tally.broken.len();
            let after = tally.add(subject, &subject.variant(what, bytes, Demand::NoOtherCause));
            if tally.broken.len() > already {
                breaking.push(name.clone());
                continue;
            }
            let left = confidence(&subject.before, &after);
            match &most {
                Some((least, _)) if *least <= left => {}
                _ => most = Some((left, name.clone())),
            }
        }
        things.retain(|name, _| !breaking.contains(name));
        let Some((_, name)) = most else { return };
        gone.extend(things.remove(&name).unwrap_or_default());
        names.push(format!("{name}, "));
    }
}

/// The lines about each thing that the first cause rests on or names.
fn things(lines: &[Line<'_>], before: &Analysis) -> BTreeMap<String, BTreeSet<usize>> {
    let Some(cause) = before.causes.first() else {
        return BTreeMap::new();
    };
    let named = names(cause);
    let mut things: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| !l.is_frame()) {
        let is_named = |name: &&str| memchr::memmem::find(line.text, name.as_bytes()).is_some();
        if named.iter().any(is_named) {
            things.entry(line.about()).or_default().insert(i);
        }
    }
    things
}

/// The component of a cause, and the resources of its evidence.
fn names(cause: &Cause) -> BTreeSet<&str> {
    let component = cause.component.split_once('/').map(|(_, name)| name);
    let seen_on = cause.evidence.iter().map(|e| &*e.resource.name);
    component
        .into_iter()
        .chain(seen_on)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The confidence that is left in what was the first cause.
fn confidence(before: &Analysis, after: &Analysis) -> f64 {
    let Some(was) = before.causes.first() else {
        return 0.0;
    };
    let is_same = |c: &&Cause| c.component == was.component && c.fault_type == was.fault_type;
    after
        .causes
        .iter()
        .find(is_same)
        .map(|c| c.confidence)
        .unwrap_or_default()
}
