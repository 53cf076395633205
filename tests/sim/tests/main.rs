//! Worlds of many seeds, the seeds that found bugs, and bugs that must be found.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]
#![expect(
    clippy::print_stdout,
    reason = "figures and traces are for whoever runs a test"
)]

use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kgrca_sim::{Bug, Options, Report, run};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// As the daemon has it: a world allocates more than anything else.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Seeds that once found a bug, with what it was.
const FOUND: &str = include_str!("../found.txt");

/// Seeds that a bug must be found with: those of a run in CI.
const SEEDS: u64 = 1000;

/// How many seeds a minute must have room for. Two processors run three times as many.
const SEEDS_PER_MINUTE: f64 = 1000.0;

/// Held by the test that runs seeds: each uses all processors.
static RUNNING: Mutex<()> = Mutex::new(());

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap())
}

/// The processors that this process may use, one by one. A world and the thread of its database,
/// which take turns thousands of times, stay on one: so neither has to be woken on another.
fn processors() -> Vec<CpuSet> {
    let allowed = sched_getaffinity(None).unwrap();
    let numbers = (0..CpuSet::MAX_CPU).filter(|number| allowed.is_set(*number));
    let only = |number| {
        let mut set = CpuSet::new();
        set.set(number);
        set
    };
    numbers.map(only).collect()
}

/// How many seconds of the processors this process has used.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split(' ').collect();
    let ticks = |i: usize| fields[i].parse::<f64>().unwrap();
    (ticks(12) + ticks(13)) / 100.0
}

/// Runs seeds on all processors, until as many failed as are asked for. Returns those, the
/// first seed first, and how long it took.
fn failures(seeds: &[u64], options: Options, wanted: usize) -> (Vec<Report>, Duration) {
    let _running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let work = &|| {
        while failed.lock().unwrap().len() < wanted
            && let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let report = run(*seed, options);
            if report.violation.is_some() {
                failed.lock().unwrap().push(report);
            }
        }
    };
    std::thread::scope(|scope| {
        for processor in processors() {
            scope.spawn(move || {
                sched_setaffinity(None, &processor).unwrap();
                work();
            });
        }
    });
    let mut failed = failed.into_inner().unwrap();
    failed.sort_by_key(|report| report.seed);
    (failed, began.elapsed())
}

/// What failed, and how to see it.
fn described(failed: &[Report]) -> String {
    let mut text = String::new();
    for report in failed {
        let Report { seed, seconds, .. } = report;
        let violation = report.violation.as_deref().unwrap_or_default();
        let command = "cargo test --workspace --test sim one_seed -- --nocapture";
        write!(
            text,
            "\nseed {seed} after {seconds} s: {violation}\n  KGRCA_SEED={seed} {command}\n"
        )
        .unwrap();
    }
    text
}

#[test]
fn no_seed_violates_an_invariant() {
    let count = setting("KGRCA_SEEDS").unwrap_or(100);
    let first = setting("KGRCA_FIRST_SEED").unwrap_or(1);
    let seeds: Vec<u64> = (first..first + count).collect();
    let before = processor_time();
    let (failed, took) = failures(&seeds, Options::default(), 10);
    let per_minute = count as f64 * 60.0 / took.as_secs_f64();
    println!("{count} seeds, {per_minute:.0} per minute");
    assert!(failed.is_empty(), "{}", described(&failed));
    // A few say little of how fast all are, and machines of CI differ: a soak asserts it.
    let used = (processor_time() - before) / processors().len() as f64;
    let per_minute = count as f64 * 60.0 / used;
    println!("{per_minute:.0} per minute of all processors");
    let is_asserted = setting("KGRCA_SOAK") == Some(1) && count >= SEEDS;
    let is_fast = !is_asserted || per_minute >= SEEDS_PER_MINUTE;
    assert!(is_fast, "{per_minute:.0} seeds per minute");
}

#[test]
fn seeds_that_found_bugs_stay_found() {
    let seeds = FOUND.lines().filter_map(|line| {
        let (seed, _) = line.split_once(' ')?;
        seed.parse().ok()
    });
    let seeds: Vec<u64> = seeds.collect();
    let (failed, _) = failures(&seeds, Options::default(), usize::MAX);
    assert!(failed.is_empty(), "{}", described(&failed));
}

#[test]
fn a_seed_gives_the_same_trace_again() {
    let options = Options {
        trace: true,
        ..Options::default()
    };
    for seed in 1..=10 {
        let (first, second) = (run(seed, options), run(seed, options));
        let differs = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!((first.hash, first.steps), (second.hash, second.steps));
        assert!(first.steps > 100, "seed {seed} has {} steps", first.steps);
    }
    assert_ne!(run(1, options).hash, run(2, options).hash);
}

/// How the invariants begin that a bug violates.
fn violated_by(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::AckBeforeDurable | Bug::FullAcknowledged | Bug::AppendsLate => &["acknowledged"],
        Bug::PositionsApart => &["positions"],
        Bug::UsageTwice => &["applied once", "usage"],
        Bug::LeaseIgnored => &["applied once", "usage", "positions"],
        Bug::JobsApart => &["progress", "jobs", "recount"],
        Bug::ForeignRecords => &["isolation"],
        Bug::AnswersLost => &["answers"],
        Bug::StepsNotRepeatable => &["create", "sagas", "progress"],
        Bug::RefusedStops => &["progress"],
        Bug::ExpiryLost => &["keys"],
        Bug::GenerationOff => &["create", "ingest", "rotate", "progress"],
        Bug::RecordsSkipped => &["recount", "usage", "answers"],
        Bug::RecordsReordered => &["recount", "usage", "positions", "applied once", "answers"],
    }
}

#[test]
fn every_kind_of_bug_is_caught() {
    let only = setting("KGRCA_SIM_BUG").map(|i| Bug::ALL[i as usize]);
    let bugs = Bug::ALL.into_iter();
    for bug in bugs.filter(|b| only.map(|o| o == *b).unwrap_or(true)) {
        let options = Options {
            bug: Some(bug),
            ..Options::default()
        };
        let seeds: Vec<u64> = (1..=SEEDS).collect();
        let (failed, _) = failures(&seeds, options, 1);
        let caught = failed.first();
        let violation = caught.and_then(|r| r.violation.clone()).unwrap_or_default();
        let seed = caught.map(|report| report.seed);
        let short: String = violation.chars().take(150).collect();
        println!("{bug:?}: {seed:?}: {short}");
        let is_right = |start: &&str| violation.starts_with(start);
        let is_right = violated_by(bug).iter().any(is_right);
        assert!(is_right, "{bug:?} with seed {seed:?}: {violation}");
    }
}

/// Shows one seed: `KGRCA_SEED=17 cargo test --workspace --test sim one_seed -- --nocapture`.
#[test]
fn one_seed() {
    let Some(seed) = setting("KGRCA_SEED") else {
        return;
    };
    let options = Options {
        trace: true,
        bug: setting("KGRCA_SIM_BUG").map(|i| Bug::ALL[i as usize]),
    };
    let began = Instant::now();
    let report = run(seed, options);
    let took: Duration = began.elapsed();
    for line in &report.lines {
        println!("{}", line.chars().take(400).collect::<String>());
    }
    println!("{} steps, {} s in {took:?}", report.steps, report.seconds);
    assert_eq!(report.violation, None);
}
