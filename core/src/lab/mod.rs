//! The laboratory: measures the engine on labelled cases, fits its weights, disturbs cases to see
//! what the engine depends on, and renders reports.

pub mod disturb;
pub mod eval;
pub mod fit;
pub mod gates;
pub mod report;
