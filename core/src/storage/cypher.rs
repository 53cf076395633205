//! Read-only Cypher queries: which statements are allowed, and within what budget.
//!
//! This is the first of two safeguards: backends enforce read-only access as well.

mod limits;
mod tokens;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use tokens::{is_name, tokens};

use super::{Error, ErrorKind, Result};

/// A query and its budget.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CypherQuery {
    /// The statement.
    pub text: String,
    /// Values of its `$parameters`.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Maximum time.
    pub time: Duration,
    /// Maximum number of rows returned.
    pub rows: usize,
    /// Maximum size of the result in bytes of JSON.
    pub bytes: usize,
}

/// The result of a query.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CypherAnswer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows of values in the order of the columns; nodes as `{labels, properties}`, relations as
    /// `{type, properties}`.
    #[schema(value_type = Vec<Vec<Object>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether rows were left out because the budget was used up.
    pub truncated: bool,
}

impl CypherAnswer {
    /// Adds a row if the budget allows. Returns whether more rows can be added.
    pub fn push(
        &mut self,
        row: Vec<serde_json::Value>,
        budget: &CypherQuery,
        bytes: &mut usize,
    ) -> bool {
        *bytes += row.iter().map(weight).sum::<usize>();
        if self.rows.len() == budget.rows || *bytes > budget.bytes {
            self.truncated = true;
            return false;
        }
        self.rows.push(row);
        true
    }
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// With rows.
    Answer(CypherAnswer),
    /// It is wrong, for this reason.
    Refused(String),
    /// It took longer than its time.
    TimedOut,
    /// It needed more memory than it may have.
    OutOfMemory,
    /// It nests more deeply than the engine's stack allows.
    TooDeep,
    /// The engine failed on it.
    Crashed,
}

impl Outcome {
    /// A word for metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Answer(_) => "answered",
            Self::Refused(_) => "refused",
            Self::TimedOut => "time",
            Self::OutOfMemory => "memory",
            Self::TooDeep => "depth",
            Self::Crashed => "crash",
        }
    }

    /// The answer.
    ///
    /// # Errors
    /// `Refused` for everything else: the same query would end in the same way.
    pub fn result(self, query: &CypherQuery) -> Result<CypherAnswer> {
        let refused = |why: &str| Error::new(ErrorKind::Refused, format!("query: {why}"));
        Err(match self {
            Self::Answer(answer) => return Ok(answer),
            Self::Refused(why) => refused(&why),
            Self::TimedOut => {
                let limit = query.time.as_millis();
                refused(&format!("exceeded its time limit of {limit} ms"))
                    .hint("match fewer nodes, or raise timeout_ms (at most 30000)")
            }
            Self::OutOfMemory => refused("exceeded its memory limit")
                .hint("collect less, and return properties instead of nodes"),
            Self::TooDeep => refused("nests too deeply").hint("split it with WITH"),
            Self::Crashed => refused("the query engine failed on it")
                .hint("write it in another way, or report it to your provider"),
        })
    }
}

/// Size of a value as JSON in bytes, or a little more.
fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(s) => text_weight(s),
        Value::Array(all) => all.iter().map(|v| weight(v) + 1).sum::<usize>() + 2,
        Value::Object(all) => {
            all.iter()
                .map(|(k, v)| text_weight(k) + 2 + weight(v))
                .sum::<usize>()
                + 2
        }
        Value::Null | Value::Bool(_) => 6,
        // The longest number has 24 characters.
        Value::Number(_) => 25,
    }
}

/// Control characters are written as `\u001b`, quotes as `\"`.
fn text_weight(text: &str) -> usize {
    let escaped = |b: u8| match b {
        0..=0x1f => 6,
        b'"' | b'\\' => 2,
        _ => 1,
    };
    text.bytes().map(escaped).sum::<usize>() + 3
}

/// Keywords of statements that write, use another database, read files, or manage the server.
const FORBIDDEN: [&str; 25] = [
    "CREATE",
    "MERGE",
    "SET",
    "DELETE",
    "DETACH",
    "REMOVE",
    "DROP",
    "LOAD",
    "FOREACH",
    "USE",
    "ALTER",
    "GRANT",
    "DENY",
    "REVOKE",
    "START",
    "STOP",
    "TERMINATE",
    "SHOW",
    "TRANSACTIONS",
    "PERIODIC",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "INSERT",
    "FINISH",
];

/// Why a query is refused; `None` when it only reads and is within the limits.
pub fn refusal(query: &CypherQuery) -> Option<String> {
    limits::parameters(&query.parameters).or_else(|| refused_text(&query.text))
}

fn refused_text(text: &str) -> Option<String> {
    if let Some(why) = limits::length(text) {
        return Some(why);
    }
    // Servers replace them before parsing: the result could end a string or form a keyword.
    if text.contains("\\u") || text.contains("\\U") {
        let message = "Unicode escapes are not allowed: write the character itself or use a \
            parameter";
        return Some(message.into());
    }
    let tokens = match tokens(text) {
        Ok(tokens) => tokens,
        Err(why) => return Some(why.into()),
    };
    if tokens.is_empty() {
        return Some("the statement is empty".into());
    }
    limits::nesting(&tokens).or_else(|| forbidden(&tokens))
}

/// The first token that could write, leave the database or use too much memory at once.
fn forbidden(tokens: &[String]) -> Option<String> {
    let mut previous = "";
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).map(String::as_str).unwrap_or("");
        let upper = token.to_uppercase();
        let is_name = is_name(previous);
        if !is_name && FORBIDDEN.contains(&upper.as_str()) {
            return Some(format!("`{token}` is not allowed: queries are read-only"));
        }
        if !is_name && upper == "CALL" && !matches!(next, "{" | "(") {
            return Some("procedures cannot be called".into());
        }
        // A single row of it can exhaust memory. In `{a: range(…)}` it follows a colon.
        if upper == "RANGE" && next == "(" {
            let message = "`range` is not allowed: collect lists from the graph or pass them as \
                parameters";
            return Some(message.into());
        }
        if token == "`" && next == "(" {
            return Some("names of functions cannot be quoted".into());
        }
        if token == ";" && !next.is_empty() {
            return Some("only one statement is allowed".into());
        }
        previous = token;
    }
    None
}

/// Whether a statement contains a keyword or function name.
pub fn uses(text: &str, word: &str) -> bool {
    tokens(text).is_ok_and(|tokens| tokens.iter().any(|t| t.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn read_only_statements_are_allowed() {
        for text in [
            "MATCH (r:Resource {kind: 'Pod'}) WHERE r.name CONTAINS $name
                RETURN r.name AS name, count(*) ORDER BY name LIMIT 5",
            "MATCH (a)-[:CREATE|SET]->(b) RETURN a.delete, b.set // SET in a comment",
            "MATCH (n) WHERE n.message = 'DELETE FROM x; CREATE' RETURN n /* DROP */;",
            "MATCH (n) CALL { WITH n RETURN 1 AS one } RETURN one",
            "MATCH (`CREATE` :Resource) RETURN $set",
        ] {
            assert_eq!(refused_text(text), None, "{text}");
        }
    }

    #[test]
    fn writing_and_leaving_the_database_is_refused() {
        for text in [
            "CREATE (n)",
            "MATCH (n) detach delete n",
            "MATCH (n) SET n.x = 1",
            "MATCH (n) /* */ REMOVE n.x",
            "MATCH (n) RETURN n; MATCH (m) RETURN m",
            "USE system MATCH (n) RETURN n",
            "CALL dbms.shutdown()",
            "CALL apoc.cypher.doIt('CREATE (n)', {})",
            "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
            "SHOW USERS",
            "MATCH (n) CALL { WITH n RETURN 1 } IN TRANSACTIONS RETURN n",
            "MATCH (n) WHERE n.x = '\\u0027 SET n.y = 1 //' RETURN n",
            "\\u0043REATE (n)",
            "MATCH (n) WHERE n.x = 'open RETURN n",
            "  // nothing",
            "//\rLOAD CSV FROM 'http://169.254.169.254/' AS line RETURN line",
            "RETURN range(1, 100000000)",
            "RETURN {a: range(1, 100000000)}",
            "RETURN `range`(1, 100000000)",
        ] {
            assert!(refused_text(text).is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_answer_is_never_larger_than_its_weight(
            text in ".*", control in "[\\x00-\\x1f\"\\\\]*",
            int in any::<i64>(), float in any::<f64>(),
        ) {
            let value = serde_json::json!([{"a": control}, text, int, float, null, [false]]);
            prop_assert!(weight(&value) >= value.to_string().len());
        }

        #[test]
        fn any_text_is_handled(text in ".*") {
            let _ = refused_text(&text);
        }

        #[test]
        fn a_forbidden_keyword_is_found_anywhere(
            before in "[a-z ()]{0,20}", after in "[a-z ()]{0,20}", word in 0..FORBIDDEN.len(),
        ) {
            let text = format!("MATCH (n) {before} {} {after}", FORBIDDEN[word]);
            prop_assert!(refused_text(&text).is_some());
        }
    }
}
