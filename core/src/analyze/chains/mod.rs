//! Chains of components that were made by chance: a front end calls a back end, which depends on a
//! third component in one of many ways, and that one has a trouble of one of many kinds. Whatever
//! the names, the wording and the harmless trouble beside them, the cause is the third one.

mod decoy;
mod fault;
mod link;
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
    records: Vec<Value>,
    /// The component at fault.
    cause: String,
}

fn chain(fault: Fault, link: Link, seed: u64) -> Chain {
    let dice = &mut Dice(
        seed.wrapping_mul(977)
            .wrapping_add(fault as u64 * 31 + link as u64),
    );
    dice.below(2);
    let mut names: Vec<&str> = NAMES.to_vec();
    let mut name = |dice: &mut Dice| {
        let name = dice.take(&mut names);
        let ends = ["", "-api", "-server", "-service"];
        format!("{name}{}", ends[dice.below(ends.len())])
    };
    let nodes: Vec<String> = (1..4).map(|i| format!("worker-{i}")).collect();
    let (own, other) = ("shop", ["shop", "data"][dice.below(2)]);
    let ports: &[u16] = match (fault, link) {
        (Fault::ConnectionLimit | Fault::ReadOnly, _) => &[5432],
        (_, Link::Volume) => &[2049],
        (_, Link::Webhook) => &[443],
        _ => &[8080, 9000, 8200],
    };
    let port = ports[dice.below(ports.len())];
    let mut c = Workload::new(other, &name(dice), port);
    let is_set = dice.below(2) == 1 && fault != Fault::ImageMissing;
    c.kind = if is_set { "StatefulSet" } else { "Deployment" };
    let mut records = fault.strike(&mut c);
    let mut b = Workload::new(own, &name(dice), 8080);
    let style = Style::ALL[dice.below(3)];
    records.extend(link.tie(&mut b, &c, fault, style));
    let (between, shown) = link.between(&mut b, &c, &name(dice), fault);
    records.extend(shown);
    if b.status.is_none() && b.made.is_none() {
        records.extend(Suffering::ALL[dice.below(5)].of(&mut b));
    }
    let mut a = Workload::new(own, &name(dice), 8080);
    a.container["env"] =
        json!([{"name": "BACKEND_URL", "value": format!("http://{}:8080", b.host())}]);
    let is_down = b.status.is_some() || link == Link::Webhook;
    let error = if is_down {
        "connect ECONNREFUSED"
    } else {
        "status 500 from"
    };
    records.extend(a.logs(
        "ERROR",
        &format!("{error} http://{}:8080/v1/items", b.host()),
    ));
    let labels = json!({"namespace": own, "deployment": a.name});
    let at = "2026-03-10T11:42:00Z";
    records.push(alert(
        "HighErrorRate",
        "critical",
        labels,
        "40% of requests fail",
        at,
    ));
    if link == Link::Queue {
        let broker = between.as_ref().map(Workload::host).unwrap_or_default();
        c.container["env"] = json!([{"name": "BROKER_URL", "value": format!("amqp://{broker}:5672")},
            {"name": "WORK_TOPIC", "value": "orders-work"}]);
    }
    let cause = match fault {
        Fault::NodeDown => "node/worker-9".to_owned(),
        _ => format!("app/{}", c.name),
    };
    let workloads = [Some(a), Some(b), Some(c), between];
    for workload in workloads.iter().flatten() {
        records.extend(workload.records(&nodes));
    }
    records.extend(decoy::some(dice, &nodes, &mut name));
    records.extend(nodes.iter().map(|n| world::node(n, true)));
    let mut mixed = Vec::new();
    while !records.is_empty() {
        mixed.push(dice.take(&mut records));
    }
    Chain {
        records: mixed,
        cause,
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

#[test]
fn the_cause_is_the_deepest_component() {
    let seeds = std::env::var("KGRCA_CHAINS")
        .map(|n| n.parse().unwrap())
        .unwrap_or(2);
    let mut wrong = Vec::new();
    let mut tried = 0;
    for fault in Fault::ALL {
        for link in Link::ALL.into_iter().filter(|link| link.carries(fault)) {
            for seed in 0..seeds {
                let chain = chain(fault, link, seed);
                let analysis = answer(&chain.records);
                assert_eq!(analysis.rejects.len(), 0, "{:?}", analysis.rejects);
                tried += 1;
                let mut firsts = analysis.causes.iter();
                let is_right = firsts.next().is_some_and(|first| {
                    first.component == chain.cause && fault.types().contains(&&*first.fault_type)
                });
                if is_right {
                    continue;
                }
                let told: Vec<String> = analysis
                    .causes
                    .iter()
                    .take(3)
                    .map(|c| format!("{} {} {:.2}", c.component, c.fault_type, c.confidence))
                    .collect();
                if let Ok(folder) = std::env::var("KGRCA_CHAINS_OUT") {
                    let lines: Vec<String> = chain.records.iter().map(Value::to_string).collect();
                    std::fs::write(
                        format!("{folder}/{fault:?}-{link:?}-{seed}.jsonl"),
                        lines.join("\n"),
                    )
                    .unwrap();
                }
                wrong.push(format!(
                    "{fault:?} {link:?} {seed}: {} not {told:?}",
                    chain.cause
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {tried}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
