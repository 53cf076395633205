//! States that are worth a word where nothing else is known to be wrong.

use crate::detect::View;
use crate::graph::Idx;
use crate::model::Kind;

/// Volumes that were released and could not be reclaimed, with a sentence about each.
pub(super) fn states(view: &View<'_>) -> Vec<(Idx, String)> {
    let volumes = view.graph.of_kind(&Kind::PersistentVolume);
    let failed = volumes.filter_map(|idx| {
        let volume = view.object(idx)?.volume()?;
        let name = view.graph.get(idx).name();
        let is_failed = volume.phase.as_deref() == Some("Failed");
        let what = format!("PersistentVolume `{name}` was released and could not be reclaimed");
        is_failed.then_some((idx, what))
    });
    failed.collect()
}
