//! `kgrca eval compare`

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::Path;

use kgrca_core::lab::eval::{Outcome, Report};

use super::super::files::read_text;
use super::Env;
use crate::error::{CliError, Result};
use crate::output::Table;

/// Reads a report that `eval run --report json` wrote.
pub(super) fn read(file: &Path) -> Result<Report> {
    serde_json::from_str(&read_text(file)?).map_err(|e| {
        CliError::failed(format!("invalid report {}", file.display()))
            .json(&e)
            .hint("write one with `kgrca eval run DIR --report json FILE`")
    })
}

/// The cases whose answer differs between two reports.
pub(super) fn changes<'a>(before: &'a Report, after: &'a Report) -> Vec<Change<'a>> {
    let known: BTreeMap<&str, &Outcome> = before
        .outcomes
        .iter()
        .map(|o| (o.case.as_str(), o))
        .collect();
    let change = |now: &'a Outcome| {
        let then = known.get(now.case.as_str())?;
        let change = match now.joint_at[0].total_cmp(&then.joint_at[0]) {
            Ordering::Less => "worse",
            Ordering::Greater => "better",
            Ordering::Equal if now.said != then.said => "other",
            Ordering::Equal => return None,
        };
        let said = |o: &'a Outcome| o.said.as_deref().unwrap_or("nothing");
        Some(Change {
            case: &now.case,
            change,
            before: said(then),
            after: said(now),
            expected: now.expected.join(" and "),
        })
    };
    after.outcomes.iter().filter_map(change).collect()
}

pub(super) fn compare(env: &Env<'_>, before: &Report, after: &Report) -> Result {
    let changes = changes(before, after);
    env.out.value(&changes, || {
        Table::new(&["CASE", "CHANGE", "BEFORE", "NOW", "EXPECTED"]).rows(&changes, |c| {
            [
                c.case.into(),
                c.change.into(),
                c.before.into(),
                c.after.into(),
                c.expected.clone(),
            ]
        })
    })
}

/// A case whose answer differs between two runs.
#[derive(serde::Serialize)]
pub(super) struct Change<'a> {
    pub(super) case: &'a str,
    pub(super) change: &'static str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
    pub(super) expected: String,
}
