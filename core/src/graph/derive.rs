//! Edges that follow from objects themselves: owners, node, references, selectors, addresses.

use super::address::{self, Address};
use super::{Graph, Idx, Link, Relation};
use crate::model::object::pod::{Container, PodSpec};
use crate::model::object::{Object, ObjectBody};
use crate::model::{Alias, Kind, Str, Time};

/// Whether a new version of an object can have other edges than the old one: status updates cannot.
pub(super) fn links_may_differ(old: &Object, new: &Object) -> bool {
    match (&old.body, &new.body) {
        (ObjectBody::Pod(a), ObjectBody::Pod(b)) => {
            old.meta.labels != new.meta.labels
                || a.node_name != b.node_name
                || a.spec.is_some() != b.spec.is_some()
        }
        (ObjectBody::Lease(_), ObjectBody::Lease(_))
        | (ObjectBody::Node(_), ObjectBody::Node(_)) => false,
        _ => old.meta.generation.is_none() || old.meta.generation != new.meta.generation,
    }
}

impl Graph {
    pub(crate) fn link(&mut self, from: Idx, relation: Relation, to: Idx, at: Time, stated: bool) {
        let links = &mut self.nodes[from.0 as usize].out;
        if links
            .iter()
            .any(|l| l.other == to && l.relation == relation && l.to.is_none())
        {
            return;
        }
        links.push(Link {
            other: to,
            relation,
            from: at,
            to: None,
            stated,
        });
        self.nodes[to.0 as usize].inc.push(Link {
            other: from,
            relation,
            from: at,
            to: None,
            stated,
        });
        self.edges += 1;
        self.note_edge(from, relation, to, at, None);
    }

    pub(super) fn unlink(&mut self, from: Idx, relation: Relation, to: Idx, at: Time) {
        let end = |links: &mut Vec<Link>, other: Idx| {
            let link = links
                .iter_mut()
                .find(|l| l.other == other && l.relation == relation && l.to.is_none())?;
            link.to = Some(at);
            Some(link.from)
        };
        if let Some(since) = end(&mut self.nodes[from.0 as usize].out, to) {
            end(&mut self.nodes[to.0 as usize].inc, from);
            self.edges -= 1;
            self.note_edge(from, relation, to, since, Some(at));
        }
    }

    /// Replaces the derived edges of a resource by those of its newest version.
    pub(super) fn relink(&mut self, idx: Idx, at: Time) {
        let Some(object) = self.get(idx).object.as_deref() else {
            return;
        };
        let mut wanted = Vec::new();
        references(object, &mut wanted);
        let mut targets: Vec<(Relation, Idx)> = Vec::with_capacity(wanted.len());
        for (relation, alias) in wanted {
            targets.push((relation, self.intern_alias(alias)));
        }
        let node = self.get(idx);
        if let Some(service) = node.object.as_deref().and_then(Object::service) {
            targets.extend(
                self.selected(node.namespace(), &service.selector)
                    .map(|pod| (Relation::Selects, pod)),
            );
        }
        let stale: Vec<_> = self
            .get(idx)
            .out
            .iter()
            .filter(|l| l.to.is_none() && !l.stated && !targets.contains(&(l.relation, l.other)))
            .map(|l| (l.relation, l.other))
            .collect();
        for (relation, other) in stale {
            // An owner's edges to its children are the children's to end.
            if relation != Relation::Controls {
                self.unlink(idx, relation, other, at);
            }
        }
        for (relation, other) in targets {
            self.link(idx, relation, other, at, false);
        }
        self.relink_owners(idx, at);
        if self.get(idx).kind() == &Kind::Pod {
            self.relink_selectors(idx, at);
        }
    }

    fn relink_owners(&mut self, idx: Idx, at: Time) {
        let Some(object) = self.get(idx).object.as_deref() else {
            return;
        };
        let namespace = object.meta.namespace.clone();
        let owners: Vec<_> = object
            .meta
            .owners
            .iter()
            .map(|o| (Kind::parse(&o.kind), o.name.clone(), o.uid.clone()))
            .collect();
        for (kind, name, uid) in owners {
            let namespace = if kind.is_cluster_scoped() {
                Str::default()
            } else {
                namespace.clone()
            };
            let subject = crate::model::Subject {
                kind,
                uid,
                namespace,
                name,
            };
            let owner = self.intern(&subject, at.max(self.get(idx).updated));
            self.link(owner, Relation::Controls, idx, at, false);
        }
    }

    /// A pod's labels decide which Services select it.
    fn relink_selectors(&mut self, pod: Idx, at: Time) {
        let node = self.get(pod);
        let services = self.selecting(&node.alias.namespace, node.labels());
        let stale: Vec<Idx> = self
            .incoming(pod)
            .filter(|(r, service)| *r == Relation::Selects && !services.contains(service))
            .map(|(_, service)| service)
            .collect();
        for service in stale {
            self.unlink(service, Relation::Selects, pod, at);
            self.dirty.push(service);
        }
        for service in services {
            self.link(service, Relation::Selects, pod, at, false);
        }
    }
}

/// The objects that an object names, with the relation to them.
fn references(object: &Object, out: &mut Vec<(Relation, Alias)>) {
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
        ObjectBody::Quota(_) | ObjectBody::LimitRange(_) => {
            to(Relation::Limits, Kind::Namespace, &namespace.clone());
        }
        ObjectBody::Hpa(hpa) => {
            if let (Some(kind), Some(name)) = (&hpa.target_kind, &hpa.target_name) {
                to(Relation::Scales, Kind::parse(kind), name);
            }
        }
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

/// The addresses that a pod's env values and arguments hold, each with the variable that holds it.
pub fn addresses(spec: &PodSpec) -> Vec<(&str, Address<'_>)> {
    let mut found = Vec::new();
    for container in spec.all_containers() {
        for env in &container.env {
            if let Some(value) = &env.value {
                let before = found.len();
                found.extend(address::in_text(value).map(|a| (&*env.name, a)));
                if found.len() == before && names_host(&env.name) && address::is_host(value) {
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

/// Whether a variable by its name holds a host: there a single word is an address.
fn names_host(variable: &str) -> bool {
    ["HOST", "_SERVER", "_ADDR", "_ADDRESS", "_ENDPOINT"]
        .iter()
        .any(|end| variable.to_ascii_uppercase().ends_with(end))
}

/// The port in the variable beside the one of a host: `DB_PORT` beside `DB_HOST`.
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

/// What a host name means from within a namespace: `name`, `name.ns`, `name.ns.svc[.domain]`, else
/// an external host.
pub fn called(host: &str, namespace: &str) -> Alias {
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or(host);
    let is_ip = host.parse::<std::net::IpAddr>().is_ok();
    match (parts.next(), parts.next()) {
        _ if is_ip => Alias::new(Kind::External, "", host),
        (None, _) => Alias::new(Kind::Service, namespace, name),
        (Some(ns), Some("svc")) => Alias::new(Kind::Service, ns, name),
        // `name.ns` resolves through the search path; a two-part public name such as `example.com`
        // looks the same, but nobody deploys to a namespace named like a top-level domain.
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

impl Graph {
    /// Enters a call that an error message told of.
    pub fn learn_call(&mut self, caller: Idx, target: Idx, at: Time) {
        if caller != target {
            self.link(caller, Relation::Calls, target, at, true);
        }
    }
}
