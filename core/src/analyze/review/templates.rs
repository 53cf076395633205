//! Pod templates that cannot start: what they refer to, their images, ports and resources.

use super::{Grade, Review};
use crate::detect::references_of;
use crate::graph::Idx;
use crate::model::object::{Container, Object, PortRef, Probe, Quantity, Template};

type Found = (&'static str, Grade, String, String);

impl Review<'_> {
    pub(super) fn template(&mut self, idx: Idx, object: &Object, template: &Template) {
        // A ReplicaSet repeats its Deployment.
        if !object.meta.owners.is_empty() {
            return;
        }
        let title = self.title(idx);
        let mut found: Vec<Found> = Vec::new();
        found.extend(selector(&title, object, template));
        if object.workload().and_then(|w| w.spec.replicas) == Some(0) {
            let message = format!("{title} has 0 replicas: none of its pods run");
            found.push((
                "workload.scaled_to_zero",
                Grade::Warning,
                String::new(),
                message,
            ));
        }
        let containers = template.spec.all_containers();
        found.extend(containers.flat_map(|container| of_container(&title, container)));
        for (kind, name) in references_of(&template.spec) {
            if let Some(grade) = self.lacks(&kind, &object.meta.namespace, &name) {
                let message = format!(
                    "{title} needs {kind} `{name}`, which is not among those of namespace `{}`",
                    object.meta.namespace
                );
                let subject = format!("{kind} {name}");
                found.push(("template.reference_missing", grade, subject, message));
            }
        }
        for (rule, grade, subject, message) in found {
            self.add(idx, rule, grade, &subject, message);
        }
    }
}

/// A workload that does not select its own pods is refused.
fn selector(title: &str, object: &Object, template: &Template) -> Option<Found> {
    let selector = object.workload()?.spec.selector.as_ref()?;
    let labels = &template.metadata.labels;
    (!selector.matches(labels)).then(|| {
        let message = format!(
            "{title} does not select its own pods, which have the labels `{}`: the API server \
             refuses it",
            labels.to_text()
        );
        (
            "workload.selects_others",
            Grade::Error,
            String::new(),
            message,
        )
    })
}

fn of_container(title: &str, container: &Container) -> Vec<Found> {
    let name = &container.name;
    let mut found = Vec::new();
    let image = container.image.as_deref().unwrap_or_default();
    if image.is_empty() || image.ends_with([':', '/', '@']) || image.contains("//") {
        let message = match image {
            "" => format!("Container `{name}` of {title} has no image"),
            image => format!("Container `{name}` of {title} has the invalid image `{image}`"),
        };
        found.push((
            "template.image_invalid",
            Grade::Error,
            name.to_string(),
            message,
        ));
    }
    for (probe, kind) in [
        (&container.liveness_probe, "liveness"),
        (&container.readiness_probe, "readiness"),
        (&container.startup_probe, "startup"),
    ] {
        let port = probe.as_deref().and_then(port);
        found.extend(port.and_then(|port| undeclared(title, container, kind, port)));
    }
    for resource in ["cpu", "memory"] {
        let of = |text: Option<&str>| text.and_then(Quantity::parse);
        let request = container.resources.requests.text(resource);
        let limit = container.resources.limits.text(resource);
        let exceeds = of(request)
            .zip(of(limit))
            .is_some_and(|(request, limit)| request > limit);
        if let (true, Some(request), Some(limit)) = (exceeds, request, limit) {
            let message = format!(
                "Container `{name}` of {title} requests {request} of {resource}, more than its \
                 limit of {limit}: the API server refuses it"
            );
            let subject = format!("{name} {resource}");
            found.push((
                "template.request_above_limit",
                Grade::Error,
                subject,
                message,
            ));
        }
    }
    found
}

fn port(probe: &Probe) -> Option<&PortRef> {
    let http = probe.http_get.as_ref().map(|get| &get.port);
    http.or_else(|| probe.tcp_socket.as_ref().map(|socket| &socket.port))
        .or_else(|| probe.grpc.as_ref().map(|grpc| &grpc.port))
}

/// A probe of a port that the container does not declare: by its name it cannot work, by its number
/// it may.
fn undeclared(title: &str, container: &Container, kind: &str, port: &PortRef) -> Option<Found> {
    let ports = &container.ports;
    let (grade, is_declared) = match port {
        PortRef::Name(name) => {
            let mut names = ports.iter().filter_map(|port| port.name.as_ref());
            (Grade::Error, names.any(|own| own == name))
        }
        PortRef::Number(number) => (
            Grade::Warning,
            ports.is_empty() || ports.iter().any(|port| port.container_port == *number),
        ),
    };
    (!is_declared).then(|| {
        let declared: Vec<String> = ports.iter().map(|p| p.container_port.to_string()).collect();
        let declared = match declared.join(", ").as_str() {
            "" => "no port".to_owned(),
            list => list.to_owned(),
        };
        let message = format!(
            "The {kind} probe of container `{}` of {title} asks port {port}, but the container \
             declares {declared}",
            container.name
        );
        let subject = format!("{} {kind} {port}", container.name);
        ("template.probe_port", grade, subject, message)
    })
}
