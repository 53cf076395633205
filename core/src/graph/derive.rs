//! Edges that follow from an object's spec: references to other objects, and the hosts that its
//! pods are configured to call.

use super::Relation;
use crate::model::address::{self, Address};
use crate::model::object::report::{Report, Role};
use crate::model::object::{Container, Object, ObjectBody, PodSpec};
use crate::model::{Alias, Kind, Str};

/// Longest name of an object, in bytes: what is longer refers to nothing.
const MAX_NAME: usize = 253;
/// How many objects one object may refer to; the others are ignored.
const MAX_REFERENCES: usize = 1000;

/// The objects that an object refers to, with the relation to each.
pub(super) fn references(object: &Object) -> Vec<(Relation, Alias)> {
    let mut found = Vec::new();
    all_references(object, &mut found);
    found.retain(|(_, to)| to.name.len() <= MAX_NAME && to.namespace.len() <= MAX_NAME);
    found.truncate(MAX_REFERENCES);
    found
}

fn all_references(object: &Object, out: &mut Vec<(Relation, Alias)>) {
    let namespace = &object.meta.namespace;
    let mut to = |relation, kind, name: &Str| {
        out.push((relation, Alias::new(kind, namespace.clone(), name.clone())));
    };
    match &object.body {
        ObjectBody::Pod(pod) => {
            if let Some(node) = &pod.node_name {
                to(Relation::RunsOn, Kind::Node, node);
            }
            if let Some(spec) = &pod.spec {
                pod_references(spec, namespace, out);
            }
        }
        ObjectBody::Workload(w) => {
            if let Some(template) = &w.spec.template {
                pod_references(&template.spec, namespace, out);
            }
        }
        ObjectBody::Job(job) => {
            if let Some(template) = &job.spec.template {
                pod_references(&template.spec, namespace, out);
            }
        }
        ObjectBody::CronJob(cron) => {
            if let Some(template) = cron
                .spec
                .job_template
                .as_ref()
                .and_then(|j| j.spec.template.as_ref())
            {
                pod_references(&template.spec, namespace, out);
            }
        }
        ObjectBody::Endpoints(e) if !e.service.is_empty() => {
            out.push((
                Relation::Uses,
                Alias::new(Kind::Service, namespace.clone(), e.service.clone()),
            ));
        }
        ObjectBody::Ingress(ingress) => {
            for backend in &ingress.backends {
                to(Relation::Routes, Kind::Service, &backend.service);
            }
            for secret in &ingress.tls_secrets {
                to(Relation::Uses, Kind::Secret, secret);
            }
        }
        ObjectBody::Claim(claim) => {
            if let Some(volume) = claim.spec.volume_name.as_ref().filter(|v| !v.is_empty()) {
                to(Relation::Bound, Kind::PersistentVolume, volume);
            }
            if let Some(class) = claim
                .spec
                .storage_class_name
                .as_ref()
                .filter(|c| !c.is_empty())
            {
                to(Relation::Uses, Kind::StorageClass, class);
            }
        }
        ObjectBody::VirtualService(routes) => {
            let hosts = routes
                .destinations
                .iter()
                .map(|to| called(&to.host, namespace));
            out.extend(hosts.map(|host| (Relation::Routes, host)));
        }
        ObjectBody::Quota(_) | ObjectBody::LimitRange(_) => {
            to(Relation::Limits, Kind::Namespace, &namespace.clone());
        }
        ObjectBody::Hpa(hpa) => {
            if let (Some(kind), Some(name)) = (&hpa.target_kind, &hpa.target_name) {
                to(Relation::Scales, Kind::parse(kind), name);
            }
        }
        ObjectBody::Report(report) => out.extend(reported(report, object)),
        ObjectBody::Config(config) => {
            for text in &config.addresses {
                out.extend(
                    Address::parse(text).map(|a| (Relation::Calls, called(a.host, namespace))),
                );
            }
        }
        _ => {}
    }
}

/// What the spec of an object of any kind refers to, and the Secret that operators write by its
/// name.
fn reported<'a>(
    report: &'a Report,
    object: &'a Object,
) -> impl Iterator<Item = (Relation, Alias)> + 'a {
    let namespace = &object.meta.namespace;
    let writes = matches!(object.meta.kind.as_str(), "ExternalSecret" | "SealedSecret");
    let written = writes.then(|| {
        let alias = Alias::new(Kind::Secret, namespace.clone(), object.meta.name.clone());
        (Relation::Controls, alias)
    });
    let named = report.references.iter().filter_map(|reference| {
        let relation = match reference.role {
            // What it does without harms nothing.
            Role::Asks => return None,
            Role::Uses => Relation::Uses,
            Role::Calls => Relation::Calls,
            Role::Routes => Relation::Routes,
            Role::Scales => Relation::Scales,
            Role::Writes => Relation::Controls,
        };
        let own = if is_of_cluster(&reference.kind) {
            Str::default()
        } else {
            namespace.clone()
        };
        let namespace = reference.namespace.clone().unwrap_or(own);
        let kind = Kind::parse(&reference.kind);
        let alias = Alias::new(kind, namespace, reference.name.clone());
        Some((relation, alias))
    });
    named.chain(written)
}

/// Whether a custom kind is that of objects without a namespace, by the prefix that such kinds have
/// by convention: `ClusterIssuer`, `ClusterSecretStore`.
fn is_of_cluster(kind: &str) -> bool {
    let rest = kind.strip_prefix("Cluster").unwrap_or_default();
    rest.starts_with(|c: char| c.is_ascii_uppercase())
        && !matches!(rest, "ServiceVersion" | "Class")
}

fn pod_references(spec: &PodSpec, namespace: &Str, out: &mut Vec<(Relation, Alias)>) {
    let mut to = |relation, kind, name: &Option<Str>| {
        if let Some(name) = name.as_ref().filter(|n| !n.is_empty()) {
            out.push((relation, Alias::new(kind, namespace.clone(), name.clone())));
        }
    };
    to(
        Relation::Uses,
        Kind::ServiceAccount,
        &spec.service_account_name,
    );
    for volume in &spec.volumes {
        to(
            Relation::Mounts,
            Kind::PersistentVolumeClaim,
            &volume
                .persistent_volume_claim
                .as_ref()
                .map(|c| c.claim_name.clone()),
        );
        to(
            Relation::Mounts,
            Kind::ConfigMap,
            &volume.config_map.as_ref().and_then(|c| c.name.clone()),
        );
        to(
            Relation::Mounts,
            Kind::Secret,
            &volume.secret.as_ref().and_then(|s| s.secret_name.clone()),
        );
    }
    for secret in &spec.image_pull_secrets {
        to(Relation::Uses, Kind::Secret, &secret.name);
    }
    for container in spec.all_containers() {
        for env in &container.env {
            let from = env.value_from.as_ref();
            to(
                Relation::Uses,
                Kind::Secret,
                &from
                    .and_then(|f| f.secret_key_ref.as_ref())
                    .and_then(|r| r.name.clone()),
            );
            to(
                Relation::Uses,
                Kind::ConfigMap,
                &from
                    .and_then(|f| f.config_map_key_ref.as_ref())
                    .and_then(|r| r.name.clone()),
            );
        }
        for from in &container.env_from {
            to(
                Relation::Uses,
                Kind::Secret,
                &from.secret_ref.as_ref().and_then(|r| r.name.clone()),
            );
            to(
                Relation::Uses,
                Kind::ConfigMap,
                &from.config_map_ref.as_ref().and_then(|r| r.name.clone()),
            );
        }
    }
    for (_, address) in addresses(spec) {
        out.push((Relation::Calls, called(address.host, namespace)));
    }
}

/// The addresses in the env values and arguments of a pod, each with the name of its variable
/// (`args` for arguments).
pub fn addresses(spec: &PodSpec) -> Vec<(&str, Address<'_>)> {
    let mut found = Vec::new();
    for container in spec.all_containers() {
        for env in &container.env {
            if let Some(value) = &env.value {
                let before = found.len();
                found.extend(address::in_text(value).map(|a| (&*env.name, a)));
                if found.len() == before
                    && address::names_host(&env.name)
                    && address::is_host(value)
                {
                    found.push((
                        &*env.name,
                        Address {
                            host: value,
                            port: port_beside(container, &env.name),
                        },
                    ));
                }
            }
        }
        for arg in container.args.iter().chain(container.command.iter()) {
            found.extend(address::in_text(arg).map(|a| ("args", a)));
        }
    }
    found.retain(|(_, a)| !matches!(a.host, "localhost" | "0.0.0.0" | "127.0.0.1"));
    found
}

/// The port in the variable that belongs to that of a host: `DB_PORT` to `DB_HOST`.
fn port_beside(container: &Container, variable: &str) -> Option<u16> {
    let (prefix, _) = variable.rsplit_once('_')?;
    let beside = |name: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| rest.eq_ignore_ascii_case("_port"))
    };
    container
        .env
        .iter()
        .find(|e| beside(&e.name))?
        .value
        .as_deref()?
        .parse()
        .ok()
}

/// What a host name refers to within a namespace: a Service by `name`, `name.ns` or
/// `name.ns.svc[.domain]`, that of a pod by `pod.name.ns.svc[.domain]`, else an external host.
pub fn called(host: &str, namespace: &str) -> Alias {
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or(host);
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    match (parts.next(), parts.next()) {
        _ if is_ip => Alias::new(Kind::External, "", host),
        (Some(service), Some(ns)) if ns != "svc" && parts.next() == Some("svc") => {
            Alias::new(Kind::Service, ns, service)
        }
        (None, _) => Alias::new(Kind::Service, namespace, name),
        (Some(ns), Some("svc")) => Alias::new(Kind::Service, ns, name),
        // `name.ns` resolves through the search path. Public names such as `example.com` look the
        // same, but namespaces are not named like top-level domains.
        (Some(ns), None) if !is_top_level_domain(ns) => Alias::new(Kind::Service, ns, name),
        _ => Alias::new(Kind::External, "", host),
    }
}

fn is_top_level_domain(label: &str) -> bool {
    matches!(
        label,
        "com"
            | "org"
            | "net"
            | "io"
            | "dev"
            | "cloud"
            | "app"
            | "ai"
            | "co"
            | "edu"
            | "gov"
            | "info"
            | "local"
            | "internal"
    )
}
