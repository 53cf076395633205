//! The clock, the timers, the dice and the trace of one simulation.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kgrca_core::model::Time;
use kgrca_daemon::environment::Environment;

/// Random numbers that depend on the seed alone: `SplitMix64`. Unlike a generator of a library it
/// never changes, so that a seed that failed once keeps its meaning.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// When a timer is due. Those of the same instant come in a random order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: i64,
    order: u64,
    id: u64,
}

struct State {
    now: i64,
    ids: u64,
    timers: BTreeMap<Due, Waker>,
    dice: Dice,
    hash: DefaultHasher,
    steps: u64,
    lines: Option<Vec<String>>,
}

/// Time passes only when nothing can run: then it jumps to the next timer.
pub struct Kernel(Mutex<State>);

impl Kernel {
    /// A clock at `begin`; keeps the lines of its trace when `is_traced`.
    pub fn new(seed: u64, begin: Time, is_traced: bool) -> Self {
        Self(Mutex::new(State {
            now: begin.0,
            ids: 0,
            timers: BTreeMap::new(),
            dice: Dice::new(seed),
            hash: DefaultHasher::new(),
            steps: 0,
            lines: is_traced.then(Vec::new),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Throws the dice.
    pub fn dice<T>(&self, throw: impl FnOnce(&mut Dice) -> T) -> T {
        throw(&mut self.state().dice)
    }

    pub fn time(&self) -> Time {
        Time(self.state().now)
    }

    /// Adds a line to the trace.
    pub fn trace(&self, line: &str) {
        let mut state = self.state();
        let now = state.now;
        (now, line).hash(&mut state.hash);
        state.steps += 1;
        if let Some(lines) = &mut state.lines {
            lines.push(format!("{now} {line}"));
        }
    }

    /// A hash of the trace, and how many lines it has.
    pub fn summary(&self) -> (u64, u64) {
        let state = self.state();
        (state.hash.finish(), state.steps)
    }

    pub fn lines(&self) -> Vec<String> {
        self.state().lines.take().unwrap_or_default()
    }

    /// Jumps to the next timer and wakes who waits for it. Returns `false` when there is none.
    pub fn advance(&self) -> bool {
        let mut state = self.state();
        let Some((due, waker)) = state.timers.pop_first() else {
            return false;
        };
        state.now = state.now.max(due.at);
        drop(state);
        waker.wake();
        true
    }

    pub fn sleep(self: &Arc<Self>, micros: i64) -> Sleep {
        Sleep {
            kernel: Arc::clone(self),
            at: self.state().now.saturating_add(micros.max(0)),
            due: None,
        }
    }
}

/// Completes when a timer is due.
pub struct Sleep {
    kernel: Arc<Kernel>,
    at: i64,
    due: Option<Due>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let kernel = Arc::clone(&self.kernel);
        let mut state = kernel.state();
        if let Some(due) = self.due {
            let Some(waker) = state.timers.get_mut(&due) else {
                return Poll::Ready(());
            };
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        state.ids += 1;
        let (order, id) = (state.dice.next(), state.ids);
        let due = Due { at, order, id };
        state.timers.insert(due, cx.waker().clone());
        self.due = Some(due);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(due) = self.due {
            self.kernel.state().timers.remove(&due);
        }
    }
}

/// What the daemons get for a system.
pub struct System(pub Arc<Kernel>);

impl Environment for System {
    fn now(&self) -> Time {
        self.0.time()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.0.sleep(duration.as_micros() as i64))
    }

    fn random(&self) -> u64 {
        self.0.dice(Dice::next)
    }
}
