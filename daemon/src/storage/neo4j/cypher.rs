//! Queries of users, run in the server's read mode with a time limit.

use std::time::{Duration, Instant};

use kgrca_core::storage::Result;
use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery, Outcome, refusal};
use neo4rs::{BoltList, BoltMap, BoltNull, BoltString, BoltType, Graph, Query, Row, query};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::telemetry;

/// Extra time for the answer to arrive, beyond the server's time limit.
const LEEWAY: Duration = Duration::from_secs(2);

/// Runs a query. When the caller disconnects, the stream is dropped and the server ends the query
/// at its time limit.
pub(super) async fn answer(graph: &Graph, request: &CypherQuery) -> Result<CypherAnswer> {
    if let Some(why) = refusal(request) {
        return Outcome::Refused(why).result(request);
    }
    let started = Instant::now();
    let asked = timeout(request.time + LEEWAY, Box::pin(asked(graph, request))).await;
    let outcome = match asked {
        Ok(Ok(answer)) => Outcome::Answer(answer),
        Ok(Err(neo4rs::Error::Neo4j(e))) => outcome(e.code(), e.message()),
        Ok(Err(e)) => return Err(super::failed(&e)),
        Err(_) => Outcome::TimedOut,
    };
    telemetry::QueryEnded {
        outcome: outcome.as_str(),
        seconds: started.elapsed().as_secs_f64(),
    }
    .emit();
    outcome.result(request)
}

/// Tells the limits of the server from queries that are wrong.
fn outcome(code: &str, message: &str) -> Outcome {
    if code.contains("TransactionTimedOut") {
        Outcome::TimedOut
    } else if code.contains("OutOfMemory") {
        Outcome::OutOfMemory
    } else if code.contains("StackOverFlow") {
        Outcome::TooDeep
    } else {
        Outcome::Refused(format!("{message} ({code})"))
    }
}

async fn asked(
    graph: &Graph,
    request: &CypherQuery,
) -> std::result::Result<CypherAnswer, neo4rs::Error> {
    let mut question: Query =
        query(&request.text).extra("tx_timeout", request.time.as_millis() as i64);
    for (name, value) in &request.parameters {
        question = question.param(name, bolt(value));
    }
    let mut stream = graph.execute_read(question).await?;
    let mut answer = CypherAnswer::default();
    let mut bytes = 0;
    while let Some(row) = stream.next().await? {
        if answer.columns.is_empty() {
            answer.columns = columns(&row, &request.text);
        }
        let values = answer
            .columns
            .iter()
            .map(|c| {
                row.get::<BoltType>(c)
                    .map(|v| json_of(&v))
                    .unwrap_or(Json::Null)
            })
            .collect();
        if !answer.push(values, request, &mut bytes) {
            break;
        }
    }
    Ok(answer)
}

/// The columns in the order of the statement; the driver does not keep it.
fn columns(row: &Row, text: &str) -> Vec<String> {
    let upper = text.to_ascii_uppercase();
    let start = upper.rfind("RETURN").unwrap_or(0);
    let end = upper[start..]
        .find("ORDER BY")
        .map(|at| start + at)
        .unwrap_or(text.len());
    let returned = &text[start..end];
    let position = |name: &str| {
        returned
            .rfind(&format!(" {name}"))
            .or_else(|| returned.find(name))
    };
    let mut names: Vec<String> = row.keys().iter().map(|k| k.value.clone()).collect();
    names.sort_by_key(|name| (position(name), name.clone()));
    names
}

fn bolt(value: &Json) -> BoltType {
    match value {
        Json::Null => BoltType::Null(BoltNull),
        Json::Bool(b) => (*b).into(),
        Json::Number(n) => n
            .as_i64()
            .map(Into::into)
            .unwrap_or_else(|| n.as_f64().unwrap_or_default().into()),
        Json::String(s) => s.as_str().into(),
        Json::Array(all) => {
            BoltType::List(BoltList::from(all.iter().map(bolt).collect::<Vec<_>>()))
        }
        Json::Object(all) => BoltType::Map(
            all.iter()
                .map(|(k, v)| (BoltString::from(k.as_str()), bolt(v)))
                .collect::<BoltMap>(),
        ),
    }
}

fn map(all: &BoltMap) -> Json {
    let mut pairs: Vec<_> = all
        .value
        .iter()
        .map(|(k, v)| (k.value.clone(), json_of(v)))
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.into_iter().collect()
}

fn json_of(value: &BoltType) -> Json {
    match value {
        BoltType::Null(_) => Json::Null,
        BoltType::Boolean(b) => b.value.into(),
        BoltType::Integer(n) => n.value.into(),
        BoltType::Float(n) => n.value.into(),
        BoltType::String(s) => s.value.clone().into(),
        BoltType::List(all) => all.value.iter().map(json_of).collect(),
        BoltType::Map(all) => map(all),
        BoltType::Node(n) => {
            let labels = json_of(&BoltType::List(n.labels.clone()));
            json!({"labels": labels, "properties": map(&n.properties)})
        }
        BoltType::Relation(r) => json!({"type": r.typ.value, "properties": map(&r.properties)}),
        BoltType::UnboundedRelation(r) => {
            json!({"type": r.typ.value, "properties": map(&r.properties)})
        }
        BoltType::Path(p) => p
            .nodes
            .value
            .iter()
            .chain(&p.rels.value)
            .map(json_of)
            .collect(),
        // We do not store Neo4j's own temporal or spatial values; times are numbers.
        other => format!("{other:?}").into(),
    }
}
