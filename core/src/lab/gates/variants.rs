//! The disturbed cases of each gate.

use std::collections::BTreeSet;

use super::super::disturb;
use super::demand::Demand;
use super::lines::{Line, lines, only};
use super::{Gate, Subject, Variant, noise};
use crate::analyze::instant;
use crate::model::Time;
use crate::model::time::{MINUTE, SECOND};

/// Seeds of a gate that disturbs at random.
const SEEDS: std::ops::Range<u64> = 1..4;
/// How much later a case is asked about, with the seconds.
const LATER: [(&str, i64); 3] = [("a minute", 60), ("ten minutes", 600), ("a day", 86_400)];

pub(super) fn of(gate: Gate, subject: &Subject<'_>) -> Vec<Variant> {
    let bytes = &subject.case.bytes;
    match gate {
        Gate::Kinds => kinds(subject),
        Gate::Partial => partial(subject),
        Gate::Noise => vec![subject.variant(
            "among unrelated records",
            noise::around(
                bytes,
                subject.case.label.faults.is_empty(),
                instant(bytes, subject.options),
            ),
            Demand::Same,
        )],
        Gate::Scramble => SEEDS.map(|seed| scrambled(subject, seed)).collect(),
        Gate::Permutation => SEEDS
            .map(|seed| {
                let what = format!("in the order of seed {seed}");
                subject.variant(what, disturb::shuffle(bytes, seed), Demand::Same)
            })
            .collect(),
        Gate::Duplication => {
            let twice: Vec<&[u8]> = lines(bytes).iter().flat_map(|l| [l.text, l.text]).collect();
            vec![subject.variant("every line twice", twice.join(&b'\n'), Demand::Same)]
        }
        Gate::Time => later(subject),
        Gate::Mutation | Gate::TwoFaults => Vec::new(),
    }
}

fn kinds(subject: &Subject<'_>) -> Vec<Variant> {
    let lines = lines(&subject.case.bytes);
    let kinds: BTreeSet<String> = content(&lines).map(Line::kind).collect();
    kinds
        .into_iter()
        .map(|kind| {
            let bytes = only(&lines, |_, line| line.kind() != kind);
            subject.variant(format!("without {kind}"), bytes, Demand::NotWrong)
        })
        .collect()
}

fn partial(subject: &Subject<'_>) -> Vec<Variant> {
    let lines = lines(&subject.case.bytes);
    let mut all = vec![subject.variant(
        "state only",
        only(&lines, |_, line| line.is_state()),
        Demand::NotWrong,
    )];
    let topics: BTreeSet<&str> = content(&lines)
        .filter(|line| !line.is_state())
        .map(|line| &*line.topic)
        .collect();
    for topic in topics {
        let bytes = only(&lines, |_, line| line.topic == topic);
        all.push(subject.variant(format!("{topic} only"), bytes, Demand::NotWrong));
    }
    for (at, pod) in lines.iter().enumerate().filter(|(_, l)| l.kind() == "Pod") {
        let bytes = only(&lines, |i, _| i == at);
        all.push(subject.variant(format!("{} only", pod.about()), bytes, Demand::NotWrong));
    }
    all
}

fn content<'a>(lines: &'a [Line<'a>]) -> impl Iterator<Item = &'a Line<'a>> {
    lines.iter().filter(|line| !line.is_frame())
}

fn scrambled(subject: &Subject<'_>, seed: u64) -> Variant {
    let bytes = disturb::scramble(&subject.case.bytes, seed);
    let label = subject.label_of(&bytes);
    let what = format!("with the names of seed {seed}");
    Variant {
        label,
        ..subject.variant(what, bytes, Demand::Same)
    }
}

/// A day later, what was seen may be too old to report, but nothing shows that it was fixed.
fn later(subject: &Subject<'_>) -> Vec<Variant> {
    let bytes = &subject.case.bytes;
    let now = instant(bytes, subject.options);
    LATER
        .map(|(what, seconds)| {
            let is_old = seconds > 15 * MINUTE / SECOND;
            let demand = if is_old {
                Demand::NotWrong
            } else {
                Demand::Same
            };
            let mut variant = subject.variant(format!("{what} later"), bytes.clone(), demand);
            variant.options.at = Some(now.plus(seconds * SECOND));
            variant
        })
        .into()
}

/// Both cases in one cluster, the second with other names and at the time of the first.
pub(super) fn together(subject: &Subject<'_>, other: &Subject<'_>) -> Option<Variant> {
    let of = |s: &Subject<'_>| -> Time { instant(&s.case.bytes, s.options) };
    let names = disturb::scramble(&other.case.bytes, 1);
    let second = disturb::shift(&names, of(subject).0 - of(other).0);
    let mut label = subject.case.label.clone();
    label.faults.extend(other.label_of(&second)?.faults);
    if label.faults.len() < 2 {
        return None;
    }
    let added = only(&lines(&second), |_, _| true);
    let bytes = [&subject.case.bytes[..], &added].join(&b'\n');
    let what = format!("together with {}", other.case.name);
    Some(Variant {
        label: Some(label),
        ..subject.variant(what, bytes, Demand::AmongFirst)
    })
}
