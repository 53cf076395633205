//! An operator who gives a visitor a key that expires, and rotates data keys.

use std::sync::Arc;

use kgrca_core::api::{KeyLimits, KeyRequest};
use kgrca_core::model::Time;
use kgrca_core::model::time::SECOND;
use kgrca_core::tenancy::Scope;
use kgrca_daemon::simulated::SimulatedDaemon;

use crate::story;
use crate::world::World;

/// When the key expires, in microseconds: just before the end of the shortest world.
pub const EXPIRY: i64 = story::BEGIN.0 + 75 * SECOND;
/// The last moment to create it: keys hold for a minute at least.
const LATEST: i64 = EXPIRY - 61 * SECOND;

impl World {
    /// Visits each daemon with a key shortly before it expires, so that daemons know it, and
    /// afterwards, when none may accept it.
    pub async fn visits(self: Arc<Self>) {
        let Some(key) = self.key_that_expires().await else {
            return;
        };
        for second in [73, 76, 78] {
            let now = self.shared.kernel.time().0;
            self.shared.kernel.sleep(story::instant(second) - now).await;
            for daemon in 0..self.plan.daemons {
                let key = key.clone();
                let is_over = self.shared.kernel.time().0 > EXPIRY;
                let asked = async move |d: Arc<SimulatedDaemon>| d.visit(&key).await;
                let answer = self.request(daemon, asked).await;
                if is_over && matches!(answer, Some(Ok(()))) {
                    self.shared
                        .violated(format!("keys: d{daemon} accepts one that expired"));
                }
            }
        }
    }

    /// Rotates the data keys of all tenants in the middle of the story, by any daemon. The others
    /// must read what that one encrypts from then on.
    pub async fn rotations(self: Arc<Self>) {
        for second in [8, 30].into_iter().filter(|_| self.plan.is_encrypted) {
            let now = self.shared.kernel.time().0;
            self.shared.kernel.sleep(story::instant(second) - now).await;
            let change = serde_json::from_value(serde_json::json!({"act": "rotate"}));
            let change = change.expect("a change of encryption");
            let asked = async move |d: Arc<SimulatedDaemon>| d.change_encryption(change).await;
            if let Some(Err(refusal)) = self.request(self.any_daemon(), asked).await {
                // A tenant that is being deleted gets no key.
                let codes = ["unavailable", "unauthenticated", "conflict"];
                self.may_retry("rotate", &refusal, &codes);
            }
        }
    }

    /// `None` when no daemon created one in time.
    async fn key_that_expires(&self) -> Option<String> {
        while self.shared.kernel.time().0 < LATEST {
            let request = KeyRequest {
                name: "visitor".to_owned(),
                scopes: vec![Scope::Read],
                limits: KeyLimits {
                    expires_at: Some(Time(EXPIRY)),
                    ..KeyLimits::default()
                },
            };
            let asked = async move |d: Arc<SimulatedDaemon>| d.create_operator_key(request).await;
            match self.request(self.any_daemon(), asked).await {
                Some(Ok(created)) => return Some(created.api_key),
                // It took too long.
                Some(Err(refusal)) if refusal.code == "invalid_request" => return None,
                Some(Err(refusal)) => {
                    self.may_retry("key", &refusal, &["unavailable", "unauthenticated"]);
                }
                None => {}
            }
            self.shared.kernel.sleep(SECOND).await;
        }
        None
    }
}
