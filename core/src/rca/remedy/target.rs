//! The object that a command is aimed at: the one that has the template of the pods.

use crate::detect::View;
use crate::graph::{Idx, Relation};
use crate::model::Kind;

/// What can be changed about a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A Deployment, `StatefulSet` or `DaemonSet`: a change of its template replaces the pods.
    Rolling,
    /// A template for Jobs to come.
    CronJob,
    /// A Job, whose template cannot be changed.
    Job,
    /// A pod that nothing owns.
    BarePod,
    /// A pod or `ReplicaSet` whose owner is not known.
    UnknownOwner,
    /// A custom resource that makes pods, or an object of another kind.
    Other,
    /// What runs outside has no object.
    Outside,
}

/// The object of a command.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) idx: Idx,
    pub(super) holder: Holder,
    /// As kubectl takes it, in lower case.
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
    /// What the name was derived from.
    pub(super) derived: Option<String>,
}

impl Target {
    pub(super) fn of(view: &View<'_>, idx: Idx) -> Self {
        let idx = behind(view, idx);
        let node = view.graph.get(idx);
        let mut target = Self {
            idx,
            holder: holder(view, idx),
            kind: node.kind().as_str().to_lowercase(),
            namespace: node.namespace().to_owned(),
            name: node.name().to_owned(),
            derived: None,
        };
        let deployment = deployment_of(view, idx).filter(|_| target.holder == Holder::UnknownOwner);
        if let Some(name) = deployment {
            target.derived = Some(view.title(idx));
            target.holder = Holder::Rolling;
            "deployment".clone_into(&mut target.kind);
            target.name = name;
        }
        target
    }

    /// Whether `kubectl rollout` and `kubectl scale` know it.
    pub(super) fn is_rolling(&self) -> bool {
        self.holder == Holder::Rolling
    }
}

/// The workload behind a resource.
fn behind(view: &View<'_>, idx: Idx) -> Idx {
    let owner = match view.graph.get(idx).kind() {
        Kind::Service => view
            .graph
            .out(idx)
            .find(|(relation, _)| *relation == Relation::Selects)
            .map(|(_, pod)| view.top_owner(pod)),
        Kind::Pod | Kind::ReplicaSet | Kind::Job => Some(view.top_owner(idx)),
        _ => None,
    };
    owner.unwrap_or(idx)
}

fn holder(view: &View<'_>, idx: Idx) -> Holder {
    // Tables do not tell who owns what: only an object that was read whole has no owner.
    let has_no_owner = view
        .object(idx)
        .is_some_and(|object| object.meta.owners.is_empty() && object.meta.uid.is_some());
    match view.graph.get(idx).kind() {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => Holder::Rolling,
        Kind::CronJob => Holder::CronJob,
        Kind::Job => Holder::Job,
        Kind::Pod if has_no_owner => Holder::BarePod,
        Kind::ReplicaSet if has_no_owner => Holder::Other,
        Kind::Pod | Kind::ReplicaSet => Holder::UnknownOwner,
        Kind::External => Holder::Outside,
        _ => Holder::Other,
    }
}

/// The Deployment of a pod or `ReplicaSet`, if the name can hardly come from anything else.
fn deployment_of(view: &View<'_>, idx: Idx) -> Option<String> {
    let node = view.graph.get(idx);
    let set = if *node.kind() == Kind::ReplicaSet {
        node.name()
    } else {
        let (set, last) = node.name().rsplit_once('-')?;
        is_of(last, b"bcdfghjklmnpqrstvwxz2456789", 5..=5).then_some(set)?
    };
    let (name, hash) = set.rsplit_once('-')?;
    // A number written in the alphabet of random names has only these characters.
    (!name.is_empty() && is_of(hash, b"456789bcdf", 8..=10)).then(|| name.to_owned())
}

fn is_of(text: &str, alphabet: &[u8], length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len()) && text.bytes().all(|c| alphabet.contains(&c))
}
