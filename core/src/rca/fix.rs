//! The usual fix of a fault, with the names of the blamed object filled in.

use crate::detect::{Catalogue, FaultId, View};
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// The catalogue's fix of a fault for the blamed resource; names that are not known stay as
/// placeholders such as `<namespace>`.
pub(super) fn usual(catalogue: &Catalogue, view: &View<'_>, fault: FaultId, blamed: Idx) -> String {
    let template = FixTemplate(&catalogue.get(fault).fix);
    let node = view.graph.get(blamed);
    let is_service = *node.kind() == Kind::Service;
    // `kubectl set`, `rollout` and `scale` do not know other kinds, and routes of many kinds take
    // the place of an Ingress.
    if matches!(node.kind(), Kind::Other(_)) && template.is_about_an_object() {
        let edit = FixTemplate("kubectl -n <namespace> edit <kind>/<name>");
        return edit.render(&Names::of(view, blamed));
    }
    // What runs outside has no object here, and most of the spec of a pod cannot be changed.
    if *node.kind() == Kind::External && template.is_about_an_object() {
        return String::new();
    }
    if *node.kind() == Kind::Pod && template.is_about_a_template() {
        let replace = FixTemplate("kubectl -n <namespace> replace --force -f <manifest>");
        return replace.render(&Names::of(view, blamed));
    }
    if !(is_service && template.is_about_a_workload()) {
        return template.render(&Names::of(view, blamed));
    }
    // Such a fix applies to the workload behind the Service.
    let pod = view
        .graph
        .out(blamed)
        .find(|(relation, _)| *relation == Relation::Selects)
        .map(|(_, pod)| pod);
    match pod {
        Some(pod) => template.render(&Names::of(view, view.top_owner(pod))),
        None => template.render(&Names {
            namespace: view.graph.get(blamed).namespace(),
            object: None,
        }),
    }
}

/// A command of the catalogue with the placeholders `<kind>/<name>`, `<namespace>`, `<kind>` of a
/// certain kind (as `<node>`) and `<name>` behind a certain kind (as `node <name>`).
struct FixTemplate<'a>(&'a str);

/// The names that a template can be filled with.
struct Names<'a> {
    /// Empty for cluster-scoped objects.
    namespace: &'a str,
    object: Option<ObjectName<'a>>,
}

struct ObjectName<'a> {
    /// The kind in lower case, as `kubectl` reads it.
    kind: String,
    name: &'a str,
}

impl<'a> Names<'a> {
    fn of(view: &View<'a>, idx: Idx) -> Self {
        let node = view.graph.get(idx);
        let object = ObjectName {
            kind: node.kind().as_str().to_lowercase(),
            name: node.name(),
        };
        // A host outside is no object that a command can name.
        let is_object = *node.kind() != Kind::External;
        Self {
            namespace: node.namespace(),
            object: Some(object).filter(|_| is_object),
        }
    }
}

impl FixTemplate<'_> {
    fn is_about_a_workload(&self) -> bool {
        self.0.contains("<kind>/<name>")
    }

    /// Whether only objects with a template of pods can be fixed like this.
    fn is_about_a_template(&self) -> bool {
        ["/spec/template", " rollout ", " set ", " scale "]
            .iter()
            .any(|part| self.0.contains(part))
    }

    fn is_about_an_object(&self) -> bool {
        self.is_about_a_workload() || self.0.starts_with("kubectl -n <namespace> edit ")
    }

    fn render(&self, names: &Names<'_>) -> String {
        let mut fix = self.0.to_owned();
        if let Some(ObjectName { kind, name }) = &names.object {
            // A node, say, has no namespace.
            if names.namespace.is_empty() && self.is_about_a_workload() {
                fix = fix.replace("-n <namespace> ", "");
            }
            fix = fix.replace("<kind>/<name>", &format!("{kind}/{name}"));
        }
        if !names.namespace.is_empty() {
            fix = fix.replace("<namespace>", names.namespace);
        }
        if let Some(ObjectName { kind, name }) = &names.object {
            fix = fix
                .replace(&format!("<{kind}>"), name)
                .replace(&format!("{kind} <name>"), &format!("{kind} {name}"));
        }
        fix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, namespace: &str, kind: &str, name: &str) -> String {
        let names = Names {
            namespace,
            object: Some(ObjectName {
                kind: kind.into(),
                name,
            }),
        };
        FixTemplate(template).render(&names)
    }

    #[test]
    fn known_names_are_filled_in_and_unknown_ones_stay() {
        let undo = "kubectl -n <namespace> rollout undo <kind>/<name>";
        assert_eq!(
            render(undo, "shop", "deployment", "web"),
            "kubectl -n shop rollout undo deployment/web"
        );
        assert_eq!(
            render(
                "kubectl -n <namespace> edit <kind>/<name>",
                "",
                "node",
                "n1"
            ),
            "kubectl edit node/n1"
        );
        assert_eq!(
            render("kubectl uncordon <node>", "", "node", "n1"),
            "kubectl uncordon n1"
        );
        assert_eq!(
            render("kubectl -n <namespace> get secret <name>", "", "node", "n1"),
            "kubectl -n <namespace> get secret <name>"
        );
    }
}
