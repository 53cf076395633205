//! `kgrca eval fit`

use std::path::PathBuf;

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::disturb;
use kgrca_core::lab::fit::{self, Fit, Sample, Settings, Shares};
use kgrca_core::model::Time;
use kgrca_core::rca::weights::{self, Weights};

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};

/// What is fitted to, and how.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct FitArgs {
    /// Folders with recorded cases; figures are told for each
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// YAML map from `root_cause` words to fault ids
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Learn also from the cases with these shares of their events, logs and alerts left out
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_values_t = [30, 60, 90], value_parser = clap::value_parser!(u8).range(1..=100))]
    drop: Vec<u8>,
    /// Which lines `--drop` leaves out
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pull of every weight to 0; above 0
    #[arg(long, default_value_t = 0.3, value_parser = positive)]
    ridge: f64,
    /// Most wrong causes among those that are told, from 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    risk: f64,
    /// Write the weights file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (number > 0.0 && number.is_finite())
        .then_some(number)
        .ok_or_else(|| "it must be above 0".to_owned())
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (0.0..=1.0)
        .contains(&number)
        .then_some(number)
        .ok_or_else(|| "it lies between 0 and 1".to_owned())
}

pub(super) fn fit(env: &Env<'_>, args: &FitArgs) -> Result {
    // All candidates teach, not only those that the old weights put first.
    if !weights::install(Weights {
        kept: usize::MAX,
        ..weights::shipped()
    }) {
        return Err(CliError::failed("weights were in use before the fit"));
    }
    let samples = samples(args)?;
    let fit = fit::fit(
        &samples,
        Settings {
            ridge: args.ridge,
            risk: args.risk,
        },
    );
    if let Some(file) = &args.out {
        std::fs::write(file, fit.file()).map_err(|e| {
            CliError::failed(format!("{} cannot be written", file.display())).cause(e)
        })?;
    }
    print(env, &fit, samples.len())
}

fn samples(args: &FitArgs) -> Result<Vec<Sample>> {
    let map = super::label_map(args.labels.as_deref())?;
    let options = Options {
        now: Time(jiff::Timestamp::now().as_microsecond()),
        ..Options::default()
    };
    let mut samples = Vec::new();
    for folder in &args.folders {
        let source = folder
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        for file in super::cases(folder)? {
            let whole = super::super::analyze::read(&file)?;
            let label = super::label(&file, &whole, &map)?;
            for percent in std::iter::once(&0).chain(&args.drop) {
                let bytes = disturb::drop(&whole, *percent, args.seed);
                let incidents = analyze::analyze(&source, &bytes, &options).incidents;
                samples.push(Sample::new(
                    &source,
                    *percent == 0,
                    label.clone(),
                    incidents.into_iter().map(|i| i.causes),
                ));
            }
        }
    }
    Ok(samples)
}

fn print(env: &Env<'_>, fit: &Fit, samples: usize) -> Result {
    let cells = |what: &str, source: &str, s: &Shares| {
        let three = |v: f64| format!("{v:.3}");
        [
            what.to_owned(),
            source.to_owned(),
            three(s.component_at_1),
            three(s.component_at_3),
            three(s.joint_at_1),
        ]
    };
    env.out.value(fit, || {
        let mut table = Table::new(&["WEIGHTS", "CASES", "COMPONENT@1", "@3", "JOINT@1"]);
        let rows = [
            ("fitted to all", &fit.fitted),
            ("without the fault", &fit.left_out),
        ];
        for (what, shares) in rows {
            table = table.rows(shares, |(source, s)| cells(what, source, s));
        }
        for (part, ablation) in &fit.without {
            table = table.rows(&ablation.left_out, |(source, s)| {
                cells(&format!("and without {part}"), source, s)
            });
        }
        table
    })?;
    if env.out.format == Format::Table {
        let b = &fit.belief;
        let auroc = b
            .auroc
            .map_or_else(|| "-".to_owned(), |a| format!("{a:.3}"));
        env.out.message(&format!(
            "{samples} samples; confidence of each fault by the others: calibration error {:.3}, Brier {:.3}, AUROC {auroc}; threshold {}",
            b.ece, b.brier, fit.weights.threshold
        ));
    }
    Ok(())
}
