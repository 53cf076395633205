//! `kgrca completions` and `kgrca man`

use std::path::PathBuf;

use clap_complete::Shell;

use super::Env;
use crate::error::{CliError, Result};

/// Print a shell completion script
///
/// Enable it with e.g. `source <(kgrca completions bash)`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// Shell to print the script for
    shell: Shell,
}

pub(super) fn completions(env: &Env<'_>, args: &CompletionArgs) -> Result {
    let unsupported = || CliError::usage(format!("no completion script for {}", args.shell));
    let script = crate::completion_script(&args.shell.to_string()).ok_or_else(unsupported)?;
    env.out.script(&script)
}

/// Print the man page, or write all man pages to a directory
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Directory to write one man page per command to
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn man(env: &Env<'_>, args: &ManArgs) -> Result {
    let Some(directory) = &args.dir else {
        let mut buffer = Vec::new();
        clap_mangen::Man::new(crate::command()).render(&mut buffer)?;
        return env.out.script(&buffer);
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(crate::command(), directory))
        .map_err(|e| {
            CliError::failed(format!("cannot write to {}", directory.display())).source(&e)
        })
}
