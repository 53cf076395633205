//! Two sides of a login that hold different Secrets, where one of them differs from its peers.

use std::collections::BTreeMap;

use super::View;
use super::service::pods_behind;
use crate::graph::Idx;
use crate::model::object::PodSpec;

/// A workload that holds another Secret under a name than its peers.
pub(super) struct Odd<'a> {
    /// The workload behind the server.
    pub(super) workload: Idx,
    /// Its Secret.
    pub(super) secret: &'a str,
    /// The Secret of its peers.
    pub(super) usual: &'a str,
}

/// Whether the server that refuses a client is the odd one: the client and a third workload hold
/// the same Secret in a volume or variable in which the server holds another one. Members of a cluster
/// log in to one another with a secret that all of them share.
pub(super) fn server<'a>(view: &View<'a>, client: Idx, server: Idx) -> Option<Odd<'a>> {
    let pod = *pods_behind(view, server).first()?;
    let workload = view.top_owner(pod);
    let (mine, theirs) = (
        secrets(view.pod_spec(client)?),
        secrets(view.pod_spec(pod)?),
    );
    let namespace = view.graph.get(workload).namespace();
    let differs = theirs
        .into_iter()
        .filter_map(|(place, secret)| Some((place, secret, *mine.get(place)?)));
    differs
        .filter(|(_, secret, usual)| secret != usual)
        .find_map(|(place, secret, usual)| {
            let others = view.graph.workloads(namespace).filter(|w| {
                let owner = view.top_owner(*w);
                view.exists(*w) && owner == *w && *w != workload && *w != client
            });
            let held: Vec<&str> = others
                .filter_map(|w| secrets(view.pod_spec(w)?).get(place).copied())
                .collect();
            let is_odd = held.contains(&usual) && !held.contains(&secret);
            is_odd.then_some(Odd {
                workload,
                secret,
                usual,
            })
        })
}

/// The Secrets of a pod by the volume or variable that has them.
fn secrets(spec: &PodSpec) -> BTreeMap<&str, &str> {
    let volumes = spec.volumes.iter().filter_map(|volume| {
        let secret = volume.secret.as_ref()?.secret_name.as_deref()?;
        Some((&*volume.name, secret))
    });
    let variables = spec.all_containers().flat_map(|c| c.env.iter());
    let variables = variables.filter_map(|variable| {
        let from = variable.value_from.as_ref()?.secret_key_ref.as_ref()?;
        Some((&*variable.name, from.name.as_deref()?))
    });
    volumes.chain(variables).collect()
}
