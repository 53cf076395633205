//! Symptoms, the incidents that they form, and the state machine of incidents.

mod alone;
mod group;
mod life;
mod reach;
mod registry;
mod settled;
mod symptom;
mod times;
mod unexplained;

pub use group::groups;
pub use life::{Incident, MAX_MEMBERS, Member, State, Transition};
pub use reach::Reach;
pub use registry::{Registry, Update};
pub use settled::is_settled;
pub use symptom::{QUIET, Symptom, SymptomKind, symptoms};
pub use times::{began, newest, paged_at};
pub use unexplained::unexplained;
