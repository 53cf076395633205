//! `kgrca explain-class`

use std::io::Read as _;

use kgrca_core::trouble::{self, Match};
use serde::Serialize;

use super::Env;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Show which classes of trouble a log message is read as, and why
///
/// The innermost cause of a message that has a class counts; causes around it are listed as well.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The message, or `-` to read it from stdin
    message: String,
}

/// A class that a message is read as.
#[derive(Serialize)]
struct Row {
    class: &'static str,
    counts: bool,
    words: String,
    host: Option<String>,
    at_fault: &'static str,
    meaning: &'static str,
    source: &'static str,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let message = if args.message == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|e| CliError::failed("cannot read stdin").source(&e))?;
        text
    } else {
        args.message.clone()
    };
    let matches = trouble::matches(&message);
    let innermost = matches.iter().map(|m| m.depth).min();
    let rows: Vec<Row> = matches.iter().map(|m| row(m, innermost)).collect();
    if rows.is_empty() {
        env.out.message("no class of trouble matches");
    }
    env.out.value(&rows, || {
        Table::new(&["CLASS", "COUNTS", "WORDS", "HOST", "AT FAULT", "SOURCE"]).rows(&rows, |r| {
            [
                r.class.to_owned(),
                if r.counts { "yes" } else { "no" }.to_owned(),
                r.words.clone(),
                r.host.clone().unwrap_or_default(),
                r.at_fault.to_owned(),
                r.source.to_owned(),
            ]
        })
    })
}

fn row(found: &Match, innermost: Option<usize>) -> Row {
    let class = found.row.class;
    Row {
        class: class.as_str(),
        counts: Some(found.depth) == innermost,
        words: found.words.clone(),
        host: found.host.clone(),
        at_fault: class.at_fault().describe(),
        meaning: class.meaning(),
        source: &found.row.source,
    }
}
