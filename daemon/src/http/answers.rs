//! Answers that were served a moment ago, as bytes: most calls ask for what somebody has just asked
//! for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use kgrca_core::rca::{Answer, Scorer};
use kgrca_core::tenancy::TenantId;

use super::error::ApiError;

/// How long an answer is believed when another daemon may have committed meanwhile.
const BELIEVED: Duration = Duration::from_secs(1);
/// Most answers that are remembered.
const REMEMBERED: usize = 4096;

/// Which answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// Whose.
    pub tenant: TenantId,
    /// The incident's number; the newest live one when absent.
    pub number: Option<i64>,
    /// Which formula ranked.
    pub scorer: Scorer,
}

/// An answer as it is sent.
#[derive(Clone, Debug)]
pub struct Served {
    /// JSON.
    pub body: Bytes,
    /// Differs when the body does.
    pub etag: String,
}

impl Served {
    /// Writes an answer down.
    pub fn new(answer: &Answer) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(answer).map_err(|e| ApiError::internal(e.to_string()))?;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Ok(Self {
            body: body.into(),
            etag: format!("\"{:016x}\"", hasher.finish()),
        })
    }
}

/// Remembered answers, each with the tenant's number of commits when it was read.
#[derive(Debug, Default)]
pub struct Answers(Mutex<HashMap<Place, (u64, Instant, Served)>>);

impl Answers {
    /// The answer when nothing was committed since it was read.
    pub fn get(&self, place: &Place, commits: u64) -> Option<Served> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at_commit, at, served) = all.get(place)?;
        (*at_commit == commits && at.elapsed() < BELIEVED).then(|| served.clone())
    }

    /// Remembers an answer.
    pub fn put(&self, place: Place, commits: u64, served: Served) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(place, (commits, Instant::now(), served));
    }
}
