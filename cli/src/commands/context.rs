//! `kgrca context` and `kgrca config`

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

use super::Env;
use crate::client::{As, Client, check_url};
use crate::context::{self, Context, Contexts, Secret, missing, variable};
use crate::error::{CliError, Result};
use crate::output::Table;
use crate::prompt;

/// How long the server of a new context may take to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// Select the server and API keys to use
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Add or change a context
    ///
    /// Keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or prompted for. A key that is
    /// not given stays as it is. Select the context with `kgrca context use`.
    Add {
        /// Name of the context
        name: String,
        /// URL of the API
        #[arg(long)]
        url: String,
    },
    /// Make a context the current one
    Use {
        /// Name of the context
        #[arg(add = crate::complete::contexts())]
        name: String,
    },
    /// List contexts
    List,
    /// Remove a context
    Remove {
        /// Name of the context
        #[arg(add = crate::complete::contexts())]
        name: String,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    let mut all = context::load()?;
    let message = match verb {
        Verb::List => return list(env, &all),
        Verb::Add { name, url } => add(env, &mut all, name, url)?,
        Verb::Use { name } => {
            all.get(&name)?;
            all.current = Some(name.clone());
            format!("context {name} is now current")
        }
        Verb::Remove { name } => {
            all.contexts.remove(&name).ok_or_else(|| missing(&name))?;
            if all.current.as_deref() == Some(&name) {
                all.current = None;
            }
            format!("context {name} removed")
        }
    };
    context::save(&all)?;
    env.out.message(&message);
    Ok(())
}

/// Adds a context. Changing one keeps what is not given. A stored key is not kept for another
/// server unless it is given again: that server would receive it.
fn add(env: &Env<'_>, all: &mut Contexts, name: String, url: String) -> Result<String> {
    check_url(&url)?;
    let before = all.contexts.get(&name).cloned();
    let done = if before.is_some() { "changed" } else { "added" };
    let before = before.unwrap_or_default();
    let is_same_server = origin(&before.url) == origin(&url);
    let (api_key, operator_key) = (key(As::Tenant)?, key(As::Operator)?);
    let is_lost = |given: &Option<Secret>, stored: &Option<Secret>| {
        !is_same_server && given.is_none() && stored.is_some()
    };
    if is_lost(&api_key, &before.api_key) || is_lost(&operator_key, &before.operator_key) {
        let message = format!(
            "context {name} has a key of {}, which is not sent to {url}",
            before.url
        );
        return Err(CliError::usage(message).hint(format!(
            "set KGRCA_API_KEY or KGRCA_OPERATOR_KEY to the new server's key, or remove the \
             context with `kgrca context remove {name}` first"
        )));
    }
    let context = Context {
        url,
        api_key: api_key.or(before.api_key),
        operator_key: operator_key.or(before.operator_key),
    };
    check(env, &context);
    let mut message = format!("context {name} {done}");
    let current = all.current.get_or_insert(name.clone());
    if *current != name {
        message += &format!(
            "; {current} is still the current context: switch with `kgrca context use {name}`"
        );
    }
    all.contexts.insert(name, context);
    Ok(message)
}

/// Scheme, host and port of a URL: what identifies a server.
fn origin(url: &str) -> Option<reqwest::Url> {
    let mut url = reqwest::Url::parse(url).ok()?;
    url.set_path("");
    url.set_query(None);
    Some(url)
}

/// Warns when the server does not answer, or does not know a key. The context is saved all the
/// same: the server may start later.
fn check(env: &Env<'_>, context: &Context) {
    let Ok(client) = Client::with_timeout(context.clone(), CHECK_TIMEOUT) else {
        return;
    };
    let warn = |e: &CliError| {
        let causes = [e.message.clone()].into_iter().chain(e.causes.clone());
        let text = causes.collect::<Vec<_>>().join(": ");
        env.out.message(&format!("warning: {text}"));
    };
    if let Err(e) = client.call(Method::GET, As::Operator, "/livez") {
        return warn(&e);
    }
    let routes = [
        (As::Tenant, "/api/v1/limits"),
        (As::Operator, "/api/v1/admin/keys"),
    ];
    for (who, route) in routes.into_iter().filter(|(who, _)| client.has_key(*who)) {
        let answer = client.get::<serde_json::Value>(who, route, &[]);
        // A valid key may lack the scope of this route.
        if let Err(e) = answer
            && !e.has_status(403)
        {
            warn(&e);
        }
    }
}

/// A key from the environment, else from a prompt; never from a flag, which `ps` would show.
fn key(who: As) -> Result<Option<Secret>> {
    if let Some(key) = variable(who.variable()) {
        return Ok(Some(Secret::new(key)));
    }
    let label = match who {
        As::Tenant => "API key",
        As::Operator => "operator key",
    };
    prompt::secret(label)
}

#[derive(Serialize)]
struct Row {
    name: String,
    url: String,
    current: bool,
    api_key: String,
    operator_key: String,
}

fn list(env: &Env<'_>, all: &Contexts) -> Result {
    let hint = |k: &Option<Secret>| k.as_ref().map(Secret::hint).unwrap_or_default();
    let row = |(name, c): (&String, &Context)| Row {
        name: name.clone(),
        url: c.url.clone(),
        current: all.current.as_ref() == Some(name),
        api_key: hint(&c.api_key),
        operator_key: hint(&c.operator_key),
    };
    let rows: Vec<Row> = all.contexts.iter().map(row).collect();
    env.out.value(&rows, || {
        let cells = |r: &Row| {
            [
                r.name.clone(),
                if r.current { "*".into() } else { String::new() },
                r.url.clone(),
                r.api_key.clone(),
                r.operator_key.clone(),
            ]
        };
        Table::new(&["NAME", "CURRENT", "URL", "API KEY", "OPERATOR KEY"]).rows(&rows, cells)
    })
}

/// Show effective configuration and its sources
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigVerb {
    /// Show each setting with its value and source
    Show,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: String,
    source: String,
}

pub(super) fn config(env: &Env<'_>, verb: ConfigVerb) -> Result {
    let ConfigVerb::Show = verb;
    let rows = settings(env)?;
    env.out.value(&rows, || {
        Table::new(&["SETTING", "VALUE", "SOURCE"]).rows(&rows, |s| {
            [s.name.into(), s.value.clone(), s.source.clone()]
        })
    })
}

fn settings(env: &Env<'_>) -> Result<Vec<Setting>> {
    let all = context::load()?;
    let file = context::file()?.display().to_string();
    // KGRCA_URL replaces the current context as a whole: its keys are not sent to another server.
    let is_replaced = env.context.is_none() && variable("KGRCA_URL").is_some();
    let name = env.context.clone().or(all.current);
    let name = name.filter(|_| !is_replaced).unwrap_or_default();
    let source = if env.context.is_some() {
        "flag --context"
    } else if is_replaced {
        "not used: KGRCA_URL is set"
    } else {
        &file
    };
    let stored = all.contexts.get(&name).cloned().unwrap_or_default();
    let context = Setting {
        name: "context",
        value: name,
        source: source.to_owned(),
    };
    let hint = |key: Option<Secret>| key.map(|k| k.hint());
    let url = Some(stored.url).filter(|url| !url.is_empty());
    let url = setting("url", "KGRCA_URL", variable("KGRCA_URL"), url, &file);
    let secret = |name, variable_name: &str, stored: Option<Secret>| {
        let value = variable(variable_name).map(|v| Secret::new(v).hint());
        setting(name, variable_name, value, hint(stored), &file)
    };
    Ok(vec![
        context,
        url,
        secret("api_key", "KGRCA_API_KEY", stored.api_key),
        secret("operator_key", "KGRCA_OPERATOR_KEY", stored.operator_key),
    ])
}

/// A setting from the environment, else from the file.
fn setting(
    name: &'static str,
    variable: &str,
    from_environment: Option<String>,
    stored: Option<String>,
    file: &str,
) -> Setting {
    let (value, source) = match (from_environment, stored) {
        (Some(value), _) => (value, format!("environment {variable}")),
        (None, Some(value)) => (value, file.to_owned()),
        (None, None) => (String::new(), "not set".to_owned()),
    };
    Setting {
        name,
        value,
        source,
    }
}
