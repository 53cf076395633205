//! Following a tenant's incidents: every transition, in order, without gaps.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::storage::TransitionRow;
use kgrca_core::tenancy::{Scope, TenantId};
use tokio::sync::watch;

use super::actor::Actor;
use super::app::App;
use super::error::Result;

/// How many transitions are read at once.
const PAGE: usize = 500;
/// How often the store is asked for what other daemons committed.
const POLL: Duration = Duration::from_secs(1);

/// A reader of transitions. The store is the source: a follower that is slow, or resumes after an
/// interruption, misses nothing.
pub struct IncidentFeed {
    app: Arc<App>,
    tenant: TenantId,
    /// The id of the last transition that was returned.
    after: i64,
    /// Changes when this daemon commits transitions of the tenant.
    transitions: watch::Receiver<u64>,
}

/// Follows the transitions with an id above `after`; without one, those that are yet to come.
///
/// # Errors
/// When the store does not answer.
pub async fn follow(app: &Arc<App>, actor: &Actor, after: Option<i64>) -> Result<IncidentFeed> {
    let tenant = actor.tenant(Scope::Read)?.id.clone();
    let after = match after {
        Some(id) => id,
        None => app.stores.meta.last_transition(&tenant).await?,
    };
    Ok(IncidentFeed {
        transitions: app.fleet.transitions(&tenant),
        app: Arc::clone(app),
        tenant,
        after,
    })
}

impl IncidentFeed {
    /// Waits for the next transitions. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Vec<TransitionRow> {
        loop {
            let meta = &self.app.stores.meta;
            match meta.transitions(&self.tenant, None, self.after, PAGE).await {
                Ok(page) => {
                    if let Some(last) = page.last() {
                        self.after = last.id;
                        return page;
                    }
                }
                Err(e) => tracing::warn!(error = %e, "incident feed: retrying"),
            }
            tokio::select! {
                _ = self.transitions.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
