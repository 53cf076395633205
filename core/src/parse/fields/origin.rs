//! Who set the fields of an object, and the tool that it was deployed by.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::annotations;
use crate::model::object::Meta;
use crate::model::object::fields::Manager;
use crate::model::{Str, Time};
use crate::parse::mask;
use crate::parse::text::{Text, non_empty};

/// Most managers of an object that are read.
const MAX_MANAGERS: usize = 20;

#[derive(Deserialize)]
struct ManagerWire<'a> {
    #[serde(borrow, default)]
    manager: Option<Text<'a>>,
    #[serde(borrow, default)]
    time: Option<Text<'a>>,
    #[serde(borrow, default)]
    subresource: Option<Text<'a>>,
    #[serde(rename = "fieldsV1", default)]
    owns: Value,
}

/// The managers of an object's fields, but those of its state.
pub(super) fn managers(raw: Option<&RawValue>) -> Vec<Manager> {
    let all = raw.and_then(|raw| serde_json::from_str::<Vec<ManagerWire<'_>>>(raw.get()).ok());
    let all = all.unwrap_or_default().into_iter();
    all.filter(|m| non_empty(m.subresource.as_ref()) != Some("status"))
        .filter_map(|m| {
            Some(Manager {
                name: non_empty(m.manager.as_ref())?.into(),
                at: m.time.as_ref().and_then(|t| Time::parse(&t.0)),
                owns: m.owns,
            })
        })
        .take(MAX_MANAGERS)
        .collect()
}

/// The tool that an object was deployed by, and the revision if it says so.
pub(super) fn via(meta: &Meta, raw: Option<&RawValue>) -> Option<Str> {
    let annotations = annotations(raw);
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let label = |name: &str| meta.labels.get(name);
    let argo = annotation("argocd.argoproj.io/tracking-id").and_then(|id| id.split(':').next());
    let tool = if let Some(name) = argo.or_else(|| label("argocd.argoproj.io/instance")) {
        Some(format!("Argo CD application {name}"))
    } else if let Some(name) = label("helm.toolkit.fluxcd.io/name") {
        Some(format!("Flux HelmRelease {name}"))
    } else if let Some(name) = label("kustomize.toolkit.fluxcd.io/name") {
        Some(format!("Flux Kustomization {name}"))
    } else {
        annotation("meta.helm.sh/release-name").map(|name| format!("Helm release {name}"))
    };
    let chart = label("helm.sh/chart").map(|chart| format!("chart {chart}"));
    let commit = annotations.iter().find(|(name, _)| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let words = [
            "commit",
            "revision",
            "git-sha",
            "commit-sha",
            "git-commit",
            "version",
        ];
        words.contains(&last) && !name.starts_with("deployment.kubernetes.io/")
    });
    let commit = commit.map(|(name, value)| {
        let word = name.rsplit('/').next().unwrap_or(name);
        format!("{word} {value}")
    });
    let cause = annotation("kubernetes.io/change-cause").map(str::to_owned);
    let parts: Vec<String> = [tool, chart, commit, cause].into_iter().flatten().collect();
    let text: String = parts.join(", ").chars().take(120).collect();
    (!text.is_empty()).then(|| mask::line(&text).into())
}
