//! Silences: nothing is sent about what they match until they end.

use serde::{Deserialize, Serialize};

use super::{Matcher, Notice};
use crate::model::Time;

/// A silence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Silence {
    /// Identity, `sil_…`.
    pub silence_id: String,
    /// Which incidents it is about.
    #[serde(rename = "match")]
    pub matcher: Matcher,
    /// Why.
    pub reason: String,
    /// Who created it.
    pub by: String,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Time,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub ends_at: Time,
}

impl Silence {
    /// Whether it silences a notice at a time.
    pub fn covers(&self, notice: &Notice, at: Time) -> bool {
        self.created_at <= at && at < self.ends_at && self.matcher.matches(notice)
    }
}
