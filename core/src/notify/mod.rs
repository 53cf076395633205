//! Notifications: which receivers hear of a change of an incident, and what they read. Pure: the
//! daemon stores what is planned here and delivers it.

mod config;
mod matcher;
mod message;
mod plan;
mod secret;
mod silence;

pub use config::{Config, ConfigError, Endpoint, Receiver, Route, Webhook};
pub use matcher::Matcher;
pub use message::{Notice, body};
pub use plan::{Planned, Reason, Told, What, plan};
pub use secret::SecretText;
pub use silence::Silence;
