//! Taking records in: parsed, masked, held against the plan, made durable, then acknowledged.

mod batch;
mod byte_quota;
mod dead_letters;
mod disk_share;
mod hash_keys;
mod repetition;
mod split;
mod storage_quota;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use kgrca_core::api::Ingested;
use kgrca_core::billing::{Metric, Plan};
use kgrca_core::engine;
use kgrca_core::model::Topic;
use kgrca_core::parse::Signal;
use kgrca_core::storage::Taken;
use kgrca_core::tenancy::Scope;

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::authentication::Traffic;
use super::budgets::Held;
use super::cluster_quota;
use super::error::{Error, Result, seconds_until_retry};
use super::stats::REFUSED_COUNT;
use super::{begin_writing, label};
use crate::clock::now;
use crate::environment::blocking;
use batch::{Batch, Source};
pub use disk_share::DiskShare;
pub use hash_keys::HashKeys;
use repetition::Repetition;
pub use repetition::{Repeats, kept as kept_repeats};
pub use storage_quota::StorageQuota;

/// The route of reported changes.
const CHANGES: &str = "changes";
/// How many rejected records count as a call.
const REJECTS_PER_CALL: u64 = 100;

/// A batch of records as it was sent.
#[derive(Debug)]
pub struct IngestRequest {
    /// The kind of the records, as the API names it, such as `events`.
    pub kind: String,
    /// The cluster of records that name none.
    pub cluster: Option<String>,
    /// Makes a repetition harmless: for 24 h the batch is taken in once per caller and key.
    pub idempotency_key: Option<String>,
    /// A record, an array of records, or one per line.
    pub body: Bytes,
    /// What the request holds: it grows with the entries that the body becomes.
    pub held: Option<Arc<Held>>,
}

/// Takes a batch in. When it returns, the accepted records are durable.
///
/// # Errors
/// `quota_exceeded` beyond the plan's events per day or its clusters: nothing is taken in then.
/// `unavailable` when the batch cannot be made durable: nothing is half-written.
pub async fn ingest(app: &App, actor: &Actor, request: IngestRequest) -> Result<Ingested> {
    let tenant = actor.tenant(Scope::Ingest)?;
    let (topic, only_changes) = route(&request.kind)?;
    let mut request = request;
    if let Some(cluster) = &request.cluster {
        label("x-cluster", cluster)?;
    }
    if let Some(key) = &request.idempotency_key {
        label("idempotency-key", key)?;
    }
    match (&request.cluster, actor.cluster()) {
        (Some(named), _) => actor.check_cluster(named)?,
        (None, Some(own)) => request.cluster = Some(own.to_owned()),
        (None, None) => {}
    }
    let _writing = begin_writing(app, tenant).await?;
    let batch = Incoming {
        request,
        topic,
        only_changes,
        only_cluster: actor.cluster(),
    };
    let Some(repetition) = Repetition::of(&batch.request, actor.id()) else {
        return take_in(app, tenant, batch).await;
    };
    if let Some(earlier) = repetition.begin(app, tenant).await? {
        return Ok(earlier);
    }
    match take_in(app, tenant, batch).await {
        Ok(answer) => {
            repetition.keep(app, tenant.id, &answer).await?;
            Ok(answer)
        }
        Err(e) => {
            repetition.release(app, tenant.id).await;
            Err(e)
        }
    }
}

/// A batch that may be taken in.
struct Incoming<'a> {
    request: IngestRequest,
    topic: Topic,
    /// Whether all records have to be changes.
    only_changes: bool,
    /// The only cluster that the sender may send for.
    only_cluster: Option<&'a str>,
}

async fn take_in(app: &App, tenant: TenantScope<'_>, incoming: Incoming<'_>) -> Result<Ingested> {
    let topic = incoming.topic;
    let mut batch = parse(app, tenant, incoming).await?;
    cluster_quota::admit(app, tenant, &batch.clusters).await?;
    storage_quota::admit(app, tenant, &batch).await?;
    if !batch.entries.is_empty() || !batch.rejected.letters.is_empty() {
        let only_deletes = !batch.entries.is_empty() && !batch.adds;
        disk_share::admit(app, tenant, !only_deletes).await?;
    }
    let taken = take_from_day(app, tenant, topic, &batch).await?;
    let stored = async {
        let bytes = byte_quota::take(app, tenant, topic, &batch).await?;
        let stored = store(app, tenant, &mut batch).await;
        if let (Err(_), Some(bytes)) = (&stored, bytes) {
            bytes.give_back(app, tenant).await?;
        }
        stored
    };
    let partitions = match stored.await {
        Ok(partitions) => partitions,
        Err(e) => {
            app.stores
                .limits
                .give_back_day(tenant.id, taken, now())
                .await?;
            return Err(e);
        }
    };
    app.storage_quota.add(tenant.id, batch.stored);
    for partition in partitions {
        app.fleet.appended(tenant.id, partition);
    }
    let answer = Ingested {
        accepted: batch.accepted,
        duplicate: 0,
        rejected_count: batch.rejected.count,
        rejected: batch.rejected.listed,
    };
    if answer.rejected_count > 0 {
        app.pending_usage
            .add(tenant.id, REFUSED_COUNT, answer.rejected_count as i64);
    }
    Ok(answer)
}

/// Makes the accepted records and the dead letters durable. Returns the partitions that have new
/// records.
async fn store(app: &App, tenant: TenantScope<'_>, batch: &mut Batch) -> Result<BTreeSet<u32>> {
    slow_down(app, tenant, batch.rejected.count).await?;
    let mut entries = std::mem::take(&mut batch.entries);
    let letters = std::mem::take(&mut batch.rejected.letters);
    entries.extend(dead_letters::within_quota(app, tenant.id, letters).await?);
    let partitions = entries
        .iter()
        .filter(|e| e.stream.topic != Topic::Dlq)
        .map(|e| e.stream.partition)
        .collect();
    if !entries.is_empty() {
        app.stores.log.append(tenant.id, entries).await?;
    }
    Ok(partitions)
}

/// The topic of a kind of records, and whether they have to be changes, which are events with a
/// route of their own.
fn route(kind: &str) -> Result<(Topic, bool)> {
    if kind == CHANGES {
        return Ok((Topic::Events, true));
    }
    let unknown = || {
        let known = Signal::INPUTS.iter().filter_map(|s| s.route);
        let known: Vec<&str> = known.chain([CHANGES]).collect();
        Error::not_found(format!("unknown record kind `{kind}`"))
            .hint(format!("use one of {}", known.join(", ")))
    };
    Ok((Signal::by_route(kind).ok_or_else(unknown)?.topic, false))
}

/// Parses off the async threads: a batch may have tens of megabytes. One that the day has no room
/// for is not parsed.
async fn parse(app: &App, tenant: TenantScope<'_>, incoming: Incoming<'_>) -> Result<Batch> {
    let (request, topic) = (incoming.request, incoming.topic);
    let only_changes = incoming.only_changes;
    let bytes = request.body.len();
    byte_quota::check(app, tenant, topic, bytes).await?;
    check_day(app, tenant, topic, &request.body).await?;
    let only_cluster = incoming.only_cluster.map(str::to_owned);
    let hash_key = app.hash_keys.of(&app.stores, tenant.id).await?;
    let plan = tenant.plan.clone();
    let tenant = tenant.id.clone();
    let fleet = Arc::clone(&app.fleet);
    // Only state is not metered by record.
    let admission = if topic.signal().is_compacted() {
        Some(fleet.admission(&tenant, plan.live_objects).await)
    } else {
        None
    };
    // Last: whoever holds a processor waits for nothing.
    let _processor = app.budgets.processor(&tenant, bytes).await?;
    let parsing = blocking(move || {
        let source = Source {
            tenant: &tenant,
            topic,
            only_changes,
            cluster: request.cluster.as_deref(),
            only_cluster: only_cluster.as_deref(),
            received_at: now(),
            partition: &|cluster| fleet.partition(&tenant, cluster),
            hash_key: &hash_key,
            plan: &plan,
            held: request.held.as_deref(),
        };
        source.read(&request.body, admission)
    });
    parsing.await.map_err(Error::internal)?
}

/// Refuses a batch of which any record would exceed the day's events, before it is parsed.
///
/// # Errors
/// `quota_exceeded` when nothing is left of the day.
async fn check_day(app: &App, tenant: TenantScope<'_>, topic: Topic, body: &Bytes) -> Result<()> {
    let limit = hard_limit(tenant.plan).filter(|_| engine::events_of(topic, 1) > 0);
    let Some(limit) = limit else {
        return Ok(());
    };
    let limits = &app.stores.limits;
    let taken = limits.take_day(tenant.id, 0, limit, now()).await?;
    if taken.allowed {
        return Ok(());
    }
    let body = body.clone();
    let _processor = app.budgets.processor(tenant.id, body.len()).await?;
    let items = blocking(move || split::records(topic, &body).map(|items| items.len() as u64));
    let items = items.await.map_err(Error::internal)??;
    let events = engine::events_of(topic, items);
    Err(day_is_used_up(app, tenant, topic, (events, taken)))
}

fn hard_limit(plan: &Plan) -> Option<u64> {
    plan.events_day.filter(|_| plan.events_are_hard)
}

/// On a plan with a hard limit, takes the batch from the day's events, or refuses and counts it. A
/// batch begun within the limit is taken in completely. Rejected records count like accepted ones:
/// they cost the same work. Objects beyond the plan do not: their senders send them as they should.
/// Returns how many events were taken.
async fn take_from_day(
    app: &App,
    tenant: TenantScope<'_>,
    topic: Topic,
    batch: &Batch,
) -> Result<u64> {
    let events = batch.events + batch.rejected.count - batch.over_quota;
    let Some(limit) = hard_limit(tenant.plan).filter(|_| events > 0) else {
        return Ok(0);
    };
    let taken = app
        .stores
        .limits
        .take_day(tenant.id, events, limit, now())
        .await?;
    if taken.allowed {
        return Ok(events);
    }
    Err(day_is_used_up(app, tenant, topic, (events, taken)))
}

/// Counts events that are refused. Returns the refusal.
fn day_is_used_up(
    app: &App,
    tenant: TenantScope<'_>,
    topic: Topic,
    (events, taken): (u64, Taken),
) -> Error {
    app.pending_usage
        .add(tenant.id, Metric::EventsRejectedQuota, events as i64);
    let labels = [("topic", topic.as_str()), ("status", "quota")];
    metrics::counter!("kg_messages_processed_total", &labels).increment(events);
    let message = format!(
        "daily limit of {} events (plan `{}`) reached; {events} records rejected",
        taken.limit, tenant.plan.name
    );
    Error::quota_exceeded(message, seconds_until_retry(&taken))
        .hint("wait for the next day (UTC) or change the plan")
}

/// Takes further calls from the sender's rate, one for each hundred rejected records. This batch is
/// not refused for it, but the next ones may be.
async fn slow_down(app: &App, tenant: TenantScope<'_>, rejected: u64) -> Result<()> {
    let calls = rejected / REJECTS_PER_CALL;
    let Some(window) = tenant.plan.api_minute.map(|n| Traffic::Ingest.window(n)) else {
        return Ok(());
    };
    if calls > 0 {
        let calls = calls.min(window.limit);
        let limits = &app.stores.limits;
        let taken = limits.take(tenant.id, window, calls, now()).await?;
        if !taken.allowed && taken.remaining > 0 {
            limits
                .take(tenant.id, window, taken.remaining, now())
                .await?;
        }
    }
    Ok(())
}
