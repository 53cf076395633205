//! Kubernetes objects with the fields that explain faults; all others are skipped while reading.
//!
//! The structs read the JSON of the Kubernetes API. An absent field means unknown, not the default
//! that the API server would set.
#![expect(
    missing_docs,
    reason = "fields carry the Kubernetes API's own names and meaning"
)]

pub mod container;
pub mod fields;
pub mod mesh;
pub mod network;
pub mod node;
pub mod placement;
pub mod pod;
pub mod policy;
pub mod quantity;
pub mod report;
pub mod selector;
pub mod storage;
pub mod values;
pub mod workload;

use std::sync::Arc;

use serde::Deserialize;

use super::{Kind, Str, Time};
pub use container::{Container, Probe};
pub use fields::{Fields, Origin};
pub use mesh::{DestinationRule, PeerAuthentication, VirtualService};
pub use network::{Endpoint, EndpointPort, Endpoints, Ingress, NetworkPolicy, Service};
pub use node::{Lease, Node};
pub use pod::{ContainerStatus, Pod, PodSpec};
pub use policy::{Hpa, LimitRange, Quota};
pub use quantity::Quantity;
pub use report::{Budget, Report};
pub use selector::{Labels, Selector};
pub use storage::{Claim, ConfigData, Volume, VolumeClass};
pub use values::{List, PortRef};
pub use workload::{CronJob, Job, Template, Workload};

/// One version of one object.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Object {
    pub meta: Meta,
    pub body: ObjectBody,
    /// What people set, by which versions are compared; empty for objects that follow from others.
    pub fields: Fields,
    /// Where this version comes from, while it is applied.
    #[borsh(skip)]
    pub origin: Origin,
}

/// Identity and metadata of an object.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Meta {
    pub kind: Kind,
    pub uid: Option<Str>,
    pub namespace: Str,
    pub name: Str,
    pub created: Option<Time>,
    pub deleting: Option<Time>,
    /// A hash of the resource version: versions are only compared for equality.
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

/// The fields that the engine reads, by kind.
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
    Budget(Box<Budget>),
    Report(Box<Report>),
    /// Only its existence matters.
    Opaque,
    VirtualService(Box<VirtualService>),
    DestinationRule(Box<DestinationRule>),
    PeerAuthentication(Box<PeerAuthentication>),
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
    volume Volume Volume, class Class VolumeClass, quota Quota Quota,
    limit_range LimitRange LimitRange, hpa Hpa Hpa, lease Lease Lease,
    virtual_service VirtualService VirtualService,
    destination_rule DestinationRule DestinationRule,
    peer_authentication PeerAuthentication PeerAuthentication,
    budget Budget Budget, report Report Report,
}

impl Object {
    /// The conditions of an object whose kind has no rules of its own for them.
    pub fn reported_conditions(&self) -> &[Condition] {
        match &self.body {
            ObjectBody::Report(report) => &report.conditions,
            ObjectBody::Budget(budget) => &budget.status.conditions,
            ObjectBody::Claim(claim) => &claim.conditions,
            ObjectBody::Service(service) => &service.conditions,
            _ => &[],
        }
    }
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

/// The condition of a type.
pub fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| &*c.kind == kind)
}
