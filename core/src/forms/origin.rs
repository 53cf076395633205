//! Whose log lines a file holds, by where dumps, bundles and nodes put it.

use super::Source;
use super::lines::{Line, is_generated};

/// Who wrote a line. What is not known is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    /// The node whose daemon wrote it, instead of a pod.
    pub node: String,
}

impl Origin {
    /// What the path of a source says; at least the namespace that the user named.
    pub(super) fn of(source: &Source<'_>) -> Self {
        let mut origin = of_path(source.path).unwrap_or_default();
        if origin.namespace.is_empty() {
            source
                .namespace
                .unwrap_or_default()
                .clone_into(&mut origin.namespace);
        }
        origin
    }

    /// Whether neither a pod nor a node is known.
    pub(super) fn is_unknown(&self) -> bool {
        self.pod.is_empty() && self.node.is_empty()
    }

    /// The same, where a line does not say otherwise.
    pub(super) fn with(&self, line: &Line<'_>) -> Self {
        let mut own = self.clone();
        if !line.pod.is_empty() || !line.node.is_empty() {
            line.pod.clone_into(&mut own.pod);
            line.container.clone_into(&mut own.container);
            line.node.clone_into(&mut own.node);
        }
        if !line.namespace.is_empty() {
            line.namespace.clone_into(&mut own.namespace);
        }
        own
    }

    fn new(namespace: &str, pod: &str, container: &str) -> Option<Self> {
        let is_name = |name: &str| {
            let is_part =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
            !name.is_empty() && name.chars().all(is_part)
        };
        (is_name(namespace) && is_name(pod)).then(|| Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            node: String::new(),
        })
    }
}

/// Whether a name is that of a pod: made by its owner, or numbered as those of a `StatefulSet`.
fn is_pod(name: &str) -> bool {
    let number = name.rsplit_once('-').map(|(_, number)| number);
    let is_numbered =
        number.is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()));
    is_numbered || is_generated(name)
}

fn of_path(path: &str) -> Option<Origin> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let file = parts.last()?;
    if let [.., namespace, pod, "logs.txt"] = parts[..] {
        // kubectl cluster-info dump: NAMESPACE/POD/logs.txt
        return Origin::new(namespace, pod, "");
    }
    let (stem, _) = file.split_once(".log")?;
    match parts[..] {
        // support-bundle: cluster-resources/pods/logs/NAMESPACE/POD/CONTAINER[-previous].log
        [.., "pods", "logs", namespace, pod, _] => Origin::new(
            namespace,
            pod,
            stem.strip_suffix("-previous").unwrap_or(stem),
        ),
        // must-gather: namespaces/NAMESPACE/pods/POD/CONTAINER/CONTAINER/logs/current.log
        [
            ..,
            "namespaces",
            namespace,
            "pods",
            pod,
            container,
            _,
            "logs",
            _,
        ] => Origin::new(namespace, pod, container),
        // A node's /var/log/pods: NAMESPACE_POD_UID/CONTAINER/0.log
        [.., folder, container, _] if folder.matches('_').count() == 2 => {
            let (namespace, rest) = folder.split_once('_')?;
            Origin::new(namespace, rest.split_once('_')?.0, container)
        }
        // A node's /var/log/containers: POD_NAMESPACE_CONTAINER-ID.log, and NAMESPACE_POD.log
        _ => match *stem.split('_').collect::<Vec<_>>() {
            [pod, namespace, container] => {
                let (container, id) = container.rsplit_once('-')?;
                let is_id = id.len() >= 12 && id.chars().all(|c| c.is_ascii_hexdigit());
                is_id.then(|| Origin::new(namespace, pod, container))?
            }
            [namespace, pod] if is_pod(pod) => Origin::new(namespace, pod, ""),
            // Whose namespace is not known.
            [pod] if is_generated(pod) => Some(Origin {
                pod: pod.to_owned(),
                ..Origin::default()
            }),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_whose_lines_they_hold() {
        for path in [
            "b/cluster-resources/pods/logs/shop/api-1/api-previous.log",
            "mg/namespaces/shop/pods/api-1/api/api/logs/current.log",
            "/var/log/pods/shop_api-1_0a1b/api/0.log",
            "/var/log/containers/api-1_shop_api-0123456789abcdef.log",
        ] {
            assert_eq!(of_path(path), Origin::new("shop", "api-1", "api"), "{path}");
        }
        for path in ["dump/shop/api-1/logs.txt", "shop_api-1.log"] {
            assert_eq!(of_path(path), Origin::new("shop", "api-1", ""), "{path}");
        }
        for path in [
            "app.log",
            "logs/My_App.log",
            "a/b/c.txt",
            "get_all_pods.json",
            "a_b_c/d/e.json",
            "",
        ] {
            assert_eq!(of_path(path), None, "{path}");
        }
    }
}
