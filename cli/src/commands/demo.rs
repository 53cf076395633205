//! `kgrca demo`

use std::time::{Duration, Instant};

use kgrca_core::api::{CreatedTenant, Ingested, NewTenant, Page, Stats, Usage};
use kgrca_core::model::Time;
use kgrca_core::rca::Answer;
use kgrca_core::storage::IncidentRow;
use reqwest::Method;
use serde_json::Value;

use super::Env;
use crate::client::{As, Client};
use crate::context::{Context, Secret};
use crate::daemon;
use crate::error::{CliError, Result};

/// Shows a recorded incident explained: starts a server in a temporary folder, creates a tenant,
/// sends the records through the ordinary API, prints the ranked causes and the usage, and leaves
/// nothing behind.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// A Service whose selector nobody has; its callers complain.
const SCENARIO: &str =
    include_str!("../../../tests/scenarios/service/selector-mismatch-typo.jsonl");

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let folder = tempfile::tempdir()?;
    let daemon = daemon::start(folder.path(), "127.0.0.1:0", true)?;
    let result = play(env, &daemon.serving);
    daemon.kill()?;
    folder.close()?;
    result
}

fn play(env: &Env<'_>, serving: &daemon::Serving) -> Result {
    let mut context = Context {
        url: serving.url.clone(),
        api_key: None,
        operator_key: Some(serving.operator_key.clone()),
    };
    let wish = NewTenant {
        name: "demo".into(),
        plan: "pro".into(),
        contact_email: String::new(),
    };
    let created: CreatedTenant = Client::new(context.clone())?.send(
        Method::POST,
        As::Operator,
        "/api/v1/admin/clients",
        &wish,
    )?;
    env.out
        .message(&format!("tenant {} was created", created.client_id));
    context.api_key = Some(Secret::new(created.api_key));
    let client = Client::new(context)?;
    let accepted = send(&client)?;
    env.out.message(&format!(
        "{accepted} records of a recorded incident were accepted"
    ));
    let answer = wait_for_answer(&client)?;
    super::rca::print(env, &answer, false)?;
    let usage: Usage = client.get(As::Tenant, "/api/v1/usage", &[])?;
    let rows = usage
        .rows
        .iter()
        .map(|r| format!("{} {}", r.amount, r.metric))
        .collect::<Vec<_>>()
        .join(", ");
    env.out.message(&format!("usage: {rows}"));
    Ok(())
}

/// Sends the scenario topic by topic, its times moved so that it ends now.
fn send(client: &Client) -> Result<u64> {
    let lines: Vec<Value> = SCENARIO
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let ended = lines
        .iter()
        .find_map(|l| Time::parse(l["value"]["collected_at"].as_str()?))
        .unwrap_or_default();
    let shift = jiff::Timestamp::now().as_microsecond() - ended.0;
    let kinds = [
        ("state.k8s.resource", "resources"),
        ("state.k8s.topology", "topology"),
        ("events.normalized", "events"),
        ("logs.normalized", "logs"),
        ("alerts.raw", "alerts"),
    ];
    let mut accepted = 0;
    for (topic, kind) in kinds {
        let mut batch = String::new();
        for line in lines.iter().filter(|l| l["topic"] == topic) {
            let mut value = line["value"].clone();
            move_times(&mut value, shift);
            if let (Value::Object(map), true) = (&mut value, kind != "alerts") {
                map.entry("cluster").or_insert_with(|| "prod".into());
                if kind == "resources" {
                    map.entry("at")
                        .or_insert_with(|| Time(ended.0 + shift).to_string().into());
                }
            }
            batch += &format!("{value}\n");
        }
        if !batch.is_empty() {
            let answer: Ingested =
                client.post_bytes(&format!("/api/v1/ingest/{kind}"), batch.into_bytes())?;
            if let Some(rejected) = answer.rejected.first() {
                return Err(CliError::failed(format!(
                    "a record of the demo was rejected: {}",
                    rejected.message
                )));
            }
            accepted += answer.accepted;
        }
    }
    Ok(accepted)
}

/// Moves every time in a record.
fn move_times(value: &mut Value, shift: i64) {
    match value {
        Value::String(text) if text.len() >= 20 && text.as_bytes()[4] == b'-' => {
            if let Some(time) = Time::parse(text) {
                *text = Time(time.0 + shift).to_string();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| move_times(v, shift)),
        Value::Object(map) => map.values_mut().for_each(|v| move_times(v, shift)),
        _ => {}
    }
}

/// Waits until everything is applied and the incident has a cause.
fn wait_for_answer(client: &Client) -> Result<Answer> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
        let page: Page<IncidentRow> = client.get(As::Tenant, "/api/v1/incidents", &[])?;
        let seen = stats.records.seen >= SCENARIO.lines().count() as u64 - 2;
        if let Some(first) = page
            .items
            .iter()
            .filter(|i| i.component.is_some())
            .max_by(|a, b| {
                a.confidence
                    .unwrap_or(0.0)
                    .total_cmp(&b.confidence.unwrap_or(0.0))
            })
            .filter(|_| seen && stats.lag == 0)
        {
            return client.get(
                As::Tenant,
                &format!("/api/v1/rca/{}", first.incident_id),
                &[],
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(
        CliError::failed("the demo's incident was not found within 10 s")
            .hint("this is a defect; report it"),
    )
}
