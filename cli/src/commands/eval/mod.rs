//! `kgrca eval`

mod compare;
mod fit;
mod gates;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::eval::{self, Label, Report};
use kgrca_core::lab::{disturb, report};
use kgrca_core::rca::{MAX_CAUSES, Scorer, Weights};

use super::Env;
use super::files::{files, read, read_text, write_text};
use crate::error::{CliError, Result};
use crate::output::{Format, Table, now};
use compare::{changes, compare, read as read_report};

/// Evaluate accuracy on labelled scenarios
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Evaluate all cases in a directory
    Run(RunArgs),
    /// List the cases whose answers differ between two reports
    Compare {
        /// The earlier report, as JSON
        before: PathBuf,
        /// The later report, as JSON
        after: PathBuf,
    },
    /// Check that answers hold when cases are disturbed
    ///
    /// Each gate disturbs the cases whose answer is right in one way: it leaves out what the answer
    /// rests on, adds unrelated records, renames objects, changes the order, asks later, and so on.
    Gates(gates::GatesArgs),
    /// Fit the weights of the causal ranking and its calibration
    Fit(fit::FitArgs),
}

/// Formats of a report.
const FORMATS: [&str; 3] = ["md", "html", "json"];

/// Cases and how to evaluate them.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Directory with recorded cases
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// YAML map from `root_cause` words to fault IDs
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Ranking algorithm: causal or weighted
    #[arg(long, value_parser = super::analyze::scorer, default_value = "causal")]
    scorer: Scorer,
    /// Rename all objects with this seed first (checks name independence)
    #[arg(long, value_name = "SEED")]
    scramble: Option<u64>,
    /// Weights file, as written by `eval fit`
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Drop this percentage of the events, logs and alerts first
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    drop: u8,
    /// Seed that selects the lines dropped by `--drop`
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the full report in a format (md, html or json) to a file
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"])]
    report: Vec<String>,
    /// Exit with code 10 if accuracy is below that of this report
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Run(args) => evaluate(env, &args),
        Verb::Gates(args) => gates::run(env, &args),
        Verb::Fit(args) => fit::fit(env, &args),
        Verb::Compare { before, after } => {
            compare(env, &read_report(&before)?, &read_report(&after)?)
        }
    }
}

fn evaluate(env: &Env<'_>, args: &RunArgs) -> Result {
    let map = label_map(args.labels.as_deref())?;
    let files = cases(&args.directory)?;
    if let [format, _] = args.report.as_slice()
        && !FORMATS.contains(&format.as_str())
    {
        let error = CliError::usage(format!("unknown report format `{format}`"));
        return Err(error.hint(format!("expected one of {}", FORMATS.join(", "))));
    }
    let weights = match &args.weights {
        Some(file) => read_weights(file)?,
        None => Weights::shipped(),
    };
    let report = measure(&files, &map, weights, args)?;
    if let [format, file] = args.report.as_slice() {
        write(&report, format, file)?;
    }
    print(env, &report)?;
    match &args.baseline {
        Some(file) => compare_with_baseline(env, &read_report(file)?, &report),
        None => Ok(()),
    }
}

/// Fails when the share of right answers fell.
fn compare_with_baseline(env: &Env<'_>, before: &Report, after: &Report) -> Result {
    for c in changes(before, after) {
        env.out.message(&format!(
            "{}: {}: reported {}, now {}, expected {}",
            c.change, c.case, c.before, c.after, c.expected
        ));
    }
    let is_worse = |now: f64, then: f64| now + 1e-9 < then;
    if is_worse(after.mean.component_at[0], before.mean.component_at[0])
        || is_worse(after.mean.joint_at[0], before.mean.joint_at[0])
    {
        return Err(CliError::found());
    }
    Ok(())
}

fn write(report: &Report, format: &str, file: &str) -> Result {
    let text = match format {
        "json" => {
            serde_json::to_string_pretty(report)
                .map_err(|e| CliError::failed("cannot write the report as JSON").source(&e))?
                + "\n"
        }
        "md" => report::markdown(report),
        _ => report::html(report),
    };
    write_text(Path::new(file), &text)
}

/// The weights in a file.
fn read_weights(file: &Path) -> Result<Weights> {
    let invalid = || {
        CliError::failed(format!("invalid weights file {}", file.display()))
            .hint("write one with `kgrca eval fit DIR --out FILE`")
    };
    let weights: Weights =
        serde_yaml::from_str(&read_text(file)?).map_err(|e| invalid().source(&e))?;
    weights.check().map_err(|e| invalid().cause(e))?;
    Ok(weights)
}

/// The case files in a directory; at least one.
fn cases(directory: &Path) -> Result<Vec<PathBuf>> {
    let (files, failures) = files(std::slice::from_ref(&directory.to_owned()));
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    if files.is_empty() {
        return Err(
            CliError::failed(format!("no cases found in {}", directory.display()))
                .hint("a case is a *.json or *.jsonl file whose last line is a `label`"),
        );
    }
    Ok(files)
}

/// The expected answer of a case.
fn label(file: &Path, bytes: &[u8], map: &BTreeMap<String, String>) -> Result<Label> {
    eval::label(bytes, map)
        .map_err(|e| CliError::failed(format!("cannot evaluate {}", file.display())).cause(e))
}

fn label_map(file: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let Some(file) = file else {
        return Ok(BTreeMap::new());
    };
    serde_yaml::from_str(&read_text(file)?).map_err(|e| {
        let message = format!("{} is not a map from words to fault IDs", file.display());
        CliError::failed(message).source(&e)
    })
}

fn measure(
    files: &[PathBuf],
    map: &BTreeMap<String, String>,
    weights: Weights,
    args: &RunArgs,
) -> Result<Report> {
    let options = Options {
        scorer: args.scorer,
        top: MAX_CAUSES,
        now: now(),
        weights,
        ..Options::default()
    };
    let started = Instant::now();
    let mut outcomes = Vec::new();
    for file in files {
        let mut bytes = disturb::drop(&read(file)?, args.drop, args.seed);
        if let Some(seed) = args.scramble {
            bytes = disturb::scramble(&bytes, seed);
        }
        let label = label(file, &bytes, map)?;
        let name = file
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        outcomes.push(eval::judge(
            &name,
            &label,
            &analyze::analyze(&name, &bytes, &options),
        ));
    }
    Ok(eval::report(
        args.scorer,
        outcomes,
        started.elapsed().as_secs_f64(),
    ))
}

fn print(env: &Env<'_>, report: &Report) -> Result {
    env.out.value(report, || {
        Table::new(&report::COLUMNS).rows(report::rows(report), |row| row)
    })?;
    if env.out.format != Format::Table {
        return Ok(());
    }
    let o = &report.overall;
    env.out.message(&format!(
        "{} ranking: coverage {:.3}, calibration error {:.3}, Brier {:.3}, AUROC {}, \
         {:.0} cases/s",
        report.scorer,
        o.coverage,
        o.ece,
        o.brier,
        optional(o.auroc),
        report.cases_per_second
    ));
    for miss in report.outcomes.iter().filter(|o| o.joint_at[0] < 1.0) {
        env.out.message(&format!(
            "miss: {}: reported {}, expected {}",
            miss.case,
            miss.said.as_deref().unwrap_or("nothing"),
            miss.expected.join(" and ")
        ));
    }
    Ok(())
}

/// A figure that may be undefined.
fn optional(figure: Option<f64>) -> String {
    match figure {
        Some(figure) => format!("{figure:.3}"),
        None => "-".to_owned(),
    }
}
