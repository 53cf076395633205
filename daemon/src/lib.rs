//! What *runs*: the kgrcad daemon. Doors, workers and stores around the engine of `kgrca-core`.

mod app;
mod auth;
mod checks;
pub mod config;
mod engine;
mod error;
mod http;
mod jobs;
mod secret;
mod server;
pub mod storage;
mod telemetry;
mod tenancy;
mod tls;

pub use error::Failure;
pub use http::openapi;
pub use server::{Running, migrate, start};
