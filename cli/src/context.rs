//! Contexts: which server, with which keys. A file of mode 0600 in the XDG config folder.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};

/// Text that must not be printed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the wire.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Its last four characters.
    pub fn hint(&self) -> String {
        let from = self.0.char_indices().rev().nth(3).map_or(0, |(i, _)| i);
        if self.0.is_empty() {
            String::new()
        } else {
            format!("…{}", &self.0[from..])
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One server with keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Context {
    /// Address of the API.
    pub url: String,
    /// A tenant's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Secret>,
    /// The operator's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_key: Option<Secret>,
}

/// All contexts.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Contexts {
    /// The current one.
    #[serde(default)]
    pub current: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

/// A folder of the XDG base directories.
pub fn xdg(variable: &str, fallback: &str) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(variable).filter(|v| !v.is_empty()) {
        return Ok(PathBuf::from(folder).join("kgrca"));
    }
    let home = std::env::var_os("HOME")
        .ok_or_else(|| CliError::failed(format!("neither {variable} nor HOME is set")))?;
    Ok(PathBuf::from(home).join(fallback).join("kgrca"))
}

/// Where contexts are kept.
pub fn file() -> Result<PathBuf> {
    Ok(xdg("XDG_CONFIG_HOME", ".config")?.join("contexts.yaml"))
}

/// Reads all contexts; none when there is no file.
pub fn load() -> Result<Contexts> {
    let file = file()?;
    match std::fs::read_to_string(&file) {
        Ok(text) => serde_yaml::from_str(&text)
            .map_err(|e| CliError::failed(format!("{} cannot be read", file.display())).cause(e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Contexts::default()),
        Err(e) => Err(CliError::failed(format!("{} cannot be read", file.display())).cause(e)),
    }
}

/// Writes all contexts, for their owner alone.
pub fn save(contexts: &Contexts) -> Result {
    let file = file()?;
    let failed = |e: std::io::Error| {
        CliError::failed(format!("{} cannot be written", file.display())).cause(e)
    };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let text = serde_yaml::to_string(contexts)
        .map_err(|e| CliError::failed("contexts cannot be written").cause(e))?;
    let temporary = file.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(&temporary).map_err(failed)?;
    std::io::Write::write_all(&mut handle, text.as_bytes()).map_err(failed)?;
    std::fs::rename(&temporary, &file).map_err(failed)
}

/// The context in force: `KGRCA_URL` and keys of the environment, else the named one, else the
/// current one.
pub fn resolve(name: Option<&str>) -> Result<Context> {
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let mut context = match (name, env("KGRCA_URL")) {
        (None, Some(url)) => Context {
            url,
            ..Context::default()
        },
        (name, _) => {
            let all = load()?;
            let name = name.map(str::to_owned).or(all.current.clone());
            let Some(name) = name else {
                let error = CliError::usage("no server is chosen");
                return Err(
                    error.hint("run `kgrca up`, or `kgrca context add NAME --url URL`, or set KGRCA_URL and KGRCA_API_KEY")
                );
            };
            let missing = || {
                CliError::new(
                    crate::error::exit::NOT_FOUND,
                    format!("there is no context `{name}`"),
                )
                .hint("kgrca context list")
            };
            all.contexts.get(&name).cloned().ok_or_else(missing)?
        }
    };
    // A context that was named is meant as it is: the environment fills in what it lacks. Else the
    // environment stands above.
    let take = |known: Option<Secret>, variable: &str| {
        let given = env(variable).map(Secret::new);
        if name.is_some() {
            known.or(given)
        } else {
            given.or(known)
        }
    };
    context.api_key = take(context.api_key, "KGRCA_API_KEY");
    context.operator_key = take(context.operator_key, "KGRCA_OPERATOR_KEY");
    Ok(context)
}
