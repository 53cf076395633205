//! Which incidents someone means who names labels: those of components that have an object with
//! them. The whole cluster is read all the same, or what lacks the labels would seem not to exist.

use std::collections::BTreeSet;

use super::IncidentSummary;
use crate::graph::{Graph, component_key};
use crate::incident::Incident;
use crate::model::object::Selector;

/// The keys of the components of live objects that a selector selects.
pub(super) fn components(graph: &Graph, selector: &Selector) -> BTreeSet<String> {
    let live = graph.iter().filter(|(_, resource)| resource.is_live());
    let selected = live.filter(|(_, resource)| selector.matches(resource.labels()));
    selected
        .map(|(idx, _)| graph.component(idx).key())
        .collect()
}

/// Whether one of the components has a symptom of an incident, or is its cause.
pub(super) fn touches(
    components: &BTreeSet<String>,
    incident: Option<&Incident>,
    summary: &IncidentSummary,
) -> bool {
    let mut members = incident.into_iter().flat_map(|i| i.members.values());
    let mut causes = summary.causes.iter();
    members.any(|member| components.contains(&member.component))
        || causes.any(|c| components.contains(&component_key(&c.namespace, &c.component)))
}

#[cfg(test)]
mod tests {
    use super::super::{Analysis, Options, analyze};
    use super::*;
    use crate::model::Time;

    fn unpullable(name: &str) -> String {
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"namespace":"shop","name":"{name}",
            "uid":"{name}","labels":{{"app":"{name}"}},"creationTimestamp":"2026-01-01T10:00:00Z"}},
            "spec":{{"nodeName":"n1","containers":[{{"name":"main","image":"r.example/x:2"}}]}},
            "status":{{"phase":"Pending","containerStatuses":[{{"name":"main","ready":false,
            "restartCount":0,"image":"r.example/x:2","imageID":"","state":{{"waiting":
            {{"reason":"ErrImagePull","message":"r.example/x:2: not found"}}}}}}]}}}}"#
        )
        .replace('\n', "")
    }

    fn answer(selector: Option<&str>) -> Analysis {
        let options = Options {
            at: Time::parse("2026-01-01T10:30:00Z"),
            selector: selector.map(|text| Selector::parse(text).unwrap()),
            ..Options::default()
        };
        let text = [unpullable("web"), unpullable("mail")].join("\n");
        analyze("x", text.as_bytes(), &options)
    }

    #[test]
    fn labels_choose_incidents_and_hide_no_object() {
        let named = |selector| {
            let causes = answer(selector).causes;
            causes.into_iter().map(|c| c.component).collect::<Vec<_>>()
        };
        assert_eq!(named(None).len(), 2);
        assert_eq!(named(Some("app=mail")), ["app/mail"]);
        assert_eq!(named(Some("app in (web, db)")), ["app/web"]);
        assert_eq!(named(Some("app=db")), [""; 0]);
        let none = answer(Some("app=db"));
        assert_eq!(none.records.applied, 2);
        // Others have symptoms: what was asked about is not shown to be healthy.
        assert_ne!(none.verdict, crate::rca::Verdict::Healthy);
    }
}
