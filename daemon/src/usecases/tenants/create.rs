//! Creating tenants.

use kgrca_core::api::{CreatedTenant, NewTenant};
use kgrca_core::billing::Overrides;
use kgrca_core::model::Topic;
use kgrca_core::tenancy::{Saga, Tenant, TenantId, TenantState, hex, new_tenant_id};
use sha2::{Digest, Sha256};

use super::plan;
use crate::clock::now;
use crate::random::random_id;
use crate::tenancy::{self, RequestKey, Secrets};
use crate::usecases::error::{Error, Result};
use crate::usecases::{Actor, App, audit, label, text};

/// The longest name of a tenant, in characters.
const MAX_NAME: usize = 200;
/// The longest address that mail servers accept, in characters.
pub(super) const MAX_EMAIL: usize = 320;

/// What creates a tenant.
#[derive(Clone, Copy, Debug)]
pub enum Operation {
    /// `POST /admin/clients`.
    Create,
    /// `POST /admin/imports`.
    Import,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "client.create",
            Self::Import => "client.import",
        }
    }
}

/// A validated request for a tenant.
pub struct Creation {
    pub tenant: Tenant,
    /// The same request resumes the same creation.
    pub request: Option<RequestKey>,
    operation: Operation,
}

impl Creation {
    /// Validates a request and chooses the tenant's id.
    pub fn new(
        app: &App,
        actor: &Actor,
        operation: Operation,
        request: NewTenant,
        idempotency_key: Option<String>,
    ) -> Result<Self> {
        let key = idempotency_key.map(|key| {
            label("idempotency-key", &key)?;
            let digest = digest(actor, operation, &request)?;
            Ok::<_, Error>(RequestKey { key, digest })
        });
        let name = request.name.trim();
        if name.is_empty() {
            return Err(Error::invalid("`name` is empty"));
        }
        text("name", name, MAX_NAME)?;
        text("contact_email", &request.contact_email, MAX_EMAIL)?;
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
            request: key.transpose()?,
            operation,
        })
    }

    /// Writes to the audit log that the tenant is created, before anything is. A repetition of an
    /// earlier request belongs to the tenant of that one.
    ///
    /// # Errors
    /// `conflict` when another request used the same idempotency key.
    pub async fn audit(&self, app: &App, actor: &Actor) -> Result<()> {
        let earlier = tenancy::begun(&app.tenancy, self.request.as_ref()).await?;
        let client_id = match &earlier {
            Some(saga) => &saga.client_id,
            None => &self.tenant.client_id,
        };
        let action = self.operation.as_str();
        audit::record(app, actor, Some(client_id), action, &self.tenant.plan).await
    }
}

/// What makes a request the same as another one with its key: who asks for what. Each part is
/// preceded by its length, so that no two requests give the same bytes.
fn digest(actor: &Actor, operation: Operation, request: &NewTenant) -> Result<String> {
    let content = serde_json::to_string(request).map_err(Error::internal)?;
    let mut hasher = Sha256::new();
    for part in [actor.id(), operation.as_str(), &content] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    Ok(hex(&hasher.finalize()))
}

/// Creates a tenant with its first key. The secrets are in this answer and nowhere else; with the
/// same idempotency key a repetition resumes what was started, or issues new secrets.
///
/// # Errors
/// `invalid_request` for a name or plan that cannot be used; `conflict` for an idempotency key that
/// another caller, operation or content used in the last 24 hours. When a step of provisioning fails,
/// everything is rolled back.
pub async fn create(
    app: &App,
    actor: &Actor,
    request: NewTenant,
    idempotency_key: Option<String>,
) -> Result<CreatedTenant> {
    actor.operator()?;
    let creation = Creation::new(app, actor, Operation::Create, request, idempotency_key)?;
    creation.audit(app, actor).await?;
    let (saga, secrets) = tenancy::create(&app.tenancy, creation.tenant, creation.request)
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
