//! `kgrca demo`

use std::time::{Duration, Instant};

use kgrca_core::api::{CreatedTenant, Ingested, NewTenant, Page, Stats, Usage};
use kgrca_core::model::{Time, Topic};
use kgrca_core::rca::Answer;
use kgrca_core::storage::IncidentRow;
use reqwest::Method;
use serde_json::Value;

use super::Env;
use crate::client::{As, Client};
use crate::context::{Context, Secret};
use crate::daemon;
use crate::error::{CliError, Result};
use crate::output::now;

/// Run a self-contained demo; cleans up after itself
///
/// Starts a server in a temporary directory, creates a tenant, sends a recorded incident through
/// the API, prints its root causes and the usage, and cleans up.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// How long the incident may take to appear.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A Service whose selector matches no pod, and callers that log errors.
const SCENARIO: &str =
    include_str!("../../../tests/scenarios/service/selector-mismatch-typo.jsonl");

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let directory = tempfile::tempdir()?;
    let daemon = daemon::start(directory.path(), "127.0.0.1:0", true)?;
    let result = play(env, &daemon.serving);
    daemon.kill()?;
    directory.close()?;
    result
}

fn play(env: &Env<'_>, serving: &daemon::Serving) -> Result {
    let mut context = Context {
        url: serving.url.clone(),
        api_key: None,
        operator_key: Some(serving.operator_key.clone()),
    };
    let request = NewTenant {
        name: "demo".into(),
        plan: "pro".into(),
        contact_email: String::new(),
    };
    let created: CreatedTenant = Client::new(context.clone())?.send(
        Method::POST,
        As::Operator,
        "/api/v1/admin/clients",
        &request,
    )?;
    env.out
        .message(&format!("created tenant {}", created.client_id));
    context.api_key = Some(Secret::new(created.api_key));
    let client = Client::new(context)?;
    let accepted = send(&client)?;
    env.out
        .message(&format!("sent {accepted} records of a recorded incident"));
    let answer = wait_for_answer(&client)?;
    super::rca::print(env, &answer, false)?;
    let usage: Usage = client.get(As::Tenant, "/api/v1/usage", &[])?;
    let amounts: Vec<String> = usage
        .rows
        .iter()
        .map(|r| format!("{} {}", r.amount, r.metric))
        .collect();
    env.out.message(&format!("usage: {}", amounts.join(", ")));
    env.out.message(
        "next: `kgrca up --detach` starts a server that stays, `kgrca agent install --cluster NAME` \
         sends it data of a cluster",
    );
    Ok(())
}

/// Sends the scenario topic by topic, moved in time so that it ends now. Returns how many records
/// were accepted.
fn send(client: &Client) -> Result<u64> {
    let lines: Vec<Value> = SCENARIO
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let ended = lines
        .iter()
        .find_map(|l| Time::parse(l["value"]["collected_at"].as_str()?))
        .unwrap_or_default();
    let shift = now().0 - ended.0;
    let mut accepted = 0;
    for topic in Topic::ALL {
        let Some(route) = topic.signal().route else {
            continue;
        };
        let mut batch = String::new();
        for line in lines.iter().filter(|l| l["topic"] == topic.as_str()) {
            let mut value = line["value"].clone();
            move_times(&mut value, shift);
            if let (Value::Object(map), true) = (&mut value, topic != Topic::Alerts) {
                map.entry("cluster").or_insert_with(|| "prod".into());
                if topic == Topic::Resource {
                    let at = ended.plus(shift).to_string();
                    map.entry("at").or_insert_with(|| at.into());
                }
            }
            batch += &format!("{value}\n");
        }
        if batch.is_empty() {
            continue;
        }
        let path = format!("/api/v1/ingest/{route}");
        let answer: Ingested = client.post_bytes(&path, batch.into_bytes())?;
        if let Some(rejected) = answer.rejected.first() {
            let message = format!("a record of the demo was rejected: {}", rejected.message);
            return Err(CliError::failed(message));
        }
        accepted += answer.accepted;
    }
    Ok(accepted)
}

/// Moves every time in a record by `shift` microseconds.
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

/// Waits until all records are applied and the incident has a cause.
fn wait_for_answer(client: &Client) -> Result<Answer> {
    let deadline = Instant::now() + TIMEOUT;
    // All lines but the `case` and the `label`.
    let records = SCENARIO.lines().count() as u64 - 2;
    while Instant::now() < deadline {
        let stats: Stats = client.get(As::Tenant, "/api/v1/stats", &[])?;
        let page: Page<IncidentRow> = client.get(As::Tenant, "/api/v1/incidents", &[])?;
        let confidence = |i: &IncidentRow| i.confidence.unwrap_or(0.0);
        let surest = page
            .items
            .iter()
            .filter(|i| i.component.is_some())
            .max_by(|a, b| confidence(a).total_cmp(&confidence(b)));
        if let Some(incident) = surest
            && stats.records.seen >= records
            && stats.lag == 0
        {
            let path = format!("/api/v1/rca/{}", incident.incident_id);
            return client.get(As::Tenant, &path, &[]);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let message = format!(
        "the demo's incident did not appear within {} s",
        TIMEOUT.as_secs()
    );
    Err(CliError::failed(message).hint("this is a bug: please report it"))
}
