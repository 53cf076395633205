//! The way from a daemon to the stores. Every call takes time, and may fail before or after it had
//! its effect; the answer of a daemon that died never arrives.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kgrca_core::storage::{Error, ErrorKind, Result};

use crate::bug::Bug;
use crate::kernel::Kernel;

/// The servers behind the stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Meta,
    Log,
    Graph,
    Limits,
}

impl Server {
    pub const ALL: [Self; 4] = [Self::Meta, Self::Log, Self::Graph, Self::Limits];
}

/// What goes wrong at the moment.
#[derive(Clone, Debug, Default)]
pub struct Weather {
    /// How many calls in a thousand fail.
    pub failures: u64,
    /// How many calls in a thousand take seconds.
    pub slow: u64,
    /// The usual time of a call, at most, in microseconds.
    pub latency: u64,
    /// Until when nothing can be written.
    pub full_until: i64,
    /// Until when each server does not answer.
    pub away_until: [i64; Server::ALL.len()],
}

/// What daemons and servers share.
pub struct Shared {
    pub kernel: Arc<Kernel>,
    pub weather: Mutex<Weather>,
    /// Text that only records and names of one tenant have, for each tenant.
    pub canaries: Vec<String>,
    pub bug: Option<Bug>,
    violation: Mutex<Option<String>>,
}

impl Shared {
    pub fn new(kernel: Arc<Kernel>, canaries: Vec<String>, bug: Option<Bug>) -> Self {
        Self {
            kernel,
            weather: Mutex::default(),
            canaries,
            bug,
            violation: Mutex::default(),
        }
    }

    pub fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports that an invariant does not hold. The first report counts.
    pub fn violated(&self, what: impl fmt::Display) {
        let mut violation = self
            .violation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if violation.is_none() {
            self.kernel.trace(&format!("violated: {what}"));
            *violation = Some(what.to_string());
        }
    }

    pub fn violation(&self) -> Option<String> {
        self.violation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Nothing of another tenant may be in what is written for `owner`, which any text that names
    /// the tenant stands for.
    pub fn check_owner(&self, owner: Option<&str>, text: &str, what: &str) {
        let mut named = self.canaries.iter().filter(|c| text.contains(c.as_str()));
        let Some(first) = named.next() else {
            return;
        };
        let is_own = owner.map(|o| o.contains(first.as_str())).unwrap_or(true);
        if named.next().is_some() || !is_own {
            self.violated(format!(
                "isolation: {what} for {owner:?} holds {first}: {text}"
            ));
        }
    }

    /// Whether the bug is switched on, and strikes this time.
    pub fn strikes(&self, bug: Bug, per_mille: u64) -> bool {
        self.bug == Some(bug) && self.kernel.dice(|dice| dice.chance(per_mille))
    }
}

/// One life of a daemon, from its start to its end.
#[derive(Default)]
pub struct Life {
    /// Its number among the daemons.
    pub daemon: usize,
    is_dead: AtomicBool,
    paused_until: AtomicI64,
}

impl Life {
    pub fn new(daemon: usize) -> Self {
        Self {
            daemon,
            ..Self::default()
        }
    }

    pub fn end(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
    }

    pub fn pause(&self, until: i64) {
        self.paused_until.store(until, Ordering::Relaxed);
    }
}

/// How a call ends after it had its effect.
#[derive(Clone, Copy)]
pub struct Fate {
    latency: i64,
    fails: bool,
}

/// The connections of one life of a daemon.
#[derive(Clone)]
pub struct Port {
    pub shared: Arc<Shared>,
    /// `None` for an observer, to whom nothing happens.
    pub life: Option<Arc<Life>>,
}

fn unavailable(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{what}: simulated failure"))
}

impl Port {
    pub fn trace(&self, line: fmt::Arguments<'_>) {
        if let Some(life) = &self.life {
            self.shared
                .kernel
                .trace(&format!("d{} {line}", life.daemon));
        }
    }

    /// The way of a call to its server. An error means that it had no effect.
    pub async fn sent(&self, server: Server, what: &str, writes: bool) -> Result<Fate> {
        let Some(life) = &self.life else {
            return Ok(Fate {
                latency: 0,
                fails: false,
            });
        };
        let kernel = &self.shared.kernel;
        let weather = self.shared.weather().clone();
        let (latency, after, fails_before, fails_after) = kernel.dice(|dice| {
            let usual = |dice: &mut crate::kernel::Dice| dice.below(weather.latency) as i64;
            let mut latency = usual(dice);
            if dice.chance(weather.slow) {
                latency += dice.below(8_000_000) as i64;
            }
            let fails = dice.chance(weather.failures);
            let is_before = dice.chance(500);
            (
                latency,
                usual(dice),
                fails && is_before,
                fails && !is_before,
            )
        });
        let pause = life.paused_until.load(Ordering::Relaxed) - kernel.time().0;
        kernel.sleep(latency.max(pause)).await;
        // What was on its way when the daemon died may arrive or not.
        if life.is_dead.load(Ordering::Relaxed) && kernel.dice(|dice| dice.chance(500)) {
            std::future::pending::<()>().await;
        }
        let weather = self.shared.weather().clone();
        let now = kernel.time().0;
        if fails_before || weather.away_until[server as usize] > now {
            self.trace(format_args!("{what}: fails before its effect"));
            return Err(unavailable(what));
        }
        if writes && weather.full_until > now {
            self.trace(format_args!("{what}: disk full"));
            let message = format!("{what}: simulated full disk");
            return Err(Error::new(ErrorKind::Full, message));
        }
        Ok(Fate {
            latency: after,
            fails: fails_after,
        })
    }

    /// The way back. An error means that the caller does not learn of the effect.
    pub async fn answered(&self, fate: Fate, what: &str) -> Result<()> {
        let Some(life) = &self.life else {
            return Ok(());
        };
        self.shared.kernel.sleep(fate.latency).await;
        if life.is_dead.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if fate.fails {
            self.trace(format_args!("{what}: fails after its effect"));
            return Err(unavailable(what));
        }
        Ok(())
    }

    /// A call that has its effect at one instant.
    pub async fn call<T>(
        &self,
        server: Server,
        what: &str,
        writes: bool,
        effect: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let fate = self.sent(server, what, writes).await?;
        let result = effect();
        let word = if result.is_ok() { "ok" } else { "refused" };
        self.trace(format_args!("{what}: {word}"));
        self.answered(fate, what).await?;
        result
    }
}
