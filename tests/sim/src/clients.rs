//! Who sends requests: agents of tenants, and the operator. They repeat a request, with the same
//! idempotency key, until it is answered.

use std::sync::Arc;

use kgrca_core::api::{CreatedTenant, Ingested, NewTenant, SagaAct};
use kgrca_core::storage::Sagas;
use kgrca_core::tenancy::{SagaState, TenantId};
use kgrca_daemon::simulated::{IngestRequest, Refusal};

use crate::ledger::identity;
use crate::plan::Fortune;
use crate::story::{self, Batch, Sender};
use crate::world::World;

impl World {
    pub fn any_daemon(&self) -> usize {
        let daemons = self.plan.daemons as u64;
        self.shared.kernel.dice(|d| d.below(daemons)) as usize
    }

    async fn pause(&self) {
        let micros = self.shared.kernel.dice(|d| d.below(3_000_000)) as i64;
        self.shared.kernel.sleep(micros).await;
    }

    /// A tenant from its creation on.
    pub async fn tenant(self: Arc<Self>, number: usize) {
        let canary = self.shared.canaries[number].clone();
        let fortune = self.plan.tenants[number];
        let created = if fortune == Fortune::RolledBack {
            let creation = tokio::spawn(Arc::clone(&self).create(canary.clone()));
            self.pause().await;
            self.roll_back(&canary).await;
            creation.await.ok().flatten()
        } else {
            Arc::clone(&self).create(canary.clone()).await
        };
        let Some(created) = created else {
            return;
        };
        let senders = story::senders(self.plan.story, &canary, self.plan.has_refused);
        let sending = senders.into_iter().map(|sender| {
            let key = created.api_key.clone();
            let id = created.client_id.clone();
            tokio::spawn(Arc::clone(&self).send_all(id, key, sender))
        });
        for sender in sending.collect::<Vec<_>>() {
            if let Err(e) = sender.await {
                self.shared.violated(format!("a sender ended: {e}"));
            }
        }
        if fortune == Fortune::Deleted {
            self.delete(&created.client_id).await;
        }
    }

    /// Creates a tenant. `None` when it was rolled back meanwhile.
    async fn create(self: Arc<Self>, canary: String) -> Option<CreatedTenant> {
        let key = format!("create-{canary}");
        loop {
            let tenant: NewTenant = serde_json::from_value(serde_json::json!({
                "name": canary, "plan": "pro", "contact_email": "",
            }))
            .expect("a new tenant");
            let key = key.clone();
            let asked = async move |d: Arc<kgrca_daemon::simulated::SimulatedDaemon>| {
                d.create_tenant(tenant, &key).await
            };
            match self.request(self.any_daemon(), asked).await {
                Some(Ok(created)) => return Some(created),
                Some(Err(refusal)) => {
                    if self.is_rolled_back(&canary).await {
                        return None;
                    }
                    self.may_retry("create", &refusal, &["unavailable", "conflict"]);
                }
                None => {}
            }
            self.pause().await;
        }
    }

    /// Whether all creations of a tenant that is to be rolled back were.
    async fn is_rolled_back(&self, canary: &str) -> bool {
        let sagas = self.observer().sagas(None).await.unwrap_or_default();
        let number = self.shared.canaries.iter().position(|c| c == canary);
        let is_planned = number.is_some_and(|i| self.plan.tenants[i] == Fortune::RolledBack);
        let mut own = sagas.iter().filter(|saga| saga.client_id.contains(canary));
        is_planned && own.clone().count() > 0 && own.all(|s| s.state == SagaState::Compensated)
    }

    /// Rolls a creation back, unless it is done by then.
    async fn roll_back(&self, canary: &str) {
        for _ in 0..3 {
            let sagas = self.observer().sagas(None).await.unwrap_or_default();
            let own = sagas.iter().find(|s| s.client_id.contains(canary));
            if let Some(id) = own.map(|saga| saga.saga_id.clone()) {
                let asked = async move |d: Arc<kgrca_daemon::simulated::SimulatedDaemon>| {
                    d.act_on_saga(&id, SagaAct::Compensate).await
                };
                if let Some(Ok(())) = self.request(self.any_daemon(), asked).await {
                    return;
                }
            }
            self.pause().await;
        }
    }

    async fn delete(&self, id: &str) {
        loop {
            let id = id.to_owned();
            let asked = async move |d: Arc<kgrca_daemon::simulated::SimulatedDaemon>| {
                d.delete_tenant(&id).await
            };
            match self.request(self.any_daemon(), asked).await {
                Some(Ok(_)) => return,
                Some(Err(refusal)) => {
                    self.may_retry("delete", &refusal, &["unavailable", "conflict"]);
                }
                None => {}
            }
            self.pause().await;
        }
    }

    pub fn may_retry(&self, what: &str, refusal: &Refusal, codes: &[&str]) {
        let Refusal { code, message } = refusal;
        self.shared
            .kernel
            .trace(&format!("{what}: {code}: {message}"));
        if !codes.contains(code) {
            self.shared
                .violated(format!("{what} is refused for good: {code}: {message}"));
        }
    }

    async fn send_all(self: Arc<Self>, id: String, key: String, sender: Sender) {
        for (number, batch) in sender.batches.iter().enumerate() {
            let now = self.shared.kernel.time().0;
            self.shared
                .kernel
                .sleep(story::instant(batch.at) - now)
                .await;
            let idempotency = format!("{}-{}-{number}", sender.cluster, sender.name);
            self.send(&id, &key, &sender, batch, &idempotency).await;
        }
    }

    /// Sends a batch until it is acknowledged; from then on it must be stored.
    async fn send(&self, id: &str, key: &str, sender: &Sender, batch: &Batch, idempotency: &str) {
        loop {
            let is_repeated = self.shared.kernel.dice(|d| d.chance(self.plan.repeated));
            let first = self.attempt(key, sender, batch, idempotency);
            let answer = if is_repeated {
                let second = self.attempt(key, sender, batch, idempotency);
                let (first, second) = tokio::join!(biased; first, second);
                first.or(second)
            } else {
                first.await
            };
            match answer {
                Some(Ok(taken)) => {
                    self.check_acknowledged(id, sender, batch, &taken);
                    return;
                }
                Some(Err(refusal)) => {
                    self.may_retry("ingest", &refusal, &["unavailable", "unauthenticated"]);
                }
                None => {}
            }
            self.pause().await;
        }
    }

    async fn attempt(
        &self,
        key: &str,
        sender: &Sender,
        batch: &Batch,
        idempotency: &str,
    ) -> Option<Result<Ingested, Refusal>> {
        let request = IngestRequest {
            kind: batch.kind.to_owned(),
            cluster: Some(sender.cluster.clone()),
            idempotency_key: self.plan.has_keys.then(|| idempotency.to_owned()),
            body: batch.body().into(),
            held: None,
        };
        let key = key.to_owned();
        let asked = async move |d: Arc<kgrca_daemon::simulated::SimulatedDaemon>| {
            d.ingest(&key, request).await
        };
        self.request(self.any_daemon(), asked).await
    }

    /// What is acknowledged is stored, with every record.
    fn check_acknowledged(&self, id: &str, sender: &Sender, batch: &Batch, taken: &Ingested) {
        let sent = batch.records.len() as u64;
        if taken.accepted + taken.duplicate != sent || taken.rejected_count > 0 {
            let story = format!("{} of {id}: {sent} sent, {taken:?}", sender.name);
            self.shared.violated(format!("acknowledged: {story}"));
        }
        let all = self.brokers.all();
        let topics = TenantId::parse(id).and_then(|id| all.get(&id));
        for record in &batch.records {
            let text = record.to_string();
            let is_stored = |topics: &crate::log::Topics| {
                topics.records().any(|(stream, stored)| {
                    let wanted = identity(stream.topic, text.as_bytes());
                    stream.topic.signal().route == Some(batch.kind)
                        && identity(stream.topic, &stored.value) == wanted
                })
            };
            if !topics.is_some_and(is_stored) {
                self.shared
                    .violated(format!("acknowledged but not stored: {text}"));
            }
        }
    }
}
