//! Root cause analysis: the stored causes of incidents.

use kgrca_core::billing::Metric;
use kgrca_core::model::Time;
use kgrca_core::model::time::MINUTE;
use kgrca_core::rca::{Answer, Scorer};
use kgrca_core::storage::{IncidentFilter, Window};
use kgrca_core::tenancy::{Scope, TenantId};

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::error::{Error, Result, seconds_until_retry};
use super::incidents::{self, missing};
use super::rca_cache::{CacheKey, EncodedAnswer};
use crate::clock::now;

/// How many incidents one call can ask for.
const MAX_BULK: usize = 100;
/// How large their answers can be together.
const MAX_BULK_BYTES: usize = 8 << 20;

/// Which answer is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RcaQuery<'a> {
    /// `inc-<number>`; without one the worst open incident: the highest severity, then the newest.
    /// When none is open, the newest incident.
    pub incident: Option<&'a str>,
    /// The formula that ranks the causes.
    pub scorer: Scorer,
    /// The answer as it was at this time.
    pub at: Option<Time>,
    /// The etag of an answer that the caller still has.
    pub known_etag: Option<&'a str>,
}

/// The answer to an [`RcaQuery`].
#[derive(Debug)]
pub enum RcaAnswer {
    /// The causes; this counts as an RCA query.
    Answer(EncodedAnswer),
    /// The caller has the current answer already; this is free.
    Unchanged {
        /// The etag of that answer.
        etag: String,
    },
}

/// The causes of an incident.
///
/// # Errors
/// `not_found` when there is no such incident or it has no answer yet; `quota_exceeded` beyond the
/// plan's RCA queries per hour.
pub async fn causes(app: &App, actor: &Actor, query: RcaQuery<'_>) -> Result<RcaAnswer> {
    let tenant = actor.tenant(Scope::Read)?;
    let number = query.incident.map(incidents::number).transpose()?;
    let answer = match query.at {
        Some(_) => EncodedAnswer::new(&stored(app, tenant.id, number, query).await?)?,
        None => current(app, tenant.id, number, query).await?,
    };
    if query.known_etag == Some(&*answer.etag) {
        return Ok(RcaAnswer::Unchanged { etag: answer.etag });
    }
    charge(app, tenant, 1).await?;
    Ok(RcaAnswer::Answer(answer))
}

/// The current answer, from the cache while nothing was committed since it was read.
async fn current(
    app: &App,
    tenant: &TenantId,
    number: Option<i64>,
    query: RcaQuery<'_>,
) -> Result<EncodedAnswer> {
    let key = CacheKey {
        tenant: tenant.clone(),
        number,
        scorer: query.scorer,
    };
    // Before the answer is read: a commit in between then voids the entry at once. The other way
    // round an old answer would pass for a new one.
    let commits = *app.fleet.commits(tenant).borrow();
    if let Some(cached) = app.rca_cache.get(&key, commits) {
        return Ok(cached);
    }
    let answer = EncodedAnswer::new(&stored(app, tenant, number, query).await?)?;
    app.rca_cache.put(key, commits, answer.clone());
    Ok(answer)
}

async fn stored(
    app: &App,
    tenant: &TenantId,
    number: Option<i64>,
    query: RcaQuery<'_>,
) -> Result<Answer> {
    let number = match number {
        Some(number) => number,
        None => worst_open(app, tenant).await?,
    };
    let row = app
        .stores
        .meta
        .incident(tenant, number)
        .await?
        .ok_or_else(|| missing(&format!("inc-{number}")))?;
    let answer = app
        .stores
        .meta
        .answer(tenant, number, query.scorer, query.at)
        .await?;
    let Some(mut answer) = answer else {
        return Err(match query.at {
            Some(at) => Error::not_found(format!(
                "inc-{number} had no answer at {at}; it started at {}",
                row.started_at
            )),
            None => Error::not_found(format!("inc-{number} has no answer yet")),
        });
    };
    if query.at.is_none() {
        answer.state = row.state;
    }
    Ok(answer)
}

async fn worst_open(app: &App, tenant: &TenantId) -> Result<i64> {
    if let Some(row) = app.stores.meta.worst_incident(tenant).await? {
        return incidents::number(&row.incident_id);
    }
    let newest = IncidentFilter {
        limit: 1,
        ..IncidentFilter::default()
    };
    let rows = app.stores.meta.incidents(tenant, &newest).await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::not_found("there are no incidents"))?;
    incidents::number(&row.incident_id)
}

/// Counts `n` RCA queries against the plan's hour, all of them or none.
pub(super) async fn charge(app: &App, tenant: TenantScope<'_>, n: u64) -> Result<()> {
    if let Some(limit) = tenant.plan.rca_hour {
        let window = Window {
            name: "rca/hour",
            length: 60 * MINUTE,
            limit,
        };
        let taken = app.stores.limits.take(tenant.id, window, n, now()).await?;
        if !taken.allowed {
            let plan = &tenant.plan.name;
            return Err(Error::quota_exceeded(
                format!("hourly limit of {limit} RCA queries (plan `{plan}`) reached"),
                seconds_until_retry(&taken),
            ));
        }
    }
    app.pending_usage
        .add(tenant.id, Metric::RcaQueries, n as i64);
    Ok(())
}

/// The causes of several incidents. Incidents without an answer are left out and cost nothing.
///
/// # Errors
/// `quota_exceeded` when the hour has not enough RCA queries left for all of them, and
/// `payload_too_large` when they are too large together; none is counted then.
pub async fn bulk(app: &App, actor: &Actor, incidents: &[String]) -> Result<Vec<Answer>> {
    let tenant = actor.tenant(Scope::Read)?;
    if incidents.len() > MAX_BULK {
        return Err(Error::invalid(format!(
            "`incident_ids` must have at most {MAX_BULK} entries"
        )));
    }
    let mut answers = Vec::new();
    let mut bytes = 0;
    for id in incidents {
        let Ok(number) = incidents::number(id) else {
            continue;
        };
        match stored(app, tenant.id, Some(number), RcaQuery::default()).await {
            Ok(answer) => {
                bytes += EncodedAnswer::new(&answer)?.body.len();
                if bytes > MAX_BULK_BYTES {
                    let limit = MAX_BULK_BYTES >> 20;
                    let message = format!("these answers take more than {limit} MiB together");
                    return Err(Error::too_large(message).hint("ask for fewer incidents at a time"));
                }
                answers.push(answer);
            }
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e),
        }
    }
    charge(app, tenant, answers.len() as u64).await?;
    Ok(answers)
}
