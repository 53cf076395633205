//! Kubernetes objects with the fields that explain faults; everything else is skipped while
//! reading.
//!
//! The structs read the API's own JSON. Absent means unknown, never a default that the API server
//! would have set.
#![expect(
    missing_docs,
    reason = "fields carry the Kubernetes API's own names and meaning"
)]

pub mod network;
pub mod node;
pub mod pod;
pub mod policy;
pub mod storage;
pub mod values;
pub mod workload;

use std::sync::Arc;

use serde::Deserialize;

use super::{Kind, Str, Time};
pub use network::{Endpoint, EndpointPort, Endpoints, Ingress, NetworkPolicy, Service};
pub use node::{Lease, Node};
pub use pod::{Container, ContainerStatus, Pod, PodSpec, Probe};
pub use policy::{Hpa, LimitRange, Quota};
pub use storage::{Claim, ConfigData, Volume, VolumeClass};
pub use values::{Labels, List, PortRef, Quantity, Selector};
pub use workload::{CronJob, Job, Template, Workload};

/// One version of one object.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Object {
    pub meta: Meta,
    pub body: ObjectBody,
}

/// Identity and metadata.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Meta {
    pub kind: Kind,
    pub uid: Option<Str>,
    pub namespace: Str,
    pub name: Str,
    pub created: Option<Time>,
    pub deleting: Option<Time>,
    /// A hash of the version: versions are compared for equality alone.
    pub version: Option<u64>,
    pub generation: Option<i64>,
    pub labels: Labels,
    pub owners: Arc<[OwnerRef]>,
}

/// An owner reference; `controller` may be absent in partial records.
#[derive(
    borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq, Deserialize,
)]
pub struct OwnerRef {
    pub kind: Str,
    pub name: Str,
    #[serde(default)]
    pub uid: Option<Str>,
}

/// What the engine reads of each kind.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub enum ObjectBody {
    Pod(Box<Pod>),
    Node(Box<Node>),
    Workload(Box<Workload>),
    Job(Box<Job>),
    CronJob(Box<CronJob>),
    Service(Box<Service>),
    Endpoints(Box<Endpoints>),
    Ingress(Box<Ingress>),
    NetworkPolicy(Box<NetworkPolicy>),
    Config(Box<ConfigData>),
    Claim(Box<Claim>),
    Volume(Box<Volume>),
    Class(Box<VolumeClass>),
    Quota(Box<Quota>),
    LimitRange(Box<LimitRange>),
    Hpa(Box<Hpa>),
    Lease(Lease),
    /// Known to exist; nothing of it is compared.
    Opaque,
}

macro_rules! accessors {
    ($($name:ident $variant:ident $ty:ty),* $(,)?) => {
        impl Object {
            $(pub fn $name(&self) -> Option<&$ty> {
                match &self.body { ObjectBody::$variant(x) => Some(x), _ => None }
            })*
        }
    };
}

accessors! {
    pod Pod Pod, node Node Node, workload Workload Workload, job Job Job, cron_job CronJob CronJob,
    service Service Service, endpoints Endpoints Endpoints, ingress Ingress Ingress,
    network_policy NetworkPolicy NetworkPolicy, config Config ConfigData, claim Claim Claim,
    volume Volume Volume, class Class VolumeClass, quota Quota Quota, limit_range LimitRange LimitRange,
    hpa Hpa Hpa, lease Lease Lease,
}

/// A status condition of any kind.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: Str,
    #[serde(default)]
    pub status: Option<Str>,
    #[serde(default)]
    pub reason: Option<Str>,
    #[serde(default)]
    pub message: Option<Str>,
    #[serde(default)]
    pub last_transition_time: values::MaybeTime,
}

impl Condition {
    pub fn is(&self, status: &str) -> bool {
        self.status.as_deref() == Some(status)
    }
}

/// Finds a condition by its type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| &*c.kind == kind)
}
