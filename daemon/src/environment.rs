//! Time, randomness and threads: the system's, or those of a simulation. A simulation
//! (`tests/sim`) replaces them for the thread that it runs in, so that the same seed gives the
//! same run. What the workers, use cases, jobs and sagas wait for goes through here, or is a call
//! of a store.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::model::Time;

/// What a simulation provides instead of the system.
pub trait Environment: Send + Sync {
    /// The simulated time.
    fn now(&self) -> Time;
    /// Completes after so much simulated time.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
    /// The next random number.
    fn random(&self) -> u64;
}

/// The simulation of a thread.
#[derive(Clone)]
struct Simulation {
    environment: Arc<dyn Environment>,
    began_at: Time,
    /// Instants have no origin that could be named: they count from this one.
    origin: Instant,
}

thread_local! {
    static SIMULATION: RefCell<Option<Simulation>> = const { RefCell::new(None) };
}

/// Ends the simulation of its thread when it is dropped.
pub struct Simulated(PhantomData<*const ()>);

impl Drop for Simulated {
    fn drop(&mut self) {
        SIMULATION.set(None);
    }
}

/// Runs everything on this thread in a simulated environment until the result is dropped. The
/// runtime of its tasks must be one of this thread alone.
#[must_use]
pub fn simulate(environment: Arc<dyn Environment>) -> Simulated {
    let began_at = environment.now();
    SIMULATION.set(Some(Simulation {
        environment,
        began_at,
        origin: Instant::now(),
    }));
    Simulated(PhantomData)
}

fn simulated<T>(read: impl FnOnce(&Simulation) -> T) -> Option<T> {
    SIMULATION.with_borrow(|simulation| simulation.as_ref().map(read))
}

/// The simulated time, if this thread is simulated.
pub(crate) fn now() -> Option<Time> {
    simulated(|s| s.environment.now())
}

/// The simulated instant, if this thread is simulated.
pub(crate) fn instant() -> Option<Instant> {
    simulated(|s| {
        let elapsed = s.environment.now().0 - s.began_at.0;
        s.origin + Duration::from_micros(elapsed.max(0) as u64)
    })
}

/// Simulated sleep, if this thread is simulated.
pub(crate) fn sleep(duration: Duration) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
    simulated(|s| s.environment.sleep(duration))
}

/// Simulated random bytes, if this thread is simulated.
pub(crate) fn random_bytes<const N: usize>() -> Option<[u8; N]> {
    simulated(|s| std::array::from_fn(|_| s.environment.random() as u8))
}

/// The next simulated random number, if this thread is simulated.
pub(crate) fn random() -> Option<u64> {
    simulated(|s| s.environment.random())
}

/// Runs work for the processor or the disk beside the async threads, which it would hold up. In a
/// simulation there is one thread, and time stands still meanwhile.
///
/// # Errors
/// When the work panicked.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, std::io::Error> {
    if simulated(|_| ()).is_some() {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(std::io::Error::other)
}
