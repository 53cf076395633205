//! `kgrca replay`

use std::path::PathBuf;

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::rca::MAX_CAUSES;
use serde::Deserialize;

use super::Env;
use super::files::read;
use crate::error::{CliError, Result};
use crate::output::{self, Format, now};

/// Re-run a saved incident and compare with its stored answer
///
/// A line `{"topic": "answer", "value": …}` of the file holds the stored answer, as printed by
/// `kgrca analyze -o json`. Exits with code 10 if the top cause differs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records of an incident, as `analyze` reads them
    file: PathBuf,
}

/// A line with a topic; other lines are skipped.
#[derive(Deserialize)]
struct Line {
    topic: String,
    value: serde_json::Value,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let bytes = read(&args.file)?;
    let name = args.file.display().to_string();
    let options = Options {
        top: MAX_CAUSES,
        now: now(),
        ..Options::default()
    };
    let analysis = analyze::analyze(&name, &bytes, &options);
    if super::analyze::is_unreadable(&analysis) {
        return Err(CliError::failed(format!("{name} has no readable records")));
    }
    print(env, &name, &analysis)?;
    if let Some(stored) = stored_answer(&bytes)? {
        return compare(env, &stored, &analysis);
    }
    env.out
        .message("the file has no stored answer to compare with");
    Ok(())
}

fn print(env: &Env<'_>, name: &str, analysis: &Analysis) -> Result {
    if env.out.format != Format::Table {
        return env.out.value(analysis, output::Table::default);
    }
    let shown = output::Shown {
        head: format!("{name}  {} records", analysis.records.seen),
        verdict: analysis.verdict,
        causes: &analysis.causes,
        missing: &analysis.missing_evidence,
        other_changes: &analysis.other_changes,
        tree: false,
    };
    env.out.styled(&output::answer(env.out, &shown))
}

/// The last stored answer of a file.
fn stored_answer(bytes: &[u8]) -> Result<Option<Analysis>> {
    let lines = bytes.split(|b| *b == b'\n');
    let mut lines = lines.filter_map(|l| serde_json::from_slice::<Line>(l).ok());
    let Some(line) = lines.rfind(|l| l.topic == "answer") else {
        return Ok(None);
    };
    serde_json::from_value(line.value)
        .map(Some)
        .map_err(|e| CliError::failed("cannot read the stored answer").source(&e))
}

fn compare(env: &Env<'_>, stored: &Analysis, now: &Analysis) -> Result {
    let version = &stored.engine.version;
    if top_cause(stored) == top_cause(now) {
        env.out
            .message(&format!("same top cause as version {version}"));
        return Ok(());
    }
    env.out.message(&format!(
        "top cause differs: version {version} reported {}, this version {}",
        top_cause(stored),
        top_cause(now)
    ));
    Err(CliError::found())
}

fn top_cause(analysis: &Analysis) -> String {
    match analysis.causes.first() {
        Some(cause) => format!("{} {}", cause.component, cause.fault_type),
        None => "no cause".to_owned(),
    }
}
