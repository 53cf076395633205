//! What a seed means: how many daemons and tenants there are, and what goes wrong when.

use kgrca_core::model::time::SECOND;

use crate::kernel::Dice;
use crate::port::{Server, Weather};
use crate::story::STORIES;

/// Something that goes wrong, for a number of microseconds.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// A daemon is killed, and starts again after the time.
    Crash(usize),
    /// A daemon stops in order, and starts again after the time.
    Restart(usize),
    /// A daemon does nothing: its machine is suspended, or cut off.
    Pause(usize),
    /// Nothing can be written.
    DiskFull,
    /// A server does not answer.
    Away(Server),
}

/// When something goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    /// Microseconds after the fault before it.
    pub after: i64,
    pub fault: Fault,
    pub lasts: i64,
}

/// What becomes of a tenant besides its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fortune {
    /// It stays.
    Served,
    /// Its creation is rolled back while it runs, or afterwards refused.
    RolledBack,
    /// It is deleted when all its records are in.
    Deleted,
}

/// A world.
#[derive(Clone, Debug)]
pub struct Plan {
    pub story: u64,
    pub daemons: usize,
    pub tenants: Vec<Fortune>,
    pub partitions: u32,
    pub weather: Weather,
    /// How many answers in a thousand do not reach the sender.
    pub lost_answers: u64,
    /// How many requests in a thousand are sent twice at once.
    pub repeated: u64,
    /// Whether senders send idempotency keys.
    pub has_keys: bool,
    /// Whether each tenant sends a record that the graphs' server refuses for its content.
    pub has_refused: bool,
    /// Whether there is a master key. Data keys are then rotated twice.
    pub is_encrypted: bool,
    pub faults: Vec<Planned>,
}

impl Plan {
    pub fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let daemons = 2 + dice.below(2) as usize;
        let fortune = |dice: &mut Dice| match dice.below(8) {
            0 => Fortune::RolledBack,
            1 => Fortune::Deleted,
            _ => Fortune::Served,
        };
        let mut tenants = vec![Fortune::Served];
        for _ in 0..=dice.below(2) {
            tenants.push(fortune(dice));
        }
        let faults = (0..dice.below(5)).map(|_| fault(dice, daemons)).collect();
        let pick = |dice: &mut Dice, choices: [u64; 4]| choices[dice.below(4) as usize];
        Self {
            story: dice.below(STORIES),
            daemons,
            tenants,
            partitions: 1 + dice.below(2) as u32,
            weather: Weather {
                failures: pick(dice, [0, 3, 10, 30]),
                slow: pick(dice, [0, 0, 2, 5]),
                latency: pick(dice, [300, 2000, 2000, 30_000]),
                ..Weather::default()
            },
            lost_answers: pick(dice, [0, 0, 50, 200]),
            repeated: pick(dice, [0, 0, 100, 300]),
            has_keys: dice.chance(300),
            // Not by the dice: seeds that found a bug keep the faults that found it.
            has_refused: seed % 4 == 2,
            is_encrypted: seed / 4 % 2 == 1,
            faults,
        }
    }

    /// The same records with nothing going wrong.
    pub fn calm(story: u64, tenants: usize) -> Self {
        Self {
            story,
            daemons: 1,
            tenants: vec![Fortune::Served; tenants],
            partitions: 1,
            weather: Weather {
                latency: 300,
                ..Weather::default()
            },
            lost_answers: 0,
            repeated: 0,
            has_keys: false,
            has_refused: false,
            is_encrypted: false,
            faults: Vec::new(),
        }
    }
}

fn fault(dice: &mut Dice, daemons: usize) -> Planned {
    let daemon = dice.below(daemons as u64) as usize;
    let seconds = |dice: &mut Dice, most: u64| dice.below(most * SECOND as u64) as i64;
    let (fault, lasts) = match dice.below(10) {
        0..=3 => (Fault::Crash(daemon), seconds(dice, 18)),
        4 => (Fault::Restart(daemon), seconds(dice, 5)),
        5 | 6 => (Fault::Pause(daemon), seconds(dice, 25)),
        7 => (Fault::DiskFull, seconds(dice, 6)),
        _ => {
            let server = Server::ALL[dice.below(4) as usize];
            (Fault::Away(server), seconds(dice, 6))
        }
    };
    Planned {
        after: seconds(dice, 7),
        fault,
        lasts,
    }
}
