//! Questions in Cypher, held to reading by their syntax tree.

use std::collections::{BTreeMap, HashMap};

use marsdb_graph::{Edge, GraphStore as Database, Node, PropertyValue};
use marsdb_query::{
    ExecutionOptions, Executor, Literal, PathElem, QueryError, Value, is_read_only,
};
use serde_json::{Value as Json, json};

use crate::storage::cypher::{CypherAnswer, CypherQuery, Outcome, uses};
use crate::storage::{Error, ErrorKind, Result};

/// How deeply a value of an answer may nest: readers of JSON refuse more than 128 levels.
const DEPTH: usize = 64;

type Done<T> = std::result::Result<T, QueryError>;

/// How many relations one question may follow.
const EXPANSIONS: u64 = 5_000_000;
/// How many rows it may hold on its way.
const INTERMEDIATE: usize = 1_000_000;

/// Stack of the thread that parses and runs a query: both recurse along its syntax tree.
pub(super) const STACK: usize = 64 << 20;

/// Answers a query on a thread with enough stack for the deepest one that the limits allow.
pub(super) fn answer_with_stack(db: &Database, query: &CypherQuery) -> Result<Outcome> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        let running = thread
            .spawn_scoped(scope, || answer(db, query))
            .map_err(|e| Error::new(ErrorKind::Internal, format!("graph: {e}")))?;
        Ok(running.join().unwrap_or(Outcome::Crashed))
    })
}

/// Answers a query on this thread.
pub(super) fn answer(db: &Database, query: &CypherQuery) -> Outcome {
    match answered(db, query) {
        Ok(answer) => Outcome::Answer(answer),
        Err(QueryError::Timeout) => Outcome::TimedOut,
        Err(e) => Outcome::Refused(e.to_string()),
    }
}

fn answered(db: &Database, query: &CypherQuery) -> Done<CypherAnswer> {
    // The embedded engine does not hold it to its budget.
    if uses(&query.text, "UNWIND") {
        let message = "`UNWIND` is not allowed on the embedded graph";
        return Err(QueryError::Semantic(message.into()));
    }
    let mut statement = marsdb_query::parse(&query.text)?;
    if !is_read_only(&statement) {
        return Err(QueryError::Semantic("it does not only read".into()));
    }
    let parameters: HashMap<String, PropertyValue> = query
        .parameters
        .iter()
        .map(|(name, value)| Ok((name.clone(), parameter(value)?)))
        .collect::<Done<_>>()?;
    marsdb_query::substitute_params(&mut statement, &parameters)?;
    let options = ExecutionOptions {
        timeout: Some(query.time),
        max_intermediate_rows: Some(INTERMEDIATE),
        max_relationship_expansions: Some(EXPANSIONS),
        params: parameters,
        ..ExecutionOptions::default()
    };
    let found = Executor::new(db).execute_with_options(&statement, &options)?;
    let mut answer = CypherAnswer {
        columns: found.columns,
        ..CypherAnswer::default()
    };
    let mut bytes = 0;
    for row in found.rows {
        let row: Vec<Json> = row.iter().map(json_of).collect();
        if row.iter().any(|value| depth(value) > DEPTH) {
            let message = format!("a value nests more than {DEPTH} levels");
            return Err(QueryError::ResourceLimit(message));
        }
        if !answer.push(row, query, &mut bytes) {
            break;
        }
    }
    Ok(answer)
}

fn parameter(value: &Json) -> Done<PropertyValue> {
    Ok(match value {
        Json::Null => PropertyValue::Null,
        Json::Bool(b) => PropertyValue::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(n) => PropertyValue::Int(n),
            None => PropertyValue::Float(n.as_f64().unwrap_or_default()),
        },
        Json::String(s) => PropertyValue::String(s.clone()),
        Json::Array(all) => PropertyValue::List(all.iter().map(parameter).collect::<Done<_>>()?),
        Json::Object(_) => {
            let message = "a parameter is a map; only plain values and lists are supported";
            return Err(QueryError::Semantic(message.into()));
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

fn depth(value: &Json) -> usize {
    let deepest = match value {
        Json::Array(all) => all.iter().map(depth).max(),
        Json::Object(all) => all.values().map(depth).max(),
        _ => return 0,
    };
    deepest.unwrap_or_default() + 1
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
