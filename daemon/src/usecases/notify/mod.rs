//! Notifications: receivers and routes, silences, and what was sent to whom.

mod breaker;
mod deliver;
mod planning;
mod request;
mod silences;

use std::time::Duration;

use kgrca_core::api::{
    Delivery, NotifyConfig, NotifyPlan, Page, PlannedReceiver, Redelivered, TestedReceiver,
};
use kgrca_core::incident::State;
use kgrca_core::notify::{Config, What};
use kgrca_core::storage::{DeliveryState, NotifySettings};
use kgrca_core::tenancy::Scope;

use super::actor::{Actor, TenantScope};
use super::app::App;
use super::error::{Error, Result};
use super::{audit, incidents};
use crate::clock::now;
pub use breaker::Breakers;
pub use deliver::{Attempt, PATIENCE, deliver};
pub use planning::plan;
pub use silences::{add as add_silence, end as end_silence, list as silences};

/// Longest configuration, in bytes.
const MAX_CONFIG: usize = 256 << 10;
/// How many notifications of an incident are listed, and sent again.
const MAX_LISTED: usize = 1000;
/// How long a test waits for others.
const TEST_WAITS: Duration = Duration::from_secs(5);
/// What the configuration is encrypted as.
const LABEL: &str = "metadata/notify";

/// The tenant's receivers and routes, without secrets.
///
/// # Errors
/// `forbidden` without the scope `admin`.
pub async fn show(app: &App, actor: &Actor) -> Result<NotifyConfig> {
    let tenant = actor.tenant(Scope::Admin)?;
    let config = stored(app, tenant).await?.map(|(_, config)| config);
    shown(config.unwrap_or_default())
}

/// Replaces the tenant's receivers and routes.
///
/// # Errors
/// `invalid_request` names what is wrong.
pub async fn apply(app: &App, actor: &Actor, new: NotifyConfig) -> Result<NotifyConfig> {
    let tenant = actor.tenant(Scope::Admin)?;
    let _writing = super::begin_writing(app, tenant).await?;
    if new.config.len() > MAX_CONFIG {
        let size = new.config.len();
        let message = format!("`config` has {size} bytes; at most {MAX_CONFIG} are allowed");
        return Err(Error::invalid(message));
    }
    let invalid = |e: kgrca_core::notify::ConfigError| {
        Error::invalid(format!("invalid configuration: {e}"))
            .hint("docs/notifications.md has an example")
    };
    let earlier = stored(app, tenant).await?.map(|(_, config)| config);
    let config = Config::parse(&new.config).map_err(invalid)?;
    let config = config.with_secrets_of(earlier.as_ref()).map_err(invalid)?;
    let text = serde_json::to_string(&config).map_err(|e| Error::internal(e.to_string()))?;
    let sealed = app
        .stores
        .encryption
        .seal_text(tenant.id, LABEL, &text)
        .await?;
    let names: Vec<&str> = config.receivers.iter().map(|r| r.name.as_str()).collect();
    let target = format!("receivers {}", names.join(", "));
    let entry = audit::entry(actor, Some(tenant.id.as_str()), "notify.apply", &target);
    app.stores
        .meta
        .put_notify_settings(tenant.id, &sealed, &entry)
        .await?;
    audit::log(actor, &entry);
    shown(config)
}

fn shown(config: Config) -> Result<NotifyConfig> {
    let config = config.hidden().to_yaml();
    let config = config.map_err(|e| Error::internal(e.to_string()))?;
    Ok(NotifyConfig { config })
}

/// The settings as stored, and decrypted.
async fn stored(app: &App, tenant: TenantScope<'_>) -> Result<Option<(NotifySettings, Config)>> {
    let Some(settings) = app.stores.meta.notify_settings(tenant.id).await? else {
        return Ok(None);
    };
    let text = app
        .stores
        .encryption
        .open_text(tenant.id, LABEL, &settings.config)
        .await?;
    let config = serde_json::from_str(&text)
        .map_err(|e| Error::internal(format!("stored notification settings: {e}")))?;
    Ok(Some((settings, config)))
}

/// Who would be notified if the incident opened as it is now. Nothing is sent.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn dry_run(app: &App, actor: &Actor, id: &str) -> Result<NotifyPlan> {
    let tenant = actor.tenant(Scope::Admin)?;
    let config = stored(app, tenant).await?.map(|(_, config)| config);
    let config = config.unwrap_or_default();
    let row = incidents::show(app, actor, id).await?;
    let mut notice = planning::notice(app, tenant, &row).await?;
    notice.state = State::Open;
    let silences = app.stores.meta.silences(tenant.id, now()).await?;
    let told = std::collections::BTreeSet::new();
    let planned = kgrca_core::notify::plan(&config, &silences, &notice, &told, now());
    let receivers = planned.into_iter().map(|planned| match planned.what {
        What::Send => PlannedReceiver {
            receiver: planned.receiver,
            sends: true,
            reason: None,
        },
        What::Muted(reason) => PlannedReceiver {
            receiver: planned.receiver,
            sends: false,
            reason: Some(reason.text()),
        },
    });
    Ok(NotifyPlan {
        title: notice.title(),
        receivers: receivers.collect(),
    })
}

/// What was sent about an incident, and what was not, oldest first.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn deliveries(app: &App, actor: &Actor, id: &str) -> Result<Page<Delivery>> {
    let tenant = actor.tenant(Scope::Read)?;
    incidents::show(app, actor, id).await?;
    let rows = app
        .stores
        .meta
        .deliveries(tenant.id, incidents::number(id)?, MAX_LISTED)
        .await?;
    Ok(Page {
        items: rows.into_iter().map(Delivery::from).collect(),
        next: None,
    })
}

/// Sends what could not be sent about an incident again.
///
/// # Errors
/// `not_found` when the tenant has no such incident.
pub async fn retry(app: &App, actor: &Actor, id: &str) -> Result<Redelivered> {
    let tenant = actor.tenant(Scope::Admin)?;
    incidents::show(app, actor, id).await?;
    let rows = app
        .stores
        .meta
        .deliveries(tenant.id, incidents::number(id)?, MAX_LISTED)
        .await?;
    let dead = rows.iter().filter(|row| row.state == DeliveryState::Dead);
    let dead: Vec<_> = dead
        .map(|row| {
            let job = planning::job(tenant.id, row, now());
            (row.transition, row.receiver.clone(), job)
        })
        .collect();
    let entry = audit::entry(actor, Some(tenant.id.as_str()), "notify.retry", id);
    let retried = app
        .stores
        .meta
        .revive_deliveries(tenant.id, &dead, &entry)
        .await?;
    audit::log(actor, &entry);
    Ok(Redelivered { retried })
}

/// Sends a test notification to a receiver at once.
///
/// # Errors
/// `not_found` when there is no such receiver.
pub async fn test(app: &App, actor: &Actor, name: &str) -> Result<TestedReceiver> {
    let tenant = actor.tenant(Scope::Admin)?;
    let config = stored(app, tenant)
        .await?
        .map(|(_, config)| config)
        .unwrap_or_default();
    let missing = || {
        Error::not_found(format!("receiver `{name}` not found"))
            .hint("`kgrca notify show` lists the receivers")
    };
    let receiver = config.receiver(name).ok_or_else(missing)?;
    let busy =
        |_| Error::conflict("another test notification is being sent").hint("retry in 10 seconds");
    let place = app.outbound.tests.take(tenant.id.clone(), TEST_WAITS);
    let _place = place.await.map_err(busy)?;
    audit::record(app, actor, Some(tenant.id.as_str()), "notify.test", name).await?;
    let (notice, id) = (planning::example(), request::id(0, name));
    let sent = request::send(app, tenant.id, receiver, &notice, &id).await;
    Ok(TestedReceiver {
        accepted: sent.is_ok(),
        reason: sent.err().map(|failure| failure.text),
    })
}
