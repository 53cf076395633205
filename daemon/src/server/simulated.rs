//! A daemon without listeners on stores that the caller gives: what `tests/sim` runs under its own
//! clock and scheduler. It starts like a real one, has the same background work, and its requests
//! enter where the HTTP handlers would call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kgrca_core::api::{
    CreatedKey, CreatedTenant, EncryptionChange, Ingested, KeyRequest, NewTenant, SagaAct,
    VerifiedDay,
};
use kgrca_core::storage::DaemonRow;
use kgrca_core::tenancy::Saga;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

use super::{operator_key as operator, prepare, tasks};
use crate::clock::now;
use crate::config::Settings;
use crate::error::Failure;
use crate::jobs;
use crate::secret::Secret;
use crate::storage::Stores;
use crate::usecases::actor::{Interface, Request};
use crate::usecases::keys::KeyOwner;
use crate::usecases::recount::Recount;
use crate::usecases::{
    Actor, App, Error, authentication, encryption, ingest, keys, recount, sagas, tenants, usage,
};
use crate::workers::Fleet;

pub use crate::storage::SimulatedStores;
pub use crate::usecases::ingest::IngestRequest;

/// How often a cluster without records gets a tick.
const TICK: Duration = Duration::from_secs(10);

/// A daemon in a simulation.
pub struct SimulatedDaemon {
    app: Arc<App>,
    operator_key: String,
    stops: [watch::Sender<bool>; 3],
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The word of the API for it.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self {
            code: error.code.as_str(),
            message: error.message,
        }
    }
}

impl SimulatedDaemon {
    /// Starts a daemon. Of the settings it needs the folder of its snapshots, the operator's key, and
    /// the master key if it is to encrypt.
    ///
    /// # Errors
    /// When a store fails: the daemon did not start.
    pub async fn start(
        stores: SimulatedStores,
        settings: Settings,
        owner: &str,
    ) -> Result<Self, Failure> {
        let stores = Stores::simulated(stores, &settings).await?;
        operator::prepare(&stores, &settings).await?;
        let operator_key = settings.operator_key.as_ref().map(Secret::resolved);
        let operator_key = operator_key.transpose()?.unwrap_or_default();
        let snapshots = settings.data.join("snapshots");
        let owner = owner.to_owned();
        let fleet = Fleet::new(stores.clone(), true, TICK, owner.clone(), snapshots);
        let fleet = Arc::new(fleet);
        let app = Arc::new(App::new(settings, stores, fleet));
        let mut me = DaemonRow {
            address: owner.clone(),
            owner,
            roles: "api,worker".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: now(),
            seen_at: now(),
        };
        prepare::preload(&app).await?;
        app.fleet.share(&mut me).await?;
        // A channel each: one wakes its receivers in a random order.
        let stops: [_; 3] = std::array::from_fn(|_| watch::channel(false).0);
        let [membership, usage, running] = stops.each_ref().map(watch::Sender::subscribe);
        let fleet = Arc::clone(&app.fleet);
        let tasks = vec![
            tokio::spawn(async move { fleet.keep_share(me, membership).await }),
            tokio::spawn(tasks::flush_usage(Arc::clone(&app), usage)),
            tokio::spawn(jobs::run(Arc::clone(&app), running)),
        ];
        Ok(Self {
            app,
            operator_key,
            stops,
            tasks: Mutex::new(tasks),
        })
    }

    /// Handles by which a crash ends the daemon's background work in the middle.
    pub fn abort_handles(&self) -> Vec<AbortHandle> {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().map(JoinHandle::abort_handle).collect()
    }

    /// Stops in order.
    pub async fn stop(&self) {
        for stop in &self.stops {
            stop.send_replace(true);
        }
        let ending = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in ending {
            // A task that was aborted has ended, too.
            let _ = task.await;
        }
        self.app.fleet.shut_down().await;
    }

    async fn actor(&self, key: &str) -> Result<Actor, Error> {
        let request = Request {
            interface: Interface::Http,
            id: String::new(),
            address: None,
            certificate: None,
        };
        authentication::authenticate(&self.app, Some(key), request).await
    }

    /// `POST /admin/encryption` by the operator.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn change_encryption(&self, change: EncryptionChange) -> Result<(), Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        encryption::act(&self.app, &actor, change).await?;
        Ok(())
    }

    /// Any request with an API key, as far as it is checked.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn visit(&self, key: &str) -> Result<(), Refusal> {
        self.actor(key).await?;
        Ok(())
    }

    /// `POST /admin/keys` by the operator.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn create_operator_key(&self, request: KeyRequest) -> Result<CreatedKey, Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        Ok(keys::create(&self.app, &actor, KeyOwner::Operator, request).await?)
    }

    /// `POST /ingest/…` with an API key.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn ingest(&self, key: &str, request: IngestRequest) -> Result<Ingested, Refusal> {
        let actor = self.actor(key).await?;
        Ok(ingest::ingest(&self.app, &actor, request).await?)
    }

    /// `POST /admin/clients` by the operator.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn create_tenant(
        &self,
        tenant: NewTenant,
        idempotency_key: &str,
    ) -> Result<CreatedTenant, Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        let key = Some(idempotency_key.to_owned());
        Ok(tenants::create(&self.app, &actor, tenant, key).await?)
    }

    /// `DELETE /admin/clients/…` by the operator, without a grace period.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn delete_tenant(&self, id: &str) -> Result<Saga, Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        Ok(tenants::delete(&self.app, &actor, id, Some(0)).await?)
    }

    /// `POST /admin/sagas/…/compensate` or `…/resume` by the operator.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn act_on_saga(&self, saga_id: &str, act: SagaAct) -> Result<(), Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        sagas::act(&self.app, &actor, saga_id, act).await?;
        Ok(())
    }

    /// `POST /admin/clients/…/billing/verify` by the operator for the days of a month so far;
    /// `None` when it takes longer than a caller is kept waiting.
    ///
    /// # Errors
    /// As the API answers.
    pub async fn recount(&self, id: &str) -> Result<Option<Vec<VerifiedDay>>, Refusal> {
        let actor = self.actor(&self.operator_key).await?;
        let span = usage::DaySpan::parse(None, None)?;
        Ok(match recount::start(&self.app, &actor, id, span).await? {
            Recount::Done(page) => Some(page.items),
            Recount::Pending(_) => None,
        })
    }
}
