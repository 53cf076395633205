//! `kgrca analyze`

mod inputs;

use std::path::PathBuf;

use kgrca_core::analyze::{Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::model::time::{MINUTE, SECOND};
use kgrca_core::rca::{Scorer, Verdict};

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{self, Format, now};
use inputs::{Input, Outcome};

/// How many rejected records are listed per input.
const MAX_REJECTS: usize = 5;

/// Analyze files or stdin offline
///
/// Reads what people have: JSON, YAML and tables of `kubectl get`, `kubectl describe`, `kubectl
/// cluster-info dump`, support bundles and must-gather as folders or archives, logs, alerts, audit
/// logs, and recorded cases. All files of a call are about one cluster and get one answer.
///
/// Examples:
///   kubectl get all,events,nodes -A -o json | kgrca analyze -
///   kgrca analyze pods.yaml describe.txt logs-with-prefix.txt
///   kgrca analyze support-bundle.tar.gz --sources
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Files, directories, archives (.tar.gz), or `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    inputs: Vec<PathBuf>,
    /// Answer for each file separately, as for recordings of different clusters
    #[arg(long)]
    separate: bool,
    /// List what was read of each file
    #[arg(long)]
    sources: bool,
    /// Evaluate at this time instead of the newest record's: RFC 3339, or how long ago, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// Only causes in this namespace and cluster-scoped ones; also that of logs that name none
    #[arg(short, long)]
    namespace: Option<String>,
    /// Ranking algorithm: causal or weighted
    #[arg(long, value_parser = scorer, default_value = "causal")]
    scorer: Scorer,
    /// Maximum causes per input
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    /// Number of inputs to analyze in parallel, with --separate
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Exit with code 10 when this is found
    #[arg(long)]
    fail_on: Option<FailOn>,
}

/// The verdicts that count as a failure.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FailOn {
    /// A cause
    Cause,
    /// A cause, or symptoms without one
    Inconclusive,
    /// Anything but a healthy cluster
    Any,
}

impl FailOn {
    fn includes(self, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Cause => true,
            Verdict::Inconclusive => matches!(self, Self::Inconclusive | Self::Any),
            Verdict::NothingFound => matches!(self, Self::Any),
            Verdict::Healthy => false,
        }
    }
}

/// Parses an RFC 3339 time, or how long ago something was, such as `10m`.
pub(super) fn time(text: &str) -> std::result::Result<Time, String> {
    let expected = "expected an RFC 3339 time such as 2026-01-01T10:00:00Z, or how long ago, such \
                    as 10m, 3h or 2d";
    let time = Time::parse(text).or_else(|| Some(now().plus(-ago(text)?)));
    time.ok_or_else(|| expected.to_owned())
}

/// A duration in microseconds: a number with its unit.
fn ago(text: &str) -> Option<i64> {
    let unit = match text.chars().last()? {
        's' => SECOND,
        'm' => MINUTE,
        'h' => 60 * MINUTE,
        'd' => 24 * 60 * MINUTE,
        _ => return None,
    };
    let number: u32 = text[..text.len() - 1].parse().ok()?;
    i64::from(number).checked_mul(unit)
}

/// Parses the name of a ranking algorithm.
pub(super) fn scorer(text: &str) -> std::result::Result<Scorer, String> {
    Scorer::parse(text).ok_or_else(|| "expected causal or weighted".to_owned())
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let options = Options {
        at: args.at,
        namespace: args.namespace.clone(),
        scorer: args.scorer,
        top: usize::from(args.top),
        now: now(),
        ..Options::default()
    };
    let inputs = if args.separate {
        Input::separate(&args.inputs)?
    } else {
        vec![Input::together(&args.inputs)]
    };
    let (mut has_failed, mut failures) = (false, 0);
    // In chunks: output starts early, and memory use follows the number of jobs.
    for chunk in inputs.chunks(usize::from(args.jobs)) {
        for outcome in in_parallel(chunk, &options) {
            let outcome = outcome?;
            let verdict = outcome.analysis.as_ref().map(|analysis| analysis.verdict);
            has_failed |= verdict
                .zip(args.fail_on)
                .is_some_and(|(verdict, fail_on)| fail_on.includes(verdict));
            failures += report(env, args, &outcome)?;
        }
    }
    match failures {
        0 if has_failed => Err(CliError::found()),
        0 => Ok(()),
        n => Err(CliError::failed(format!("cannot read {n} of the inputs"))),
    }
}

/// Prints what an input gave. Returns how many errors there were.
fn report(env: &Env<'_>, args: &Args, outcome: &Outcome) -> Result<usize> {
    if let Some(analysis) = &outcome.analysis {
        print(env, analysis)?;
    }
    if args.sources {
        env.out.message(outcome.table().pretty().trim_end());
    } else if let Some(message) = outcome.passed_over() {
        env.out.message(&message);
    }
    let errors: Vec<CliError> = outcome.errors().collect();
    for error in &errors {
        env.out.error(error);
    }
    Ok(errors.len())
}

/// What some inputs gave, in their order.
fn in_parallel(inputs: &[Input], options: &Options) -> Vec<Result<Outcome>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = inputs
            .iter()
            .map(|input| scope.spawn(move || input.analyze(options)))
            .collect();
        threads
            .into_iter()
            .map(|t| {
                t.join()
                    .map_err(|_| CliError::failed("the analysis panicked"))
            })
            .collect()
    })
}

/// Whether an input has no readable record.
pub(super) fn is_unreadable(analysis: &Analysis) -> bool {
    analysis.records.seen == analysis.records.rejected
}

fn print(env: &Env<'_>, analysis: &Analysis) -> Result {
    let out = env.out;
    match out.format {
        Format::Table => out.styled(&output::answer(out, &shown(analysis)))?,
        Format::Json => out.json_line(analysis)?,
        Format::Name => out.text(&format!("{}\n", analysis.input))?,
        Format::Yaml | Format::Csv => {
            if out.format == Format::Yaml {
                out.text("---\n")?;
            }
            out.value(analysis, || {
                output::causes("INPUT", &analysis.input, analysis.verdict, &analysis.causes)
            })?;
        }
    }
    report_rejects(env, analysis);
    Ok(())
}

fn shown(analysis: &Analysis) -> output::Shown<'_> {
    output::Shown {
        head: format!(
            "{}  {}, {}",
            analysis.input,
            output::count(analysis.records.seen, "record"),
            output::count(analysis.incidents.len() as u64, "incident")
        ),
        verdict: analysis.verdict,
        causes: &analysis.causes,
        missing: &analysis.missing_evidence,
        tree: false,
    }
}

fn report_rejects(env: &Env<'_>, analysis: &Analysis) {
    let records = &analysis.records;
    if records.rejected == 0 {
        return;
    }
    env.out.message(&format!(
        "{}: {} of {} records rejected",
        analysis.input, records.rejected, records.seen
    ));
    for reject in analysis.rejects.iter().take(MAX_REJECTS) {
        let file = match &*reject.source {
            "" => String::new(),
            file => format!("{file} "),
        };
        env.out.message(&format!(
            "  {file}line {}: {}: {}",
            reject.line, reject.reason, reject.message
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_how_long_ago() {
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(Time(SECOND)));
        let minutes = now().seconds_since(time("10m").unwrap()) / 60.0;
        assert!((minutes - 10.0).abs() < 1.0, "{minutes}");
        for invalid in ["yesterday", "", "m", "-3h", "3w", "1é", "99999999999d"] {
            assert!(time(invalid).is_err(), "{invalid}");
        }
    }
}
