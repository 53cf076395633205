//! Whether the servers behind the stores answer.

use std::sync::Arc;
use std::time::Duration;

use kgrca_core::storage::{Error, ErrorKind};
use tokio::sync::watch;

use crate::telemetry;
use crate::usecases::App;

/// How often is asked, and how long an answer may take.
const EVERY: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks each server again and again until the daemon stops. Embedded stores are not asked.
pub async fn watch(app: Arc<App>, stop: watch::Receiver<bool>) {
    let stores = &app.stores;
    let kafka = watch_one("kafka_up", stores.log.is_remote(), stop.clone(), || {
        stores.log.check()
    });
    let neo4j = watch_one("neo4j_up", stores.graph.is_remote(), stop.clone(), || {
        stores.graph.check()
    });
    let postgres = watch_one("postgres_up", stores.are_shared, stop, || {
        stores.meta.check()
    });
    tokio::join!(kafka, neo4j, postgres);
}

async fn watch_one<F: Future<Output = Result<String, Error>>>(
    gauge: &'static str,
    is_used: bool,
    mut stop: watch::Receiver<bool>,
    ask: impl Fn() -> F,
) {
    let mut was_up = true;
    while is_used && !*stop.borrow() {
        let late = |_| {
            Error::new(
                ErrorKind::Unavailable,
                format!("no answer within {} s", PATIENCE.as_secs()),
            )
        };
        let answer = tokio::time::timeout(PATIENCE, ask())
            .await
            .map_err(late)
            .flatten();
        let answered = telemetry::ServerChecked {
            gauge,
            error: answer.err(),
            was_up,
        };
        answered.emit();
        was_up = answered.error.is_none();
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.changed() => {}
        }
    }
}
