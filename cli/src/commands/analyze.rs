//! `kgrca analyze`

use std::io::Read;
use std::path::{Path, PathBuf};

use kgrca_core::analyze::{self, Analysis, Options};
use kgrca_core::model::Time;
use kgrca_core::rca::{Scorer, Verdict};

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{self, Format};

/// Finds causes in records, without a server.
///
/// Reads JSON lines `{"topic", "value"}`, bare records, Kubernetes objects and Lists, recognised by
/// their shape: `kubectl get all,events -A -o json | kgrca analyze -` works.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders (their *.json, *.jsonl, also .gz and .zst), or `-` for standard input
    #[arg(required = true)]
    inputs: Vec<PathBuf>,
    /// Look at this instant instead of the newest record's
    #[arg(long, value_parser = time)]
    at: Option<Time>,
    /// Only causes of this namespace and of things outside namespaces
    #[arg(short, long)]
    namespace: Option<String>,
    /// Formula that ranks
    #[arg(long, value_parser = scorer, default_value = "causal")]
    scorer: Scorer,
    /// Most causes per input
    #[arg(long, default_value_t = 10)]
    top: usize,
    /// Inputs worked on at once
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Exit with 10 when this is found
    #[arg(long, value_parser = ["cause"])]
    fail_on: Option<String>,
}

/// Reads an RFC 3339 time.
pub(super) fn time(text: &str) -> std::result::Result<Time, String> {
    Time::parse(text).ok_or_else(|| "not an RFC 3339 time such as 2026-01-01T10:00:00Z".to_owned())
}

/// Reads a scorer's name.
pub(super) fn scorer(text: &str) -> std::result::Result<Scorer, String> {
    Scorer::parse(text).ok_or_else(|| "causal or weighted".to_owned())
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let now = Time(jiff::Timestamp::now().as_microsecond());
    let options = Options {
        at: args.at,
        namespace: args.namespace.clone(),
        scorer: args.scorer,
        top: args.top,
        now,
    };
    let (files, mut failures) = files(&args.inputs);
    if files.is_empty() && failures.is_empty() {
        return Err(CliError::failed("there is nothing to read")
            .hint("folders are searched for *.json and *.jsonl, also .gz and .zst"));
    }
    let mut found = false;
    // In chunks, so that output starts early and memory follows the number of jobs.
    for chunk in files.chunks(usize::from(args.jobs)) {
        for outcome in in_parallel(chunk, &options) {
            match outcome {
                Ok(analysis) => {
                    found |= analysis.verdict == Verdict::Cause;
                    print(env, &analysis)?;
                    if is_unreadable(&analysis) {
                        let error = CliError::failed(format!(
                            "{} holds no record that can be read",
                            analysis.input
                        ));
                        failures.push(error.hint(
                            "JSON is wanted, such as `kubectl get all,events -A -o json` prints it",
                        ));
                    }
                }
                Err(e) => failures.push(e),
            }
        }
    }
    for failure in &failures {
        env.out.error(failure);
    }
    match failures.len() {
        0 if found && args.fail_on.is_some() => Err(CliError::found()),
        0 => Ok(()),
        n => Err(CliError::failed(format!(
            "{n} of the inputs could not be read"
        ))),
    }
}

/// The analyses of some files, in their order.
fn in_parallel(files: &[PathBuf], options: &Options) -> Vec<Result<Analysis>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = files
            .iter()
            .map(|file| {
                scope.spawn(move || Ok(analyze::analyze(&label(file), &read(file)?, options)))
            })
            .collect();
        threads
            .into_iter()
            .map(|t| {
                t.join()
                    .unwrap_or_else(|_| Err(CliError::failed("the analysis ended unexpectedly")))
            })
            .collect()
    })
}

fn label(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    }
}

/// All files of the inputs, and what could not be listed.
pub(super) fn files(inputs: &[PathBuf]) -> (Vec<PathBuf>, Vec<CliError>) {
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            match list(input) {
                Ok(found) => all.extend(found),
                Err(e) => failures.push(
                    CliError::failed(format!("{} cannot be listed", input.display())).cause(e),
                ),
            }
        } else {
            all.push(input.clone());
        }
    }
    (all, failures)
}

fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let is_records = [".json", ".jsonl"]
            .iter()
            .any(|ending| plain.ends_with(ending));
        if path.is_dir() {
            found.extend(list(&path)?);
        } else if is_records {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of a file, decompressed by its ending.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    let failed =
        |e: std::io::Error| CliError::failed(format!("{} cannot be read", label(file))).cause(e);
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin()
            .lock()
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        // A pipe has no name that tells: compressed streams are known by their first bytes.
        let mut plain = Vec::new();
        match bytes.as_slice() {
            [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes.as_slice())
                .read_to_end(&mut plain)
                .map_err(failed)?,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::stream::read::Decoder::new(bytes.as_slice())
                .and_then(|mut d| d.read_to_end(&mut plain))
                .map_err(failed)?,
            _ => return Ok(bytes),
        };
        return Ok(plain);
    }
    let handle = std::fs::File::open(file).map_err(failed)?;
    match file.extension().and_then(|e| e.to_str()) {
        Some("gz") => flate2::read::MultiGzDecoder::new(handle)
            .read_to_end(&mut bytes)
            .map_err(failed)?,
        Some("zst") => zstd::stream::read::Decoder::new(handle)
            .and_then(|mut d| d.read_to_end(&mut bytes))
            .map_err(failed)?,
        _ => std::io::BufReader::new(handle)
            .read_to_end(&mut bytes)
            .map_err(failed)?,
    };
    Ok(bytes)
}

/// A line per cause behind the input and its verdict; an input without causes has a line of its
/// own.
fn piped(analysis: &Analysis) -> String {
    // Nothing that could be read is not the same as nothing that hurts.
    let verdict = if is_unreadable(analysis) {
        "unreadable".to_owned()
    } else {
        format!("{:?}", analysis.verdict).to_lowercase()
    };
    if analysis.causes.is_empty() {
        return format!("{}\t{verdict}\n", analysis.input);
    }
    let head = format!("{}\t{verdict}\t", analysis.input);
    analysis
        .causes
        .iter()
        .flat_map(|c| [head.clone(), output::line(c)])
        .collect()
}

/// Whether an input holds no record that can be read.
pub(super) fn is_unreadable(analysis: &Analysis) -> bool {
    analysis.records.seen == analysis.records.rejected
}

fn print(env: &Env<'_>, analysis: &Analysis) -> Result {
    if env.out.format == Format::Json {
        let line = serde_json::to_string(analysis)
            .map_err(|e| CliError::failed("the result has no JSON form").cause(e))?;
        env.out.text(&(line + "\n"))?;
    } else if env.out.format == Format::Table && !env.out.terminal {
        env.out.text(&piped(analysis))?;
    } else if env.out.format == Format::Table && is_unreadable(analysis) {
        env.out.text(&format!("{}  unreadable\n", analysis.input))?;
    } else if env.out.format == Format::Table {
        let head = format!(
            "{}  {} records, {} incidents",
            analysis.input,
            analysis.records.seen,
            analysis.incidents.len()
        );
        let shown = output::Shown {
            head,
            verdict: analysis.verdict,
            causes: &analysis.causes,
            missing: &analysis.missing_evidence,
            tree: false,
        };
        env.out.text(&output::answer(env.out, &shown))?;
    } else if env.out.format == Format::Name {
        env.out.text(&format!("{}\n", analysis.input))?;
    } else {
        if env.out.format == Format::Yaml {
            env.out.text("---\n")?;
        }
        env.out.value(analysis, || {
            output::causes("INPUT", &analysis.input, analysis.verdict, &analysis.causes)
        })?;
    }
    if analysis.records.rejected > 0 {
        env.out.message(&format!(
            "{}: {} of {} records were rejected",
            analysis.input, analysis.records.rejected, analysis.records.seen
        ));
        for reject in analysis.rejects.iter().take(5) {
            env.out.message(&format!(
                "  line {}: {}: {}",
                reject.line, reject.reason, reject.message
            ));
        }
    }
    Ok(())
}
