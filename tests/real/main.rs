//! Real processes under real trouble.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests: a panic is their answer"
)]

mod agent;
mod agent_kafka;
mod agent_trouble;
mod archive;
mod charts;
mod crash;
mod doctor;
mod fleet;
mod full;
mod logs;
mod moving;
mod onboarding;
mod power;
mod schema;
mod shippers;
mod stores;
mod walls;
