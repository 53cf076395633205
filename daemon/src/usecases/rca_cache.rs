//! Recently served answers, already encoded: most calls ask for what was asked for a moment ago.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kgrca_core::rca::{Answer, Scorer};
use kgrca_core::tenancy::TenantId;

use super::error::{Error, Result};
use crate::clock::{instant, since};

/// How long an answer is served without asking the store: another daemon may have committed.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How many answers are cached at most.
const MAX_CACHED: usize = 4096;

/// The question that an answer is cached for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The incident's number; `None` where the daemon chose the incident.
    pub number: Option<i64>,
    /// The formula that ranked the causes.
    pub scorer: Scorer,
}

/// An answer, encoded once for all who ask.
#[derive(Clone, Debug)]
pub struct EncodedAnswer {
    /// JSON of an [`Answer`].
    pub body: Bytes,
    /// Differs when the body differs.
    pub etag: String,
}

impl EncodedAnswer {
    /// Encodes an answer.
    pub fn new(answer: &Answer) -> Result<Self> {
        let body = serde_json::to_vec(answer).map_err(Error::internal)?;
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Ok(Self {
            body: body.into(),
            etag: format!("\"{:016x}\"", hasher.finish()),
        })
    }
}

/// Cached answers. An entry is void as soon as this daemon commits something for the tenant.
#[derive(Debug, Default)]
pub struct RcaCache(Mutex<HashMap<CacheKey, Cached>>);

#[derive(Debug)]
struct Cached {
    /// The tenant's number of commits when the answer was read.
    commits: u64,
    read_at: Instant,
    answer: EncodedAnswer,
}

impl RcaCache {
    /// The answer, when nothing was committed since it was read.
    pub fn get(&self, key: &CacheKey, commits: u64) -> Option<EncodedAnswer> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = all.get(key)?;
        let is_current = cached.commits == commits && since(cached.read_at) < CACHE_TTL;
        is_current.then(|| cached.answer.clone())
    }

    /// Caches an answer that was read at a number of commits.
    pub fn put(&self, key: CacheKey, commits: u64, answer: EncodedAnswer) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_CACHED {
            all.clear();
        }
        let cached = Cached {
            commits,
            read_at: instant(),
            answer,
        };
        all.insert(key, cached);
    }
}
