//! Deterministic simulation: several daemons, with their real ingestion, workers, jobs and sagas,
//! under a clock, a scheduler and faults that follow from a seed. After `FoundationDB`'s method
//! (Zhou et al., SIGMOD 2021, section 4) and s2's.
//!
//! One thread runs a whole world. Nothing in it takes time but calls of stores and timers, and both
//! take as long as the dice say; while anything can run, the clock stands still. So the order of
//! events is a function of the seed, and a seed that failed fails again.

mod bug;
mod check;
mod clients;
mod database;
mod faults;
mod graph;
mod kernel;
mod ledger;
mod limits;
mod log;
mod plan;
mod port;
mod provision;
mod sqlite;
mod story;
mod visits;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kgrca_core::model::time::SECOND;
use kgrca_daemon::environment;

pub use bug::Bug;
use check::Answers;
use kernel::{Kernel, System};
use plan::{Fortune, Plan};
use port::Shared;
use world::World;

/// Names of tenants. None of them is part of any other text.
const CANARIES: [&str; 3] = ["qxalpha", "qxbravo", "qxcharlie"];
/// When everything must be done.
const DEADLINE: i64 = 400 * SECOND;
/// How long a world may take in all.
const LIMIT: i64 = 600 * SECOND;
/// When the answers are compared: after the first minute, in which a roll-out may still succeed and
/// what is found depends on when it was evaluated.
const END: i64 = 80 * SECOND;

/// What came of a world.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed it followed from.
    pub seed: u64,
    /// The invariant that did not hold.
    pub violation: Option<String>,
    /// Hash of the trace.
    pub hash: u64,
    /// Number of its lines.
    pub steps: u64,
    /// Its lines, if they were asked for.
    pub lines: Vec<String>,
    /// Simulated seconds.
    pub seconds: i64,
}

/// How to run a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A bug of the stores.
    pub bug: Option<Bug>,
    /// Whether to keep the lines of the trace.
    pub trace: bool,
}

/// Runs the world of a seed.
pub fn run(seed: u64, options: Options) -> Report {
    let plan = Plan::of(seed);
    let expected = expected(plan.story);
    let is_served = |fortune: &Fortune| *fortune == Fortune::Served;
    let served: Vec<bool> = plan.tenants.iter().map(is_served).collect();
    let (mut report, answers) = simulate(seed, plan, options);
    for (number, is_served) in served.into_iter().enumerate() {
        let (wanted, found) = (expected.get(&number), answers.get(&number));
        let is_right = found == wanted || found.is_none() && !is_served;
        if report.violation.is_none() && !is_right {
            report.violation = Some(format!(
                "answers: tenant {number}: expected {wanted:?}, found {found:?}"
            ));
        }
    }
    report
}

/// What a world without faults answers.
///
/// # Panics
/// When even that does not work.
fn expected(story: u64) -> BTreeMap<usize, Answers> {
    static KNOWN: Mutex<BTreeMap<u64, BTreeMap<usize, Answers>>> = Mutex::new(BTreeMap::new());
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = known.get(&story).cloned();
    drop(known);
    if let Some(answers) = found {
        return answers;
    }
    let plan = Plan::calm(story, CANARIES.len());
    let (report, answers) = simulate(0, plan, Options::default());
    assert_eq!(report.violation, None, "a world without faults");
    assert_eq!(answers.len(), CANARIES.len(), "all tenants are served");
    assert!(answers.values().all(Answers::has_causes), "{answers:?}");
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.insert(story, answers.clone());
    answers
}

fn simulate(seed: u64, plan: Plan, options: Options) -> (Report, BTreeMap<usize, Answers>) {
    let kernel = Arc::new(Kernel::new(seed, story::BEGIN, options.trace));
    let canaries = CANARIES[..plan.tenants.len()].iter();
    let canaries = canaries.map(|name| (*name).to_owned()).collect();
    let shared = Arc::new(Shared::new(Arc::clone(&kernel), canaries, options.bug));
    let runtime = tokio::runtime::Builder::new_current_thread()
        // A task that yields continues once no other can run, so that the clock sees all of them wait.
        .event_interval(u32::MAX)
        .global_queue_interval(u32::MAX)
        .build()
        .expect("a runtime of one thread");
    let simulated = environment::simulate(Arc::new(System(Arc::clone(&kernel))));
    kernel.trace(&format!("{plan:?}"));
    *shared.weather() = plan.weather.clone();
    let answers = runtime.block_on(async {
        let world = Arc::new(World::new(Arc::clone(&shared), plan));
        let mut story = tokio::spawn(live(Arc::clone(&world)));
        while !story.is_finished() && shared.violation().is_none() {
            tokio::task::yield_now().await;
            if story.is_finished() {
                break;
            }
            if kernel.time().0 > story::BEGIN.0 + LIMIT {
                shared.violated("progress: not everything is done in time");
            } else if !kernel.advance() {
                shared.violated("progress: all wait, and nothing will happen");
            }
        }
        let mut answers = BTreeMap::new();
        if shared.violation().is_none() {
            match (&mut story).await {
                Ok(found) => answers = found,
                Err(e) => shared.violated(format!("the simulation itself ended: {e}")),
            }
        }
        story.abort();
        world.sqlite.end();
        answers
    });
    drop(runtime);
    drop(simulated);
    let (hash, steps) = kernel.summary();
    let report = Report {
        seed,
        violation: shared.violation(),
        hash,
        steps,
        lines: kernel.lines(),
        seconds: (kernel.time().0 - story::BEGIN.0) / SECOND,
    };
    (report, answers)
}

/// A world from its beginning to its end.
async fn live(world: Arc<World>) -> BTreeMap<usize, Answers> {
    let kernel = Arc::clone(&world.shared.kernel);
    for daemon in 0..world.plan.daemons {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.start(daemon).await });
    }
    tokio::spawn(Arc::clone(&world).misfortunes());
    let tenants = (0..world.plan.tenants.len()).map(|i| Arc::clone(&world).tenant(i));
    let tenants: Vec<_> = tenants.map(tokio::spawn).collect();
    let visits = tokio::spawn(Arc::clone(&world).visits());
    let deadline = story::BEGIN.0 + DEADLINE;
    let rotations = tokio::spawn(Arc::clone(&world).rotations());
    for tenant in tenants.into_iter().chain([visits, rotations]) {
        if let Err(e) = tenant.await {
            world.shared.violated(format!("clients ended: {e}"));
        }
    }
    while let Some(what) = world.unfinished().await {
        if kernel.time().0 > deadline {
            world.shared.violated(format!("progress: not done: {what}"));
        }
        kernel.sleep(SECOND / 2).await;
    }
    kernel.sleep(story::BEGIN.0 + END - kernel.time().0).await;
    world.recount().await;
    let answers = world.answers().await;
    for daemon in 0..world.plan.daemons {
        world.stop(daemon).await;
    }
    world.check().await;
    answers
}
