//! `kgrca eval`

mod compare;
mod fit;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::eval::{self, Label, Report};
use kgrca_core::lab::{disturb, report};
use kgrca_core::model::Time;
use kgrca_core::rca::{KEPT, Scorer, weights};

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};
use compare::{changes, compare, read};

/// Measures the engine on labelled cases.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Run all cases of a folder
    Run(RunArgs),
    /// List the cases that two reports answer differently
    Compare {
        /// The earlier report, as JSON
        before: PathBuf,
        /// The later one
        after: PathBuf,
    },
    /// Fit the weights of the causal score and its calibration
    Fit(fit::FitArgs),
}

/// How a report can be written.
const FORMATS: [&str; 3] = ["md", "html", "json"];

/// Which cases, and against what.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Folder with recorded cases
    folder: PathBuf,
    /// YAML map from `root_cause` words to fault ids
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Formula that ranks
    #[arg(long, value_parser = super::analyze::scorer, default_value = "causal")]
    scorer: Scorer,
    /// Rename everything by this seed first: nothing may depend on names
    #[arg(long, value_name = "SEED")]
    scramble: Option<u64>,
    /// Judge by other weights, such as `eval fit` writes
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Leave out this share of the events, logs and alerts first
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    drop: u8,
    /// Which lines `--drop` leaves out
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the whole report: md, html or json, and where to
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"])]
    report: Vec<String>,
    /// Exit with 10 when worse than this report
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Run(args) => measured(env, &args),
        Verb::Fit(args) => fit::fit(env, &args),
        Verb::Compare { before, after } => compare(env, &read(&before)?, &read(&after)?),
    }
}

fn measured(env: &Env<'_>, args: &RunArgs) -> Result {
    let map = label_map(args.labels.as_deref())?;
    let files = cases(&args.folder)?;
    if let [format, _] = args.report.as_slice()
        && !FORMATS.contains(&format.as_str())
    {
        return Err(
            CliError::usage(format!("`{format}` is no format of a report"))
                .hint(FORMATS.join(", ")),
        );
    }
    if let Some(file) = &args.weights {
        install(file)?;
    }
    let report = measure(&files, &map, args)?;
    if let [format, file] = args.report.as_slice() {
        write(&report, format, file)?;
    }
    print(env, &report)?;
    let Some(file) = &args.baseline else {
        return Ok(());
    };
    let before = read(file)?;
    for c in changes(&before, &report) {
        env.out.message(&format!(
            "{}: {}: said {}, now {}, expected {}",
            c.change, c.case, c.before, c.after, c.expected
        ));
    }
    let worse = |now: f64, then: f64| now + 1e-9 < then;
    let fell = worse(report.mean.component_at[0], before.mean.component_at[0])
        || worse(report.mean.joint_at[0], before.mean.joint_at[0]);
    if fell { Err(CliError::found()) } else { Ok(()) }
}

fn write(report: &Report, format: &str, file: &str) -> Result {
    let text = match format {
        "json" => {
            serde_json::to_string_pretty(report)
                .map_err(|e| CliError::failed("the report has no JSON form").cause(e))?
                + "\n"
        }
        "md" => report::markdown(report),
        _ => report::html(report),
    };
    std::fs::write(file, text)
        .map_err(|e| CliError::failed(format!("{file} cannot be written")).cause(e))
}

fn install(file: &Path) -> Result {
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::failed(format!("{} cannot be read", file.display())).cause(e))?;
    let wrong = || {
        CliError::failed(format!("{} is no weights file", file.display()))
            .hint("kgrca eval fit DIR --out FILE writes one")
    };
    let weights: weights::Weights = serde_yaml::from_str(&text).map_err(|e| wrong().cause(e))?;
    weights.check().map_err(|e| wrong().cause(e))?;
    if weights::install(weights) {
        Ok(())
    } else {
        Err(CliError::failed(
            "weights were in use before the file was read",
        ))
    }
}

/// The files of a folder; none is an error.
fn cases(folder: &Path) -> Result<Vec<PathBuf>> {
    let (files, failures) = super::analyze::files(std::slice::from_ref(&folder.to_owned()));
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    if files.is_empty() {
        return Err(
            CliError::failed(format!("{} has no cases", folder.display()))
                .hint("cases are *.json or *.jsonl files whose last line is a `label`"),
        );
    }
    Ok(files)
}

/// What a case's label says; a case without one cannot be judged.
fn label(file: &Path, bytes: &[u8], map: &BTreeMap<String, String>) -> Result<Label> {
    eval::label(bytes, map)
        .map_err(|e| CliError::failed(format!("{} cannot be judged", file.display())).cause(e))
}

fn label_map(file: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let Some(file) = file else {
        return Ok(BTreeMap::new());
    };
    let text = std::fs::read_to_string(file)
        .map_err(|e| CliError::failed(format!("{} cannot be read", file.display())).cause(e))?;
    serde_yaml::from_str(&text).map_err(|e| {
        CliError::failed(format!(
            "{} is no map of words to fault ids",
            file.display()
        ))
        .cause(e)
    })
}

fn measure(files: &[PathBuf], map: &BTreeMap<String, String>, args: &RunArgs) -> Result<Report> {
    let options = Options {
        scorer: args.scorer,
        top: KEPT,
        now: Time(jiff::Timestamp::now().as_microsecond()),
        ..Options::default()
    };
    let started = Instant::now();
    let mut outcomes = Vec::new();
    for file in files {
        let mut bytes = disturb::drop(&super::analyze::read(file)?, args.drop, args.seed);
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
    if env.out.format == Format::Table {
        let o = &report.overall;
        let auroc = o
            .auroc
            .map_or_else(|| "-".to_owned(), |a| format!("{a:.3}"));
        env.out.message(&format!(
            "{} scorer: coverage {:.3}, calibration error {:.3}, Brier {:.3}, AUROC {auroc}, {:.0} cases/s",
            report.scorer, o.coverage, o.ece, o.brier, report.cases_per_second
        ));
        for miss in report.outcomes.iter().filter(|o| o.joint_at[0] < 1.0) {
            env.out.message(&format!(
                "miss: {}: said {}, expected {}",
                miss.case,
                miss.said.as_deref().unwrap_or("nothing"),
                miss.expected.join(" and ")
            ));
        }
    }
    Ok(())
}
