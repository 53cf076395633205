//! Chains of components that were made by chance: a front end calls a back end, which depends on a
//! third component in one of many ways, and that one has a trouble of one of many kinds. Whatever
//! the names, the wording and the harmless trouble beside them, the cause is the third one.

mod decoy;
mod fault;
mod link;
mod middle;
mod outside;
mod suffering;
mod waiting;
mod world;

use serde_json::{Value, json};

use super::{Analysis, Options, analyze};
use crate::model::Time;
use fault::Fault;
use link::{Link, Style};
use suffering::Suffering;
use world::{NOW, Workload, alert};

/// Numbers of a linear congruential generator: the same for a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    /// One of these, which is taken out.
    fn take<T>(&mut self, from: &mut Vec<T>) -> T {
        let at = self.below(from.len());
        from.swap_remove(at)
    }
}

const NAMES: [&str; 24] = [
    "amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heron", "iris", "juniper",
    "kestrel", "lagoon", "maple", "nimbus", "orchid", "pebble", "quartz", "raven", "sorrel",
    "tundra", "umber", "violet", "willow", "yarrow",
];

/// A generated incident.
struct Chain {
    /// What was put together, for the message of a failed test.
    title: String,
    records: Vec<Value>,
    /// The component at fault.
    cause: String,
    /// The fault types that are right.
    types: &'static [&'static str],
}

/// A cluster that is put together by chance.
struct Maker {
    dice: Dice,
    names: Vec<&'static str>,
    nodes: Vec<String>,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        dice.below(2);
        Self {
            dice,
            names: NAMES.to_vec(),
            nodes: (1..4).map(|i| format!("worker-{i}")).collect(),
        }
    }

    fn name(&mut self) -> String {
        let name = self.dice.take(&mut self.names);
        let ends = ["", "-api", "-server", "-service"];
        format!("{name}{}", ends[self.dice.below(ends.len())])
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.dice.below(all.len())]
    }

    /// A front end that calls a back end, gets errors, and has an alert.
    fn front(&mut self, back: &Workload) -> (Workload, Vec<Value>) {
        let mut front = Workload::new("shop", &self.name(), 8080);
        let url = format!("http://{}:8080", back.host());
        front.container["env"] = json!([{"name": "BACKEND_URL", "value": url}]);
        let is_down = back.status.is_some() || back.made.is_some();
        let error = if is_down {
            "connect ECONNREFUSED"
        } else {
            "status 500 from"
        };
        let mut shown = front.logs("ERROR", &format!("{error} {url}/v1/items"));
        let labels = json!({"namespace": "shop", "deployment": front.name});
        let (text, at) = ("40% of requests fail", "2026-03-10T11:42:00Z");
        shown.push(alert("HighErrorRate", "critical", labels, text, at));
        (front, shown)
    }

    /// All records with harmless ones beside them, in any order.
    fn mix(&mut self, workloads: &[Workload], mut records: Vec<Value>) -> Vec<Value> {
        for workload in workloads {
            records.extend(workload.records(&self.nodes));
        }
        records.extend(decoy::some(self));
        records.extend(self.nodes.iter().map(|node| world::node(node, true)));
        let mut mixed = Vec::new();
        while !records.is_empty() {
            mixed.push(self.dice.take(&mut records));
        }
        mixed
    }
}

fn chain(fault: Fault, link: Link, seed: u64) -> Chain {
    let number = seed
        .wrapping_mul(977)
        .wrapping_add(fault as u64 * 31 + link as u64);
    let maker = &mut Maker::new(number);
    let namespace = maker.one_of(&["shop", "data"]);
    let port = match (fault, link) {
        (Fault::ConnectionLimit | Fault::ReadOnly, _) => 5432,
        (_, Link::Volume) => 2049,
        (_, Link::Webhook) => 443,
        _ => maker.one_of(&[8080, 9000, 8200]),
    };
    let mut c = Workload::new(namespace, &maker.name(), port);
    if maker.dice.below(2) == 1 && fault != Fault::ImageMissing {
        c.kind = "StatefulSet";
    }
    let mut records = fault.strike(&mut c);
    let mut b = Workload::new("shop", &maker.name(), 8080);
    let style = maker.one_of(&Style::ALL);
    records.extend(link.tie(&mut b, &mut c, fault, style));
    let (between, shown) = link.between(&mut b, &mut c, &maker.name(), fault);
    records.extend(shown);
    if b.status.is_none() && b.made.is_none() {
        records.extend(maker.one_of(&Suffering::ALL).of(&mut b));
    }
    let (a, shown) = maker.front(&b);
    records.extend(shown);
    let cause = match fault {
        Fault::NodeDown => "node/worker-9".to_owned(),
        _ => format!("app/{}", c.name),
    };
    let workloads: Vec<Workload> = [a, b, c].into_iter().chain(between).collect();
    Chain {
        title: format!("{fault:?} {link:?} {seed}"),
        records: maker.mix(&workloads, records),
        cause,
        types: fault.types(),
    }
}

fn answer(records: &[Value]) -> Analysis {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let options = Options {
        at: Time::parse(NOW),
        now: Time::parse(NOW).unwrap(),
        ..Options::default()
    };
    analyze("input", lines.join("\n").as_bytes(), &options)
}

/// How many incidents of each combination are tried.
const SEEDS: u64 = 2;

/// Fails with all chains of which another cause is named first.
fn check(chains: impl Iterator<Item = Chain>) {
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for chain in chains {
        tried += 1;
        let analysis = answer(&chain.records);
        assert!(analysis.rejects.is_empty(), "{:?}", analysis.rejects);
        let is_right = analysis.causes.first().is_some_and(|first| {
            first.component == chain.cause && chain.types.contains(&&*first.fault_type)
        });
        if is_right {
            continue;
        }
        let first = analysis.causes.iter().take(3);
        let answered: Vec<String> = first
            .map(|c| format!("{} {} {:.2}", c.component, c.fault_type, c.confidence))
            .collect();
        wrong.push(format!("{}: {} not {answered:?}", chain.title, chain.cause));
    }
    let list = wrong.join("\n");
    assert!(wrong.is_empty(), "{} of {tried}:\n{list}", wrong.len());
}

#[test]
fn the_cause_is_the_deepest_component() {
    let pairs = Fault::ALL.into_iter().flat_map(|fault| {
        let links = Link::ALL
            .into_iter()
            .filter(move |link| link.carries(fault));
        links.map(move |link| (fault, link))
    });
    check(pairs.flat_map(|(fault, link)| (0..SEEDS).map(move |seed| chain(fault, link, seed))));
}
