//! Services whose selector or ports lead nowhere.

use super::index::Maker;
use super::{Grade, Review, template};
use crate::graph::{Idx, Relation};
use crate::model::Kind;
use crate::model::object::workload::is_asked;
use crate::model::object::{Labels, Object, PodSpec, PortRef, Service};

type Found = (&'static str, Grade, String, String);

impl Review<'_> {
    pub(super) fn service(&mut self, idx: Idx, object: &Object) {
        let Some(service) = object.service().filter(|s| !s.selector.is_empty()) else {
            return;
        };
        let index = self.index;
        let makers = index.makers(&object.meta.namespace);
        if makers.is_empty() {
            return;
        }
        let behind = index.selected(&object.meta.namespace, &service.selector);
        if behind.is_empty() {
            let selector = service.selector.to_text();
            let message = format!(
                "{} selects `{selector}`, which none of the {} pod templates and pods of \
                 namespace `{}` has",
                self.title(idx),
                makers.len(),
                object.meta.namespace
            );
            self.add(
                idx,
                "service.selects_nothing",
                self.of_nothing(idx, object),
                &selector,
                message,
            );
            return;
        }
        let flaws = [
            self.emptied(idx, &behind),
            self.ports(idx, service, &behind),
            self.numbers(idx, service, &behind),
        ];
        for (rule, grade, subject, message) in flaws.into_iter().flatten() {
            self.add(idx, rule, grade, &subject, message);
        }
    }

    /// How bad it is that a Service selects nothing: custom resources may make its pods, unless it
    /// had some by another selector.
    fn of_nothing(&self, idx: Idx, object: &Object) -> Grade {
        let node = self.graph.get(idx);
        let mut links = node.links_out().iter();
        let had_pods = links.any(|link| link.relation == Relation::Selects);
        let has_customs = !self.index.customs(&object.meta.namespace).is_empty();
        if has_customs && !had_pods {
            Grade::Warning
        } else {
            Grade::Error
        }
    }

    /// Whether something scales a workload, to 0 too.
    fn is_scaled(&self, maker: &Maker<'_>) -> bool {
        let node = self.graph.get(maker.idx);
        let mut incoming = self.graph.incoming(maker.idx);
        let text = serde_json::Value::from(node.name()).to_string();
        let names_it = |idx: &Idx| {
            let scaler = self.graph.get(*idx);
            let fields = scaler
                .object
                .iter()
                .flat_map(|object| object.fields.leaves());
            let is_scaler = scaler.kind().as_str().starts_with("ScaledObject");
            is_scaler && fields.into_iter().any(|(_, value)| value == text)
        };
        incoming.any(|(relation, other)| {
            relation == Relation::Scales
                || *self.graph.get(other).kind() == Kind::HorizontalPodAutoscaler
        }) || self.index.customs(node.namespace()).iter().any(names_it)
    }

    /// A Service all of whose workloads are scaled to 0.
    fn emptied(&self, idx: Idx, behind: &[&Maker<'_>]) -> Option<Found> {
        let is_empty = behind.iter().all(|maker| maker.replicas == Some(0));
        let workloads: Vec<String> = behind.iter().map(|maker| self.title(maker.idx)).collect();
        is_empty.then(|| {
            let message = format!(
                "{} has no pods left: {} has 0 replicas",
                self.title(idx),
                workloads.join(" and ")
            );
            let is_scaled = behind.iter().any(|maker| self.is_scaled(maker));
            let grade = if is_scaled {
                Grade::Warning
            } else {
                Grade::Error
            };
            ("service.emptied", grade, workloads.join(" "), message)
        })
    }

    /// A named target port that no container declares.
    fn ports(&self, idx: Idx, service: &Service, behind: &[&Maker<'_>]) -> Option<Found> {
        let declares = |name: &str| behind.iter().any(|maker| declares(maker.spec, name));
        let targets = service.ports.iter().filter_map(|p| match &p.target_port {
            Some(PortRef::Name(name)) => Some(name),
            _ => None,
        });
        let missing = targets.into_iter().find(|name| !declares(name))?;
        let message = format!(
            "{} leads to port `{missing}`, which no container of {} declares",
            self.title(idx),
            self.title(behind.first()?.idx)
        );
        let grade = self.of_port(behind);
        Some(("service.port_missing", grade, missing.to_string(), message))
    }

    /// How bad it is that templates lack a port: what is put into the pods may have it.
    fn of_port(&self, behind: &[&Maker<'_>]) -> Grade {
        let asks = |maker: &&&Maker<'_>| {
            let object = self.graph.get(maker.idx).object.as_deref();
            let asks = object.and_then(template).map(|t| &t.metadata);
            asks.is_some_and(|meta| {
                let mut labels = meta.labels.iter();
                !meta.asks.is_empty() || labels.any(|(key, value)| is_asked(key, value))
            })
        };
        let namespace = behind
            .first()
            .map(|maker| self.graph.get(maker.idx).namespace());
        let namespace = namespace.and_then(|n| self.graph.find_live(Kind::Namespace, "", n));
        let labels = namespace.map(|idx| self.graph.get(idx).labels());
        let is_injected = labels.is_some_and(|labels| {
            labels.iter().any(|(key, value)| {
                is_asked(key, value) || key == "istio-injection" && value == "enabled"
            })
        });
        if is_injected || behind.iter().any(|maker| asks(&maker)) {
            Grade::Warning
        } else {
            Grade::Error
        }
    }

    /// A target port with a number that no container declares, though each declares some.
    fn numbers(&self, idx: Idx, service: &Service, behind: &[&Maker<'_>]) -> Option<Found> {
        let ports = |maker: &Maker<'_>| {
            let ports = maker.spec.all_containers().flat_map(|c| c.ports.iter());
            ports.map(|port| port.container_port).collect::<Vec<_>>()
        };
        let declared: Vec<Vec<_>> = behind.iter().map(|maker| ports(maker)).collect();
        if declared.iter().any(Vec::is_empty) {
            return None;
        }
        let targets = service.ports.iter().filter_map(|p| match &p.target_port {
            Some(PortRef::Number(number)) => Some(*number),
            _ => None,
        });
        let is_missing = |number: &_| !declared.iter().any(|ports| ports.contains(number));
        let missing = targets.into_iter().find(is_missing)?;
        let message = format!(
            "{} leads to port {missing}, which no container of {} declares",
            self.title(idx),
            self.title(behind.first()?.idx)
        );
        let subject = missing.to_string();
        Some(("service.port_undeclared", Grade::Warning, subject, message))
    }
}

fn declares(spec: &PodSpec, name: &str) -> bool {
    let mut ports = spec.all_containers().flat_map(|c| c.ports.iter());
    ports.any(|port| port.name.as_deref() == Some(name))
}

pub(super) fn matches(selector: &Labels, labels: &Labels) -> bool {
    selector
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
