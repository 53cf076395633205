//! Questions, only on a terminal; without one an error names the flag.

use std::io::{IsTerminal, Write};

use crate::error::{CliError, Result, exit};

/// Asks for the id of what is to be destroyed.
#[expect(clippy::print_stderr, reason = "a question at a terminal")]
pub fn confirm(what: &str, id: &str, yes: bool) -> Result {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(
            CliError::usage(format!("{what} `{id}` needs a confirmation")).hint("pass --yes"),
        );
    }
    eprint!("{what} `{id}`. Type the id to go on: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    if line.trim() == id {
        Ok(())
    } else {
        Err(CliError::new(
            exit::USAGE,
            "not confirmed; nothing was changed",
        ))
    }
}
