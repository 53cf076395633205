//! Who acts, through which interface, and what they may do.

use std::fmt;
use std::net::IpAddr;

use kgrca_core::billing::{self, Plan};
use kgrca_core::jobs::Job;
use kgrca_core::tenancy::{Scope, Tenant, TenantId};

use super::error::{Error, Result};
use super::key_limits::Bounds;

/// Whoever performs a use case. Only authentication and the runner of jobs make one, so that its
/// scopes can be trusted.
///
/// A further way to be known (a session of a person) is a variant of [`Identity`] and a constructor
/// beside [`Actor::with_key`]; a further way in (MCP, console, workflow) is a variant of
/// [`Interface`].
#[derive(Clone, Debug)]
pub struct Actor {
    /// Who acts.
    pub identity: Identity,
    /// How the request came in.
    pub interface: Interface,
    /// Identifies the request in answers, logs and support cases.
    pub request_id: String,
    /// The address that the request came from, where that is known.
    pub address: Option<IpAddr>,
    reach: Reach,
    scopes: Vec<Scope>,
    /// The only cluster that the actor may send for.
    cluster: Option<String>,
    /// Limits of its key, which hold for keys that it creates as well.
    bounds: Bounds,
    /// The hash of the actor's key, by which it is checked again later.
    pub(super) key_hash: Option<KeyHash>,
}

/// The hash of a key. It is not shown where an actor is printed.
#[derive(Clone)]
pub(super) struct KeyHash(pub String);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// What a key gives to whoever has it.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub identity: Identity,
    pub reach: Reach,
    pub scopes: Vec<Scope>,
    pub cluster: Option<String>,
    pub bounds: Bounds,
    pub key_hash: KeyHash,
}

/// How an actor is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An API key.
    Key {
        /// The key's id, never the key.
        id: String,
        /// What its owner called it; may be empty.
        name: String,
    },
    /// The daemon itself, in a background job.
    Job {
        /// The job's id.
        id: String,
        /// The word of its kind.
        kind: String,
    },
}

impl Identity {
    /// The id of the key or the job.
    pub fn id(&self) -> &str {
        match self {
            Self::Key { id, .. } | Self::Job { id, .. } => id,
        }
    }
}

impl fmt::Display for Identity {
    /// As people see it in incident timelines.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { id, name } if name.is_empty() => f.write_str(id),
            Self::Key { id, name } => write!(f, "{name} ({id})"),
            Self::Job { id, kind } => write!(f, "{kind} ({id})"),
        }
    }
}

/// The interface through which a use case is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interface {
    /// The HTTP API.
    Http,
    /// A background job.
    Job,
}

impl Interface {
    /// The word used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Job => "job",
        }
    }
}

/// Whose data an actor can reach at all.
#[derive(Clone, Debug)]
pub enum Reach {
    /// One tenant's. The tenant comes from the credentials, never from a parameter.
    Tenant {
        /// The tenant.
        id: TenantId,
        /// Its plan, with the limits agreed for this tenant.
        plan: Box<Plan>,
    },
    /// The provider's: tenants, keys, invoices, but no tenant's records or answers.
    Operator,
}

/// Permission to act for a tenant: proof that a scope was checked.
#[derive(Clone, Copy, Debug)]
pub struct TenantScope<'a> {
    /// The tenant.
    pub id: &'a TenantId,
    /// Its plan, with the limits agreed for this tenant.
    pub plan: &'a Plan,
}

impl Actor {
    /// The owner of an API key, after the key was checked.
    pub(super) fn with_key(grant: Grant, request: Request) -> Self {
        Self {
            identity: grant.identity,
            interface: request.interface,
            request_id: request.id,
            address: request.address,
            reach: grant.reach,
            scopes: grant.scopes,
            cluster: grant.cluster,
            bounds: grant.bounds,
            key_hash: Some(grant.key_hash),
        }
    }

    /// The daemon in a job of the installation.
    pub fn system_job(job: &Job) -> Self {
        Self::job(job, Reach::Operator)
    }

    /// The daemon in a job of a tenant, which it must not leave.
    ///
    /// # Errors
    /// `internal` when the job is not the tenant's, or the plan is not in plans.yaml.
    pub fn tenant_job(job: &Job, tenant: &Tenant) -> Result<Self> {
        let broken = |what: &str| Error::internal(format!("{}: {what}", job.job_id));
        if job.client_id.as_deref() != Some(&tenant.client_id) {
            return Err(broken("this job belongs to another tenant"));
        }
        let id = TenantId::parse(&tenant.client_id).ok_or_else(|| broken("invalid tenant id"))?;
        let plan = billing::find(&tenant.plan)
            .ok_or_else(|| broken("the tenant's plan is not in plans.yaml"))?;
        let plan = Box::new(plan.with(&tenant.limits));
        Ok(Self::job(job, Reach::Tenant { id, plan }))
    }

    fn job(job: &Job, reach: Reach) -> Self {
        Self {
            identity: Identity::Job {
                id: job.job_id.clone(),
                kind: job.kind.clone(),
            },
            interface: Interface::Job,
            request_id: job.job_id.clone(),
            address: None,
            reach,
            scopes: Scope::ALL.to_vec(),
            cluster: None,
            bounds: Bounds::default(),
            key_hash: None,
        }
    }

    /// The actor as the audit log names it. Tenants read their log, so of the operator's keys it
    /// shows the id and not the name.
    pub(super) fn audit_name(&self) -> String {
        match (&self.reach, &self.identity) {
            (Reach::Operator, Identity::Key { id, .. }) => id.clone(),
            (Reach::Operator, Identity::Job { .. }) | (Reach::Tenant { .. }, _) => {
                self.identity.to_string()
            }
        }
    }

    /// The id of the key or the job.
    pub fn id(&self) -> &str {
        self.identity.id()
    }

    /// The id of the actor's key; `None` for a job.
    pub(super) fn key_id(&self) -> Option<&str> {
        match &self.identity {
            Identity::Key { id, .. } => Some(id),
            Identity::Job { .. } => None,
        }
    }

    /// Whether the actor has a scope, whoever it acts for.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// What limits the keys that it creates for an owner. Those of tenants are not limited by the
    /// operator's own.
    pub(super) fn bounds(&self, tenant: Option<&TenantId>) -> Option<&Bounds> {
        let is_own = tenant.is_none() || matches!(self.reach, Reach::Tenant { .. });
        is_own.then_some(&self.bounds)
    }

    /// The only cluster that the actor may send for; `None` for all of its tenant's.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// Checks that the actor may send for a cluster.
    ///
    /// # Errors
    /// `forbidden` when its key is bound to another one.
    pub fn check_cluster(&self, cluster: &str) -> Result<()> {
        match self.cluster() {
            Some(own) if own != cluster => Err(Error::forbidden(format!(
                "the key belongs to the cluster `{own}` and cannot send for `{cluster}`"
            ))
            .hint("each cluster needs a key of its own: kgrca agent install --cluster NAME")),
            _ => Ok(()),
        }
    }

    /// Whether the actor acts with this key.
    pub fn is_key(&self, key_id: &str) -> bool {
        matches!(&self.identity, Identity::Key { id, .. } if id == key_id)
    }

    /// The tenant and plan of the actor, whatever its scopes; `None` for the operator.
    pub(super) fn reached_tenant(&self) -> Option<TenantScope<'_>> {
        match &self.reach {
            Reach::Tenant { id, plan } => Some(TenantScope { id, plan }),
            Reach::Operator => None,
        }
    }

    /// Permission to act for the actor's tenant.
    ///
    /// # Errors
    /// `forbidden` for the operator, and without the scope.
    pub fn tenant(&self, scope: Scope) -> Result<TenantScope<'_>> {
        let tenant = self.reached_tenant().ok_or_else(|| {
            Error::forbidden("this endpoint requires a tenant key")
                .hint("use a key of the tenant: the tenant is taken from the key")
        })?;
        if self.scopes.contains(&scope) {
            return Ok(tenant);
        }
        Err(
            Error::forbidden(format!("the key lacks the scope `{}`", scope.as_str())).hint(
                "`kgrca key list` shows the scopes of the tenant's keys; an admin's key \
                     creates others: `kgrca key create --role ROLE`",
            ),
        )
    }

    /// Permission to administer all tenants.
    ///
    /// # Errors
    /// `forbidden` for tenants, and for keys of the operator without the scope `admin`.
    pub fn operator(&self) -> Result<()> {
        if self.reached_tenant().is_some() {
            return Err(requires_operator());
        }
        if self.scopes.contains(&Scope::Admin) {
            return Ok(());
        }
        Err(
            Error::forbidden("the operator key lacks the scope `admin`").hint(
                "use the first operator key, `operator.key` in the server's data directory, or \
                 another one with the role admin",
            ),
        )
    }

    /// Permission to read the metrics: an operator key with the scope `metrics`.
    ///
    /// # Errors
    /// `forbidden` for all others.
    pub fn metrics(&self) -> Result<()> {
        if self.reached_tenant().is_none() && self.has(Scope::Metrics) {
            return Ok(());
        }
        Err(
            Error::forbidden("`/metrics` requires an operator key with the scope `metrics`")
                .hint("kgrca key create --operator --scopes metrics"),
        )
    }

    /// Permission to read what tenants owe: a key of the operator with `billing` or `admin`.
    ///
    /// # Errors
    /// `forbidden` for all others.
    pub fn accountant(&self) -> Result<()> {
        let is_permitted = [Scope::Billing, Scope::Admin]
            .iter()
            .any(|s| self.scopes.contains(s));
        if self.reached_tenant().is_none() && is_permitted {
            return Ok(());
        }
        Err(requires_operator())
    }
}

fn requires_operator() -> Error {
    Error::forbidden("this endpoint requires an operator key").hint(
        "the first one is `operator.key` in the server's data directory; with it, `kgrca key \
         create --operator --role admin|billing` creates others",
    )
}

/// What is known of a request before its sender is.
#[derive(Clone, Debug)]
pub struct Request {
    /// How it came in.
    pub interface: Interface,
    /// Identifies it in answers, logs and support cases.
    pub id: String,
    /// The address that it came from.
    pub address: Option<IpAddr>,
    /// SHA-256 of the client certificate of its connection, in hexadecimal.
    pub certificate: Option<String>,
}

#[cfg(test)]
mod tests {
    use kgrca_core::billing::Overrides;
    use kgrca_core::model::Time;
    use kgrca_core::tenancy::TenantState;

    use super::*;
    use crate::usecases::error::Code;

    fn actor(reach: Reach, scopes: &[Scope]) -> Actor {
        let identity = Identity::Key {
            id: "key_1".into(),
            name: "laptop".into(),
        };
        let request = Request {
            interface: Interface::Http,
            id: "r1".into(),
            address: None,
            certificate: None,
        };
        let grant = Grant {
            identity,
            reach,
            scopes: scopes.to_vec(),
            cluster: Some("prod".into()),
            bounds: Bounds::default(),
            key_hash: KeyHash("5e884898".into()),
        };
        Actor::with_key(grant, request)
    }

    fn acme() -> Reach {
        Reach::Tenant {
            id: TenantId::parse("client-acme-7f3k2a").unwrap(),
            plan: Box::new(billing::find("free").unwrap().clone()),
        }
    }

    #[test]
    fn a_tenant_acts_within_its_scopes_and_never_as_operator() {
        let viewer = actor(acme(), &[Scope::Read]);
        assert_eq!(
            viewer.tenant(Scope::Read).unwrap().id.as_str(),
            "client-acme-7f3k2a"
        );
        assert_eq!(
            viewer.tenant(Scope::Admin).unwrap_err().code,
            Code::Forbidden
        );
        let admin = actor(acme(), &Scope::ALL);
        assert!(admin.operator().is_err() && admin.accountant().is_err());
    }

    #[test]
    fn the_operator_reaches_no_tenant_data() {
        let operator = actor(Reach::Operator, &Scope::ALL);
        assert!(operator.operator().is_ok() && operator.accountant().is_ok());
        assert!(operator.tenant(Scope::Read).is_err());
        let accountant = actor(Reach::Operator, &[Scope::Billing]);
        assert!(accountant.accountant().is_ok() && accountant.operator().is_err());
        assert!(operator.metrics().is_ok() && accountant.metrics().is_err());
        assert!(actor(acme(), &Scope::ALL).metrics().is_err());
    }

    #[test]
    fn a_bound_key_sends_for_its_cluster_only() {
        let agent = actor(acme(), &[Scope::Ingest]);
        assert!(agent.check_cluster("prod").is_ok());
        let refused = agent.check_cluster("Prod").unwrap_err();
        assert_eq!(refused.code, Code::Forbidden);
        assert!(!format!("{agent:?}").contains("5e884898"), "{agent:?}");
    }

    #[test]
    fn an_unnamed_key_is_shown_by_its_id() {
        let named = actor(acme(), &[]).identity;
        assert_eq!(named.to_string(), "laptop (key_1)");
        let unnamed = Identity::Key {
            id: "key_1".into(),
            name: String::new(),
        };
        assert_eq!(unnamed.to_string(), "key_1");
    }

    #[test]
    fn a_job_acts_for_its_own_tenant_only() {
        let at = Time(0);
        let job: Job = serde_json::from_value(serde_json::json!({
            "job_id": "job_1", "client_id": "client-acme-7f3k2a", "kind": "tenant.maintain",
            "payload": {}, "state": "running", "epoch": 1, "attempts": 1, "max_attempts": 5,
            "run_at": at, "created_at": at, "updated_at": at,
        }))
        .unwrap();
        let mut tenant = Tenant {
            client_id: "client-acme-7f3k2a".into(),
            name: "Acme".into(),
            plan: "free".into(),
            state: TenantState::Active,
            contact_email: String::new(),
            created_at: at,
            deleted_at: None,
            partitions: 1,
            limits: Overrides::default(),
        };
        let actor = Actor::tenant_job(&job, &tenant).unwrap();
        assert!(actor.tenant(Scope::Admin).is_ok() && actor.operator().is_err());
        assert_eq!(actor.audit_name(), "tenant.maintain (job_1)");
        tenant.client_id = "client-other-7f3k2a".into();
        assert!(Actor::tenant_job(&job, &tenant).is_err());
        assert!(Actor::system_job(&job).tenant(Scope::Read).is_err());
    }
}
