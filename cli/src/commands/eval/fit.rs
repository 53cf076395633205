//! `kgrca eval fit`

use std::path::PathBuf;

use kgrca_core::analyze::{self, Options};
use kgrca_core::lab::disturb;
use kgrca_core::lab::fit::{self, Fit, Sample, Settings, Shares};
use kgrca_core::rca::Weights;

use super::super::files::{read, write_text};
use super::{Env, optional};
use crate::error::Result;
use crate::output::{Format, Table, now};

/// Training cases and parameters of the fit.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct FitArgs {
    /// Directories with recorded cases; each is reported separately
    #[arg(required = true, value_name = "DIR")]
    directories: Vec<PathBuf>,
    /// YAML map from `root_cause` words to fault ids
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Also learn from the cases with these percentages of events, logs and alerts dropped
    #[arg(long, value_name = "PERCENT", value_delimiter = ',',
        default_values_t = [30, 60, 90], value_parser = clap::value_parser!(u8).range(1..=100))]
    drop: Vec<u8>,
    /// Seed that selects the lines dropped by `--drop`
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Ridge penalty: how strongly weights are pulled to 0 (above 0)
    #[arg(long, default_value_t = 0.3, value_parser = positive)]
    ridge: f64,
    /// Maximum share of wrong causes among reported ones, from 0 to 1
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    risk: f64,
    /// Write the fitted weights to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (number > 0.0 && number.is_finite())
        .then_some(number)
        .ok_or_else(|| "must be above 0".to_owned())
}

pub(super) fn share(text: &str) -> std::result::Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    (0.0..=1.0)
        .contains(&number)
        .then_some(number)
        .ok_or_else(|| "must be between 0 and 1".to_owned())
}

pub(super) fn fit(env: &Env<'_>, args: &FitArgs) -> Result {
    let samples = samples(args)?;
    let fit = fit::fit(
        &samples,
        Settings {
            ridge: args.ridge,
            risk: args.risk,
        },
    );
    if let Some(file) = &args.out {
        write_text(file, &fit.file())?;
    }
    print(env, &fit, samples.len())
}

fn samples(args: &FitArgs) -> Result<Vec<Sample>> {
    let map = super::label_map(args.labels.as_deref())?;
    let options = Options {
        now: now(),
        // Learn from all candidates, not only from those that the current weights rank first.
        weights: Weights {
            max_causes: usize::MAX,
            ..Weights::shipped()
        },
        ..Options::default()
    };
    let mut samples = Vec::new();
    for directory in &args.directories {
        let source = directory
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        for file in super::cases(directory)? {
            let original = read(&file)?;
            let label = super::label(&file, &original, &map)?;
            for percent in std::iter::once(&0).chain(&args.drop) {
                let bytes = disturb::drop(&original, *percent, args.seed);
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
    let cells = |weights: &str, source: &str, s: &Shares| {
        let three = |v: f64| format!("{v:.3}");
        [
            weights.to_owned(),
            source.to_owned(),
            three(s.component_at_1),
            three(s.component_at_3),
            three(s.joint_at_1),
        ]
    };
    env.out.value(fit, || {
        let mut table = Table::new(&["WEIGHTS", "CASES", "COMPONENT@1", "@3", "JOINT@1"]);
        let rows = [
            ("fitted to all cases", &fit.fitted),
            ("fitted without the fault", &fit.left_out),
        ];
        for (weights, shares) in rows {
            table = table.rows(shares, |(source, s)| cells(weights, source, s));
        }
        for (part, ablation) in &fit.without {
            table = table.rows(&ablation.left_out, |(source, s)| {
                cells(&format!("… and without {part}"), source, s)
            });
        }
        table
    })?;
    if env.out.format == Format::Table {
        let b = &fit.belief;
        env.out.message(&format!(
            "{samples} samples; cross-validated confidence: calibration error {:.3}, \
             Brier {:.3}, AUROC {}; threshold {}",
            b.ece,
            b.brier,
            optional(b.auroc),
            fit.weights.threshold
        ));
    }
    Ok(())
}
