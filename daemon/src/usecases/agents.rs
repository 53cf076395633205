//! Agents in a tenant's clusters: their heartbeats.

use kgrca_core::api::{Agent, AgentStatus, Page};
use kgrca_core::parse::mask;
use kgrca_core::storage::{AgentPosition, AgentRow};
use kgrca_core::tenancy::Scope;

use super::actor::Actor;
use super::app::App;
use super::error::{Error, Result};
use super::{audit, begin_writing, within};
use crate::clock::now;

/// The longest name of a cluster or a node: that of a DNS name.
const MAX_NAME_BYTES: usize = 253;
/// The largest heartbeat.
const MAX_STATUS_BYTES: usize = 16 << 10;
/// The largest page of the list.
const MAX_PAGE: usize = 200;

/// Stores an agent's heartbeat in place of its previous one.
///
/// # Errors
/// `invalid_request` for a name that is empty or too long, `payload_too_large` for a heartbeat that
/// is.
pub async fn heartbeat(app: &App, actor: &Actor, status: AgentStatus) -> Result<()> {
    let tenant = actor.tenant(Scope::Ingest)?;
    let names = [
        ("cluster", &status.cluster),
        ("agent", &status.agent),
        ("node", status.node.as_ref().unwrap_or(&status.agent)),
    ];
    for (field, name) in names {
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(Error::invalid(format!(
                "`{field}` must be 1–{MAX_NAME_BYTES} characters"
            )));
        }
    }
    actor.check_cluster(&status.cluster)?;
    let _writing = begin_writing(app, tenant).await?;
    if serde_json::to_string(&status).is_ok_and(|text| text.len() > MAX_STATUS_BYTES) {
        return Err(Error::too_large(format!(
            "agent status exceeds {MAX_STATUS_BYTES} bytes"
        )));
    }
    let row = AgentRow {
        status: masked(status),
        seen_at: now(),
    };
    Ok(app.stores.meta.put_agent(tenant.id, &row).await?)
}

/// A status without secrets in its texts, which may come from errors of a URL with a password.
fn masked(mut status: AgentStatus) -> AgentStatus {
    let texts = [Some(&mut status.version), status.kubernetes.as_mut()];
    let texts = texts.into_iter().chain([status.shipping_trouble.as_mut()]);
    for text in texts.flatten() {
        *text = mask::line(text).into_owned();
    }
    status
}

/// A page of the tenant's agents, by cluster.
///
/// # Errors
/// `invalid_request` for a limit out of range.
pub async fn list(
    app: &App,
    actor: &Actor,
    limit: Option<usize>,
    after: Option<&str>,
) -> Result<Page<Agent>> {
    let tenant = actor.tenant(Scope::Read)?;
    let limit = within("limit", limit, MAX_PAGE, MAX_PAGE)?;
    let after = after.map(position);
    let agent = |row: AgentRow| Agent {
        status: row.status,
        seen_at: row.seen_at,
        silent_seconds: now().seconds_since(row.seen_at).max(0.0) as u64,
    };
    let rows = app
        .stores
        .meta
        .agents(tenant.id, after.as_ref(), limit)
        .await?;
    let next = rows
        .last()
        .filter(|_| rows.len() == limit)
        .map(|row| cursor(&row.position()));
    Ok(Page {
        items: rows.into_iter().map(agent).collect(),
        next,
    })
}

/// A position as a cursor. The slot comes first: no node has a `/` in its name.
fn cursor(position: &AgentPosition) -> String {
    format!("{}/{}", position.slot, position.cluster)
}

fn position(cursor: &str) -> AgentPosition {
    let (slot, cluster) = cursor.split_once('/').unwrap_or(("", cursor));
    AgentPosition {
        cluster: cluster.to_owned(),
        slot: slot.to_owned(),
    }
}

/// Removes a cluster's agents from the list. One that still runs appears again with its next
/// heartbeat.
///
/// # Errors
/// `not_found` when the cluster has none.
pub async fn forget(app: &App, actor: &Actor, cluster: &str) -> Result<()> {
    let tenant = actor.tenant(Scope::Admin)?;
    let start = position(&format!("/{cluster}"));
    let first = app.stores.meta.agents(tenant.id, Some(&start), 1).await?;
    if !first.iter().any(|row| row.status.cluster == cluster) {
        return Err(
            Error::not_found(format!("cluster `{cluster}` has no agents"))
                .hint("GET /api/v1/agents lists agents"),
        );
    }
    let id = tenant.id.as_str();
    audit::record(app, actor, Some(id), "agents.forget", cluster).await?;
    app.stores.meta.forget_agents(tenant.id, cluster).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_position() {
        for cluster in ["prod", "eu/prod", ""] {
            let at = AgentPosition {
                cluster: cluster.into(),
                slot: "watch".into(),
            };
            assert_eq!(position(&cursor(&at)), at);
        }
    }
}
