//! Time limits and cancellation of an evaluation.

use std::fmt;

/// A part of an evaluation that can end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Detectors inspect resources.
    Inspection,
    /// Detectors compare resources.
    Comparison,
    /// Causes of incidents are ranked.
    Ranking,
}

/// What an evaluation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// As if there were no limit.
    Continue,
    /// The phase has used its time: what is left of it waits for the next evaluation.
    EndPhase,
    /// Nobody needs the result.
    Abort,
}

/// Asked again and again during an evaluation.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    ask: &'a dyn Fn(Phase) -> Pace,
    phase: Phase,
}

impl<'a> Watch<'a> {
    /// Asks a function, which should be cheap.
    pub fn new(ask: &'a dyn Fn(Phase) -> Pace) -> Self {
        let phase = Phase::Inspection;
        Self { ask, phase }
    }

    /// The same watch in another phase.
    #[must_use]
    pub fn during(self, phase: Phase) -> Self {
        Self { phase, ..self }
    }

    /// Whether the phase must end now.
    pub fn ends(self) -> bool {
        (self.ask)(self.phase) > Pace::Continue
    }

    /// Whether the evaluation was called off.
    pub fn is_aborted(self) -> bool {
        (self.ask)(self.phase) == Pace::Abort
    }
}

impl Watch<'static> {
    /// An evaluation without a limit.
    pub const UNLIMITED: Self = Self {
        ask: &|_| Pace::Continue,
        phase: Phase::Inspection,
    };
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watch")
    }
}
