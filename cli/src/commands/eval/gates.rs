//! `kgrca eval gates`

use std::path::PathBuf;

use kgrca_core::analyze::Options;
use kgrca_core::lab::gates::{self, Case, Gate, Tally};
use kgrca_core::rca::MAX_CAUSES;

use super::super::files::read;
use super::{Env, cases, label, label_map};
use crate::error::{CliError, Result};
use crate::output::{Table, now};

/// Cases, and the gates that their answers have to pass.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct GatesArgs {
    /// Directory with recorded cases
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// YAML map from `root_cause` words to fault IDs
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Run only these gates
    #[arg(long = "gate", value_name = "GATE", value_parser = gate)]
    gates: Vec<Gate>,
    /// Exit with code 10 if a smaller share of the answers of any gate holds, from 0 to 1
    #[arg(long, value_name = "SHARE", value_parser = super::fit::share)]
    minimum: Option<f64>,
}

fn gate(text: &str) -> std::result::Result<Gate, String> {
    let names = || Gate::ALL.map(Gate::as_str).join(", ");
    let found = Gate::ALL.into_iter().find(|g| g.as_str() == text);
    found.ok_or_else(|| format!("expected one of {}", names()))
}

pub(super) fn run(env: &Env<'_>, args: &GatesArgs) -> Result {
    let words = label_map(args.labels.as_deref())?;
    let mut all = Vec::new();
    for file in cases(&args.directory)? {
        let bytes = read(&file)?;
        let label = label(&file, &bytes, &words)?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        all.push(Case {
            name: name.into_owned(),
            bytes,
            label,
        });
    }
    let options = Options {
        top: MAX_CAUSES,
        now: now(),
        ..Options::default()
    };
    let chosen = match args.gates.as_slice() {
        [] => &Gate::ALL[..],
        gates => gates,
    };
    let tallies: Vec<Tally> = chosen
        .iter()
        .map(|gate| gates::run(*gate, &all, &words, &options))
        .collect();
    print(env, &tallies)?;
    let is_below = |minimum: f64| tallies.iter().any(|t| t.held() < minimum);
    if args.minimum.is_some_and(is_below) {
        return Err(CliError::found());
    }
    Ok(())
}

fn print(env: &Env<'_>, tallies: &[Tally]) -> Result {
    env.out.value(&tallies, || {
        Table::new(&["GATE", "CASES", "VARIANTS", "HELD"]).rows(tallies, |t| {
            [
                t.gate.as_str().into(),
                t.cases.to_string(),
                t.variants.to_string(),
                format!("{:.4}", t.held()),
            ]
        })
    })?;
    for (tally, broken) in tallies
        .iter()
        .flat_map(|t| t.broken.iter().map(move |b| (t, b)))
    {
        env.out.message(&format!(
            "{}: {} {}: {}",
            tally.gate.as_str(),
            broken.case,
            broken.variant,
            broken.answer
        ));
    }
    Ok(())
}
