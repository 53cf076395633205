//! Symptoms, the incidents they form, and the one state machine of an incident's life.

mod group;
mod life;
mod symptom;

pub use group::{Reach, groups};
pub use life::{Incident, Member, Registry, State, Transition};
pub use symptom::{Symptom, SymptomKind, symptoms};
