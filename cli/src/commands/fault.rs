//! `kgrca fault`

use kgrca_core::detect::catalogue::{self, Fault};

use super::Env;
use crate::error::{CliError, Result, exit};
use crate::output::{Format, Table};

/// Looks at the catalogue of faults.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List all faults
    List {
        /// Only one family, such as `scheduling`
        #[arg(long)]
        family: Option<String>,
    },
    /// Show one fault: what reveals it, what rules it out, the fix
    Show {
        /// Id, such as `config.secret_missing`
        #[arg(add = crate::complete::faults())]
        id: String,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { family } => {
            let wanted: Vec<&Fault> = catalogue::all()
                .iter()
                .filter(|f| family.as_deref().is_none_or(|w| w == f.id.family()))
                .collect();
            env.out.value(&wanted, || {
                let cells = |f: &&Fault| {
                    [
                        f.id.to_string(),
                        f.blames.clone(),
                        if f.planned.is_some() {
                            "planned".into()
                        } else {
                            "reported".into()
                        },
                        f.title.clone(),
                    ]
                };
                Table::new(&["ID", "BLAMES", "STATE", "TITLE"]).rows(&wanted, cells)
            })
        }
        Verb::Show { id } => {
            let missing = || {
                CliError::new(exit::NOT_FOUND, format!("there is no fault `{id}`"))
                    .hint("kgrca fault list")
            };
            let fault = id
                .parse()
                .ok()
                .and_then(catalogue::find)
                .ok_or_else(missing)?;
            if env.out.format != Format::Table {
                return env
                    .out
                    .value(fault, || Table::new(&["ID"]).row([fault.id.to_string()]));
            }
            let mut text = format!(
                "{}\n{}\n\nblames\n  {}\nreveals\n  {}\nrules out\n  {}\nfix\n  {}\n",
                fault.id, fault.title, fault.blames, fault.reveals, fault.rules_out, fault.fix
            );
            if let Some(planned) = &fault.planned {
                text += &format!("planned\n  {planned}\n");
            }
            env.out.text(&text)
        }
    }
}
