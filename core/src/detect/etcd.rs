//! Which etcd is that of the control plane, and which one belongs to an application.

use super::View;
use super::service::pods_behind;
use crate::graph::Idx;
use crate::model::Kind;

/// Whether a resource is an etcd of its own in the cluster, or leads to one: the control plane's
/// runs as static pods, or outside.
pub(super) fn is_own(view: &View<'_>, idx: Idx) -> bool {
    let pods = match view.graph.get(idx).kind() {
        Kind::Pod => vec![idx],
        Kind::Service => pods_behind(view, idx),
        _ => view.pods_of(idx),
    };
    pods.into_iter().any(|pod| is_member(view, pod))
}

fn is_member(view: &View<'_>, pod: Idx) -> bool {
    let runs_etcd = view.pod_spec(pod).is_some_and(|spec| {
        let mut images = spec.containers.iter().filter_map(|c| c.image.as_deref());
        images.any(|image| image_name(image) == "etcd")
    });
    runs_etcd && view.graph.get(pod).namespace() != "kube-system"
}

/// The last part of an image's path, without tag and digest.
fn image_name(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split([':', '@']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::image_name;

    #[test]
    fn an_image_has_its_name_between_path_and_tag() {
        assert_eq!(image_name("quay.io/coreos/etcd:v3.5.17"), "etcd");
        assert_eq!(image_name("registry:5000/db/etcd@sha256:00"), "etcd");
        assert_eq!(image_name("etcd-backup:1"), "etcd-backup");
    }
}
