//! Confirmation prompts. Without a terminal there is no prompt, and the error names the flag.

use std::io::{IsTerminal, Write};

use crate::error::{CliError, Result};

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
    eprint!("About to {action} `{id}`. Type the ID to confirm: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == id {
        Ok(())
    } else {
        Err(CliError::usage("not confirmed; nothing was changed"))
    }
}
