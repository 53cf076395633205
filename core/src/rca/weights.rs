//! The weights of the causal score: one data file.

use std::sync::LazyLock;

use serde::Deserialize;

/// Weights and calibration; meaning and units stand in `weights.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the file says what each one means")]
pub struct Weights {
    pub version: String,
    pub hint: f64,
    pub fair: f64,
    pub strong: f64,
    pub proof: f64,
    pub active: f64,
    pub support: f64,
    pub explains: f64,
    pub complained: f64,
    pub before: f64,
    pub explained: f64,
    pub specific: f64,
    pub calibration: Calibration,
    pub threshold: f64,
}

/// The map from score to confidence.
#[derive(Clone, Debug, Default, Deserialize)]
#[expect(missing_docs, reason = "the file says what each one means")]
pub struct Calibration {
    pub bias: f64,
    pub score: f64,
    pub margin: f64,
}

static WEIGHTS: LazyLock<Weights> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be wrong here.
    serde_yaml::from_str(include_str!("weights.yaml")).unwrap_or_default()
});

/// The weights that this build ships.
pub fn get() -> &'static Weights {
    &WEIGHTS
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_file_is_read() {
        let weights: super::Weights = serde_yaml::from_str(include_str!("weights.yaml")).unwrap();
        assert!(weights.hint < weights.fair && weights.fair < weights.strong && weights.strong < weights.proof);
    }
}
