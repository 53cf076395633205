//! `kgrca context` and `kgrca config`

use std::io::IsTerminal;

use serde::Serialize;

use super::Env;
use crate::context::{self, Context, Contexts, Secret, missing, variable};
use crate::error::{CliError, Result};
use crate::output::Table;

/// Select the server and API keys to use
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Add or change a context; keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or
    /// prompted for
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
        Verb::Add { name, url } => add(&mut all, name, url)?,
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

/// Adds a context. Changing one keeps its keys unless they are given or the server is another.
fn add(all: &mut Contexts, name: String, url: String) -> Result<String> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        let error = CliError::usage(format!("invalid server URL `{url}`"));
        return Err(error.hint("expected http://HOST:PORT or https://HOST"));
    }
    let api_key = key("KGRCA_API_KEY", "API key")?;
    let operator_key = key("KGRCA_OPERATOR_KEY", "operator key")?;
    let before = all.contexts.remove(&name);
    let done = if before.is_some() { "changed" } else { "added" };
    let kept = before.filter(|c| c.url == url).unwrap_or_default();
    let context = Context {
        url,
        api_key: api_key.or(kept.api_key),
        operator_key: operator_key.or(kept.operator_key),
    };
    let message = format!("context {name} {done}");
    all.current.get_or_insert(name.clone());
    all.contexts.insert(name, context);
    Ok(message)
}

/// A key from the environment, else from a prompt; never from a flag, which `ps` would show.
fn key(variable: &str, label: &str) -> Result<Option<Secret>> {
    if let Some(key) = context::variable(variable) {
        return Ok(Some(Secret::new(key)));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    #[expect(clippy::print_stderr, reason = "a prompt on a terminal")]
    {
        eprint!("{label} (empty for none): ");
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| Secret::new(line)))
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
