//! The door for records: checked, masked, durable, then answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use kgrca_core::api::{DeadLetter, Ingested, RejectedItem};
use kgrca_core::billing::Metric;
use kgrca_core::model::{Str, Time, Topic};
use kgrca_core::parse::{self, Context, Reject, Signal, mask};
use kgrca_core::storage::{Entry, EntryBuilder, StreamId};
use kgrca_core::tenancy::{Scope, TenantId};
use serde_json::value::RawValue;

use super::auth::{Caller, Ingest};
use super::body::RawBody;
use super::error::ApiError;
use crate::clock::now;
use crate::usecases::{App, cluster_quota, seconds_until_retry};

/// Takes a batch of records: JSON, an array, or NDJSON, also compressed by gzip or zstd.
#[utoipa::path(post, path = "/ingest/{kind}", tag = "ingest",
    params(("kind" = String, Path, description = "events, logs, resources, topology or alerts"), ("X-Cluster" = Option<String>, Header, description = "cluster of records that name none"), ("Idempotency-Key" = Option<String>, Header, description = "kept 24 h")),
    request_body(content = serde_json::Value, content_type = "application/json",
        description = "A record, an array of records, or one per line; objects, Events and Lists as kubectl -o json prints them are records, too. The example is one of events.normalized.",
        example = json!({"event_id": "e1", "event_time": "2026-01-01T10:00:00Z", "cluster": "prod", "severity": "WARNING", "reason": "Failed", "count": 3, "message": "Failed to pull image", "subject": {"kind": "Pod", "ns": "shop", "name": "web-1"}})),
    responses((status = 202, body = Ingested), (status = 400, body = kgrca_core::api::ErrorBody), (status = 401, body = kgrca_core::api::ErrorBody), (status = 403, body = kgrca_core::api::ErrorBody), (status = 404, body = kgrca_core::api::ErrorBody), (status = 413, body = kgrca_core::api::ErrorBody), (status = 429, body = kgrca_core::api::ErrorBody), (status = 503, body = kgrca_core::api::ErrorBody)))]
pub async fn ingest(
    State(app): State<Arc<App>>,
    caller: Caller<Ingest>,
    Path(kind): Path<String>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<Ingested>), ApiError> {
    let topic = topic(&kind)?;
    let idempotency = headers
        .get("idempotency-key")
        .and_then(|v| v.to_str().ok())
        .map(|k| format!("{kind}/{k}"));
    if let Some(key) = &idempotency
        && let Some(before) = app
            .stores
            .meta
            .idempotent(&caller.tenant, key, None, now())
            .await?
    {
        return Ok((StatusCode::ACCEPTED, Json(repeated(&before))));
    }
    let cluster = headers
        .get("x-cluster")
        .and_then(|v| v.to_str().ok())
        .map(str::to_owned);
    let tenant = caller.tenant.clone();
    let engine = Arc::clone(&app.fleet);
    let received_at = now();
    let read = tokio::task::spawn_blocking(move || {
        let partition = |cluster: &str| engine.partition(&tenant, cluster);
        read_batch(
            &tenant,
            topic,
            cluster.as_deref(),
            received_at,
            &body,
            &partition,
        )
    });
    let mut batch = read
        .await
        .map_err(|e| ApiError::internal(e.to_string()))??;
    cluster_quota::admit(&app, caller.tenant(Scope::Ingest)?, &batch.clusters).await?;
    charge(&app, &caller, topic, &mut batch).await?;
    let answer = Ingested {
        accepted: batch.accepted,
        duplicate: 0,
        rejected: batch.rejected,
    };
    let partitions: BTreeSet<u32> = batch
        .entries
        .iter()
        .filter(|e| e.stream.topic != Topic::Dlq)
        .map(|e| e.stream.partition)
        .collect();
    if !batch.entries.is_empty()
        && let Err(e) = app.stores.log.append(&caller.tenant, batch.entries).await
    {
        if topic.signal().is_metered {
            app.stores
                .limits
                .give_back_day(&caller.tenant, answer.accepted, now())
                .await?;
        }
        return Err(e.into());
    }
    if !answer.rejected.is_empty() {
        app.pending_usage.add(
            &caller.tenant,
            super::own::REFUSED,
            answer.rejected.len() as i64,
        );
    }
    for partition in partitions {
        app.fleet.appended(&caller.tenant, partition);
    }
    if let Some(key) = &idempotency {
        let text = serde_json::to_string(&answer).unwrap_or_default();
        app.stores
            .meta
            .idempotent(&caller.tenant, key, Some(&text), now())
            .await?;
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn topic(kind: &str) -> Result<Topic, ApiError> {
    let unknown = || {
        let known: Vec<&str> = Signal::INPUTS.iter().filter_map(|s| s.route).collect();
        ApiError::not_found(format!("unknown kind of record `{kind}`"))
            .hint(format!("use one of {}", known.join(", ")))
    };
    Ok(Signal::by_route(kind).ok_or_else(unknown)?.topic)
}

/// What an earlier batch of the same key brought is a duplicate now.
fn repeated(before: &str) -> Ingested {
    let before: Ingested = serde_json::from_str(before).unwrap_or_default();
    Ingested {
        accepted: 0,
        duplicate: before.accepted,
        rejected: before.rejected,
    }
}

struct Batch {
    entries: Vec<Entry>,
    accepted: u64,
    rejected: Vec<RejectedItem>,
    /// Whom its records are of.
    clusters: BTreeSet<Str>,
}

/// Holds the plan's day: on hard plans what goes beyond is refused and counted.
async fn charge(
    app: &App,
    caller: &Caller<Ingest>,
    topic: Topic,
    batch: &mut Batch,
) -> Result<(), ApiError> {
    let Some(limit) = caller
        .plan
        .events_day
        .filter(|_| caller.plan.events_are_hard && topic.signal().is_metered && batch.accepted > 0)
    else {
        return Ok(());
    };
    let taken = app
        .stores
        .limits
        .take_day(&caller.tenant, batch.accepted, limit, now())
        .await?;
    if taken.allowed {
        return Ok(());
    }
    app.pending_usage.add(
        &caller.tenant,
        Metric::EventsRejectedQuota,
        batch.accepted as i64,
    );
    metrics::counter!("kg_messages_processed_total", "topic" => topic.as_str(), "status" => "quota").increment(batch.accepted);
    let message = format!(
        "the plan `{}` takes {limit} events a day; {} were refused",
        caller.plan.name, batch.accepted
    );
    Err(ApiError::limited(message, seconds_until_retry(&taken))
        .hint("wait for the next day (UTC) or change the plan"))
}

fn read_batch(
    tenant: &TenantId,
    topic: Topic,
    cluster: Option<&str>,
    received_at: Time,
    body: &[u8],
    partition: &dyn Fn(&str) -> u32,
) -> Result<Batch, ApiError> {
    let items = split(body)?;
    let mut batch = Batch {
        entries: Vec::with_capacity(items.len()),
        accepted: 0,
        rejected: Vec::new(),
        clusters: BTreeSet::new(),
    };
    let builder = EntryBuilder {
        topic,
        cluster,
        received_at,
        partition,
    };
    let context = Context {
        received_at,
        cluster,
        client_id: Some(tenant.as_str()),
    };
    let mut records = Vec::new();
    for (index, item) in items.iter().enumerate() {
        records.clear();
        match parse::parse(topic, item, &context, &mut records) {
            Ok(()) => {
                for record in &records {
                    if !batch.clusters.contains(&record.cluster) {
                        batch.clusters.insert(record.cluster.clone());
                    }
                }
                batch.accepted += builder.add(item, &records, &mut batch.entries);
            }
            Err(reject) => refuse(&mut batch, tenant, &builder, index, item, &reject),
        }
    }
    Ok(batch)
}

/// The records of a body: an array's elements, or lines, or one document.
fn split(body: &[u8]) -> Result<Vec<&[u8]>, ApiError> {
    let mut all = Vec::new();
    for item in parts(body)? {
        unpack(item, &mut all);
    }
    Ok(all)
}

/// A Kubernetes `List` stands for its items.
fn unpack<'a>(item: &'a [u8], out: &mut Vec<&'a [u8]>) {
    #[derive(serde::Deserialize)]
    struct List<'a> {
        kind: String,
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    let may_be_list = std::str::from_utf8(item).is_ok_and(|text| text.contains("\"items\""));
    match may_be_list.then(|| serde_json::from_slice::<List<'_>>(item)) {
        Some(Ok(list)) if list.kind.ends_with("List") => {
            out.extend(list.items.into_iter().map(|i| i.get().as_bytes()));
        }
        _ => out.push(item),
    }
}

fn parts(body: &[u8]) -> Result<Vec<&[u8]>, ApiError> {
    let trimmed = body.trim_ascii();
    if trimmed.is_empty() {
        return Err(ApiError::invalid("the body is empty")
            .hint("send a JSON record, an array of them, or one per line"));
    }
    if trimmed.first() == Some(&b'[') {
        let items: Vec<&RawValue> = serde_json::from_slice(trimmed)
            .map_err(|e| ApiError::invalid(format!("the body is not a JSON array: {e}")))?;
        return Ok(items.into_iter().map(|i| i.get().as_bytes()).collect());
    }
    let first_line = trimmed.split(|b| *b == b'\n').next().unwrap_or_default();
    let spans_lines = first_line.len() < trimmed.len()
        && serde_json::from_slice::<serde::de::IgnoredAny>(first_line).is_err();
    if spans_lines && serde_json::from_slice::<serde::de::IgnoredAny>(trimmed).is_ok() {
        return Ok(vec![trimmed]);
    }
    Ok(trimmed
        .split(|b| *b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|l| !l.is_empty())
        .collect())
}

/// Whether a record is a Kubernetes object, whatever door it came to.
fn looks_like_object(item: &[u8]) -> bool {
    item.windows(6).any(|w| w == b"\"kind\"")
}

fn refuse(
    batch: &mut Batch,
    tenant: &TenantId,
    builder: &EntryBuilder<'_>,
    index: usize,
    item: &[u8],
    reject: &Reject,
) {
    let topic = builder.topic;
    let reason = reject.reason.as_str();
    metrics::counter!("kg_messages_processed_total", "topic" => topic.as_str(), "status" => reason)
        .increment(1);
    batch.rejected.push(RejectedItem {
        index,
        reason: reason.to_owned(),
        message: reject.message.clone(),
    });
    // As a whole first: cut, it is no JSON any more. What is none, or may be a Secret elsewhere,
    // keeps no text.
    let masked = mask::record(
        if looks_like_object(item) {
            Topic::Resource
        } else {
            topic
        },
        item,
    );
    let readable = serde_json::from_slice::<serde::de::IgnoredAny>(&masked).is_ok();
    let masked = &masked[..masked.len().min(4096)];
    // A foreign tenant's record is not kept in this tenant's dlq.
    let keep = readable && reject.reason != kgrca_core::parse::Reason::ForeignTenant;
    let record = if keep {
        mask::line(&String::from_utf8_lossy(masked)).into_owned()
    } else {
        String::new()
    };
    let letter = DeadLetter {
        id: 0,
        at: builder.received_at,
        topic: topic.as_str().to_owned(),
        reason: reason.to_owned(),
        message: reject.message.clone(),
        record,
    };
    let stream = StreamId {
        topic: Topic::Dlq,
        partition: (builder.partition)(tenant.as_str()),
    };
    if let Ok(value) = serde_json::to_vec(&letter) {
        batch.entries.push(Entry {
            stream,
            key: tenant.as_str().as_bytes().into(),
            value: value.into(),
            received_at: builder.received_at,
        });
    }
}
