//! Reads custom resources that decide which traffic arrives: routes of Istio, policies of Cilium.

use serde::Deserialize;

use super::object_kinds::Part;
use crate::model::Str;
use crate::model::object::mesh::{Destination, VirtualService};
use crate::model::object::network::{PolicyPeer, PolicyPort, PolicyRule, Present};
use crate::model::object::report::{Reference, Report, Role};
use crate::model::object::{Labels, List, NetworkPolicy, ObjectBody, Selector};

/// The body of a custom resource; `None` if only its existence matters. Another API may have a kind
/// of the same name with another shape.
pub(super) fn read(kind: &str, spec: &Part<'_>) -> Option<ObjectBody> {
    Some(match kind {
        "VirtualService" => {
            let routes: RoutesWire = spec.read().ok()?;
            ObjectBody::VirtualService(Box::new(routes.into_destinations()))
        }
        "PeerAuthentication" => ObjectBody::PeerAuthentication(Box::new(spec.read().ok()?)),
        "DestinationRule" => ObjectBody::DestinationRule(Box::new(spec.read().ok()?)),
        "CiliumNetworkPolicy" => {
            let policy: CiliumWire = spec.read().ok()?;
            ObjectBody::NetworkPolicy(Box::new(policy.into_policy()))
        }
        _ => return None,
    })
}

/// A webhook of an admission configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Webhook {
    client_config: ClientConfig,
    failure_policy: Option<Str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClientConfig {
    service: Option<ServiceName>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceName {
    namespace: Option<Str>,
    name: Str,
}

/// The Services that the API server asks: it refuses requests without those whose failure it does
/// not ignore.
pub(super) fn webhooks(all: &List<Webhook>) -> Report {
    let references = all.iter().filter_map(|webhook| {
        let service = webhook.client_config.service.as_ref()?;
        let is_ignored = webhook.failure_policy.as_deref() == Some("Ignore");
        Some(Reference {
            kind: "Service".into(),
            namespace: service.namespace.clone(),
            name: service.name.clone(),
            port: None,
            role: if is_ignored { Role::Asks } else { Role::Uses },
        })
    });
    Report {
        references: references.filter(|r| !r.name.is_empty()).collect(),
        ..Report::default()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RoutesWire {
    http: List<RouteWire>,
    tcp: List<RouteWire>,
    tls: List<RouteWire>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RouteWire {
    route: List<WeightedWire>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct WeightedWire {
    destination: Destination,
    weight: Option<i64>,
}

impl RoutesWire {
    fn into_destinations(self) -> VirtualService {
        let rules = self.http.iter().chain(&self.tcp).chain(&self.tls);
        // A destination of weight 0 is prepared and not in use.
        let used = rules
            .flat_map(|rule| rule.route.iter())
            .filter(|to| to.weight != Some(0));
        VirtualService {
            destinations: used.map(|to| to.destination.clone()).collect(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CiliumWire {
    endpoint_selector: Selector,
    ingress: Option<List<CiliumRule>>,
    egress: Option<List<CiliumEgress>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CiliumEgress {
    to_endpoints: List<Selector>,
    to_ports: List<CiliumPorts>,
    to_services: Option<Present>,
    to_nodes: Option<Present>,
    #[serde(rename = "toFQDNs")]
    to_fqdns: List<CiliumName>,
    #[serde(rename = "toCIDR")]
    to_cidr: Option<Present>,
    #[serde(rename = "toCIDRSet")]
    to_cidr_set: Option<Present>,
    to_entities: Option<Present>,
    to_groups: Option<Present>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct CiliumPorts {
    ports: List<PolicyPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CiliumName {
    match_name: Option<Str>,
    match_pattern: Option<Str>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CiliumRule {
    from_endpoints: List<Selector>,
    to_ports: List<CiliumPorts>,
    #[serde(rename = "fromCIDR")]
    from_cidr: Option<Present>,
    #[serde(rename = "fromCIDRSet")]
    from_cidr_set: Option<Present>,
    from_entities: List<Str>,
    from_nodes: Option<Present>,
    from_groups: Option<Present>,
}

/// The label by which Cilium selects the pods of a namespace.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";

impl CiliumWire {
    fn into_policy(self) -> NetworkPolicy {
        // A policy that only denies restricts nothing else.
        let directions: &[&str] = match (&self.ingress, &self.egress) {
            (Some(_), Some(_)) => &["Ingress", "Egress"],
            (Some(_), None) => &["Ingress"],
            (None, Some(_)) => &["Egress"],
            (None, None) => &["None"],
        };
        let names = self.egress.as_ref().and_then(names);
        let calls = self.egress.unwrap_or_default();
        let calls = calls.iter().filter(|rule| rule.to_fqdns.is_empty());
        let rules = self.ingress.unwrap_or_default();
        let rules = rules.iter().filter(|rule| !rule.admits_no_pod());
        NetworkPolicy {
            pod_selector: without_source(&self.endpoint_selector),
            policy_types: directions.iter().copied().map(Str::from).collect(),
            ingress: rules.map(CiliumRule::to_rule).collect(),
            egress: calls.map(CiliumEgress::to_rule).collect(),
            names,
        }
    }
}

/// The names outside that rules for egress allow; `None` if these allow addresses as well.
fn names(rules: &List<CiliumEgress>) -> Option<List<Str>> {
    let is_open = |rule: &CiliumEgress| {
        let others = [
            rule.to_cidr,
            rule.to_cidr_set,
            rule.to_entities,
            rule.to_groups,
        ];
        others.iter().any(Option::is_some)
    };
    if rules.iter().any(is_open) {
        return None;
    }
    let all = rules.iter().flat_map(|rule| rule.to_fqdns.iter());
    let patterns = all.filter_map(|n| n.match_name.clone().or(n.match_pattern.clone()));
    Some(patterns.collect())
}

impl CiliumEgress {
    fn to_rule(&self) -> PolicyRule {
        let others = [
            self.to_cidr,
            self.to_cidr_set,
            self.to_entities,
            self.to_groups,
            self.to_services,
            self.to_nodes,
        ];
        PolicyRule {
            to: self
                .to_endpoints
                .iter()
                .map(peer)
                .chain(anything(&others))
                .collect(),
            ports: ports(&self.to_ports),
            ..PolicyRule::default()
        }
    }
}

/// Peers that are no pods: they may be anything, as an IP block may.
fn anything(present: &[Option<Present>]) -> impl Iterator<Item = PolicyPeer> {
    present.iter().flatten().map(|present| PolicyPeer {
        ip_block: Some(*present),
        ..PolicyPeer::default()
    })
}

impl CiliumRule {
    /// Whether it lists the pods of the cluster: other entities, such as `host`, are no pods.
    fn entities_with_pods(&self) -> Option<Present> {
        let mut entities = self.from_entities.iter();
        let has_pods = entities.any(|e| matches!(&**e, "all" | "cluster"));
        has_pods.then_some(Present)
    }

    /// Whether it lets nothing through that is a pod: only nodes, say.
    fn admits_no_pod(&self) -> bool {
        let others = [
            self.from_cidr,
            self.from_cidr_set,
            self.from_nodes,
            self.from_groups,
        ];
        !self.from_entities.is_empty()
            && self.entities_with_pods().is_none()
            && self.from_endpoints.is_empty()
            && others.iter().all(Option::is_none)
    }

    fn to_rule(&self) -> PolicyRule {
        let others = [
            self.from_cidr,
            self.from_cidr_set,
            self.entities_with_pods(),
            self.from_nodes,
            self.from_groups,
        ];
        PolicyRule {
            from: self
                .from_endpoints
                .iter()
                .map(peer)
                .chain(anything(&others))
                .collect(),
            ports: ports(&self.to_ports),
            ..PolicyRule::default()
        }
    }
}

fn ports(all: &List<CiliumPorts>) -> List<PolicyPort> {
    all.iter().flat_map(|to| to.ports.iter().cloned()).collect()
}

fn peer(endpoints: &Selector) -> PolicyPeer {
    let mut pods = without_source(endpoints);
    let namespace = pods.match_labels.get(NAMESPACE).map(Str::from);
    let named = pods.match_expressions.iter().any(|r| &*r.key == NAMESPACE);
    pods.match_labels = without_namespace(&pods.match_labels);
    pods.match_expressions = pods
        .match_expressions
        .iter()
        .filter(|r| &*r.key != NAMESPACE)
        .cloned()
        .collect();
    let labels = namespace
        .map(|name| (Str::from("kubernetes.io/metadata.name"), name))
        .into_iter();
    let namespace_selector = Selector {
        match_labels: Labels(labels.collect()),
        ..Selector::default()
    };
    let has_namespace = named || !namespace_selector.match_labels.is_empty();
    PolicyPeer {
        pod_selector: Some(pods),
        namespace_selector: has_namespace.then_some(namespace_selector),
        ip_block: None,
    }
}

fn without_namespace(labels: &Labels) -> Labels {
    let others = labels.0.iter().filter(|(key, _)| &**key != NAMESPACE);
    Labels(others.cloned().collect())
}

/// A selector without the sources of labels that Cilium writes before keys: `k8s:app`.
fn without_source(selector: &Selector) -> Selector {
    let bare = |key: &Str| {
        let bare = key.strip_prefix("k8s:").or(key.strip_prefix("any:"));
        bare.map(Str::from).unwrap_or_else(|| key.clone())
    };
    let pairs = selector.match_labels.0.iter();
    let mut labels: Vec<(Str, Str)> = pairs.map(|(k, v)| (bare(k), v.clone())).collect();
    labels.sort();
    let mut expressions: Vec<_> = selector.match_expressions.iter().cloned().collect();
    for requirement in &mut expressions {
        requirement.key = bare(&requirement.key);
    }
    Selector {
        match_labels: Labels(labels.into()),
        match_expressions: expressions.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_of_cilium_reads_as_one_of_kubernetes() {
        let wire: CiliumWire = serde_json::from_str(
            r#"{"endpointSelector":{"matchLabels":{"k8s:app":"db"}},"ingress":[{"fromEndpoints":[
                {"matchLabels":{"app":"api","k8s:io.kubernetes.pod.namespace":"shop"}}]}]}"#,
        )
        .unwrap();
        let policy = wire.into_policy();
        assert_eq!(policy.pod_selector.match_labels.get("app"), Some("db"));
        let from = &policy.ingress[0].from[0];
        let pods = from.pod_selector.as_ref().unwrap();
        assert_eq!(pods.match_labels.get("app"), Some("api"));
        assert_eq!(pods.match_labels.get(NAMESPACE), None);
        assert!(from.namespace_selector.is_some());
        let nodes: CiliumWire =
            serde_json::from_str(r#"{"ingress":[{"fromEntities":["host","remote-node"]}]}"#)
                .unwrap();
        let policy = nodes.into_policy();
        assert!(policy.ingress.is_empty(), "nodes are not pods");
        assert_eq!(&*policy.policy_types[0], "Ingress");
        let open: CiliumWire = serde_json::from_str(r#"{"egress":[{}]}"#).unwrap();
        let policy = open.into_policy();
        assert_eq!(&*policy.policy_types[0], "Egress");
        assert!(policy.names.is_some_and(|names| names.is_empty()));
    }

    #[test]
    fn names_count_only_where_no_address_is_allowed() {
        let of = |egress: &str| {
            let text = format!(r#"{{"egress":[{{"toFQDNs":[{{"matchName":"a.io"}}]}}{egress}]}}"#);
            let wire: CiliumWire = serde_json::from_str(&text).unwrap();
            wire.into_policy().names.map(|names| names.len())
        };
        assert_eq!(of(""), Some(1));
        assert_eq!(of(r#",{"toEntities":["world"]}"#), None);
    }

    #[test]
    fn only_destinations_with_traffic_count() {
        let wire: RoutesWire = serde_json::from_str(
            r#"{"http":[{"route":[{"destination":{"host":"a","subset":"v1"},"weight":100},
                {"destination":{"host":"a","subset":"v2"},"weight":0}]}],
                "tcp":[{"route":[{"destination":{"host":"b"}}]}]}"#,
        )
        .unwrap();
        let hosts: Vec<_> = wire
            .into_destinations()
            .destinations
            .iter()
            .cloned()
            .collect();
        assert_eq!(hosts.len(), 2);
        assert_eq!(hosts[0].subset.as_deref(), Some("v1"));
        assert_eq!(&*hosts[1].host, "b");
    }
}
