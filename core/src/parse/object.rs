//! Object state: the flat envelope, and objects of the Kubernetes API.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::fields;
use super::object_kinds;
use super::text::{Count, Text, first_time, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster, list};
use crate::model::object::fields::Origin;
use crate::model::object::{Fields, Labels, List, Meta, Object, OwnerRef};
use crate::model::{Body, Kind, Op, Record, Str, Time};

/// The union of envelope and API object: common fields have the same names.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    op: Option<Text<'a>>,
    #[serde(borrow)]
    at: Option<Text<'a>>,
    #[serde(borrow)]
    since: Option<Text<'a>>,
    #[serde(borrow, rename = "client_id")]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
    #[serde(borrow)]
    api_version: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Option<MetaWire<'a>>,
    #[serde(borrow)]
    src: Option<Text<'a>>,
    seq: Count,
    items: Option<IgnoredAny>,
    // Metadata as the envelope spells it.
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    created: Option<Text<'a>>,
    #[serde(borrow)]
    deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    generation: Option<i64>,
    labels: Labels,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    owner_refs: List<OwnerRef>,
    // Read per kind.
    pub(super) node: Option<Str>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<Str>,
    pub(super) replicas: Option<i64>,
    pub(super) service_selector: Option<Labels>,
    #[serde(borrow)]
    pub(super) spec: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) status: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) string_data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) binary_data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) subsets: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) endpoints: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) ports: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) webhooks: Option<&'a RawValue>,
    pub(super) provisioner: Option<Str>,
    pub(super) volume_binding_mode: Option<Str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct MetaWire<'a> {
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    creation_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    deletion_timestamp: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    generation: Option<i64>,
    labels: Labels,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    owner_references: List<OwnerRef>,
    #[serde(borrow)]
    managed_fields: Option<&'a RawValue>,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let mut wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    if wire.items.is_some() {
        return Err(list::refusal());
    }
    check_tenant(non_empty(wire.client_id.as_ref()), context)?;
    let Some(kind) = non_empty(wire.kind.as_ref())
        .map(|kind| Kind::of_group(kind, non_empty(wire.api_version.as_ref())))
    else {
        return Err(Reject::new(Reason::UnknownShape, "an object needs `kind`"));
    };
    let op = non_empty(wire.op.as_ref())
        .unwrap_or("UPSERT")
        .to_ascii_uppercase();
    let at = first_time([wire.at.as_ref()]).unwrap_or(context.received_at);
    let cluster = cluster(non_empty(wire.cluster.as_ref()), context)?;
    let sequence = non_empty(wire.src.as_ref())
        .zip(wire.seq.0)
        .map(|(s, n)| (Str::from(s), n));
    let body = match op.as_str() {
        "SYNC" => Body::Sync {
            kind,
            since: first_time([wire.since.as_ref()]),
        },
        "UPSERT" | "DELETE" => {
            let managed = wire.metadata.as_ref().and_then(|m| m.managed_fields);
            let meta = meta(kind, &mut wire)?;
            let body = if op == "DELETE" {
                crate::model::object::ObjectBody::Opaque
            } else {
                object_kinds::read(&meta, &wire)?
            };
            let op = if op == "DELETE" {
                Op::Delete
            } else {
                Op::Upsert
            };
            let (fields, origin) = if op == Op::Delete {
                (Fields::default(), Origin::default())
            } else {
                fields::read(&meta, wire.annotations, managed, text)
            };
            let object = Object {
                meta,
                body,
                fields,
                origin,
            };
            Body::State(op, Box::new(object))
        }
        other => {
            return Err(Reject::new(
                Reason::UnknownShape,
                format!("invalid `op` `{other}`: expected UPSERT, DELETE or SYNC"),
            ));
        }
    };
    out.push(Record {
        cluster,
        at,
        sequence,
        body,
    });
    Ok(())
}

fn meta(kind: Kind, wire: &mut Wire<'_>) -> Result<Meta, Reject> {
    let api = wire.metadata.take().unwrap_or_default();
    let pick = |a: &Option<Text<'_>>, b: &Option<Text<'_>>| {
        non_empty(a.as_ref())
            .or(non_empty(b.as_ref()))
            .map(Str::from)
    };
    let time = |t: &Option<Text<'_>>| t.as_ref().and_then(|t| Time::parse(&t.0));
    let name = pick(&wire.name, &api.name);
    let uid = pick(&wire.uid, &api.uid);
    if name.is_none() && uid.is_none() {
        return Err(Reject::new(
            Reason::UnknownShape,
            format!("a {kind} needs a name or uid"),
        ));
    }
    let namespace = if kind.is_cluster_scoped() {
        None
    } else {
        pick(&wire.namespace, &api.namespace)
    };
    let or = |own: Labels, other: Labels| if own.is_empty() { other } else { own };
    let owners = std::mem::take(&mut wire.owner_refs);
    wire.annotations = wire.annotations.or(api.annotations);
    Ok(Meta {
        uid,
        namespace: namespace.unwrap_or_default(),
        name: name.unwrap_or_default(),
        created: time(&wire.created).or(time(&api.creation_timestamp)),
        deleting: time(&wire.deletion_timestamp).or(time(&api.deletion_timestamp)),
        version: non_empty(wire.resource_version.as_ref())
            .or(non_empty(api.resource_version.as_ref()))
            .map(version),
        generation: wire.generation.or(api.generation),
        labels: or(std::mem::take(&mut wire.labels), api.labels),
        owners: if owners.is_empty() {
            api.owner_references
        } else {
            owners
        }
        .0
        .into(),
        kind,
    })
}

fn version(text: &str) -> u64 {
    use std::hash::BuildHasher;

    foldhash::fast::FixedState::default().hash_one(text)
}
