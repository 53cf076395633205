//! `kgrca version`

use serde::Serialize;

use super::Env;
use crate::error::Result;
use crate::output::Table;

/// Print the version
///
/// Prints the version of this program and of the engine's weights.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[derive(Serialize)]
struct Version {
    kgrca: &'static str,
    weights: String,
}

pub(super) fn run(env: &Env<'_>, _: Args) -> Result {
    let version = Version {
        kgrca: env!("CARGO_PKG_VERSION"),
        weights: kgrca_core::rca::Weights::shipped().version,
    };
    let text = format!("kgrca {} (weights {})", version.kgrca, version.weights);
    env.out
        .value(&version, || Table::new(&["VERSION"]).row([text.clone()]))
}
