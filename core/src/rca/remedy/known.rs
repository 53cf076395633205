//! Fills in what the objects of the cluster tell.

use super::Cause;
use super::spec::{config_maps, pull_secrets, secrets};
use super::target::{Holder, Target};
use crate::graph::{Idx, Relation};
use crate::model::{Command, Kind};

/// The command with everything filled in that is known for sure.
pub(super) fn fill(cause: &Cause<'_>, target: &Target, command: Command) -> Command {
    let known = Known { cause, target };
    let words = command.arguments();
    let command = known.container_of_resources(&words, command);
    let mut command = known.with_limit(&words, command);
    let open: Vec<String> = command
        .open()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    for name in open {
        if name == "namespace" {
            command = command.fill([("namespace", &*known.namespace(&words))]);
        } else if let Some(value) = known.value(&name, &words) {
            command = command.fill([(&*name, &*value)]);
        }
    }
    // Without it, the first container is meant.
    command.without("container")
}

pub(super) struct Known<'a> {
    pub(super) cause: &'a Cause<'a>,
    pub(super) target: &'a Target,
}

impl Known<'_> {
    fn namespace(&self, words: &[String]) -> String {
        // A node, say, has no namespace; what is beside a target that has one is in the same.
        let blamed = self.cause.view.graph.get(self.cause.blamed);
        let is_about_target = words.iter().any(|word| word.contains("<kind>/<name>"));
        match blamed.kind() {
            Kind::Namespace => blamed.name().to_owned(),
            _ if is_about_target || blamed.namespace().is_empty() => self.target.namespace.clone(),
            _ => blamed.namespace().to_owned(),
        }
    }

    fn value(&self, name: &str, words: &[String]) -> Option<String> {
        let is_object = self.target.holder != Holder::Outside;
        // What is only shown is the blamed object itself, not what runs behind it.
        let blamed = self.cause.view.graph.get(self.cause.blamed);
        if *blamed.kind() == Kind::Service && words.iter().any(|word| word == "describe") {
            match name {
                "kind" => return Some("service".to_owned()),
                "name" => return Some(blamed.name().to_owned()),
                _ => {}
            }
        }
        match name {
            "kind" => is_object.then(|| self.target.kind.clone()),
            "name" if words.iter().any(|word| word == "hpa") => self
                .blamed(&Kind::HorizontalPodAutoscaler)
                .or_else(|| self.hpa()),
            "name" | "deployment" | "cronjob" => is_object.then(|| self.target.name.clone()),
            "pod" => self.seen(&Kind::Pod).or_else(|| {
                let graph = self.cause.view.graph;
                self.pod().map(|pod| graph.get(pod).name().to_owned())
            }),
            "job" => self.blamed(&Kind::Job).or_else(|| self.job()),
            "node" => self
                .seen(&Kind::Node)
                .or_else(|| self.node_of_pod())
                .or_else(|| self.cordoned(words)),
            "quota" => self.blamed(&Kind::ResourceQuota),
            "service" => self.blamed(&Kind::Service).or_else(|| self.service()),
            "ingress" => self.blamed(&Kind::Ingress),
            "policy" => self.seen(&Kind::NetworkPolicy),
            "claim" => self
                .seen(&Kind::PersistentVolumeClaim)
                .or_else(|| self.claim())
                .or_else(|| self.claim_of_set()),
            "secret" if words.iter().any(|word| word == "docker-registry") => {
                self.only(pull_secrets)
            }
            "secret" => self.secret(),
            "configmap" => self
                .blamed(&Kind::ConfigMap)
                .or_else(|| self.only(config_maps)),
            "account" => self.account(),
            "container" => self.container().map(|(_, c)| c.name.to_string()),
            "index" => self.container()?.0.map(|at| at.to_string()),
            "port" => self.port(),
            "class" => self
                .spec()?
                .priority_class_name
                .as_ref()
                .map(ToString::to_string),
            "more" => self.more(words),
            _ => None,
        }
    }

    /// The blamed resource, or what shows the fault, if it is of a kind.
    fn seen(&self, kind: &Kind) -> Option<String> {
        let on = self.cause.findings.iter().map(|finding| finding.on);
        let mut all = std::iter::once(self.cause.blamed).chain(on);
        let graph = self.cause.view.graph;
        let found = all.find(|idx| graph.get(*idx).kind() == kind)?;
        Some(graph.get(found).name().to_owned())
    }

    fn blamed(&self, kind: &Kind) -> Option<String> {
        let blamed = self.cause.view.graph.get(self.cause.blamed);
        (blamed.kind() == kind).then(|| blamed.name().to_owned())
    }

    /// The pod that shows the fault, else the only one of the target.
    pub(super) fn pod(&self) -> Option<Idx> {
        let view = &self.cause.view;
        let on = self.cause.findings.iter().map(|finding| finding.on);
        let mut on = on.filter(|idx| *view.graph.get(*idx).kind() == Kind::Pod);
        on.next()
            .or_else(|| view.pods_of(self.target.idx).first().copied())
    }

    fn neighbour(&self, relation: Relation, kind: &Kind) -> Option<String> {
        let graph = self.cause.view.graph;
        let at = [Some(self.target.idx), self.pod()];
        let edges = at.into_iter().flatten();
        let mut names: Vec<&str> = edges
            .flat_map(|idx| graph.out(idx).chain(graph.incoming(idx)))
            .filter(|(is, other)| *is == relation && graph.get(*other).kind() == kind)
            .map(|(_, other)| graph.get(other).name())
            .collect();
        names.sort_unstable();
        names.dedup();
        one(&names)
    }

    fn job(&self) -> Option<String> {
        let graph = self.cause.view.graph;
        if self.target.holder == Holder::Job {
            return Some(self.target.name.clone());
        }
        self.neighbour(Relation::Controls, &Kind::Job).or_else(|| {
            let on = self.cause.findings.first()?.on;
            (*graph.get(on).kind() == Kind::Job).then(|| graph.get(on).name().to_owned())
        })
    }

    fn node_of_pod(&self) -> Option<String> {
        self.neighbour(Relation::RunsOn, &Kind::Node)
    }

    /// The only node that is cordoned.
    fn cordoned(&self, words: &[String]) -> Option<String> {
        let view = &self.cause.view;
        let is_cordoned = |idx: &Idx| {
            let node = view.object(*idx).and_then(|object| object.node());
            node.is_some_and(|node| node.spec.unschedulable == Some(true))
        };
        let nodes = view.graph.of_kind(&Kind::Node).filter(is_cordoned);
        let names: Vec<&str> = nodes.map(|idx| view.graph.get(idx).name()).collect();
        let is_asked = words.iter().any(|word| word == "uncordon");
        one(&names).filter(|_| is_asked)
    }

    fn hpa(&self) -> Option<String> {
        self.neighbour(Relation::Scales, &Kind::HorizontalPodAutoscaler)
    }

    fn service(&self) -> Option<String> {
        self.neighbour(Relation::Selects, &Kind::Service)
    }

    fn claim(&self) -> Option<String> {
        self.neighbour(Relation::Mounts, &Kind::PersistentVolumeClaim)
    }

    /// The claim that a pod of a `StatefulSet` has by its name.
    fn claim_of_set(&self) -> Option<String> {
        let view = &self.cause.view;
        let pod = view.graph.get(self.pod()?).name();
        let end = format!("-{pod}");
        let claims = view.graph.claims(&self.target.namespace);
        let names: Vec<&str> = claims.map(|claim| view.graph.get(claim).name()).collect();
        let own: Vec<&str> = names.into_iter().filter(|n| n.ends_with(&end)).collect();
        one(&own)
    }

    /// A field of the blamed object that is a text.
    fn field(&self, path: &str) -> Option<String> {
        let object = self.cause.view.object(self.cause.blamed)?;
        serde_json::from_str(object.fields.get(path)?).ok()
    }

    fn secret(&self) -> Option<String> {
        let ingress = self.cause.view.object(self.cause.blamed);
        let ingress = ingress.and_then(|object| object.ingress());
        let of_ingress = || {
            let names = ingress
                .iter()
                .flat_map(|ingress| ingress.tls_secrets.iter());
            one(&names.map(|name| &**name).collect::<Vec<_>>())
        };
        self.blamed(&Kind::Secret)
            .or_else(|| self.field("spec.secretName"))
            .or_else(of_ingress)
            .or_else(|| self.only(secrets))
    }
}

pub(super) fn one(names: &[&str]) -> Option<String> {
    match names {
        [only] => Some((*only).to_owned()),
        _ => None,
    }
}
