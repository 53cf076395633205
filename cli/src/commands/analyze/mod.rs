//! `kgrca analyze`

mod compare;
mod inputs;
mod live;
mod report;
mod values;

use std::path::PathBuf;

use kgrca_core::analyze::{Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::model::object::Selector;
use kgrca_core::rca::{Scorer, Verdict};

use super::{Env, changes};
use crate::error::{CliError, Result};
use crate::output::{self, Format, now};
use inputs::{Input, Outcome};
use values::selector;
pub(super) use values::{scorer, time, time_ahead};

/// How many rejected records are listed per input.
const MAX_REJECTS: usize = 5;

/// Analyze a live cluster, files or stdin
///
/// Without FILE, reads the cluster of the current kubeconfig context: all kinds that matter,
/// events, and the last lines of containers, unhealthy ones first. It reads only what you may read
/// and names what you may not, sends at most 20 requests per second, and writes nothing. Of
/// Secrets, only the metadata is requested: whether one exists is known, its values never leave the
/// server.
///
/// With FILE, reads what people have: JSON, YAML and tables of `kubectl get`, `kubectl describe`,
/// `kubectl cluster-info dump`, support bundles and must-gather as folders or archives, logs,
/// alerts, audit logs, and recorded cases. All files of a call are about one cluster and get one
/// answer.
///
/// Examples:
///   kgrca analyze
///   kgrca analyze -n shop --watch
///   kubectl get all,events,nodes -A -o json | kgrca analyze -
///   kgrca analyze pods.yaml describe.txt logs-with-prefix.txt
///   kgrca analyze support-bundle.tar.gz --sources
///   kgrca analyze bundle.tar.gz --fail-on cause --min-confidence 0.8
///   kgrca analyze --before before.json --after after.json --junit report.xml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Files, directories, archives (.tar.gz), or `-` for stdin; without any, a live cluster
    #[arg(value_name = "FILE")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    states: compare::States,
    #[command(flatten)]
    live: live::LiveArgs,
    /// Answer for each file separately, as for recordings of different clusters
    #[arg(long, requires = "inputs")]
    separate: bool,
    /// List what was read of each file
    #[arg(long, requires = "inputs")]
    sources: bool,
    /// List what was changed on objects, as far as the files have several versions of them
    #[arg(long)]
    changes: bool,
    /// Evaluate at this time instead of the newest record's: RFC 3339, or how long ago, e.g. 10m
    #[arg(long, value_name = "TIME", value_parser = time, requires = "inputs")]
    at: Option<Time>,
    /// Only causes in this namespace and cluster-scoped ones: of a live cluster, nothing else is
    /// read; of files, also the namespace of logs that name none
    #[arg(short, long)]
    namespace: Option<String>,
    /// Only incidents of components with an object of these labels, e.g. app=web. Everything else
    /// is read all the same: a cause may lie in what has other labels
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = selector)]
    selector: Option<Selector>,
    /// Ranking algorithm: causal or weighted
    #[arg(long, value_parser = scorer, default_value = "causal")]
    scorer: Scorer,
    /// Maximum causes per input
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
    top: u16,
    /// Only causes of at least this confidence, from 0 to 1; with less, the answer is inconclusive
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    min_confidence: Option<f64>,
    /// Number of inputs to analyze in parallel, with --separate
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256),
        requires = "inputs")]
    jobs: u16,
    /// Exit with code 10 when this is found; with --before, `cause` accepts what is inconclusive
    #[arg(long)]
    fail_on: Option<FailOn>,
}

/// The verdicts that count as a failure.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum FailOn {
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

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let options = Options {
        at: args.at,
        namespace: args.namespace.clone(),
        selector: args.selector.clone(),
        scorer: args.scorer,
        top: usize::from(args.top),
        now: now(),
        changes: args.changes,
        ..Options::default()
    };
    let options = match args.min_confidence {
        Some(share) => with_threshold(options, share),
        None => options,
    };
    if !args.states.before.is_empty() {
        return compare::run(env, &args.states, &options, args.fail_on);
    }
    let piped = [PathBuf::from("-")];
    let named = match args.inputs.as_slice() {
        [] if args.live.is_asked() || !is_piped() => return live::run(env, args, options),
        [] => {
            env.out
                .message("Reading from stdin; `kgrca analyze --live` reads the cluster");
            &piped
        }
        named => named,
    };
    let inputs = if args.separate {
        Input::separate(named)?
    } else {
        vec![Input::together(named)]
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

/// The same, but a verdict needs this confidence.
fn with_threshold(mut options: Options, share: f64) -> Options {
    options.weights.threshold = share;
    options.min_confidence = share;
    options
}

/// Whether a pipe or file is stdin, as in `kubectl get pods | kgrca analyze`: not a terminal, nor
/// what services and CI systems put in its place.
fn is_piped() -> bool {
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileTypeExt;

    let stdin = std::io::stdin().as_fd().try_clone_to_owned();
    let metadata = stdin.and_then(|fd| std::fs::File::from(fd).metadata());
    metadata.is_ok_and(|metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || kind.is_file()
    })
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
                    .unwrap_or_else(|_| Err(CliError::failed("the analysis panicked")))
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
        Format::Table => {
            out.styled(&output::answer(out, &shown(analysis)))?;
            if !analysis.changes.is_empty() {
                out.text("\n")?;
                out.text(&changes::table(out, &analysis.changes).pretty())?;
            }
        }
        Format::Json => out.json_line(analysis)?,
        Format::Name => {
            let names = analysis
                .causes
                .iter()
                .map(|cause| format!("{}\n", cause.component));
            out.text(&names.collect::<String>())?;
        }
        Format::Yaml | Format::Csv | Format::Markdown => {
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
        other_changes: &analysis.other_changes,
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
