//! `kgrca fault`

use std::collections::BTreeSet;

use kgrca_core::detect::{Catalogue, Fault, FaultId};

use super::Env;
use crate::error::{CliError, Result};
use crate::output::{Format, Table};

/// List and show the faults that kgrca can report
#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// List all faults
    List {
        /// Only one family, e.g. scheduling
        #[arg(long)]
        family: Option<String>,
    },
    /// Show a fault: its indicators, what rules it out, and the fix
    Show {
        /// Fault ID, e.g. `config.secret_missing`
        #[arg(add = crate::complete::faults())]
        id: String,
    },
}

pub(super) fn run(env: &Env<'_>, verb: Verb) -> Result {
    match verb {
        Verb::List { family } => list(env, family.as_deref()),
        Verb::Show { id } => show(env, &id),
    }
}

fn list(env: &Env<'_>, family: Option<&str>) -> Result {
    let catalogue = Catalogue::shipped();
    let mut faults: Vec<&Fault> = catalogue.faults().iter().collect();
    if let Some(family) = family {
        let families: BTreeSet<&str> = faults.iter().map(|f| f.id.family()).collect();
        if family.is_empty() || !families.contains(family) {
            // `unknown` has none.
            let families: Vec<&str> = families.into_iter().filter(|f| !f.is_empty()).collect();
            let error = CliError::not_found(format!("fault family `{family}` not found"));
            return Err(error.hint(format!("families: {}", families.join(", "))));
        }
        faults.retain(|f| f.id.family() == family);
    }
    let state = |f: &Fault| match f.planned {
        Some(_) => "planned",
        None => "reported",
    };
    env.out.value(&faults, || {
        Table::new(&["ID", "COMPONENT", "STATE", "TITLE"]).rows(&faults, |f| {
            [
                f.id.to_string(),
                f.blames.clone(),
                state(f).into(),
                f.title.clone(),
            ]
        })
    })
}

fn show(env: &Env<'_>, id: &str) -> Result {
    let id: FaultId = id.parse().map_err(|_| {
        CliError::not_found(format!("fault `{id}` not found")).hint("kgrca fault list")
    })?;
    let catalogue = Catalogue::shipped();
    let fault = catalogue.get(id);
    if env.out.format != Format::Table {
        return env
            .out
            .value(fault, || Table::new(&["ID"]).row([fault.id.to_string()]));
    }
    let sections = [
        ("component at fault", Some(&fault.blames)),
        ("indicators", Some(&fault.reveals)),
        ("not this fault when", Some(&fault.rules_out)),
        ("fix", Some(&fault.fix)),
        ("planned", fault.planned.as_ref()),
    ];
    let mut text = format!("{}\n{}\n\n", fault.id, fault.title);
    for (title, content) in sections {
        if let Some(content) = content {
            text += &format!("{title}\n  {content}\n");
        }
    }
    env.out.text(&text)
}
