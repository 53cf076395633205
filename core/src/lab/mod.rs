//! The laboratory: measuring the engine on labelled cases, fitting its weights, disturbing the cases
//! to see what breaks, and reporting the result.

pub mod disturb;
pub mod eval;
pub mod fit;
pub mod report;
