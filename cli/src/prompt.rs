//! Confirmation prompts. Without a terminal there is no prompt, and the error names the flag.

use std::io::{IsTerminal, Write};

use crate::context::Secret;
use crate::error::{CliError, Result};
use crate::output::escape;

/// Asks for the ID of what is about to be destroyed. `action` is a verb with its object, such as
/// `delete tenant`.
#[expect(clippy::print_stderr, reason = "a prompt on a terminal")]
pub fn confirm(action: &str, id: &str, yes: bool) -> Result {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        let message = format!("refusing to {action} `{id}` without confirmation");
        return Err(CliError::usage(message).hint("pass --yes"));
    }
    eprint!(
        "About to {action} `{}`. Type the ID to confirm: ",
        escape::line(id)
    );
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == id {
        Ok(())
    } else {
        Err(CliError::usage("not confirmed; nothing was changed"))
    }
}

/// Asks for a secret, which is not shown while it is typed; `None` when nothing is typed, and
/// without a terminal.
#[expect(clippy::print_stderr, reason = "a prompt on a terminal")]
pub fn secret(label: &str) -> Result<Option<Secret>> {
    if !std::io::stdin().is_terminal() {
        return Ok(None);
    }
    eprint!("{label} (not shown; empty for none): ");
    std::io::stderr().flush()?;
    let line = rpassword::read_password()
        .map_err(|e| CliError::failed(format!("cannot read the {label}")).source(&e))?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| Secret::new(line)))
}
