//! All that is printed: results to stdout, messages to stderr.

mod answer;
mod table;
mod time;

use std::io::{IsTerminal, Write};

use clap::{Args, ValueEnum};
use kgrca_core::model::Time;
use serde::Serialize;

use crate::error::{CliError, Result};
pub use answer::{Shown, answer, causes, line};
pub use table::Table;
use time::ago;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people; tab-separated without header when piped.
    #[default]
    Table,
    /// JSON, UTC times.
    Json,
    /// YAML.
    Yaml,
    /// Names only, one per line.
    Name,
    /// CSV with header.
    Csv,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
pub struct Global {
    /// Output format
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: Format,
    /// Context to use instead of the current one
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// No progress and no messages
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// Where and how to print.
pub struct Output {
    /// Wanted format.
    pub format: Format,
    /// Whether stdout is a terminal.
    pub terminal: bool,
    color: bool,
    quiet: bool,
}

impl Output {
    /// Looks at the streams and at `NO_COLOR`.
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

    /// An instant: how long ago for people at a terminal, UTC for whoever reads the output next.
    pub fn age(&self, now: Time, then: Time) -> String {
        if self.is_for_people() {
            ago(now, then)
        } else {
            then.to_string()
        }
    }

    /// A share of one: percent for people at a terminal, the number for whoever reads the output
    /// next.
    pub fn share(&self, share: f64) -> String {
        if self.is_for_people() {
            format!("{:.0} %", share * 100.0)
        } else {
            format!("{share:.3}")
        }
    }

    /// A number of bytes: megabytes for people at a terminal, the number for whoever reads the
    /// output next.
    pub fn size(&self, bytes: u64) -> String {
        if self.is_for_people() {
            format!("{:.1} MB", bytes as f64 / 1e6)
        } else {
            bytes.to_string()
        }
    }

    fn is_for_people(&self) -> bool {
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
                    .map_err(|e| CliError::failed("the result has no YAML form").cause(e))?;
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
        self.text(
            &(text.map_err(|e| CliError::failed("the result has no JSON form").cause(e))? + "\n"),
        )
    }

    /// A message for people, to stderr.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where messages are printed"
    )]
    pub fn message(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// An error with its causes and hint, to stderr.
    #[expect(
        clippy::print_stderr,
        reason = "the one place where errors are printed"
    )]
    pub fn error(&self, e: &CliError) {
        if e.message.is_empty() {
            return;
        }
        eprintln!("{} {}", self.paint_err("error:", "1;31"), e.message);
        for cause in &e.causes {
            eprintln!("  caused by: {cause}");
        }
        if let Some(hint) = &e.hint {
            eprintln!("{} {hint}", self.paint_err("hint:", "1;36"));
        }
        if let Some(id) = &e.request_id {
            eprintln!("request id: {id}");
        }
    }

    /// Text in a terminal style, when stdout shows it.
    pub fn paint(&self, text: &str, style: &str) -> String {
        if self.color {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn paint_err(&self, text: &str, style: &str) -> String {
        let shows = std::io::stderr().is_terminal() && wants_color();
        if shows {
            format!("\u{1b}[{style}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Whether colour is wanted: `NO_COLOR` and terminals that have none say no.
fn wants_color() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}
