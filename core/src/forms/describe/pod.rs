//! Pods, and the pod templates of workloads.

use serde_json::{Map, Value, json};

use super::super::outline::Block;
use super::{Described, pairs, time};

/// A pod: it has containers and the service account they run as or the node they run on, and no
/// template.
pub(super) fn object(described: &Described<'_, '_>) -> Option<Value> {
    let containers = described.block("Containers")?;
    if described.block("Node").is_none() || described.block("Replicas").is_some() {
        return None;
    }
    let init = described.block("Init Containers");
    let node = described
        .get("Node")
        .and_then(|node| node.split('/').next());
    let mut spec = template(described.blocks);
    if let Some(node) = node {
        spec["nodeName"] = node.into();
    }
    if let Some(selector) = described.block("Node-Selectors") {
        spec["nodeSelector"] = pairs(selector, &['=']);
    }
    let mut status = json!({
        "conditions": described.conditions(),
        "containerStatuses": statuses(containers),
    });
    if let Some(init) = init {
        status["initContainerStatuses"] = statuses(init);
    }
    let phase = described
        .get("Status")
        .and_then(|s| s.split_whitespace().next());
    let phase = phase.filter(|phase| *phase != "Terminating");
    for (field, text) in [
        ("phase", phase),
        ("reason", described.get("Reason")),
        ("message", described.get("Message")),
        ("podIP", described.get("IP")),
    ] {
        if let Some(text) = text {
            status[field] = text.into();
        }
    }
    if let Some(start) = described.get("Start Time").and_then(time) {
        status["startTime"] = start.to_string().into();
    }
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {},
        "spec": spec,
        "status": status,
    });
    Some(object)
}

/// What a pod or a template says of containers and volumes.
pub(super) fn template(blocks: &[Block<'_>]) -> Value {
    let find = |key| super::outline::find(blocks, key);
    let mut spec = json!({});
    for (key, field) in [
        ("Containers", "containers"),
        ("Init Containers", "initContainers"),
    ] {
        if let Some(all) = find(key) {
            spec[field] = all.children.iter().map(container).collect();
        }
    }
    if let Some(all) = find("Volumes").filter(|b| !b.children.is_empty()) {
        spec["volumes"] = all.children.iter().filter_map(volume).collect();
    }
    if let Some(account) = super::outline::value(blocks, "Service Account") {
        spec["serviceAccountName"] = account.into();
    }
    spec
}

fn container(block: &Block<'_>) -> Value {
    let mut container = json!({ "name": block.key });
    if let Some(image) = block.get("Image") {
        container["image"] = image.into();
    }
    for (key, field) in [("Command", "command"), ("Args", "args")] {
        if let Some(words) = block.child(key) {
            container[field] = words.values().collect();
        }
    }
    let ports = block.get("Port").or(block.get("Ports")).unwrap_or_default();
    let ports: Vec<Value> = ports.split(',').filter_map(port).collect();
    if !ports.is_empty() {
        container["ports"] = ports.into();
    }
    for (key, field) in [("Limits", "limits"), ("Requests", "requests")] {
        if let Some(amounts) = block.child(key) {
            container["resources"][field] = pairs(amounts, &[':']);
        }
    }
    for (key, field) in [
        ("Liveness", "livenessProbe"),
        ("Readiness", "readinessProbe"),
        ("Startup", "startupProbe"),
    ] {
        if let Some(probe) = block.get(key).and_then(probe) {
            container[field] = probe;
        }
    }
    if let Some(all) = block.child("Environment") {
        container["env"] = all.children.iter().map(variable).collect();
    }
    if let Some(all) = block.child("Environment Variables from") {
        container["envFrom"] = all.children.iter().filter_map(source).collect();
    }
    if let Some(all) = block.child("Mounts") {
        container["volumeMounts"] = all.values().filter_map(mount).collect();
    }
    container
}

/// `8080/TCP`
fn port(text: &str) -> Option<Value> {
    let (number, protocol) = text.trim().split_once('/')?;
    let number: u16 = number.parse().ok()?;
    Some(json!({ "containerPort": number, "protocol": protocol }))
}

/// `http-get http://:8080/healthz delay=10s timeout=1s period=10s #success=1 #failure=3`
fn probe(text: &str) -> Option<Value> {
    let (how, rest) = text.split_once(' ')?;
    let target = rest.split(" delay=").next()?.trim();
    let port = |text: &str| match text.parse::<u16>() {
        Ok(number) => Value::from(number),
        Err(_) => text.into(),
    };
    let mut probe = match how {
        "http-get" => {
            let (scheme, rest) = target.split_once("://")?;
            let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
            let (_, number) = address.rsplit_once(':')?;
            let path = format!("/{path}");
            let scheme = scheme.to_uppercase();
            json!({ "httpGet": { "port": port(number), "path": path, "scheme": scheme } })
        }
        "tcp-socket" => json!({ "tcpSocket": { "port": port(target.trim_start_matches(':')) } }),
        "grpc" => {
            json!({ "grpc": { "port": port(target.split(' ').next()?.rsplit(':').next()?) } })
        }
        "exec" => {
            let words = target.trim_start_matches('[').trim_end_matches(']');
            json!({ "exec": { "command": words.split(' ').collect::<Vec<_>>() } })
        }
        _ => return None,
    };
    for (key, field) in [
        ("delay=", "initialDelaySeconds"),
        ("timeout=", "timeoutSeconds"),
        ("period=", "periodSeconds"),
        ("#failure=", "failureThreshold"),
    ] {
        let number = text.split(' ').find_map(|word| word.strip_prefix(key));
        if let Some(Ok(number)) = number.map(|n| n.trim_end_matches('s').parse::<u32>()) {
            probe[field] = number.into();
        }
    }
    Some(probe)
}

/// `PASSWORD:  <set to the key 'password' in secret 'db'>  Optional: false`
fn variable(block: &Block<'_>) -> Value {
    let name = block.key;
    let Some(reference) = block.value.strip_prefix("<set to the key '") else {
        return json!({ "name": name, "value": block.value });
    };
    let mut quoted = reference.split('\'');
    let (key, between, object) = (quoted.next(), quoted.next(), quoted.next());
    let field = match between {
        Some(text) if text.contains("secret") => "secretKeyRef",
        _ => "configMapKeyRef",
    };
    let is_optional = block.value.contains("Optional: true");
    let reference = json!({ "name": object, "key": key, "optional": is_optional });
    json!({ "name": name, "valueFrom": { field: reference } })
}

/// `db-credentials  Secret  Optional: false`
fn source(block: &Block<'_>) -> Option<Value> {
    let mut words = block.line.split_whitespace();
    let (name, kind) = (words.next()?, words.next()?);
    let field = match kind {
        "Secret" => "secretRef",
        "ConfigMap" => "configMapRef",
        _ => return None,
    };
    let is_optional = block.line.contains("Optional: true");
    Some(json!({ field: { "name": name, "optional": is_optional } }))
}

/// `/etc/app from config (ro,path="app.yaml")`
fn mount(text: &str) -> Option<Value> {
    let (path, rest) = text.split_once(" from ")?;
    let name = rest.split(' ').next()?;
    let is_read_only = rest.contains("(ro");
    Some(json!({ "name": name, "mountPath": path, "readOnly": is_read_only }))
}

fn volume(block: &Block<'_>) -> Option<Value> {
    let kind = block.get("Type")?.split_whitespace().next()?;
    let mut volume = json!({ "name": block.key });
    let is_optional = block.get("Optional") == Some("true");
    match kind {
        "Secret" => {
            volume["secret"] =
                json!({ "secretName": block.get("SecretName")?, "optional": is_optional });
        }
        "ConfigMap" => {
            volume["configMap"] = json!({ "name": block.get("Name")?, "optional": is_optional });
        }
        "PersistentVolumeClaim" => {
            volume["persistentVolumeClaim"] = json!({ "claimName": block.get("ClaimName")? });
        }
        "HostPath" => volume["hostPath"] = json!({ "path": block.get("Path")? }),
        "EmptyDir" => volume["emptyDir"] = json!({}),
        _ => return None,
    }
    Some(volume)
}

fn statuses(containers: &Block<'_>) -> Value {
    containers.children.iter().filter_map(status).collect()
}

fn status(block: &Block<'_>) -> Option<Value> {
    let state = state(block.child("State")?);
    let mut status = json!({
        "name": block.key,
        "state": state,
        "ready": block.get("Ready") == Some("True"),
    });
    if let Some(count) = block
        .get("Restart Count")
        .and_then(|n| n.parse::<u32>().ok())
    {
        status["restartCount"] = count.into();
    }
    if let Some(last) = block.child("Last State") {
        status["lastState"] = self::state(last);
    }
    if let Some(image) = block.get("Image") {
        status["image"] = image.into();
    }
    Some(status)
}

fn state(block: &Block<'_>) -> Value {
    let mut fields = Map::new();
    for (key, field) in [("Reason", "reason"), ("Message", "message")] {
        if let Some(text) = block.get(key) {
            fields.insert(field.to_owned(), text.into());
        }
    }
    for (key, field) in [("Exit Code", "exitCode"), ("Signal", "signal")] {
        if let Some(number) = block.get(key).and_then(|n| n.parse::<i32>().ok()) {
            fields.insert(field.to_owned(), number.into());
        }
    }
    for (key, field) in [("Started", "startedAt"), ("Finished", "finishedAt")] {
        if let Some(at) = block.get(key).and_then(time) {
            fields.insert(field.to_owned(), at.to_string().into());
        }
    }
    let name = match block.value {
        "Waiting" => "waiting",
        "Terminated" => "terminated",
        _ => "running",
    };
    json!({ name: fields })
}
