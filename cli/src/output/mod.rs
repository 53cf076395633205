//! Everything that is printed: results to stdout, messages to stderr.

mod answer;
pub(crate) mod escape;
mod path;
mod style;
mod table;
mod time;
mod wrap;

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use kgrca_core::model::Time;
use serde::Serialize;

use crate::error::{CliError, Result};
pub use answer::{Shown, answer, causes, resource};
pub use style::{Style, Styled};
pub use table::Table;
pub use time::{now, retry_after};

/// How results are printed. Times are UTC except in tables on a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    // Aligned columns; tab-separated without a header when piped. Explanations stay text.
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
    // A table for issues and chats.
    Markdown,
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
    /// kgrca context to use instead of the current one (in `analyze`: that of the kubeconfig)
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
    /// The width that explanations have to fit.
    width: Option<usize>,
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
            width: wrap::width(terminal),
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

    /// Prints text of one or more lines to stdout.
    pub fn text(&self, text: &str) -> Result {
        self.write(&escape::lines(text))
    }

    /// Prints text with styles to stdout.
    pub fn styled(&self, text: &Styled) -> Result {
        self.write(&text.render(self.color))
    }

    /// Prints a script that this program generated.
    pub fn script(&self, script: &[u8]) -> Result {
        self.write(&String::from_utf8_lossy(script))
    }

    fn write(&self, text: &str) -> Result {
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
                if escape::has_hidden(&text) {
                    // JSON is YAML, and unlike YAML it has an escape for every character.
                    return self.pretty_json(value);
                }
                self.write(&text)
            }
            Format::Name => self.write(&table().names()),
            Format::Csv => self.write(&table().csv()),
            Format::Markdown => self.write(&table().markdown()),
            Format::Table => self.write(&if self.terminal {
                table().pretty()
            } else {
                table().tabbed()
            }),
        }
    }

    fn json<T: Serialize>(&self, value: &T) -> Result {
        if self.terminal {
            self.pretty_json(value)
        } else {
            self.json_line(value)
        }
    }

    /// Prints a value as JSON on one line, also on a terminal.
    pub fn json_line<T: Serialize>(&self, value: &T) -> Result {
        let text = serde_json::to_string(value).map_err(|e| not_json(&e))?;
        self.write(&(escape::json(&text) + "\n"))
    }

    fn pretty_json<T: Serialize>(&self, value: &T) -> Result {
        let text = serde_json::to_string_pretty(value).map_err(|e| not_json(&e))?;
        self.write(&(escape::json(&text) + "\n"))
    }

    /// Prints a message to stderr, unless `--quiet`.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where messages are printed"
    )]
    pub fn message(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", escape::lines(text));
        }
    }

    /// Prints an error with its causes and hint to stderr.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where errors are printed"
    )]
    pub fn error(&self, e: &CliError) {
        let is_colored = std::io::stderr().is_terminal() && wants_color();
        eprint!("{}", e.render(now()).render(is_colored));
    }
}

/// Prints a usage error of the parser, which repeats what was typed or pasted.
#[expect(clippy::print_stderr, reason = "an error")]
pub fn usage_error(text: &str) {
    eprint!("{}", escape::lines(text));
}

/// A number with its noun: `1 incident`, `2 incidents`.
pub fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

fn not_json(e: &serde_json::Error) -> CliError {
    CliError::failed("cannot print the result as JSON").source(e)
}

/// Whether colors are wanted: neither `NO_COLOR` nor a dumb terminal is set.
fn wants_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
    !no_color && !is_dumb
}
