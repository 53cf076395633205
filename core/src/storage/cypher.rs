//! Read-only Cypher queries: which statements are allowed, and within what budget.
//!
//! This is the first of two safeguards: backends enforce read-only access as well.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A query and its budget.
#[derive(Clone, Debug)]
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

/// Approximate size of a value as JSON, in bytes.
fn weight(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    match value {
        Value::String(s) => s.len() + 2,
        Value::Array(all) => all.iter().map(weight).sum::<usize>() + 2,
        Value::Object(all) => {
            all.iter()
                .map(|(k, v)| k.len() + 4 + weight(v))
                .sum::<usize>()
                + 2
        }
        _ => 8,
    }
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

/// Why a statement is refused; `None` when it only reads.
pub fn refusal(text: &str) -> Option<String> {
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
    let mut previous = "";
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).map(String::as_str).unwrap_or("");
        let upper = token.to_uppercase();
        // Properties, labels, relation types and parameters may have any name.
        let is_name = matches!(previous, "." | ":" | "$" | "|" | "&" | "!");
        if !is_name && FORBIDDEN.contains(&upper.as_str()) {
            return Some(format!("`{token}` is not allowed: queries are read-only"));
        }
        if !is_name && upper == "CALL" && !matches!(next, "{" | "(") {
            return Some("procedures cannot be called".into());
        }
        // A single row of it can exhaust memory.
        if !is_name && upper == "RANGE" && next == "(" {
            let message = "`range` is not allowed: collect lists from the graph or pass them as \
                parameters";
            return Some(message.into());
        }
        if token == ";" && !next.is_empty() {
            return Some("only one statement is allowed".into());
        }
        previous = token;
    }
    tokens.is_empty().then(|| "the statement is empty".into())
}

/// Whether a statement contains a keyword or function name.
pub fn uses(text: &str, word: &str) -> bool {
    tokens(text).is_ok_and(|tokens| tokens.iter().any(|t| t.eq_ignore_ascii_case(word)))
}

/// Words and symbols; strings and quoted names are reduced to a quote, comments are left out.
fn tokens(text: &str) -> Result<Vec<String>, &'static str> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                skip_string(&mut chars, c)?;
                tokens.push("\"".to_owned());
            }
            '`' => {
                skip_name(&mut chars)?;
                tokens.push("`".to_owned());
            }
            '/' if chars.peek() == Some(&'/') => {
                while chars.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
            }
            '/' if chars.peek() == Some(&'*') => skip_comment(&mut chars)?,
            c if c.is_alphanumeric() || c == '_' => {
                let mut word = c.to_string();
                while let Some(c) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                    word.push(c);
                }
                tokens.push(word);
            }
            c if c.is_whitespace() => {}
            c => tokens.push(c.to_string()),
        }
    }
    Ok(tokens)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_string(chars: &mut Chars<'_>, quote: char) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c == quote {
            return Ok(());
        }
    }
    Err("unterminated string")
}

fn skip_name(chars: &mut Chars<'_>) -> Result<(), &'static str> {
    while let Some(c) = chars.next() {
        // A doubled backtick stands for itself.
        if c == '`' && chars.next_if_eq(&'`').is_none() {
            return Ok(());
        }
    }
    Err("unterminated quoted name")
}

fn skip_comment(chars: &mut Chars<'_>) -> Result<(), &'static str> {
    chars.next();
    while let Some(c) = chars.next() {
        if c == '*' && chars.next_if_eq(&'/').is_some() {
            return Ok(());
        }
    }
    Err("unterminated comment")
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
            assert_eq!(refusal(text), None, "{text}");
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
        ] {
            assert!(refusal(text).is_some(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_handled(text in ".*") {
            let _ = refusal(&text);
        }

        #[test]
        fn a_forbidden_keyword_is_found_anywhere(
            before in "[a-z ()]{0,20}", after in "[a-z ()]{0,20}", word in 0..FORBIDDEN.len(),
        ) {
            let text = format!("MATCH (n) {before} {} {after}", FORBIDDEN[word]);
            prop_assert!(refusal(&text).is_some());
        }
    }
}
