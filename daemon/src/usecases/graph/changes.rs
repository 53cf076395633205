//! What was changed on objects.

use kgrca_core::api::Page;
use kgrca_core::change::ClusterChange;
use kgrca_core::model::Time;
use kgrca_core::storage::TimelineFilter;
use kgrca_core::tenancy::Scope;

use super::timeline::page;
use super::views;
use crate::usecases::error::Result;
use crate::usecases::{Actor, App};

/// Which changes are wanted.
#[derive(Clone, Debug, Default)]
pub struct ChangeFilter {
    /// Made at or after.
    pub since: Option<Time>,
    /// Made before.
    pub until: Option<Time>,
    /// In this cluster.
    pub cluster: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of objects of this kind; case is ignored.
    pub kind: Option<String>,
    /// Of objects with this name.
    pub name: Option<String>,
}

impl ChangeFilter {
    fn matches(&self, of: &ClusterChange) -> bool {
        let is = |wanted: &Option<String>, own: &str| match wanted {
            Some(wanted) => wanted.eq_ignore_ascii_case(own),
            None => true,
        };
        let change = &of.change;
        is(&self.namespace, &change.namespace)
            && is(&self.kind, &change.kind)
            && is(&self.name, &change.name)
    }
}

/// A page of changes, oldest first. Those of other namespaces, kinds and names are left out of it, so
/// that it may have fewer than `limit`, or none, although there is a next one.
///
/// # Errors
/// `invalid_request` for a cursor or a limit that cannot be used.
pub async fn changes(
    app: &App,
    actor: &Actor,
    filter: ChangeFilter,
    cursor: Option<&str>,
    limit: Option<usize>,
) -> Result<Page<ClusterChange>> {
    let tenant = actor.tenant(Scope::Read)?;
    let rows = TimelineFilter {
        from: filter.since,
        to: filter.until,
        cluster: filter.cluster.clone(),
        kind: Some("change".to_owned()),
        ..TimelineFilter::default()
    };
    let (rows, next) = page(app, tenant, rows, cursor, limit).await?;
    let items = rows.iter().filter_map(views::change);
    Ok(Page {
        items: items.filter(|change| filter.matches(change)).collect(),
        next,
    })
}
