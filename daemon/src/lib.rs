//! What *runs*: the kgrcad daemon. Doors, workers and stores around the engine of `kgrca-core`.

mod app;
mod auth;
pub mod config;
mod engine;
mod error;
mod http;
mod jobs;
mod server;
mod storage;
mod telemetry;

pub use http::openapi;
pub use server::{Running, start};
