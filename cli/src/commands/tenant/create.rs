//! `kgrca tenant create`

use std::time::Duration;

use kgrca_core::api::{CreatedTenant, NewTenant};

use super::{Env, TENANTS};
use crate::client::{As, Retry};
use crate::error::Result;
use crate::output::{Format, Table};

/// For how long a request is repeated while the server is away.
pub(super) const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Args {
    /// Customer name
    name: String,
    /// Plan: free, basic, pro or enterprise
    #[arg(long, default_value = "free")]
    plan: String,
    /// Contact e-mail
    #[arg(long, default_value = "", hide_default_value = true)]
    email: String,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let request = NewTenant {
        name: args.name,
        plan: args.plan,
        contact_email: args.email,
    };
    // If the server goes away in between, the same request resumes the creation.
    let key = format!("{:032x}", rand::random::<u128>());
    let retry = Retry {
        key: &key,
        patience: PATIENCE,
        on_retry: &mut report_once(env),
    };
    let created: CreatedTenant =
        env.client()?
            .post_until_answered(As::Operator, TENANTS, &request, retry)?;
    show_created(env, &created)
}

/// Reports the first of several repetitions.
pub(super) fn report_once<'a>(env: &'a Env<'_>) -> impl FnMut(&str) + 'a {
    let mut is_reported = false;
    move |error| {
        if !std::mem::replace(&mut is_reported, true) {
            env.out.message(&format!(
                "{error}; retrying for up to 2 minutes (the tenant is created only once)"
            ));
        }
    }
}

/// Prints a new tenant's secrets.
pub(in crate::commands) fn show_created(env: &Env<'_>, created: &CreatedTenant) -> Result {
    env.out.message(if created.kafka_password.is_some() {
        "save the key and password: they will not be shown again"
    } else {
        "save the key: it will not be shown again"
    });
    if env.out.format == Format::Name {
        // The ID alone would lose the secrets for good.
        env.out.message(&format!("key: {}", created.api_key));
        if let Some(password) = &created.kafka_password {
            env.out.message(&format!("Kafka password: {password}"));
        }
    }
    env.out.value(created, || {
        let (id, key) = (created.client_id.clone(), created.api_key.clone());
        match (&created.kafka_username, &created.kafka_password) {
            (Some(user), Some(password)) => Table::new(&[
                "ID",
                "API KEY",
                "KAFKA USER",
                "KAFKA PASSWORD",
            ])
            .row([id, key, user.clone(), password.clone()]),
            _ => Table::new(&["ID", "API KEY"]).row([id, key]),
        }
    })
}
