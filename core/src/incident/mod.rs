//! Symptoms, the incidents they form, and the one state machine of an incident's life.

mod group;
mod life;
mod reach;
mod symptom;

pub use group::groups;
pub use life::{Incident, MEMBERS, Member, Registry, State, Transition};
pub use reach::Reach;
pub use symptom::{Symptom, SymptomKind, symptoms};
