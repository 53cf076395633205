//! Reads objects that route traffic: `Endpoints`, `EndpointSlice`s and `Ingress`es.

use serde::Deserialize;

use super::Reject;
use super::object::Wire;
use super::object_kinds::{Part, part};
use crate::model::object::network::Backend;
use crate::model::object::values::PortRef;
use crate::model::object::{Endpoint, EndpointPort, Endpoints, Ingress, Labels, List, Meta};
use crate::model::{Kind, Str};

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Subset {
    addresses: List<SubsetAddress>,
    not_ready_addresses: List<SubsetAddress>,
    ports: List<EndpointPort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SubsetAddress {
    ip: Str,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Deserialize)]
struct TargetRef {
    #[serde(default)]
    kind: Option<Str>,
    #[serde(default)]
    name: Option<Str>,
}

impl TargetRef {
    fn pod(target: Option<&Self>) -> Option<Str> {
        target
            .filter(|t| t.kind.as_deref().unwrap_or("Pod") == "Pod")
            .and_then(|t| t.name.clone())
    }
}

pub(super) fn endpoints(meta: &Meta, wire: &Wire<'_>) -> Result<Endpoints, Reject> {
    let subsets: List<Subset> = part(&meta.kind, "subsets", wire.subsets)?;
    let mut all = Vec::new();
    for subset in &subsets {
        for (list, ready) in [
            (&subset.addresses, true),
            (&subset.not_ready_addresses, false),
        ] {
            all.extend(list.iter().map(|a| Endpoint {
                address: a.ip.clone(),
                ready,
                pod: TargetRef::pod(a.target_ref.as_ref()),
            }));
        }
    }
    let ports = subsets
        .iter()
        .flat_map(|s| s.ports.iter().cloned())
        .collect();
    Ok(Endpoints {
        service: meta.name.clone(),
        endpoints: all.into_iter().collect(),
        ports,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SliceEndpoint {
    addresses: List<Str>,
    conditions: SliceConditions,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SliceConditions {
    ready: Option<bool>,
}

pub(super) fn slice(meta: &Meta, wire: &Wire<'_>) -> Result<Endpoints, Reject> {
    let list: List<SliceEndpoint> = part(&meta.kind, "endpoints", wire.endpoints)?;
    let ports: List<EndpointPort> = part(&meta.kind, "ports", wire.ports)?;
    let owner = meta
        .owners
        .iter()
        .find(|o| &*o.kind == "Service")
        .map(|o| o.name.clone());
    let service = meta
        .labels
        .get("kubernetes.io/service-name")
        .map(Str::from)
        .or(owner)
        .unwrap_or_default();
    // By the API's definition an unset `ready` means ready.
    let of = |e: &SliceEndpoint| Endpoint {
        address: e.addresses.first().cloned().unwrap_or_default(),
        ready: e.conditions.ready.unwrap_or(true),
        pod: TargetRef::pod(e.target_ref.as_ref()),
    };
    Ok(Endpoints {
        service,
        endpoints: list.iter().map(of).collect(),
        ports,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressSpec {
    ingress_class_name: Option<Str>,
    default_backend: Option<IngressBackend>,
    rules: List<IngressRule>,
    tls: List<IngressTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressTls {
    secret_name: Option<Str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressRule {
    host: Option<Str>,
    http: Option<IngressHttp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressHttp {
    paths: List<IngressPath>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressPath {
    backend: IngressBackend,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressBackend {
    service: Option<IngressService>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressService {
    name: Str,
    port: Option<IngressPort>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IngressPort {
    number: Option<i64>,
    name: Option<Str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IngressStatus {
    load_balancer: Balancer,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Balancer {
    ingress: List<serde::de::IgnoredAny>,
}

pub(super) fn ingress(
    wire: &Wire<'_>,
    spec: &Part<'_>,
    status: &Part<'_>,
) -> Result<Ingress, Reject> {
    let annotations: Labels = part(&Kind::Ingress, "annotations", wire.annotations)?;
    let spec: IngressSpec = spec.read()?;
    let status: IngressStatus = status.read()?;
    let routes = spec
        .rules
        .iter()
        .filter_map(|r| r.http.as_ref())
        .flat_map(|h| h.paths.iter().map(|p| &p.backend));
    let services = spec
        .default_backend
        .iter()
        .chain(routes)
        .filter_map(|b| b.service.as_ref());
    let backends = services
        .map(|s| Backend {
            service: s.name.clone(),
            port: s.port.as_ref().and_then(|p| {
                p.number
                    .map(PortRef::Number)
                    .or(p.name.clone().map(PortRef::Name))
            }),
        })
        .collect();
    Ok(Ingress {
        class: spec.ingress_class_name.or_else(|| {
            annotations
                .get("kubernetes.io/ingress.class")
                .map(Str::from)
        }),
        backends,
        has_address: !status.load_balancer.ingress.is_empty(),
        tls_secrets: spec
            .tls
            .iter()
            .filter_map(|t| t.secret_name.clone())
            .collect(),
        hosts: spec.rules.iter().filter_map(|r| r.host.clone()).collect(),
    })
}
