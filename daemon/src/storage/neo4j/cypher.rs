//! People's questions: the server runs them in its read mode, with a time of their own.

use std::time::Duration;

use kgrca_core::storage::cypher::{CypherAnswer, CypherQuery, refusal};
use kgrca_core::storage::{Error, ErrorKind, Result};
use neo4rs::{BoltList, BoltMap, BoltNull, BoltString, BoltType, Graph, Query, Row, query};
use serde_json::{Value as Json, json};

/// What the answer may take on its way beyond the server's own time.
const LEEWAY: Duration = Duration::from_secs(2);

fn refused(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Refused, format!("the question: {why}"))
}

fn failed(error: &neo4rs::Error) -> Error {
    match error {
        neo4rs::Error::Neo4j(e) => refused(format!("{} ({})", e.message(), e.code())),
        other => super::failed(other),
    }
}

/// Answers a question. When the caller leaves, the stream is dropped, and the server ends it at its
/// time.
pub(super) async fn answer(graph: &Graph, wish: &CypherQuery) -> Result<CypherAnswer> {
    if let Some(why) = refusal(&wish.text) {
        return Err(refused(why));
    }
    let late = |_| refused(format!("no answer within {} ms", wish.time.as_millis()));
    tokio::time::timeout(wish.time + LEEWAY, Box::pin(asked(graph, wish)))
        .await
        .map_err(late)?
}

async fn asked(graph: &Graph, wish: &CypherQuery) -> Result<CypherAnswer> {
    let mut question: Query = query(&wish.text).extra("tx_timeout", wish.time.as_millis() as i64);
    for (name, value) in &wish.parameters {
        question = question.param(name, bolt(value));
    }
    let mut stream = graph.execute_read(question).await.map_err(|e| failed(&e))?;
    let mut answer = CypherAnswer::default();
    let mut bytes = 0;
    while let Some(row) = stream.next().await.map_err(|e| failed(&e))? {
        if answer.columns.is_empty() {
            answer.columns = columns(&row, &wish.text);
        }
        let values = answer
            .columns
            .iter()
            .map(|c| row.get::<BoltType>(c).map_or(Json::Null, |v| json_of(&v)))
            .collect();
        if !answer.push(values, wish, &mut bytes) {
            break;
        }
    }
    Ok(answer)
}

/// The columns as the statement returns them; the driver knows no order.
fn columns(row: &Row, text: &str) -> Vec<String> {
    let upper = text.to_ascii_uppercase();
    let start = upper.rfind("RETURN").unwrap_or(0);
    let end = upper[start..]
        .find("ORDER BY")
        .map_or(text.len(), |at| start + at);
    let returned = &text[start..end];
    let place = |name: &str| {
        returned
            .rfind(&format!(" {name}"))
            .or_else(|| returned.find(name))
    };
    let mut names: Vec<String> = row.keys().iter().map(|k| k.value.clone()).collect();
    names.sort_by_key(|name| (place(name), name.clone()));
    names
}

fn bolt(value: &Json) -> BoltType {
    match value {
        Json::Null => BoltType::Null(BoltNull),
        Json::Bool(b) => (*b).into(),
        Json::Number(n) => n
            .as_i64()
            .map_or_else(|| n.as_f64().unwrap_or_default().into(), Into::into),
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
            json!({"labels": json_of(&BoltType::List(n.labels.clone())), "properties": map(&n.properties)})
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
        // We store no times or points of the server's own: times are numbers.
        other => format!("{other:?}").into(),
    }
}
