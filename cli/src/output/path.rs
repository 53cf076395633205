//! Causal paths as text.

use kgrca_core::rca::PathStep;

use super::answer::resource;

/// A path on one line, or as a tree with a line for each resource.
pub fn lines(path: &[PathStep], tree: bool) -> Vec<String> {
    let stops = stops(path);
    if stops.is_empty() {
        return Vec::new();
    }
    if !tree {
        return vec![stops.iter().map(Stop::inline).collect()];
    }
    let mut edge = "";
    let mut lines = Vec::new();
    for (depth, stop) in stops.iter().enumerate() {
        lines.push(match depth {
            0 => stop.name.clone(),
            _ => format!("{}└{edge} {}", "   ".repeat(depth - 1), stop.name),
        });
        edge = stop.edge.as_deref().unwrap_or_default();
    }
    lines
}

/// A resource of a path, and the edge that leads to the next one.
struct Stop {
    name: String,
    edge: Option<String>,
}

impl Stop {
    fn inline(&self) -> String {
        match &self.edge {
            Some(edge) => format!("{} {edge} ", self.name),
            None => self.name.clone(),
        }
    }
}

/// The resources of a path in walking order. A step is stored in the direction of its edge, which
/// may be against the walk.
fn stops(path: &[PathStep]) -> Vec<Stop> {
    let mut at = match path {
        [] => return Vec::new(),
        [first, second, ..] if first.from == second.from || first.from == second.to => &first.to,
        [first, ..] => &first.from,
    };
    let mut stops = Vec::new();
    for step in path {
        let is_forward = step.from == *at;
        let edge = if is_forward {
            format!("─{}→", step.relation)
        } else {
            format!("←{}─", step.relation)
        };
        stops.push(Stop {
            name: resource(at),
            edge: Some(edge),
        });
        at = if is_forward { &step.to } else { &step.from };
    }
    stops.push(Stop {
        name: resource(at),
        edge: None,
    });
    stops
}

#[cfg(test)]
mod tests {
    use kgrca_core::rca::ResourceRef;

    use super::*;

    fn named(kind: &str, name: &str) -> ResourceRef {
        ResourceRef {
            kind: kind.to_owned(),
            namespace: "chat".to_owned(),
            name: name.to_owned(),
            uid: None,
        }
    }

    #[test]
    fn a_path_names_namespaces_and_directions() {
        let step = |from: &ResourceRef, relation: &str, to: &ResourceRef| PathStep {
            from: from.clone(),
            relation: relation.to_owned(),
            to: to.clone(),
        };
        let (pod, service) = (named("Pod", "web-1"), named("Service", "presence"));
        let deployment = named("Deployment", "web");
        let path = [
            step(&pod, "CALLS", &service),
            step(&deployment, "CONTROLS", &pod),
        ];
        assert_eq!(
            lines(&path, false),
            ["Service chat/presence ←CALLS─ Pod chat/web-1 ←CONTROLS─ Deployment chat/web"]
        );
        assert_eq!(
            lines(&path, true),
            [
                "Service chat/presence",
                "└←CALLS─ Pod chat/web-1",
                "   └←CONTROLS─ Deployment chat/web"
            ]
        );
        assert!(lines(&[], true).is_empty());
    }
}
