//! `kgrca encryption`

use kgrca_core::api::{EncryptionAct, EncryptionChange, EncryptionChanged, EncryptionStatus};
use reqwest::Method;

use super::{Env, tenant};
use crate::client::As;
use crate::error::{CliError, Result};
use crate::output::Table;

const PATH: &str = "/api/v1/admin/encryption";

/// Inspect encryption at rest and rotate its keys (operator)
///
/// The data of each tenant is encrypted with data keys of its own, which are encrypted under the
/// master key of kgrcad --master-key-url.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show which master keys are in use, and what is not encrypted
    Status,
    /// Encrypt all data keys under the first master key
    ///
    /// To rotate a master key in a file, add the new key below the old one on every machine, move
    /// it up, run this command, and remove the old key once `kgrca encryption status` no longer
    /// shows it. For a key in Vault, rotate it there and run this command.
    Rewrap,
    /// Create new data keys, which encrypt new data
    ///
    /// Stored data stays readable with the older data keys.
    Rotate {
        /// Only the data key of this tenant
        #[arg(long, add = crate::complete::tenants())]
        tenant: Option<String>,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::Status => status(env),
        Verb::Rewrap => {
            let done = change(env, EncryptionAct::Rewrap, None)?;
            let (changed, unchanged) = (done.changed, done.unchanged);
            env.out.message(&format!(
                "data keys rewrapped: {changed}; already under the current master key: {unchanged}"
            ));
            report(env, &done)
        }
        Verb::Rotate { tenant } => {
            let client_id = tenant.map(|given| tenant::id_of(env, given)).transpose()?;
            let done = change(env, EncryptionAct::Rotate, client_id)?;
            env.out
                .message(&format!("data keys created: {}", done.changed));
            report(env, &done)
        }
    }
}

/// Repeats the request until all tenants are handled.
fn change(
    env: &Env<'_>,
    act: EncryptionAct,
    client_id: Option<String>,
) -> Result<EncryptionChanged> {
    let client = env.client()?;
    let mut request = EncryptionChange {
        act,
        client_id,
        after: None,
    };
    let mut all = EncryptionChanged::default();
    loop {
        let done: EncryptionChanged = client.send(Method::POST, As::Operator, PATH, &request)?;
        all.changed += done.changed;
        all.unchanged += done.unchanged;
        all.failed.extend(done.failed);
        request.after = done.next;
        if request.after.is_none() {
            return Ok(all);
        }
    }
}

/// Prints what was done. An error when something was left.
fn report(env: &Env<'_>, done: &EncryptionChanged) -> Result {
    env.out.value(done, || table(done))?;
    if done.failed.is_empty() {
        return Ok(());
    }
    let message = format!("not changed: {}", done.failed.join("; "));
    Err(CliError::failed(message).hint("run `kgrca doctor`, and repeat the command"))
}

fn table(done: &EncryptionChanged) -> Table {
    Table::new(&["CHANGED", "UNCHANGED"])
        .row([done.changed.to_string(), done.unchanged.to_string()])
}

fn status(env: &Env<'_>) -> Result {
    let status: EncryptionStatus = env.client()?.get(As::Operator, PATH, &[])?;
    env.out.message(match (status.enabled, &status.master_key) {
        (true, _) => "encryption of new data is on",
        (false, Some(_)) => {
            "encryption of new data is off: start kgrcad without --no-encryption to turn it on"
        }
        (false, None) => {
            "encryption is off: to turn it on, start kgrcad with --master-key-url (see \
             docs/encryption.md)"
        }
    });
    if let Some(problem) = &status.problem {
        env.out.message(&format!(
            "warning: the master keys cannot be read again, those read before are in use: {problem}"
        ));
    }
    for place in &status.not_encrypted {
        env.out.message(&format!(
            "not encrypted by kgrcad: {place}; use an encrypted file system"
        ));
    }
    env.out.value(&status, || {
        Table::new(&["MASTER KEY", "VERSION", "CURRENT", "TENANTS", "DATA KEYS"])
            .rows(&rows(&status), Clone::clone)
    })
}

/// All master keys that the daemon has or that data keys are under: one that was added, and one
/// that can be removed, have no data keys.
fn rows(status: &EncryptionStatus) -> Vec<[String; 5]> {
    let is_unused = |id: &&String| !status.data_keys.iter().any(|of| of.master_key == **id);
    let current = |id: &String| {
        let word = if status.master_key.as_ref() == Some(id) {
            "yes"
        } else {
            "no"
        };
        word.to_owned()
    };
    let zero = || "0".to_owned();
    let unused = status.master_keys.iter().filter(is_unused);
    let unused = unused.map(|id| [id.clone(), String::new(), current(id), zero(), zero()]);
    let used = status.data_keys.iter().map(|of| {
        [
            of.master_key.clone(),
            of.version.map(|v| v.to_string()).unwrap_or_default(),
            current(&of.master_key),
            of.tenants.to_string(),
            of.data_keys.to_string(),
        ]
    });
    unused.chain(used).collect()
}
