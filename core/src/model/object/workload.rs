//! Workloads: the controllers that create pods.

use serde::Deserialize;

use super::Condition;
use super::pod::{NameRef, PodSpec};
use super::selector::{Labels, Selector};
use super::values::{List, MaybeTime};
use crate::model::Str;

/// Deployment, `ReplicaSet`, `StatefulSet`, `DaemonSet` or `ReplicationController`.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Workload {
    pub spec: WorkloadSpec,
    pub status: WorkloadStatus,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadSpec {
    pub replicas: Option<i64>,
    pub paused: Option<bool>,
    pub selector: Option<Selector>,
    pub template: Option<Box<Template>>,
    pub service_name: Option<Str>,
    pub volume_claim_templates: List<ClaimTemplate>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimTemplate {
    pub metadata: Option<NameRef>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    pub metadata: TemplateMeta,
    pub spec: PodSpec,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateMeta {
    pub labels: Labels,
    /// Names of the annotations by which the pods ask a webhook to add something to them, such as
    /// `linkerd.io/inject`.
    #[serde(rename = "annotations", deserialize_with = "asked")]
    pub asks: List<Str>,
}

/// Most annotations that ask for something, and the bytes of the name of each.
const MAX_ASKS: usize = 8;
const MAX_NAME: usize = 253;

fn asked<'de, D: serde::Deserializer<'de>>(from: D) -> Result<List<Str>, D::Error> {
    let all = Labels::deserialize(from)?;
    let asks = all.iter().filter(|(key, value)| is_asked(key, value));
    let names = asks.map(|(key, _)| key).filter(|key| key.len() <= MAX_NAME);
    Ok(names.take(MAX_ASKS).map(Str::from).collect())
}

/// Whether an annotation or a label asks an injector for something.
pub fn is_asked(key: &str, value: &str) -> bool {
    let is_wish = key.contains("inject") || key.ends_with("/enabled") || key.ends_with("/use");
    is_wish && key.contains('/') && !matches!(value, "" | "false" | "disabled" | "0")
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WorkloadStatus {
    pub observed_generation: Option<i64>,
    pub replicas: Option<i64>,
    pub ready_replicas: Option<i64>,
    pub available_replicas: Option<i64>,
    #[serde(alias = "updatedNumberScheduled")]
    pub updated_replicas: Option<i64>,
    pub unavailable_replicas: Option<i64>,
    pub desired_number_scheduled: Option<i64>,
    pub number_ready: Option<i64>,
    pub conditions: List<Condition>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Job {
    pub spec: JobSpec,
    pub status: JobStatus,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobSpec {
    pub backoff_limit: Option<i64>,
    pub completions: Option<i64>,
    pub suspend: Option<bool>,
    pub template: Option<Box<Template>>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobStatus {
    pub active: Option<i64>,
    pub succeeded: Option<i64>,
    pub failed: Option<i64>,
    pub conditions: List<Condition>,
}

impl Job {
    /// Whether the Job has given up, or its newest pod failed and none runs: the condition `Failed`
    /// comes late, and never while a finalizer waits.
    pub fn has_failed(&self) -> bool {
        let status = &self.status;
        if self.has_succeeded() {
            return false;
        }
        let failed = status.failed.unwrap_or(0);
        let is_idle = status.active.unwrap_or(0) == 0 && status.succeeded.unwrap_or(0) == 0;
        let is_beyond = self.spec.backoff_limit.is_some_and(|limit| failed > limit);
        self.is("Failed") || failed > 0 && (is_idle || is_beyond)
    }

    /// Whether all the pods that it needs have succeeded.
    pub fn has_succeeded(&self) -> bool {
        self.is("Complete") || self.is("SuccessCriteriaMet")
    }

    fn is(&self, condition: &str) -> bool {
        super::condition(&self.status.conditions, condition).is_some_and(|c| c.is("True"))
    }
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct CronJob {
    pub spec: CronJobSpec,
    pub last_schedule: MaybeTime,
    pub last_success: MaybeTime,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobSpec {
    pub schedule: Option<Str>,
    pub time_zone: Option<Str>,
    pub suspend: Option<bool>,
    pub job_template: Option<Box<JobTemplate>>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct JobTemplate {
    pub spec: JobSpec,
}
