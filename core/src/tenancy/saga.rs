//! How far a tenant is set up or taken down: every step is written down before it begins and after
//! it ended.

use serde::{Deserialize, Serialize};

use crate::model::Time;

/// What a saga brings about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaKind {
    /// A tenant with all it needs.
    Create,
    /// That nothing is left of a tenant but what it owes.
    Delete,
    /// A tenant's graph on another server.
    Move,
}

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaState {
    /// Its steps are done one after the other.
    Running,
    /// A step failed; what was done is taken back.
    Compensating,
    /// All steps are done.
    Done,
    /// Everything was taken back.
    Compensated,
}

/// A step of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The tenant's row.
    Row,
    /// The graph with its schema.
    Graph,
    /// The topics.
    Topics,
    /// The user that sends records.
    User,
    /// What that user may do.
    Acls,
    /// The plan.
    Subscription,
    /// What comes from another installation.
    Load,
    /// The first API key.
    Key,
    /// Nothing is taken in any more.
    Stop,
    /// The time in which it can be taken back.
    Wait,
    /// Keys, incidents and all else but what it owes.
    Rows,
    /// The graph takes nothing in any more; what comes waits in the log.
    Hold,
    /// A copy of the graph on its new server.
    Copy,
    /// The new server is the one that counts.
    Switch,
    /// Nothing is left on the server of before.
    Clear,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun; whether it ended is not known.
    Begun,
    /// Done.
    Done,
    /// Taken back.
    Undone,
}

/// A step with where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SagaStep {
    /// Which.
    pub step: Step,
    /// Where it stands.
    pub state: StepState,
}

/// From where a graph moves, and to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GraphMove {
    /// The server of before, `host:port`.
    pub from: String,
    /// The new server.
    pub to: String,
}

/// The way of one tenant in or out, or of its graph to another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Saga {
    /// Identity.
    pub saga_id: String,
    /// The tenant.
    pub client_id: String,
    /// What it brings about.
    pub kind: SagaKind,
    /// Where it stands.
    pub state: SagaState,
    /// Its steps in order.
    pub steps: Vec<SagaStep>,
    /// What went wrong last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The caller's key for this request: the same request again goes on with this saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The tenant as it is to be.
    #[serde(rename = "client")]
    pub tenant: super::Tenant,
    /// Where a graph moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphMove>,
    /// Until when a deletion waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wait_until: Option<Time>,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it was written last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
}

impl Saga {
    /// The steps in which a tenant is set up.
    pub const CREATE: [Step; 7] = [
        Step::Row,
        Step::Graph,
        Step::Topics,
        Step::User,
        Step::Acls,
        Step::Subscription,
        Step::Key,
    ];
    /// The steps in which a tenant comes from another installation.
    pub const IMPORT: [Step; 8] = [
        Step::Row,
        Step::Graph,
        Step::Topics,
        Step::User,
        Step::Acls,
        Step::Subscription,
        Step::Load,
        Step::Key,
    ];
    /// The steps in which a tenant is taken down.
    pub const DELETE: [Step; 7] = [
        Step::Stop,
        Step::Wait,
        Step::Acls,
        Step::User,
        Step::Topics,
        Step::Graph,
        Step::Rows,
    ];

    /// The steps in which a graph moves.
    pub const MOVE: [Step; 4] = [Step::Hold, Step::Copy, Step::Switch, Step::Clear];

    /// Where a step stands, if it is one of this saga's.
    pub fn state_of(&self, step: Step) -> Option<StepState> {
        self.steps.iter().find(|s| s.step == step).map(|s| s.state)
    }

    /// Whether nothing is left to do.
    pub fn is_over(&self) -> bool {
        matches!(self.state, SagaState::Done | SagaState::Compensated)
    }
}
