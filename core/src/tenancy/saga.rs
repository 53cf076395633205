//! Sagas: workflows that provision, delete or move a tenant. Each step is recorded before it starts
//! and after it ends, may be repeated, and can be undone.

use serde::{Deserialize, Serialize};

use crate::model::Time;

/// The purpose of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaKind {
    /// Provision a tenant.
    Create,
    /// Delete a tenant and its data; usage and the audit log remain.
    Delete,
    /// Move a tenant's graph to another server.
    Move,
}

impl SagaKind {
    /// The word used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Move => "move",
        }
    }
}

/// The state of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SagaState {
    /// Its steps run one after the other.
    Running,
    /// A step failed; finished steps are being rolled back.
    Compensating,
    /// All steps finished.
    Done,
    /// Everything was rolled back.
    Compensated,
}

impl SagaState {
    /// The word used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Done => "done",
            Self::Compensated => "compensated",
        }
    }
}

/// A step of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// The tenant's row.
    Row,
    /// The graph and its schema.
    Graph,
    /// The topics.
    Topics,
    /// The user that writes to the topics.
    User,
    /// That user's permissions.
    Acls,
    /// The subscription to the plan.
    Subscription,
    /// Import from another installation.
    Load,
    /// The first API key.
    Key,
    /// Requests are refused from here on.
    Stop,
    /// The grace period in which the deletion can be cancelled.
    Wait,
    /// Keys, incidents and all other rows but usage and the audit log.
    Rows,
    /// Writes to the graph are held; new records wait in the log.
    Hold,
    /// The graph is copied to its new server.
    Copy,
    /// The tenant is assigned to the new server.
    Switch,
    /// The graph is erased from the old server.
    Clear,
}

impl Step {
    /// The word used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Graph => "graph",
            Self::Topics => "topics",
            Self::User => "user",
            Self::Acls => "acls",
            Self::Subscription => "subscription",
            Self::Load => "load",
            Self::Key => "key",
            Self::Stop => "stop",
            Self::Wait => "wait",
            Self::Rows => "rows",
            Self::Hold => "hold",
            Self::Copy => "copy",
            Self::Switch => "switch",
            Self::Clear => "clear",
        }
    }
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// Not started.
    Pending,
    /// Started; whether it finished is unknown.
    Begun,
    /// Finished.
    Done,
    /// Rolled back.
    Undone,
}

impl StepState {
    /// The word used on the wire and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }
}

/// A step and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SagaStep {
    /// The step.
    pub step: Step,
    /// Its state.
    pub state: StepState,
}

/// The servers between which a graph moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GraphMove {
    /// The old server, `host:port`.
    pub from: String,
    /// The new server, `host:port`.
    pub to: String,
}

/// A workflow that provisions or deletes one tenant, or moves its graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Saga {
    /// Its id.
    pub saga_id: String,
    /// The tenant.
    pub client_id: String,
    /// Its purpose.
    pub kind: SagaKind,
    /// Its state.
    pub state: SagaState,
    /// Its steps in order.
    pub steps: Vec<SagaStep>,
    /// The last error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The caller's idempotency key: the same request continues this saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// SHA-256 of the caller, the operation and its content. Under the same idempotency key another
    /// caller, operation or content is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_digest: Option<String>,
    /// Ids of the keys that it created, newest last: the secrets of all others were lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key_ids: Vec<String>,
    /// The tenant as it will be.
    #[serde(rename = "client")]
    pub tenant: super::Tenant,
    /// The servers of a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphMove>,
    /// End of the grace period of a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wait_until: Option<Time>,
    /// Time of creation.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// Time of the last recorded change.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
}

impl Saga {
    /// Steps of provisioning.
    pub const CREATE: [Step; 7] = [
        Step::Row,
        Step::Graph,
        Step::Topics,
        Step::User,
        Step::Acls,
        Step::Subscription,
        Step::Key,
    ];
    /// Steps of provisioning with an import.
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
    /// Steps of a deletion.
    pub const DELETE: [Step; 7] = [
        Step::Stop,
        Step::Wait,
        Step::Acls,
        Step::User,
        Step::Topics,
        Step::Graph,
        Step::Rows,
    ];

    /// Steps of a move.
    pub const MOVE: [Step; 4] = [Step::Hold, Step::Copy, Step::Switch, Step::Clear];

    /// The state of a step, if it is one of this saga's.
    pub fn state_of(&self, step: Step) -> Option<StepState> {
        self.steps.iter().find(|s| s.step == step).map(|s| s.state)
    }

    /// Whether it has finished or was rolled back.
    pub fn is_over(&self) -> bool {
        matches!(self.state, SagaState::Done | SagaState::Compensated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_tables_are_those_on_the_wire() {
        fn on_the_wire(value: impl Serialize) -> String {
            let json = serde_json::to_value(value).unwrap();
            json.as_str().unwrap().to_owned()
        }
        for step in [
            Saga::CREATE.as_slice(),
            &Saga::IMPORT,
            &Saga::DELETE,
            &Saga::MOVE,
        ]
        .concat()
        {
            assert_eq!(on_the_wire(step), step.as_str());
        }
        for kind in [SagaKind::Create, SagaKind::Delete, SagaKind::Move] {
            assert_eq!(on_the_wire(kind), kind.as_str());
        }
        for state in [
            SagaState::Running,
            SagaState::Compensating,
            SagaState::Done,
            SagaState::Compensated,
        ] {
            assert_eq!(on_the_wire(state), state.as_str());
        }
        for state in [
            StepState::Pending,
            StepState::Begun,
            StepState::Done,
            StepState::Undone,
        ] {
            assert_eq!(on_the_wire(state), state.as_str());
        }
    }
}
