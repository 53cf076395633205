//! Services whose selector or ports lead nowhere.

use super::{Grade, Maker, Review};
use crate::graph::Idx;
use crate::model::object::{Labels, Object, PodSpec, PortRef, Service};

impl Review<'_> {
    pub(super) fn service(&mut self, idx: Idx, object: &Object) {
        let Some(service) = object.service().filter(|s| !s.selector.is_empty()) else {
            return;
        };
        let makers = self.makers(&object.meta.namespace);
        if makers.is_empty() {
            return;
        }
        let behind: Vec<&Maker<'_>> = makers
            .iter()
            .filter(|maker| matches(&service.selector, maker.labels))
            .collect();
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
                Grade::Error,
                &selector,
                message,
            );
            return;
        }
        let flaws = [
            self.emptied(idx, &behind),
            self.ports(idx, service, &behind),
        ];
        for (rule, subject, message) in flaws.into_iter().flatten() {
            self.add(idx, rule, Grade::Error, &subject, message);
        }
    }

    /// A Service all of whose workloads are scaled to 0.
    fn emptied(&self, idx: Idx, behind: &[&Maker<'_>]) -> Option<(&'static str, String, String)> {
        let is_empty = behind.iter().all(|maker| maker.replicas == Some(0));
        let workloads: Vec<String> = behind.iter().map(|maker| self.title(maker.idx)).collect();
        is_empty.then(|| {
            let message = format!(
                "{} has no pods left: {} has 0 replicas",
                self.title(idx),
                workloads.join(" and ")
            );
            ("service.emptied", workloads.join(" "), message)
        })
    }

    /// A named target port that no container declares.
    fn ports(
        &self,
        idx: Idx,
        service: &Service,
        behind: &[&Maker<'_>],
    ) -> Option<(&'static str, String, String)> {
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
        Some(("service.port_missing", missing.to_string(), message))
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
