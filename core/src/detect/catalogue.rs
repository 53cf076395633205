//! The catalogue of faults: data, the same for the command line, the API and the documentation.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// One entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Fault {
    /// Stable id, `family.name`.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// What kind of thing has to change to repair it.
    pub blames: String,
    /// What speaks for it.
    pub reveals: String,
    /// What speaks against it.
    pub rules_out: String,
    /// The usual fix.
    pub fix: String,
    /// Why no detector reports it yet: the record that is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<String>,
}

impl Fault {
    /// The part of the id in front of the dot.
    pub fn family(&self) -> &str {
        self.id.split('.').next().unwrap_or("")
    }
}

static ALL: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be wrong here.
    serde_yaml::from_str(include_str!("catalogue.yaml")).unwrap_or_default()
});

/// All entries in the order of the catalogue.
pub fn all() -> &'static [Fault] {
    &ALL
}

/// An entry by its id.
pub fn find(id: &str) -> Option<&'static Fault> {
    ALL.iter().find(|f| f.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_read_and_ids_are_unique() {
        let parsed: Vec<Fault> = serde_yaml::from_str(include_str!("catalogue.yaml")).unwrap();
        assert!(parsed.len() > 90, "{}", parsed.len());
        let mut ids: Vec<_> = parsed.iter().map(|f| &f.id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), parsed.len());
    }

    #[test]
    fn every_fault_that_detectors_name_is_in_the_catalogue() {
        let sources = [
            include_str!("admission.rs"),
            include_str!("apiserver.rs"),
            include_str!("config.rs"),
            include_str!("controlplane.rs"),
            include_str!("crash.rs"),
            include_str!("dependency.rs"),
            include_str!("handshake.rs"),
            include_str!("image.rs"),
            include_str!("network.rs"),
            include_str!("node.rs"),
            include_str!("own_log.rs"),
            include_str!("performance.rs"),
            include_str!("preemption.rs"),
            include_str!("probe.rs"),
            include_str!("proxy.rs"),
            include_str!("rollout.rs"),
            include_str!("runtime.rs"),
            include_str!("scheduling.rs"),
            include_str!("service.rs"),
            include_str!("storage.rs"),
        ];
        let families: std::collections::BTreeSet<&str> = all().iter().map(Fault::family).collect();
        let mut named = std::collections::BTreeSet::new();
        for source in sources {
            for word in source.split('"') {
                let shape = word.split_once('.').is_some_and(|(f, n)| {
                    families.contains(f)
                        && !n.is_empty()
                        && n.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                        && !n.ends_with('_')
                });
                if shape {
                    named.insert(word);
                }
            }
        }
        let unknown: Vec<_> = named.iter().filter(|id| find(id).is_none()).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        let silent: Vec<_> = all()
            .iter()
            .filter(|f| f.planned.is_none() && !named.contains(&*f.id))
            .map(|f| &f.id)
            .collect();
        assert!(
            silent.is_empty(),
            "entries without a detector must be planned: {silent:?}"
        );
    }
}
