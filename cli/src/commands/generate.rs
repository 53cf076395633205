//! `kgrca completions` and `kgrca man`

use std::path::PathBuf;

use clap_complete::Shell;

use super::Env;
use crate::error::{CliError, Result};

/// Which shell.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// Shell to write the script for
    shell: Shell,
}

pub(super) fn completions(env: &Env<'_>, args: &CompletionArgs) -> Result {
    let none = || CliError::usage(format!("there is no completion for {}", args.shell));
    let script = crate::completion_script(&args.shell.to_string()).ok_or_else(none)?;
    env.out.text(&String::from_utf8_lossy(&script))
}

/// Where to.
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// Folder to write one page per command into; the main page is printed when absent
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

pub(super) fn man(env: &Env<'_>, args: &ManArgs) -> Result {
    let Some(folder) = &args.dir else {
        let mut buffer = Vec::new();
        clap_mangen::Man::new(crate::command()).render(&mut buffer)?;
        return env.out.text(&String::from_utf8_lossy(&buffer));
    };
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(crate::command(), folder)
        .map_err(|e| CliError::failed(format!("{} cannot be written", folder.display())).cause(e))
}
