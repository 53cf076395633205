//! Edges that follow from an object's spec: references to other objects, and the hosts that its
//! pods are configured to call.

use super::Relation;
pub use super::settings::addresses;
use crate::model::address::Address;
use crate::model::object::report::{Report, Role};
use crate::model::object::{Object, ObjectBody, PodSpec};
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
        ObjectBody::Volume(volume) => out.extend(volume.server.as_deref().map(served)),
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

/// The server of a volume. The node resolves its name, so that a short one is no Service.
fn served(host: &str) -> (Relation, Alias) {
    let alias = called(host, "");
    let is_in_cluster = !alias.namespace.is_empty();
    let outside = || Alias::new(Kind::External, "", host);
    (
        Relation::Calls,
        if is_in_cluster { alias } else { outside() },
    )
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
        (Some(service), None) if is_member(name, service) => {
            Alias::new(Kind::Service, namespace, service)
        }
        (Some(ns), None) if !is_top_level_domain(ns) => Alias::new(Kind::Service, ns, name),
        _ => Alias::new(Kind::External, "", host),
    }
}

/// Whether a name is that of a pod of the `StatefulSet` after which its Service is called: `db-0` of
/// `db`, `db-headless` or `headless-db`.
fn is_member(pod: &str, service: &str) -> bool {
    let Some((set, ordinal)) = pod.rsplit_once('-') else {
        return false;
    };
    let is_ordinal = !ordinal.is_empty() && ordinal.bytes().all(|c| c.is_ascii_digit());
    let rest = service.strip_prefix(set);
    let is_behind = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let before = service.strip_suffix(set);
    is_ordinal && (is_behind || before.is_some_and(|before| before.ends_with('-')))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_of_a_set_is_reached_by_its_service() {
        let of = |host: &str| called(host, "shop").to_string();
        assert_eq!(of("db-0.db"), called("db", "shop").to_string());
        assert_eq!(
            of("db-0.db-headless"),
            called("db-headless", "shop").to_string()
        );
        assert_eq!(of("db.orders"), called("db.orders.svc", "shop").to_string());
        assert_eq!(
            of("web-2.orders"),
            called("web-2.orders.svc", "shop").to_string()
        );
    }

    #[test]
    fn the_server_of_a_volume_is_outside_unless_it_has_a_full_name() {
        let kind = |host| served(host).1.kind;
        assert_eq!(kind("filer"), Kind::External);
        assert_eq!(kind("10.0.0.4"), Kind::External);
        assert_eq!(kind("nfs.storage.svc.cluster.local"), Kind::Service);
    }
}
