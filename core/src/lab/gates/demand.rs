//! What a disturbed answer has to be.

use super::super::eval::{self, Label};
use crate::analyze::Analysis;
use crate::rca::{self, Verdict};

/// What the answer to a disturbed case has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Demand {
    /// The first cause is the labelled one, and the verdict that of the undisturbed case.
    Same,
    /// No other component is reported as the cause, and no other fault than a failure mode of the
    /// component.
    NoOtherCause,
    /// In addition, the cluster is not called healthy.
    NotWrong,
    /// All labelled causes are among the first three.
    AmongFirst,
}

/// Whether the first cause is the labelled one; for a healthy cluster, whether there is none.
pub(super) fn is_right(label: &Label, analysis: &Analysis) -> bool {
    eval::judge("", label, analysis).joint_at[0] >= 1.0
}

impl Demand {
    pub(super) fn holds(self, label: &Label, before: &Analysis, after: &Analysis) -> bool {
        if label.faults.is_empty() {
            return after.verdict != Verdict::Cause;
        }
        match self {
            Self::Same => after.verdict == before.verdict && is_right(label, after),
            Self::NoOtherCause => has_no_other_cause(label, after),
            Self::NotWrong => after.verdict != Verdict::Healthy && has_no_other_cause(label, after),
            Self::AmongFirst => label.faults.iter().all(|fault| {
                let mut first = after.causes.iter().take(3);
                first.any(|c| c.component == fault.component && c.fault_type == fault.fault)
            }),
        }
    }
}

fn has_no_other_cause(label: &Label, after: &Analysis) -> bool {
    if after.verdict != Verdict::Cause {
        return true;
    }
    after.causes.first().is_some_and(|c| {
        label.faults.iter().any(|fault| {
            c.component == fault.component
                && (c.fault_type == fault.fault || rca::is_failure_mode(&c.fault_type))
        })
    })
}
