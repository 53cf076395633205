//! Reads the fields of each kind.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::autoscaler;
use super::custom;
use super::mask;
use super::network::{endpoints, ingress, slice};
use super::object::Wire;
use super::report;
use super::volume;
use super::{Reason, Reject, without_values};
use crate::model::object::network::{Present, names_protocol};
use crate::model::object::pod::{PodSpec, PodStatus};
use crate::model::object::quantity::Quantities;
use crate::model::object::values::MaybeTime;
use crate::model::object::{
    Budget, Claim, Condition, ConfigData, CronJob, Job, Labels, List, Meta, Node, ObjectBody, Pod,
    Quota, Selector, Service, Volume, VolumeClass, Workload,
};
use crate::model::{Kind, Str, address};

pub(super) fn read(meta: &Meta, wire: &Wire<'_>) -> Result<ObjectBody, Reject> {
    let spec = Part {
        kind: &meta.kind,
        field: "spec",
        raw: wire.spec,
    };
    let status = Part {
        kind: &meta.kind,
        field: "status",
        raw: wire.status,
    };
    Ok(match &meta.kind {
        Kind::Pod => ObjectBody::Pod(Box::new(pod(wire, &spec, &status)?)),
        Kind::Node => ObjectBody::Node(Box::new(Node {
            spec: spec.read()?,
            status: status.read()?,
        })),
        Kind::Deployment
        | Kind::ReplicaSet
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ReplicationController => {
            let mut workload = Workload {
                spec: spec.read()?,
                status: status.read()?,
            };
            workload.spec.replicas = workload.spec.replicas.or(wire.replicas);
            if let Some(template) = &mut workload.spec.template {
                mask_pod(&mut template.spec);
            }
            ObjectBody::Workload(Box::new(workload))
        }
        Kind::Job => {
            let mut job = Job {
                spec: spec.read()?,
                status: status.read()?,
            };
            if let Some(template) = &mut job.spec.template {
                mask_pod(&mut template.spec);
            }
            ObjectBody::Job(Box::new(job))
        }
        Kind::CronJob => ObjectBody::CronJob(Box::new(cron_job(&spec, &status)?)),
        Kind::Service => ObjectBody::Service(Box::new(service(wire, &spec, &status)?)),
        Kind::Endpoints => ObjectBody::Endpoints(Box::new(endpoints(meta, wire)?)),
        Kind::EndpointSlice => ObjectBody::Endpoints(Box::new(slice(meta, wire)?)),
        Kind::Ingress => ObjectBody::Ingress(Box::new(ingress(wire, &spec, &status)?)),
        Kind::NetworkPolicy => ObjectBody::NetworkPolicy(Box::new(spec.read()?)),
        Kind::ConfigMap => ObjectBody::Config(Box::new(config(wire)?)),
        Kind::Secret => ObjectBody::Config(Box::new(secret(wire)?)),
        Kind::PersistentVolumeClaim => {
            let state: Phase = status.read()?;
            ObjectBody::Claim(Box::new(Claim {
                spec: spec.read()?,
                phase: state.phase,
                conditions: state.conditions,
            }))
        }
        Kind::PersistentVolume => ObjectBody::Volume(Box::new(Volume {
            spec: spec.read()?,
            server: volume::server(&spec.read()?),
            phase: status.read::<Phase>()?.phase,
        })),
        Kind::StorageClass => ObjectBody::Class(Box::new(VolumeClass {
            provisioner: wire.provisioner.clone(),
            volume_binding_mode: wire.volume_binding_mode.clone(),
        })),
        Kind::ResourceQuota => {
            let (wanted, state): (QuotaWire, QuotaWire) = (spec.read()?, status.read()?);
            let hard = if state.hard.is_empty() {
                wanted.hard
            } else {
                state.hard
            };
            ObjectBody::Quota(Box::new(Quota {
                hard,
                used: state.used,
            }))
        }
        Kind::LimitRange => ObjectBody::LimitRange(Box::new(spec.read()?)),
        Kind::HorizontalPodAutoscaler => {
            ObjectBody::Hpa(Box::new(autoscaler::read(&spec, &status)?))
        }
        Kind::Lease => ObjectBody::Lease(spec.read()?),
        Kind::PodDisruptionBudget => {
            let spec: BudgetSpec = spec.read()?;
            ObjectBody::Budget(Box::new(Budget {
                selector: spec.selector,
                status: status.read()?,
            }))
        }
        Kind::Other(kind) if kind.ends_with("WebhookConfiguration") => {
            let webhooks = part(&meta.kind, "webhooks", wire.webhooks)?;
            ObjectBody::Report(Box::new(custom::webhooks(&webhooks)))
        }
        Kind::Other(kind) if let Some(body) = custom::read(kind, &spec) => body,
        _ => report::read(meta, &spec, &status)?
            .map(|report| ObjectBody::Report(Box::new(report)))
            .unwrap_or(ObjectBody::Opaque),
    })
}

fn cron_job(spec: &Part<'_>, status: &Part<'_>) -> Result<CronJob, Reject> {
    let state: CronJobStatus = status.read()?;
    let mut cron = CronJob {
        spec: spec.read()?,
        last_schedule: state.last_schedule_time,
        last_success: state.last_successful_time,
    };
    if let Some(template) = cron
        .spec
        .job_template
        .as_mut()
        .and_then(|j| j.spec.template.as_mut())
    {
        mask_pod(&mut template.spec);
    }
    Ok(cron)
}

fn service(wire: &Wire<'_>, spec: &Part<'_>, status: &Part<'_>) -> Result<Service, Reject> {
    let mut service: Service = spec.read()?;
    if service.selector.is_empty() {
        service.selector = wire.service_selector.clone().unwrap_or_default();
    }
    if wire.status.is_some() {
        let state: ServiceStatus = status.read()?;
        service.has_address = Some(!state.load_balancer.ingress.is_empty());
        service.conditions = state.conditions;
    }
    let annotations: Labels = part(&Kind::Service, "annotations", wire.annotations)?;
    service.protocols = annotations
        .iter()
        .filter(|(key, value)| value.len() <= MAX_ANNOTATION && names_protocol(key))
        .take(MAX_ANNOTATIONS)
        .collect();
    Ok(service)
}

/// Most annotations of a Service that are kept, and the bytes of each value.
const MAX_ANNOTATIONS: usize = 4;
const MAX_ANNOTATION: usize = 256;

/// Reads a part of an object as the type that its kind has there; absent and null read as empty.
pub(super) struct Part<'a> {
    kind: &'a Kind,
    field: &'static str,
    raw: Option<&'a RawValue>,
}

impl Part<'_> {
    pub(super) fn read<T: DeserializeOwned + Default>(&self) -> Result<T, Reject> {
        let Some(raw) = self.raw.map(RawValue::get).filter(|t| *t != "null") else {
            return Ok(T::default());
        };
        serde_json::from_str(raw).map_err(|e| {
            Reject::new(
                Reason::UnknownShape,
                format!(
                    "{} `{}`: {}",
                    self.kind,
                    self.field,
                    without_values(&e.to_string())
                ),
            )
        })
    }
}

pub(super) fn part<T: DeserializeOwned + Default>(
    meta_kind: &Kind,
    field: &'static str,
    raw: Option<&RawValue>,
) -> Result<T, Reject> {
    Part {
        kind: meta_kind,
        field,
        raw,
    }
    .read()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: Option<Str>,
    conditions: List<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ServiceStatus {
    load_balancer: LoadBalancer,
    conditions: List<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: List<Present>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BudgetSpec {
    selector: Selector,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct QuotaWire {
    hard: Quantities,
    used: Quantities,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CronJobStatus {
    last_schedule_time: MaybeTime,
    last_successful_time: MaybeTime,
}

fn pod(wire: &Wire<'_>, spec: &Part<'_>, status: &Part<'_>) -> Result<Pod, Reject> {
    let mut status: PodStatus = status.read()?;
    if status.pod_ip.is_none() {
        status.pod_ip.clone_from(&wire.pod_ip);
    }
    let mut spec = spec.raw.map(|_| spec.read::<PodSpec>()).transpose()?;
    let node_name = spec
        .as_mut()
        .and_then(|s| s.node_name.take())
        .or(wire.node.clone())
        .filter(|n| !n.is_empty());
    if node_name.is_some() {
        spec.get_or_insert_default();
    }
    if let Some(spec) = &mut spec {
        mask_pod(spec);
        share(spec);
    }
    Ok(Pod {
        spec: spec.map(Arc::new),
        node_name,
        status,
    })
}

/// Removes what differs between the specs of pods of one workload, so that they can share one:
/// admission gives the volume of the token a random name.
fn share(spec: &mut PodSpec) {
    const TOKEN: &str = "kube-api-access";
    for volume in &mut spec.volumes.0 {
        if volume.name.starts_with(TOKEN) {
            volume.name = TOKEN.into();
        }
    }
}

/// Masks secrets, in case the sender did not.
fn mask_pod(spec: &mut PodSpec) {
    for container in spec
        .containers
        .0
        .iter_mut()
        .chain(spec.init_containers.0.iter_mut())
    {
        for env in &mut container.env.0 {
            if let Some(value) = &env.value {
                let masked = mask::variable(&env.name, value);
                if *masked != **value {
                    env.value = Some(masked.into());
                }
            }
        }
        mask_arguments(&mut container.args.0);
        mask_arguments(&mut container.command.0);
    }
}

fn mask_arguments(arguments: &mut [Str]) {
    let mut before: Option<Str> = None;
    for argument in arguments {
        let own = argument.clone();
        let masked = mask::argument(before.as_deref(), &own);
        if *masked != *own {
            *argument = masked.into();
        }
        before = Some(own);
    }
}

fn config(wire: &Wire<'_>) -> Result<ConfigData, Reject> {
    if wire.data.is_none() && wire.binary_data.is_none() {
        return Ok(ConfigData::default());
    }
    let data: Labels = part(&Kind::ConfigMap, "data", wire.data)?;
    let binary: Labels = part(&Kind::ConfigMap, "binaryData", wire.binary_data)?;
    let keys = data
        .0
        .iter()
        .chain(binary.0.iter())
        .map(|(k, _)| k.clone())
        .collect();
    let mut addresses: Vec<Str> = data
        .iter()
        .flat_map(|(_, v)| address::in_text(v))
        .map(|a| a.to_string().into())
        .collect();
    let is_host =
        |(name, value): &&(Str, Str)| address::names_host(name) && address::is_host(value);
    addresses.extend(data.0.iter().filter(is_host).map(|(_, host)| host.clone()));
    addresses.sort();
    addresses.dedup();
    Ok(ConfigData {
        keys: Some(keys),
        addresses: addresses.into_iter().collect(),
    })
}

/// Only the keys of a Secret are returned.
fn secret(wire: &Wire<'_>) -> Result<ConfigData, Reject> {
    if wire.data.is_none() && wire.string_data.is_none() {
        return Ok(ConfigData::default());
    }
    let keys = |raw| part::<Keys>(&Kind::Secret, "data", raw);
    let (data, text) = (keys(wire.data)?, keys(wire.string_data)?);
    Ok(ConfigData {
        keys: Some(data.0.iter().chain(&text.0).cloned().collect()),
        addresses: List::default(),
    })
}

/// The keys of a map, or a list of keys; values are skipped.
#[derive(Debug, Default)]
struct Keys(Vec<Str>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> serde::de::Visitor<'de> for V {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a map or a list of keys")
            }
            fn visit_unit<E>(self) -> Result<Keys, E> {
                Ok(Keys::default())
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<Str, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some(key) = seq.next_element::<Str>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        d.deserialize_any(V)
    }
}
