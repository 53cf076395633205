//! Symptoms, the incidents that they form, and the state machine of incidents.

mod group;
mod life;
mod reach;
mod registry;
mod symptom;
mod unexplained;

pub use group::groups;
pub use life::{Incident, MAX_MEMBERS, Member, State, Transition};
pub use reach::Reach;
pub use registry::{Registry, Update};
pub use symptom::{QUIET, Symptom, SymptomKind, began, is_settled, paged_at, symptoms};
pub use unexplained::unexplained;
