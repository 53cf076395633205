//! Creating tenants.

use kgrca_core::api::{CreatedTenant, NewTenant};
use kgrca_core::billing::Overrides;
use kgrca_core::model::Topic;
use kgrca_core::tenancy::{Saga, SagaState, Tenant, TenantId, TenantState, new_tenant_id};

use super::plan;
use crate::clock::now;
use crate::random::random_id;
use crate::tenancy::{self, Secrets};
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App, audit};

const MAX_NAME_CHARACTERS: usize = 200;

/// A validated request for a tenant.
pub struct Creation {
    pub tenant: Tenant,
    /// Repeating a request with the same key resumes the same creation.
    pub idempotency_key: Option<String>,
}

impl Creation {
    /// Validates a request and chooses the tenant's id.
    pub fn new(app: &App, request: NewTenant, idempotency_key: Option<String>) -> Result<Self> {
        let name = request.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARACTERS {
            return Err(Error::invalid(format!(
                "`name` must be 1–{MAX_NAME_CHARACTERS} characters"
            )));
        }
        let plan = plan(&request.plan)?;
        let client_id = new_tenant_id(name, &random_id(6));
        if TenantId::parse(&client_id).is_none() {
            return Err(Error::invalid("`name` contains no letter or digit"));
        }
        let default_partitions = if app.stores.provisioner.log.has_users() {
            plan.partitions
        } else {
            1
        };
        let tenant = Tenant {
            client_id,
            name: name.to_owned(),
            plan: request.plan,
            state: TenantState::Joining,
            contact_email: request.contact_email,
            created_at: now(),
            deleted_at: None,
            partitions: app.settings.partitions.unwrap_or(default_partitions),
            limits: Overrides::default(),
        };
        Ok(Self {
            tenant,
            idempotency_key,
        })
    }

    /// Writes to the audit log that the tenant is created, before anything is. A repetition of an
    /// earlier request belongs to the tenant of that one.
    pub async fn audit(&self, app: &App, actor: &Actor, action: &str) -> Result<()> {
        let mut client_id = self.tenant.client_id.clone();
        if self.idempotency_key.is_some() {
            let sagas = app.stores.meta.sagas(None).await?;
            let is_earlier =
                |s: &Saga| s.request == self.idempotency_key && s.state != SagaState::Compensated;
            if let Some(earlier) = sagas.into_iter().find(is_earlier) {
                client_id = earlier.client_id;
            }
        }
        audit::record(app, actor, Some(&client_id), action, &self.tenant.plan).await
    }
}

/// Creates a tenant with its first key. The secrets are in this answer and nowhere else; with the
/// same idempotency key a repetition resumes what was started, or issues new secrets.
///
/// # Errors
/// `invalid_request` for a name or plan that cannot be used. When a step of provisioning fails,
/// everything is rolled back.
pub async fn create(
    app: &App,
    actor: &Actor,
    request: NewTenant,
    idempotency_key: Option<String>,
) -> Result<CreatedTenant> {
    actor.operator()?;
    let creation = Creation::new(app, request, idempotency_key)?;
    creation.audit(app, actor, "client.create").await?;
    let (saga, secrets) = tenancy::create(&app.tenancy, creation.tenant, creation.idempotency_key)
        .await
        .map_err(Error::of_server)?;
    Ok(created(app, &saga, secrets))
}

/// The answer to a creation that is complete.
pub fn created(app: &App, saga: &Saga, secrets: Secrets) -> CreatedTenant {
    let id = &saga.client_id;
    CreatedTenant {
        client_id: id.clone(),
        api_key: secrets.api_key.unwrap_or_default(),
        kafka_username: app.stores.provisioner.log.has_users().then(|| id.clone()),
        kafka_password: secrets.kafka_password,
        graph_database: format!("{id}-kg"),
        kafka_topics: Topic::inputs()
            .iter()
            .map(|t| format!("{id}.{}", t.as_str()))
            .collect(),
        saga_id: saga.saga_id.clone(),
    }
}
