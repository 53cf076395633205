//! Contexts: a server's URL with the keys for it, in a file of mode 0600 in the XDG config
//! directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};
use crate::private;

/// Text that must never be printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The plain text, to be sent to a server.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// An ellipsis and the last four characters.
    pub fn hint(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let fourth_last = self.0.char_indices().rev().nth(3);
        let start = fourth_last.map(|(i, _)| i).unwrap_or(0);
        format!("…{}", &self.0[start..])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A server with the keys for it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// URL of the API.
    pub url: String,
    /// A tenant's API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// The operator's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<Secret>,
}

/// The contents of the contexts file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Contexts {
    /// Name of the current context.
    #[serde(default)]
    pub current: Option<String>,
    /// All contexts by name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// The context of this name.
    pub fn get(&self, name: &str) -> Result<&Context> {
        self.contexts.get(name).ok_or_else(|| missing(name))
    }
}

/// The error for a context that does not exist.
pub fn missing(name: &str) -> CliError {
    CliError::not_found(format!("context `{name}` not found")).hint("kgrca context list")
}

/// kgrca's directory within an XDG base directory.
pub fn xdg(variable: &str, fallback: &str) -> Result<PathBuf> {
    if let Some(directory) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
        return Ok(PathBuf::from(directory).join("kgrca"));
    }
    let home = std::env::var_os("HOME")
        .filter(|v| !v.is_empty())
        .ok_or_else(|| CliError::failed(format!("neither {variable} nor HOME is set")))?;
    Ok(PathBuf::from(home).join(fallback).join("kgrca"))
}

/// Path of the contexts file.
pub fn file() -> Result<PathBuf> {
    Ok(xdg("XDG_CONFIG_HOME", ".config")?.join("contexts.yaml"))
}

/// Reads all contexts; none when there is no file.
pub fn load() -> Result<Contexts> {
    let file = file()?;
    let unreadable = || CliError::failed(format!("cannot read {}", file.display()));
    match std::fs::read_to_string(&file) {
        Ok(text) => serde_yaml::from_str(&text).map_err(|e| unreadable().source(&e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Contexts::default()),
        Err(e) => Err(unreadable().source(&e)),
    }
}

/// Writes all contexts, readable by the owner only.
pub fn save(contexts: &Contexts) -> Result {
    let file = file()?;
    let failed = |e: &dyn std::error::Error| {
        CliError::failed(format!("cannot write {}", file.display())).source(e)
    };
    if let Some(directory) = file.parent() {
        private::create_directories(directory).map_err(|e| failed(&e))?;
    }
    let text = serde_yaml::to_string(contexts).map_err(|e| failed(&e))?;
    let temporary = file.with_extension("new");
    let mut handle = private::create(&temporary).map_err(|e| failed(&e))?;
    std::io::Write::write_all(&mut handle, text.as_bytes()).map_err(|e| failed(&e))?;
    std::fs::rename(&temporary, &file).map_err(|e| failed(&e))
}

/// An environment variable, unless it is empty. Values read from files often end with a line break.
pub fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().trim().to_owned();
    (!value.is_empty()).then_some(value)
}

/// The context in effect: the named one, else `KGRCA_URL` with keys from the environment, else the
/// current one.
pub fn resolve(name: Option<&str>) -> Result<Context> {
    let mut context = match (name, variable("KGRCA_URL")) {
        (None, Some(url)) => Context {
            url,
            ..Context::default()
        },
        (name, _) => {
            let all = load()?;
            let Some(name) = name.map(str::to_owned).or(all.current.clone()) else {
                return Err(CliError::usage("no context selected").hint(
                    "run `kgrca up`, or `kgrca context add NAME --url URL`, \
                     or set KGRCA_URL and KGRCA_API_KEY",
                ));
            };
            all.get(&name)?.clone()
        }
    };
    // The keys of a context named on the command line win over the environment; those of the
    // current context do not.
    let choose = |stored: Option<Secret>, name_of_variable: &str| {
        let from_environment = variable(name_of_variable).map(Secret::new);
        if name.is_some() {
            stored.or(from_environment)
        } else {
            from_environment.or(stored)
        }
    };
    context.api_key = choose(context.api_key, "KGRCA_API_KEY");
    context.operator_key = choose(context.operator_key, "KGRCA_OPERATOR_KEY");
    Ok(context)
}
