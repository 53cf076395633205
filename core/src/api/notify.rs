//! Notifications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::incident::State;
use crate::model::Time;
use crate::notify::Matcher;
use crate::storage::{DeliveryRow, DeliveryState};

/// Receivers and routes of the tenant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// YAML. Secrets are shown as `********`; sent back like that, the stored ones are kept.
    #[schema(max_length = 262_144)]
    pub config: String,
}

/// One change of an incident for one receiver.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Name of the receiver; empty when no route matched.
    pub receiver: String,
    /// The state that the incident changed to.
    pub to: State,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it was not sent; of a pending one, why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its first line.
    pub title: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was planned.
    #[schema(value_type = String, format = DateTime)]
    pub at: Time,
    /// When its state last changed.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Time,
}

impl From<DeliveryRow> for Delivery {
    fn from(row: DeliveryRow) -> Self {
        Self {
            to: row.notice.state,
            title: row.notice.title(),
            receiver: row.receiver,
            state: row.state,
            reason: row.reason,
            attempts: row.attempts,
            at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Who would be notified of an incident as it is now.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NotifyPlan {
    /// The first line that receivers would read.
    pub title: String,
    /// One item per receiver.
    pub receivers: Vec<PlannedReceiver>,
}

/// What would become of a notification for one receiver.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PlannedReceiver {
    /// Name of the receiver; empty when no route matches.
    pub receiver: String,
    /// Whether it would be sent.
    pub sends: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many notifications are sent again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Redelivered {
    /// The number.
    pub retried: u64,
}

/// What came of a test notification.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TestedReceiver {
    /// Whether the receiver accepted it.
    pub accepted: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A silence to add.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSilence {
    /// Which incidents it is about; at least one condition.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// Why.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
    /// When it ends: at most 90 days from now.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Time,
}
