//! `kgrca replay`

use std::path::PathBuf;

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::rca::KEPT;
use serde::Deserialize;

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{self, Format};

/// Runs a saved incident through this engine version. A line `{"topic": "answer", "value": …}`
/// holds the stored answer, as `kgrca analyze -o json` prints it; when the first cause differs, the
/// exit code is 10.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Records of an incident as `analyze` reads them
    file: PathBuf,
}

#[derive(Deserialize)]
struct Line {
    topic: String,
    value: serde_json::Value,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let bytes = super::analyze::read(&args.file)?;
    let name = args.file.display().to_string();
    let options = Options {
        top: KEPT,
        now: Time(jiff::Timestamp::now().as_microsecond()),
        ..Options::default()
    };
    let analysis = analyze::analyze(&name, &bytes, &options);
    if super::analyze::is_unreadable(&analysis) {
        return Err(CliError::failed(format!(
            "{name} holds no record that can be read"
        )));
    }
    let head = format!("{name}  {} records", analysis.records.seen);
    if env.out.format == Format::Table {
        let shown = output::Shown {
            head,
            verdict: analysis.verdict,
            causes: &analysis.causes,
            missing: &analysis.missing_evidence,
            tree: false,
        };
        env.out.text(&output::answer(env.out, &shown))?;
    } else {
        env.out.value(&analysis, output::Table::default)?;
    }
    let mut lines = bytes
        .split(|b| *b == b'\n')
        .filter_map(|l| serde_json::from_slice::<Line>(l).ok());
    let Some(stored) = lines.rfind(|l| l.topic == "answer") else {
        env.out
            .message("the file holds no stored answer to compare with");
        return Ok(());
    };
    let stored: Analysis = serde_json::from_value(stored.value)
        .map_err(|e| CliError::failed("the stored answer cannot be read").cause(e))?;
    let first = |a: &Analysis| {
        a.causes.first().map_or_else(
            || "no cause".into(),
            |c| format!("{} {}", c.component, c.fault_type),
        )
    };
    if first(&stored) == first(&analysis) {
        env.out.message(&format!(
            "same first cause as version {}",
            stored.engine.version
        ));
        return Ok(());
    }
    env.out.message(&format!(
        "version {} said {}, this one says {}",
        stored.engine.version,
        first(&stored),
        first(&analysis)
    ));
    Err(CliError::found())
}
