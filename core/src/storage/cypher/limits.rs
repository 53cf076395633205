//! How large and how deeply nested a statement may be.
//!
//! Parsers and evaluators recurse along brackets, operators and clauses: a few hundred bytes can
//! exhaust a stack. These limits hold before any parser sees the statement. They are well above
//! what people write and well below what the backends can take.

use serde_json::{Map, Value};

use super::weight;

/// Most bytes of a statement.
const LENGTH: usize = 32 << 10;
/// Most bytes of its parameters as JSON.
const PARAMETERS: usize = 1 << 20;
/// Most words and symbols.
const TOKENS: usize = 4_000;
/// Most brackets around anything.
const DEPTH: usize = 32;
/// Most `CASE` expressions. All of them are counted, as each may be inside the one before.
const CASES: usize = 32;
/// Most prefixes in a row, such as `NOT NOT` or `- -`.
const PREFIXES: usize = 8;
/// Most operators: chains of them are trees as deep as they are long.
const OPERATORS: usize = 400;
/// Most accesses in a row, such as `a.b.c`.
const ACCESSES: usize = 16;
/// Most clauses.
const CLAUSES: usize = 48;
/// Most relations in patterns.
const RELATIONS: usize = 32;

/// Words that are operators, and those that start a clause.
const OPERATOR_WORDS: [&str; 9] = [
    "AND", "OR", "XOR", "NOT", "IN", "IS", "STARTS", "ENDS", "CONTAINS",
];
const CLAUSE_WORDS: [&str; 6] = ["MATCH", "WITH", "RETURN", "UNION", "UNWIND", "CALL"];

/// A quantity with a limit.
#[derive(Clone, Copy)]
struct Limit {
    what: &'static str,
    most: usize,
}

impl Limit {
    fn exceeded_by(self, count: usize) -> Option<String> {
        let Self { what, most } = self;
        (count > most).then(|| format!("too complex: more than {most} {what}"))
    }
}

/// Why a statement is too long.
pub(super) fn length(text: &str) -> Option<String> {
    let length = text.len();
    (length > LENGTH).then(|| format!("too long: {length} bytes of at most {LENGTH}"))
}

/// Why parameters are too large.
pub(super) fn parameters(all: &Map<String, Value>) -> Option<String> {
    let bytes: usize = all.iter().map(|(k, v)| k.len() + weight(v)).sum();
    (bytes > PARAMETERS).then(|| format!("parameters are too large: more than {PARAMETERS} bytes"))
}

/// Counters of one statement.
#[derive(Default)]
struct Counts {
    open: Vec<char>,
    cases: usize,
    prefixes: usize,
    operators: usize,
    accesses: usize,
    clauses: usize,
    relations: usize,
}

/// Why a statement has too many parts, or nests too deeply.
pub(super) fn nesting(tokens: &[String]) -> Option<String> {
    let limit = Limit {
        what: "words and symbols",
        most: TOKENS,
    };
    if let Some(why) = limit.exceeded_by(tokens.len()) {
        return Some(why);
    }
    let mut counts = Counts::default();
    let mut previous = "";
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).map(String::as_str).unwrap_or("");
        counts.add_symbol(token, next, i.checked_sub(2).map(|i| tokens[i].as_str()));
        if let Some(why) = counts.add_bracket(token) {
            return Some(why);
        }
        counts.add_word(token, previous);
        if let Some(why) = counts.exceeded() {
            return Some(why);
        }
        previous = token;
    }
    None
}

impl Counts {
    fn add_symbol(&mut self, token: &str, next: &str, before_previous: Option<&str>) {
        match token {
            "-" if matches!(next, "-" | "[") => self.relations += 1,
            "." if before_previous == Some(".") => self.accesses += 1,
            "." => self.accesses = 1,
            _ => {}
        }
        // An index such as `a[0]` is an operator, too; so are the dashes and arrows of Unicode.
        let is_operator =
            |c: char| "+-*/%^=<>|&[".contains(c) || !(c.is_ascii() || c.is_alphanumeric());
        self.operators += usize::from(token.starts_with(is_operator));
        let is_prefix = matches!(token, "-" | "+" | "!") || token.eq_ignore_ascii_case("NOT");
        self.prefixes = if is_prefix { self.prefixes + 1 } else { 0 };
    }

    /// Brackets must match: otherwise a wrong one could hide how many are open.
    fn add_bracket(&mut self, token: &str) -> Option<String> {
        let opening = match token {
            "(" | "[" | "{" => {
                self.open.extend(token.chars());
                return None;
            }
            ")" => '(',
            "]" => '[',
            "}" => '{',
            _ => return None,
        };
        let is_matched = self.open.pop() == Some(opening);
        (!is_matched).then(|| format!("`{token}` without its `{opening}`"))
    }

    fn add_word(&mut self, token: &str, previous: &str) {
        // After `:` or `|`, a keyword may be a name or start an expression: it counts.
        if matches!(previous, "." | "$") {
            return;
        }
        let is = |word: &&str| token.eq_ignore_ascii_case(word);
        let is_comparison = ["STARTS", "ENDS"]
            .iter()
            .any(|word| previous.eq_ignore_ascii_case(word));
        self.operators += usize::from(OPERATOR_WORDS.iter().any(&is));
        self.clauses += usize::from(!is_comparison && CLAUSE_WORDS.iter().any(&is));
        self.cases += usize::from(is(&"CASE"));
    }

    fn exceeded(&self) -> Option<String> {
        [
            (self.open.len(), "brackets inside each other", DEPTH),
            (self.cases, "`CASE` expressions", CASES),
            (self.prefixes, "prefixes in a row", PREFIXES),
            (self.operators, "operators", OPERATORS),
            (self.accesses, "accesses in a row", ACCESSES),
            (self.clauses, "clauses", CLAUSES),
            (self.relations, "relations", RELATIONS),
        ]
        .into_iter()
        .find_map(|(count, what, most)| Limit { what, most }.exceeded_by(count))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Option<String> {
        length(text).or_else(|| nesting(&tokens(text).unwrap()))
    }

    /// What is repeated before and after a core; and how often it is allowed.
    struct Form {
        before: &'static str,
        core: &'static str,
        after: &'static str,
        most: usize,
    }

    const fn form(
        before: &'static str,
        core: &'static str,
        after: &'static str,
        most: usize,
    ) -> Form {
        Form {
            before,
            core,
            after,
            most,
        }
    }

    const FORMS: [Form; 21] = [
        form("(", "1", ")", DEPTH),
        form("[", "1", "]", DEPTH),
        form("{a:", "1", "}", DEPTH),
        form("abs(", "1", ")", DEPTH),
        form("NOT ", "true", "", PREFIXES),
        form("- ", "1", "", PREFIXES),
        form("-+", "1", "", PREFIXES),
        form("NOT(", "true", ")", DEPTH),
        form("1+", "1", "", OPERATORS),
        form("true AND ", "true", "", OPERATORS),
        form("true or ", "true", "", OPERATORS),
        form("1<", "1", "", OPERATORS),
        form("'a' + ", "'a'", "", OPERATORS),
        form("CASE WHEN true THEN ", "1", " END", CASES),
        form("CASE WHEN end THEN ", "1", "", CASES),
        form("{a:CASE WHEN true THEN ", "1", " END}", CASES),
        form("", "n", ".a", ACCESSES),
        form("", "n", "[0]", OPERATORS),
        form("", "1 AS a", " UNION RETURN 1 AS a", CLAUSES),
        form("[x IN ", "[1]", " | x]", DEPTH),
        form("all(x IN [1] WHERE ", "true", ")", DEPTH),
    ];

    fn written(form: &Form, times: usize) -> String {
        format!(
            "RETURN {}{}{} AS x",
            form.before.repeat(times),
            form.core,
            form.after.repeat(times)
        )
    }

    #[test]
    fn what_people_write_is_within_the_limits() {
        let names = (0..80)
            .map(|i| format!("n.name STARTS WITH 'web-{i}'"))
            .collect::<Vec<_>>()
            .join(" OR ");
        for text in [
            format!("MATCH (n) WHERE {names} RETURN n"),
            "MATCH p = (a)-[:CALLS*1..4]->(b)<-[:RUNS_ON]-(c)--(d) WITH a, collect(b) AS all \
                RETURN a.name, [x IN all WHERE x.kind = 'Pod' | {name: x.name}][0].name"
                .into(),
            format!(
                "MATCH (n) WHERE n.uid IN [{}] RETURN n",
                "'u-1', ".repeat(900) + "'u'"
            ),
            "MATCH (case)-->(end) RETURN case.end, end.case".into(),
        ] {
            assert_eq!(refused(&text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_bracket_hides_no_nesting() {
        assert!(refused(&format!("RETURN {}", "([)".repeat(100))).is_some());
        assert!(refused(&format!("RETURN {}", "(')'".repeat(100))).is_some());
    }

    #[test]
    fn parameters_are_bounded() {
        let of = |bytes| Map::from_iter([("a".to_owned(), Value::from("x".repeat(bytes)))]);
        assert_eq!(parameters(&of(1_000)), None);
        assert!(parameters(&of(PARAMETERS)).is_some());
    }

    proptest! {
        #[test]
        fn a_form_is_refused_above_its_limit_and_the_message_names_it(
            form in 0..FORMS.len(), beyond in 1_usize..3_000,
        ) {
            let form = &FORMS[form];
            let why = refused(&written(form, form.most + beyond)).unwrap_or_default();
            prop_assert!(why.starts_with("too "), "{}: {why}", form.before);
            prop_assert!(why.contains(|c: char| c.is_ascii_digit()), "{why}");
        }

        #[test]
        fn mixed_forms_are_never_deeper_than_all_limits_together(
            which in prop::collection::vec(0..FORMS.len(), 0..3_000),
        ) {
            let (mut before, mut after) = (String::new(), String::new());
            for i in &which {
                before.push_str(FORMS[*i].before);
                after.insert_str(0, FORMS[*i].after);
            }
            let text = format!("RETURN {before}1{after} AS x");
            if refused(&text).is_none() {
                prop_assert!(
                    which.len() <= DEPTH + CASES + OPERATORS + CLAUSES + PREFIXES * DEPTH
                );
            }
        }
    }
}
