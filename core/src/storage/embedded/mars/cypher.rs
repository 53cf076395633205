//! Questions in Cypher, held to reading by their syntax tree.

use std::collections::{BTreeMap, HashMap};

use marsdb_graph::{Edge, GraphStore as Database, Node, PropertyValue};
use marsdb_query::{ExecutionOptions, Executor, Literal, PathElem, Value, is_read_only};
use serde_json::{Value as Json, json};

use crate::storage::cypher::{CypherAnswer, CypherQuery, refusal, uses};
use crate::storage::{Error, ErrorKind, Result};

/// How many relations one question may follow.
const EXPANSIONS: u64 = 5_000_000;
/// How many rows it may hold on its way.
const INTERMEDIATE: usize = 1_000_000;

fn refused(why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Refused, format!("the question: {why}"))
}

/// Stack of the thread that parses and runs a question: both recurse along its syntax tree.
const STACK: usize = 64 << 20;

/// Answers a question on a thread with enough stack for the deepest one that the limits allow.
pub(super) fn answer_with_stack(db: &Database, query: &CypherQuery) -> Result<CypherAnswer> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let failed = |why: String| Error::new(ErrorKind::Internal, why);
        let running = thread
            .spawn_scoped(scope, || answer(db, query))
            .map_err(|e| failed(format!("graph: {e}")))?;
        let result = running.join();
        result.unwrap_or_else(|_| Err(failed("graph: the query engine panicked".into())))
    })
}

/// Answers a question.
fn answer(db: &Database, query: &CypherQuery) -> Result<CypherAnswer> {
    if let Some(why) = refusal(query) {
        return Err(refused(why));
    }
    // The embedded engine does not hold it to its budget.
    if uses(&query.text, "UNWIND") {
        return Err(refused("`UNWIND` is not allowed on the embedded graph"));
    }
    let mut statement = marsdb_query::parse(&query.text).map_err(refused)?;
    if !is_read_only(&statement) {
        return Err(refused("it does not only read"));
    }
    let parameters: HashMap<String, PropertyValue> = query
        .parameters
        .iter()
        .map(|(name, value)| Ok((name.clone(), parameter(value)?)))
        .collect::<Result<_>>()?;
    marsdb_query::substitute_params(&mut statement, &parameters).map_err(refused)?;
    let options = ExecutionOptions {
        timeout: Some(query.time),
        max_intermediate_rows: Some(INTERMEDIATE),
        max_relationship_expansions: Some(EXPANSIONS),
        params: parameters,
        ..ExecutionOptions::default()
    };
    let found = Executor::new(db)
        .execute_with_options(&statement, &options)
        .map_err(refused)?;
    let mut answer = CypherAnswer {
        columns: found.columns,
        ..CypherAnswer::default()
    };
    let mut bytes = 0;
    for row in found.rows {
        if !answer.push(row.iter().map(json_of).collect(), query, &mut bytes) {
            break;
        }
    }
    Ok(answer)
}

fn parameter(value: &Json) -> Result<PropertyValue> {
    Ok(match value {
        Json::Null => PropertyValue::Null,
        Json::Bool(b) => PropertyValue::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => PropertyValue::Int(n),
            None => PropertyValue::Float(n.as_f64().unwrap_or_default()),
        },
        Json::String(s) => PropertyValue::String(s.clone()),
        Json::Array(all) => PropertyValue::List(all.iter().map(parameter).collect::<Result<_>>()?),
        Json::Object(_) => {
            return Err(refused(
                "a parameter is a map; only plain values and lists are supported",
            ));
        }
    })
}

fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Node(node) => node_json(node),
        Value::Edge(edge) => edge_json(edge),
        Value::Property(property) => property_json(property),
        Value::Literal(literal) => literal_json(literal),
        Value::List(all) => all.iter().map(json_of).collect(),
        Value::Map(all) => all.iter().map(|(k, v)| (k.clone(), json_of(v))).collect(),
        Value::Path(parts) => parts
            .iter()
            .map(|part| match part {
                PathElem::Node(node) => node_json(node),
                PathElem::Edge(edge) => edge_json(edge),
            })
            .collect(),
    }
}

fn node_json(node: &Node) -> Json {
    json!({"labels": node.labels, "properties": properties(&node.props)})
}

fn edge_json(edge: &Edge) -> Json {
    json!({"type": edge.label, "properties": properties(&edge.props)})
}

fn properties(all: &BTreeMap<String, PropertyValue>) -> Json {
    all.iter()
        .map(|(k, v)| (k.clone(), property_json(v)))
        .collect()
}

fn property_json(value: &PropertyValue) -> Json {
    match value {
        PropertyValue::Null => Json::Null,
        PropertyValue::Bool(b) => (*b).into(),
        PropertyValue::Int(n) => (*n).into(),
        PropertyValue::Float(n) => (*n).into(),
        PropertyValue::String(s) => s.clone().into(),
        PropertyValue::List(all) => all.iter().map(property_json).collect(),
        // We store no dates: times are numbers.
        other => format!("{other:?}").into(),
    }
}

fn literal_json(literal: &Literal) -> Json {
    match literal {
        Literal::Int(n) => (*n).into(),
        Literal::Float(n) => (*n).into(),
        Literal::String(s) => s.clone().into(),
        Literal::Bool(b) => (*b).into(),
        Literal::Null | Literal::Param(_) => Json::Null,
    }
}
