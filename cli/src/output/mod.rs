//! Everything that is printed: results to stdout, messages to stderr.

mod answer;
mod path;
mod table;
mod time;

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use kgrca_core::model::Time;
use serde::Serialize;

use crate::error::{CliError, Result};
pub use answer::{Shown, answer, causes, line, resource};
pub use table::Table;
pub use time::{now, retry_after};

/// How results are printed. Times are UTC except in tables on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    // Aligned columns; tab-separated without a header when piped.
    #[default]
    Table,
    // JSON with UTC times.
    Json,
    // YAML with UTC times.
    Yaml,
    // Names only, one per line.
    Name,
    // CSV with a header.
    Csv,
}

/// Heading of the options that every command takes.
const GLOBAL: &str = "Global options";

/// Options that every command takes.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Output format; a table is tab-separated without a header when piped
    #[arg(short, long, global = true, help_heading = GLOBAL,
        value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Context to use instead of the current one
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME")]
    pub context: Option<String>,
    /// Suppress progress and messages
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
}

/// Where and how to print.
pub struct Output {
    /// The requested format.
    pub format: Format,
    /// Whether stdout is a terminal.
    pub terminal: bool,
    color: bool,
    quiet: bool,
}

impl Output {
    /// Detects a terminal and whether it shows colors.
    pub fn new(global: &Global) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let color = terminal && wants_color();
        Self {
            format: global.output,
            terminal,
            color,
            quiet: global.quiet,
        }
    }

    /// How long ago it was on a terminal; the UTC time elsewhere.
    pub fn age(&self, now: Time, then: Time) -> String {
        if self.is_for_people() {
            time::ago(now, then)
        } else {
            then.to_string()
        }
    }

    /// The local date and time with its offset on a terminal; the UTC time elsewhere.
    pub fn time(&self, then: Time) -> String {
        if self.is_for_people() {
            time::local(then)
        } else {
            then.to_string()
        }
    }

    /// A fraction of one: percent on a terminal, the number elsewhere.
    pub fn share(&self, share: f64) -> String {
        if self.is_for_people() {
            format!("{:.0} %", share * 100.0)
        } else {
            format!("{share:.3}")
        }
    }

    /// A number of bytes: megabytes on a terminal, the number elsewhere.
    pub fn size(&self, bytes: u64) -> String {
        if self.is_for_people() {
            format!("{:.1} MB", bytes as f64 / 1e6)
        } else {
            bytes.to_string()
        }
    }

    /// Whether a table is printed to a terminal.
    pub fn is_for_people(&self) -> bool {
        self.terminal && self.format == Format::Table
    }

    /// Prints text to stdout.
    pub fn text(&self, text: &str) -> Result {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints one value: as JSON or YAML, else by its table.
    pub fn value<T: Serialize>(&self, value: &T, table: impl FnOnce() -> Table) -> Result {
        match self.format {
            Format::Json => self.json(value),
            Format::Yaml => {
                let text = serde_yaml::to_string(value)
                    .map_err(|e| CliError::failed("cannot print the result as YAML").source(&e))?;
                self.text(&text)
            }
            Format::Name => self.text(&table().names()),
            Format::Csv => self.text(&table().csv()),
            Format::Table => self.text(&if self.terminal {
                table().pretty()
            } else {
                table().tabbed()
            }),
        }
    }

    fn json<T: Serialize>(&self, value: &T) -> Result {
        let text = if self.terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        let text =
            text.map_err(|e| CliError::failed("cannot print the result as JSON").source(&e))?;
        self.text(&(text + "\n"))
    }

    /// Prints a message to stderr, unless `--quiet`.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where messages are printed"
    )]
    pub fn message(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Prints an error with its causes and hint to stderr.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where errors are printed"
    )]
    pub fn error(&self, e: &CliError) {
        eprint!("{}", e.render(now(), paint_stderr));
    }

    /// Text in an ANSI style, if stdout shows colors.
    pub fn paint(&self, text: &str, style: &str) -> String {
        paint(self.color, text, style)
    }
}

fn paint_stderr(text: &str, style: &str) -> String {
    let is_colored = std::io::stderr().is_terminal() && wants_color();
    paint(is_colored, text, style)
}

fn paint(is_colored: bool, text: &str, style: &str) -> String {
    if is_colored {
        format!("\u{1b}[{style}m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Whether colors are wanted: neither `NO_COLOR` nor a dumb terminal is set.
fn wants_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    !no_color && !is_dumb
}
