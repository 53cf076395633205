//! Health checks of stores: at start, and for `kgrca doctor`.

use std::time::Duration;

use kgrca_core::api::Check;
use kgrca_core::storage::{Error, ErrorKind, Result};

use crate::clock::now;
use crate::storage::Stores;

/// Maximum difference between the clocks of daemon and metadata store, in seconds.
const MAX_SKEW: f64 = 5.0;

/// Timeout of one check.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a check as callers see it.
pub fn check(what: &str, result: Result<String>) -> Check {
    match result {
        Ok(found) => Check {
            what: what.to_owned(),
            ok: true,
            found,
            hint: None,
        },
        Err(e) => {
            let default_hint = (e.kind == ErrorKind::Unavailable)
                .then(|| "check that the server is running and that its URL is right".to_owned());
            Check {
                what: what.to_owned(),
                ok: false,
                found: e.message,
                hint: e.hint.or(default_hint),
            }
        }
    }
}

/// A check that is given up as unavailable when it takes too long.
pub async fn with_timeout<T>(check: impl Future<Output = Result<T>>) -> Result<T> {
    let timed_out = |_| {
        Error::new(
            ErrorKind::Unavailable,
            format!("no answer within {} s", TIMEOUT.as_secs()),
        )
    };
    tokio::time::timeout(TIMEOUT, check)
        .await
        .map_err(timed_out)?
}

/// Checks that every store responds and grants the rights that kgrcad needs.
pub async fn of_stores(stores: &Stores) -> Vec<Check> {
    let (metadata, log, graph, limits, clock) = tokio::join!(
        with_timeout(stores.meta.check()),
        with_timeout(stores.log.check()),
        with_timeout(stores.graph.check()),
        with_timeout(stores.limits.check()),
        // Read right after the answer, because the other checks may take long.
        with_timeout(async {
            Ok(stores
                .meta
                .now()
                .await?
                .map(|store_time| now().seconds_since(store_time)))
        }),
    );
    let mut all = vec![
        check("metadata", metadata),
        check("log", log),
        check("graph", graph),
        check("limits", limits),
    ];
    if let Ok(Some(skew)) = clock {
        let found = format!("{skew:+.3} s ahead of the metadata store");
        let hint = (skew.abs() > MAX_SKEW).then(|| "synchronize both machines with NTP".to_owned());
        all.push(Check {
            what: "clock".into(),
            ok: hint.is_none(),
            found,
            hint,
        });
    }
    all
}
