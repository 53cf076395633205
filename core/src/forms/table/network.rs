//! Services, what is behind them, and what routes to them.

use serde_json::{Map, Value, json};

use super::super::Source;
use super::super::columns::Row;
use super::{name, object};

/// What `kubectl` writes where it shows only the first of a list.
const MORE: &str = " more...";

pub(super) fn service(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut service = object(["v1", "Service"], row, source)?;
    let service_type = row.get("TYPE")?;
    service["spec"] = json!({
        "type": service_type,
        "clusterIP": row.get("CLUSTER-IP"),
        "ports": ports(row.get("PORT(S)").unwrap_or_default()),
    });
    let external = row.get("EXTERNAL-IP");
    match service_type {
        "ExternalName" => service["spec"]["externalName"] = external.into(),
        "LoadBalancer" => service["status"]["loadBalancer"] = balancer(external),
        _ => {}
    }
    // Shown with `-o wide` only.
    if let Some(selector) = row.get("SELECTOR") {
        let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.into()));
        service["spec"]["selector"] = Value::Object(pairs.collect::<Map<_, _>>());
    }
    Some(service)
}

/// `80/TCP,443:30443/TCP`
fn ports(cell: &str) -> Vec<Value> {
    let port = |text: &str| {
        let (numbers, protocol) = text.split_once('/')?;
        let port: u16 = numbers.split(':').next()?.parse().ok()?;
        Some(json!({ "port": port, "protocol": protocol }))
    };
    cell.split(',').filter_map(port).collect()
}

fn balancer(external: Option<&str>) -> Value {
    let addresses = external.filter(|cell| *cell != "<pending>").into_iter();
    let addresses = addresses.flat_map(|cell| cell.split(','));
    let ingress: Vec<Value> = addresses.map(|ip| json!({ "ip": ip })).collect();
    json!({ "ingress": ingress })
}

/// Addresses and ports of a cell such as `10.1.0.4:8080,10.1.0.5:8080 + 3 more...`.
pub(super) fn endpoints(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut endpoints = object(["v1", "Endpoints"], row, source)?;
    let cell = listed(row.get("ENDPOINTS").unwrap_or_default());
    let subset = |text: &str| {
        let (ip, port) = text.rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        Some(json!({ "addresses": [{ "ip": ip }], "ports": [{ "port": port }] }))
    };
    let subsets: Vec<Value> = cell.split(',').filter_map(subset).collect();
    endpoints["subsets"] = subsets.into();
    Some(endpoints)
}

/// A slice. The table does not say whose it is: its name begins with that of the Service, and ends
/// with what was generated.
pub(super) fn slice(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut slice = object(["discovery.k8s.io/v1", "EndpointSlice"], row, source)?;
    let (service, generated) = name(row)?.rsplit_once('-')?;
    if generated.len() != 5 {
        return None;
    }
    slice["metadata"]["labels"]["kubernetes.io/service-name"] = service.into();
    slice["addressType"] = row.get("ADDRESSTYPE")?.into();
    let is_known = |text: &&str| !text.is_empty() && *text != "<unset>";
    let cell = listed(row.get("ENDPOINTS").unwrap_or_default());
    // The table shows no conditions: that of an address is not known.
    let endpoints = cell.split(',').filter(is_known);
    let endpoints: Vec<Value> = endpoints.map(|ip| json!({ "addresses": [ip] })).collect();
    slice["endpoints"] = endpoints.into();
    let ports = listed(row.get("PORTS").unwrap_or_default());
    let ports = ports.split(',').filter_map(|port| port.parse::<u16>().ok());
    let ports: Vec<Value> = ports.map(|port| json!({ "port": port })).collect();
    slice["ports"] = ports.into();
    Some(slice)
}

/// What a cell lists, without the number of those that it leaves out.
fn listed(cell: &str) -> &str {
    match cell.rsplit_once(" + ") {
        Some((shown, more)) if more.ends_with(MORE.trim_start()) => shown,
        _ => cell,
    }
}

pub(super) fn ingress(row: &Row<'_>, source: &Source<'_>) -> Option<Value> {
    let mut ingress = object(["networking.k8s.io/v1", "Ingress"], row, source)?;
    let hosts = row.get("HOSTS").unwrap_or_default();
    let rules: Vec<Value> = hosts
        .split(',')
        .filter(|host| !host.is_empty() && *host != "*")
        .map(|host| json!({ "host": host }))
        .collect();
    ingress["spec"] = json!({ "ingressClassName": row.get("CLASS"), "rules": rules });
    ingress["status"]["loadBalancer"] = balancer(row.get("ADDRESS"));
    Some(ingress)
}
