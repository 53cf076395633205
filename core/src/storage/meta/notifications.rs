//! Notifications: a tenant's receivers and routes, silences, and what was sent to whom.

use serde::{Deserialize, Serialize};

use crate::jobs::NewJob;
use crate::model::Time;
use crate::notify::{Notice, Silence, Told};
use crate::storage::Result;
use crate::tenancy::{Audit, TenantId};

/// A tenant's receivers and routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// The configuration, encrypted where data at rest is.
    pub config: String,
    /// The last transition that was planned.
    pub planned: i64,
}

/// Where a notification stands.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    /// A job sends it, or tries again.
    Pending,
    /// The receiver has accepted it.
    Sent,
    /// It was not to be sent.
    Muted,
    /// It could not be sent.
    Dead,
}

impl DeliveryState {
    /// The word that is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Muted => "muted",
            Self::Dead => "dead",
        }
    }

    /// The state of a word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pending, Self::Sent, Self::Muted, Self::Dead]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// One change of an incident for one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryRow {
    /// Id of the transition.
    pub transition: i64,
    /// Name of the receiver; empty when no route matched.
    pub receiver: String,
    /// Number of the incident.
    pub number: i64,
    /// Where it stands.
    pub state: DeliveryState,
    /// Why it was not sent; of a pending one, why the last attempt failed.
    pub reason: Option<String>,
    /// What is sent.
    pub notice: Notice,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was planned.
    pub created_at: Time,
    /// When its state last changed.
    pub updated_at: Time,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryEnd {
    /// The state after it.
    pub state: DeliveryState,
    /// Why it failed.
    pub reason: Option<String>,
    /// When.
    pub at: Time,
}

/// Notifications.
#[async_trait::async_trait]
pub trait Notifications: Send + Sync {
    /// A tenant's receivers and routes.
    async fn notify_settings(&self, tenant: &TenantId) -> Result<Option<NotifySettings>>;
    /// Replaces them. The first ones are for what happens from then on.
    async fn put_notify_settings(
        &self,
        tenant: &TenantId,
        config: &str,
        audit: &Audit,
    ) -> Result<()>;
    /// Stores what becomes of the transitions behind `after` up to `upto`, with the jobs that send
    /// it. Returns whether it did: not when they were planned meanwhile.
    async fn plan_deliveries(
        &self,
        tenant: &TenantId,
        after: i64,
        upto: i64,
        rows: &[DeliveryRow],
        jobs: &[NewJob],
    ) -> Result<bool>;
    /// The latest notifications of an incident, oldest first.
    async fn deliveries(
        &self,
        tenant: &TenantId,
        number: i64,
        limit: usize,
    ) -> Result<Vec<DeliveryRow>>;
    /// The receivers that were notified of an incident, or are to be.
    async fn told(&self, tenant: &TenantId, number: i64) -> Result<Told>;
    /// Whether an earlier notification of the same incident waits for the same receiver.
    async fn has_earlier(&self, tenant: &TenantId, row: &DeliveryRow) -> Result<bool>;
    /// One notification.
    async fn delivery(
        &self,
        tenant: &TenantId,
        transition: i64,
        receiver: &str,
    ) -> Result<Option<DeliveryRow>>;
    /// Records an attempt at a pending notification. Returns whether it was pending.
    async fn note_attempt(
        &self,
        tenant: &TenantId,
        transition: i64,
        receiver: &str,
        end: &DeliveryEnd,
    ) -> Result<bool>;
    /// Makes the dead notifications of an incident pending again, with the jobs that send them.
    /// Returns how many.
    async fn revive_deliveries(
        &self,
        tenant: &TenantId,
        rows: &[(i64, String, NewJob)],
        audit: &Audit,
    ) -> Result<u64>;
    /// Gives up what is pending since before `pending`, and forgets what is older than `ended`.
    async fn trim_deliveries(&self, tenant: &TenantId, pending: Time, ended: Time) -> Result<()>;
    /// Adds a silence.
    async fn put_silence(&self, tenant: &TenantId, silence: &Silence, audit: &Audit) -> Result<()>;
    /// The silences that end after an instant, in the order of their ends.
    async fn silences(&self, tenant: &TenantId, after: Time) -> Result<Vec<Silence>>;
    /// Ends a silence at once. Returns whether it was in effect.
    async fn end_silence(&self, tenant: &TenantId, silence_id: &str, audit: &Audit)
    -> Result<bool>;
}
