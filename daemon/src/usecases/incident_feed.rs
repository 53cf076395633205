//! Following a tenant's incidents: every transition, in order, without gaps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kgrca_core::storage::TransitionRow;
use kgrca_core::tenancy::{Scope, TenantId};
use tokio::sync::watch;

use super::actor::Actor;
use super::app::App;
use super::authentication;
use super::error::Result;

/// How many transitions are read at once.
const PAGE: usize = 500;
/// How often the store is asked for what other daemons committed.
const POLL: Duration = Duration::from_secs(1);

/// How often the key of whoever follows is checked.
const RECHECK: Duration = Duration::from_secs(2);

/// A reader of transitions. The store is the source: a follower that is slow, or resumes after an
/// interruption, misses nothing.
pub struct IncidentFeed {
    app: Arc<App>,
    actor: Actor,
    tenant: TenantId,
    /// When the actor's key was last known to work.
    checked: Instant,
    /// The id of the last transition that was returned.
    after: i64,
    /// Changes when this daemon commits something for the tenant.
    commits: watch::Receiver<u64>,
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
        commits: app.fleet.commits(&tenant),
        app: Arc::clone(app),
        actor: actor.clone(),
        tenant,
        checked: Instant::now(),
        after,
    })
}

impl IncidentFeed {
    /// Waits for the next transitions. `None` when the tenant is no longer served, or the key no
    /// longer works. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<TransitionRow>> {
        loop {
            if self.checked.elapsed() >= RECHECK {
                if !self.may_follow().await {
                    return None;
                }
                self.checked = Instant::now();
            }
            let meta = &self.app.stores.meta;
            match meta.transitions(&self.tenant, None, self.after, PAGE).await {
                Ok(page) => {
                    if let Some(last) = page.last() {
                        self.after = last.id;
                        return Some(page);
                    }
                }
                Err(e) => tracing::warn!(error = %e, "incident feed: retrying"),
            }
            tokio::select! {
                _ = self.commits.changed() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// A store that does not answer is no reason to end the feed.
    async fn may_follow(&self) -> bool {
        let answer = authentication::may_still(&self.app, &self.actor, Scope::Read).await;
        answer.unwrap_or(true)
    }
}
