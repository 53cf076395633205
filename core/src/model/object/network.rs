//! Services, their endpoints, and what routes or restricts traffic to them.

use serde::Deserialize;

use super::Condition;
use super::selector::{Labels, Selector};
use super::values::{List, PortRef};
use crate::model::Str;

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    pub ports: List<ServicePort>,
    pub selector: Labels,
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<Str>,
    #[serde(rename = "type")]
    pub service_type: Option<Str>,
    pub external_name: Option<Str>,
    pub publish_not_ready_addresses: Option<bool>,
    /// The annotations that say which protocol some of the ports speak.
    #[serde(skip)]
    pub protocols: Labels,
    #[serde(skip)]
    pub conditions: List<Condition>,
    /// Whether a load balancer has published an address; `None` if the status is not known.
    #[serde(skip)]
    pub has_address: Option<bool>,
}

impl Service {
    /// Whether a Service may select pods: it has a selector, or a table left that out, which also
    /// leaves out the target ports.
    pub fn may_select(&self) -> bool {
        let is_unknown = || self.ports.iter().all(|p| p.target_port.is_none());
        self.service_type.as_deref() != Some("ExternalName")
            && (!self.selector.is_empty() || is_unknown())
    }
}

/// Whether an annotation of a Service lists the ports that speak a protocol: of Contour, of Google's
/// Ingress, and of the load balancers of AWS and `DigitalOcean`.
pub fn names_protocol(annotation: &str) -> bool {
    const NAMES: [&str; 6] = [
        "cloud.google.com/app-protocols",
        "service.alpha.kubernetes.io/app-protocols",
        "service.beta.kubernetes.io/aws-load-balancer-ssl-ports",
        "service.beta.kubernetes.io/do-loadbalancer-http2-ports",
        "service.beta.kubernetes.io/do-loadbalancer-tls-ports",
        "service.beta.kubernetes.io/scw-loadbalancer-protocol-http",
    ];
    annotation.starts_with("projectcontour.io/upstream-protocol.") || NAMES.contains(&annotation)
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    pub name: Option<Str>,
    pub port: i64,
    pub target_port: Option<PortRef>,
    pub protocol: Option<Str>,
    pub app_protocol: Option<Str>,
}

/// An Endpoints object or an `EndpointSlice`, both reduced to the addresses behind a Service.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Endpoints {
    /// The Service they belong to.
    pub service: Str,
    pub endpoints: List<Endpoint>,
    pub ports: List<EndpointPort>,
}

/// A port of the backends of a Service.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EndpointPort {
    pub name: Option<Str>,
    pub port: Option<i64>,
    pub protocol: Option<Str>,
}

/// A field of which only the presence matters.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Copy, Debug)]
pub struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d).map(|_| Self)
    }
}

/// The address of one backend of a Service.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Endpoint {
    pub address: Str,
    pub ready: bool,
    /// Name of the pod that has the address.
    pub pod: Option<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default)]
pub struct Ingress {
    pub class: Option<Str>,
    /// The Services, with ports, that the rules and the default backend route to.
    pub backends: List<Backend>,
    /// Whether a controller has published an address.
    pub has_address: bool,
    pub tls_secrets: List<Str>,
    /// The hosts of the rules.
    pub hosts: List<Str>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug)]
pub struct Backend {
    pub service: Str,
    pub port: Option<PortRef>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NetworkPolicy {
    pub pod_selector: Selector,
    pub policy_types: List<Str>,
    pub ingress: List<PolicyRule>,
    pub egress: List<PolicyRule>,
    /// The patterns of names outside the cluster that it lets its pods call, where it restricts
    /// that by name alone.
    #[serde(skip)]
    pub names: Option<List<Str>>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PolicyRule {
    pub from: List<PolicyPeer>,
    pub to: List<PolicyPeer>,
    pub ports: List<PolicyPort>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPeer {
    pub pod_selector: Option<Selector>,
    pub namespace_selector: Option<Selector>,
    pub ip_block: Option<Present>,
}

#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyPort {
    pub port: Option<PortRef>,
    /// The last port of a range that begins with `port`.
    pub end_port: Option<i64>,
    pub protocol: Option<Str>,
}

impl PolicyPort {
    /// Whether it lets calls to a port through.
    pub fn admits(&self, port: i64, protocol: &str) -> bool {
        // Cilium has a word for all protocols.
        let is_protocol = self
            .protocol
            .as_deref()
            .map(|p| p.eq_ignore_ascii_case(protocol) || p.eq_ignore_ascii_case("any"))
            .unwrap_or(true);
        is_protocol
            && match &self.port {
                Some(PortRef::Number(first)) => {
                    (*first..=self.end_port.unwrap_or(*first)).contains(&port)
                }
                // A name may be that of the port.
                Some(PortRef::Name(_)) | None => true,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_of_a_policy_has_a_protocol_and_may_be_a_range() {
        let port = PolicyPort {
            port: Some(PortRef::Number(5000)),
            end_port: Some(5010),
            protocol: Some("UDP".into()),
        };
        assert!(port.admits(5010, "UDP"));
        assert!(!port.admits(5010, "TCP"), "the other protocol");
        assert!(!port.admits(5011, "UDP"), "past the range");
        let any = PolicyPort {
            protocol: Some("ANY".into()),
            ..PolicyPort::default()
        };
        assert!(any.admits(53, "TCP"));
    }
}
