//! Bugs that the simulation must catch. They are in the stores of the simulation, never in the
//! daemon: each makes a store break the contract of its trait in the way in which a bug of that
//! kind in the daemon would.

/// A kind of bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Records are acknowledged before they are durable.
    AckBeforeDurable,
    /// Positions are not written in the transaction of what was applied.
    PositionsApart,
    /// Usage is added again.
    UsageTwice,
    /// Whoever lost a lease can still commit.
    LeaseIgnored,
    /// Jobs are not enqueued in the transaction of their cause.
    JobsApart,
    /// A read returns records of another tenant.
    ForeignRecords,
    /// A commit loses an answer.
    AnswersLost,
    /// A step of a saga fails when it is done already.
    StepsNotRepeatable,
    /// A store that refuses a record for its content says that it has trouble of its own.
    RefusedStops,
    /// Keys are stored without the time at which they expire.
    ExpiryLost,
    /// A data key is stored as another generation than it is.
    GenerationOff,
    /// What does not fit on a full disk is acknowledged.
    FullAcknowledged,
    /// A read passes over a record.
    RecordsSkipped,
    /// A read returns records in another order.
    RecordsReordered,
    /// An append that is delayed is acknowledged before it has its effect, and overtaken by later ones.
    AppendsLate,
}

impl Bug {
    /// All kinds.
    pub const ALL: [Self; 15] = [
        Self::AckBeforeDurable,
        Self::PositionsApart,
        Self::UsageTwice,
        Self::LeaseIgnored,
        Self::JobsApart,
        Self::ForeignRecords,
        Self::AnswersLost,
        Self::StepsNotRepeatable,
        Self::RefusedStops,
        Self::ExpiryLost,
        Self::GenerationOff,
        Self::FullAcknowledged,
        Self::RecordsSkipped,
        Self::RecordsReordered,
        Self::AppendsLate,
    ];
}
