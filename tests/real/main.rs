//! Processes and real servers, also while they fail.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod access;
mod agent;
mod agent_failures;
mod agent_kafka;
mod charts;
mod crash;
mod doctor;
mod export_import;
mod fixes;
mod fleet;
mod full_disk;
mod graph_move;
#[path = "hostile/mod.rs"]
mod hostile_on_servers;
mod jobs;
mod live;
mod logs;
mod openapi;
mod power_loss;
mod provisioning;
mod queries;
mod refused;
mod secrets;
mod shippers;
mod store_conformance;
mod vault;
