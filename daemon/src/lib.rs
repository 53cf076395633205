//! The `kgrcad` daemon: the HTTP API, workers and stores around the engine of `kgrca-core`, and the
//! agent, which can be built without the server.

mod admission;
#[cfg(feature = "agent")]
pub mod agent;
mod budget;
mod clock;
mod command;
#[cfg(feature = "server")]
pub mod environment;
mod error;
mod kafka;
pub mod probe;
mod random;
pub mod runtime;
mod secret;
mod source;

#[cfg(feature = "server")]
mod api_key;
#[cfg(feature = "server")]
mod checks;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod http;
#[cfg(feature = "server")]
mod jobs;
#[cfg(feature = "server")]
mod outbound;
#[cfg(feature = "server")]
mod places;
#[cfg(feature = "server")]
mod private;
#[cfg(feature = "server")]
pub mod sandbox;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
pub mod storage;
#[cfg(feature = "server")]
mod telemetry;
#[cfg(feature = "server")]
mod tenancy;
#[cfg(feature = "server")]
mod tls;
#[cfg(feature = "server")]
mod usecases;
#[cfg(feature = "server")]
mod workers;

pub use command::main;
pub use error::{Failure, FailureKind};
#[cfg(feature = "server")]
pub use http::openapi;
#[cfg(feature = "server")]
pub use server::{Running, migrate, simulated, start};
