//! What one tenant may try against a daemon on PostgreSQL, Kafka and Redis: the attacks of
//! `tests/suite/hostile`, with the same watchdog. Queries run on the embedded graph here; those that
//! exhaust a Neo4j server are in `queries.rs`.

#[path = "../../suite/hostile/answers.rs"]
mod answers;
#[path = "../../suite/hostile/audit.rs"]
mod audit;
#[path = "../../suite/hostile/audited.rs"]
mod audited;
#[path = "../../suite/hostile/bodies.rs"]
mod bodies;
#[path = "../../suite/hostile/connections.rs"]
mod connections;
#[path = "../../suite/hostile/headers.rs"]
mod headers;
#[path = "../../suite/hostile/ingest.rs"]
mod ingest;
#[path = "../../suite/hostile/keys.rs"]
mod keys;
#[path = "../../suite/hostile/many.rs"]
mod many;
#[path = "../../suite/hostile/memory.rs"]
mod memory;
#[path = "../../suite/hostile/query.rs"]
mod query;
#[path = "../../suite/hostile/records.rs"]
mod records;
#[path = "../../suite/hostile/state.rs"]
mod state;
mod stores;
#[path = "../../suite/hostile/tenancy.rs"]
mod tenancy;
#[path = "../../suite/hostile/watchdog.rs"]
mod watchdog;
#[path = "../../suite/hostile/work.rs"]
mod work;

use tokio::sync::RwLock;
use watchdog::Watchdog;

/// Who measures how long something takes reads it; who takes all processors for seconds writes it.
static PROCESSORS: RwLock<()> = RwLock::const_new(());
