//! Whether the servers behind the stores answer this daemon.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::storage::{Error, ErrorKind};
use tokio::sync::watch;

use super::next_round;
use crate::telemetry;
use crate::usecases::App;

const EVERY: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Probes each server until the daemon stops. Embedded stores are not probed.
pub(super) async fn watch(app: Arc<App>, stop: watch::Receiver<bool>) {
    let stores = &app.stores;
    let kafka = probe("kafka_up", stores.log.is_remote(), stop.clone(), || {
        stores.log.check()
    });
    let neo4j = probe("neo4j_up", stores.graph.is_remote(), stop.clone(), || {
        stores.graph.check()
    });
    let postgres = probe("postgres_up", stores.are_shared, stop, || {
        stores.meta.check()
    });
    tokio::join!(kafka, neo4j, postgres);
}

async fn probe<F: Future<Output = Result<String, Error>>>(
    gauge: &'static str,
    is_used: bool,
    mut stop: watch::Receiver<bool>,
    check: impl Fn() -> F,
) {
    let mut was_up = true;
    let mut continues = is_used;
    while continues {
        let late = |_| {
            let message = format!("no answer within {} s", TIMEOUT.as_secs());
            Error::new(ErrorKind::Unavailable, message)
        };
        let answer = tokio::time::timeout(TIMEOUT, check()).await;
        let answered = telemetry::ServerChecked {
            gauge,
            error: answer.map_err(late).flatten().err(),
            was_up,
        };
        answered.emit();
        was_up = answered.error.is_none();
        continues = next_round(EVERY, &mut stop).await;
    }
}
