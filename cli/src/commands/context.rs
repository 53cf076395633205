//! `kgrca context` and `kgrca config`

use std::io::IsTerminal;

use serde::Serialize;

use super::Env;
use crate::context::{self, Context, Secret};
use crate::error::{CliError, Result, exit};
use crate::output::Table;

/// Chooses the server and keys to work with.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Add a context; keys are read from `KGRCA_API_KEY` and `KGRCA_OPERATOR_KEY`, or asked for
    Add {
        /// Name of the context
        name: String,
        /// Address of the API
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
    let missing = |name: &str| {
        CliError::new(exit::NOT_FOUND, format!("there is no context `{name}`"))
            .hint("kgrca context list")
    };
    match verb {
        Verb::Add { name, url } => {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(CliError::usage(format!("`{url}` is no address of an API"))
                    .hint("http://HOST:PORT or https://HOST"));
            }
            let (api_key, operator_key) = (
                key("KGRCA_API_KEY", "API key")?,
                key("KGRCA_OPERATOR_KEY", "operator key")?,
            );
            // Of the same server, what is not given stays.
            let before = all.contexts.remove(&name);
            let done = if before.is_some() { "changed" } else { "added" };
            let (old_api, old_operator) = before
                .filter(|c| c.url == url)
                .map_or((None, None), |c| (c.api_key, c.operator_key));
            let context = Context {
                url,
                api_key: api_key.or(old_api),
                operator_key: operator_key.or(old_operator),
            };
            all.contexts.insert(name.clone(), context);
            all.current.get_or_insert(name.clone());
            context::save(&all)?;
            env.out.message(&format!("context {name} was {done}"));
        }
        Verb::Use { name } => {
            if !all.contexts.contains_key(&name) {
                return Err(missing(&name));
            }
            all.current = Some(name.clone());
            context::save(&all)?;
            env.out.message(&format!("context {name} is current"));
        }
        Verb::List => return list(env, &all),
        Verb::Remove { name } => {
            all.contexts.remove(&name).ok_or_else(|| missing(&name))?;
            if all.current.as_deref() == Some(&name) {
                all.current = None;
            }
            context::save(&all)?;
            env.out.message(&format!("context {name} was removed"));
        }
    }
    Ok(())
}

/// A key from the environment, else typed at a terminal; a key is never a flag.
fn key(variable: &str, what: &str) -> Result<Option<Secret>> {
    if let Some(key) = std::env::var(variable).ok().filter(|v| !v.is_empty()) {
        return Ok(Some(Secret::new(key)));
    }
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    #[expect(clippy::print_stderr, reason = "a question at a terminal")]
    {
        eprint!("{what} (empty for none): ");
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

fn list(env: &Env<'_>, all: &context::Contexts) -> Result {
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

/// Shows settings.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigVerb {
    /// Show each setting, its value and where it comes from
    Show,
}

#[derive(Serialize)]
struct Setting {
    name: &'static str,
    value: String,
    source: String,
}

pub(super) fn config(env: &Env<'_>, _: ConfigVerb) -> Result {
    let all = context::load()?;
    let file = context::file()?.display().to_string();
    let name = env.context.clone().or(all.current.clone());
    // An address of the environment stands for itself: keys of a context are not sent to another
    // server.
    let elsewhere =
        env.context.is_none() && std::env::var("KGRCA_URL").is_ok_and(|v| !v.is_empty());
    let name = name.filter(|_| !elsewhere);
    let from_file = name
        .as_ref()
        .and_then(|n| all.contexts.get(n))
        .cloned()
        .unwrap_or_default();
    let setting = |label: &'static str, variable: &str, in_file: Option<String>, secret: bool| {
        let (value, source) = match (
            std::env::var(variable).ok().filter(|v| !v.is_empty()),
            in_file.filter(|v| !v.is_empty()),
        ) {
            (Some(v), _) => (
                if secret { Secret::new(v).hint() } else { v },
                format!("environment {variable}"),
            ),
            (None, Some(v)) => (v, file.clone()),
            (None, None) => (String::new(), "not set".to_owned()),
        };
        Setting {
            name: label,
            value,
            source,
        }
    };
    let source = match () {
        () if env.context.is_some() => "flag --context",
        () if elsewhere => "not used: KGRCA_URL is set",
        () => file.as_str(),
    };
    let rows = vec![
        Setting {
            name: "context",
            value: name.unwrap_or_default(),
            source: source.to_owned(),
        },
        setting("url", "KGRCA_URL", Some(from_file.url.clone()), false),
        setting(
            "api_key",
            "KGRCA_API_KEY",
            from_file.api_key.as_ref().map(Secret::hint),
            true,
        ),
        setting(
            "operator_key",
            "KGRCA_OPERATOR_KEY",
            from_file.operator_key.as_ref().map(Secret::hint),
            true,
        ),
    ];
    env.out.value(&rows, || {
        Table::new(&["SETTING", "VALUE", "SOURCE"]).rows(&rows, |s| {
            [s.name.into(), s.value.clone(), s.source.clone()]
        })
    })
}
