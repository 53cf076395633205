//! `kgrca analyze --before … --after …`: whether a deployment may stay.

use std::path::{Path, PathBuf};

use kgrca_core::analyze::{Comparison, Flaw, Grade, Judgement, Options};

use super::super::files::label;
use super::super::{Env, changes};
use super::{FailOn, inputs, report, shown};
use crate::error::{CliError, Result};
use crate::output::{self, Format, Style, Styled};

#[derive(Debug, clap::Args)]
pub(super) struct States {
    /// State before a deployment: accept or reject (exit code 10) what came after. Manifests alone
    /// are inconclusive (exit code 10, or 0 with --fail-on cause) unless they are wrong
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "after",
        conflicts_with_all = ["inputs", "separate", "sources"])]
    pub(super) before: Vec<PathBuf>,
    /// State after it
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "before")]
    after: Vec<PathBuf>,
    /// Write the comparison as SARIF 2.1.0 to this file
    #[arg(long, value_name = "FILE", requires = "before")]
    sarif: Option<PathBuf>,
    // A name in doc comments needs marks that help does not show.
    #[arg(
        long,
        value_name = "FILE",
        requires = "before",
        help = "Write the comparison as JUnit XML to this file"
    )]
    junit: Option<PathBuf>,
}

pub(super) fn run(
    env: &Env<'_>,
    args: &States,
    options: &Options,
    fail_on: Option<FailOn>,
) -> Result {
    // A cause that is not listed is not new, nor gone.
    let options = &Options {
        top: usize::MAX,
        ..options.clone()
    };
    let before = inputs::state("before", &args.before, options)?;
    let after = inputs::state("after", &args.after, options)?;
    let name = args
        .after
        .first()
        .map(|path| label(path))
        .unwrap_or_default();
    let compared = after.compare(before, &name);
    if compared.after.records.applied == 0 {
        let message = format!("the state after has no readable objects: {name}");
        return Err(CliError::failed(message).hint("list its files with `kgrca analyze --sources`"));
    }
    if let Some(path) = &args.sarif {
        let sarif = serde_json::to_vec_pretty(&report::sarif(&compared));
        write(path, &sarif.map_err(|e| CliError::failed(e.to_string()))?)?;
    }
    if let Some(path) = &args.junit {
        write(path, report::junit(&compared).as_bytes())?;
    }
    print(env, &compared)?;
    // What was not seen accepts nothing, unless that is asked for.
    let passes = match compared.verdict {
        Judgement::Accepted => true,
        Judgement::Rejected => false,
        Judgement::Inconclusive => matches!(fail_on, Some(FailOn::Cause)),
    };
    if passes {
        Ok(())
    } else {
        Err(CliError::found())
    }
}

fn write(path: &Path, content: &[u8]) -> Result {
    std::fs::write(path, content).map_err(|e| {
        let message = format!("cannot write {}: {e}", path.display());
        CliError::failed(message)
    })
}

fn print(env: &Env<'_>, compared: &Comparison) -> Result {
    let out = env.out;
    match out.format {
        Format::Table => out.styled(&text(env, compared)),
        Format::Json => out.json_line(compared),
        Format::Name => out.text(&format!("{}\n", compared.after.input)),
        Format::Yaml | Format::Csv | Format::Markdown => {
            out.value(compared, || changes::table(out, &compared.changes))
        }
    }
}

fn verdict(compared: &Comparison) -> (Style, String) {
    let causes = compared.new_causes.len() as u64;
    let is_error = |flaw: &&Flaw| flaw.grade == Grade::Error;
    let errors = compared.flaws.iter().filter(is_error).count() as u64;
    let counts = [(causes, "new cause"), (errors, "new error")];
    let counts = counts.iter().filter(|(number, _)| *number > 0);
    let counts: Vec<String> = counts.map(|(n, what)| output::count(*n, what)).collect();
    match compared.verdict {
        Judgement::Accepted => (Style::Good, "accepted: no new cause".to_owned()),
        Judgement::Rejected => (Style::Bad, format!("rejected: {}", counts.join(", "))),
        Judgement::Inconclusive => (
            Style::Unclear,
            format!(
                "inconclusive: {}, or accept it with --fail-on cause",
                compared.reason
            ),
        ),
    }
}

fn text(env: &Env<'_>, compared: &Comparison) -> Styled {
    let mut text = Styled::default();
    let (style, verdict) = verdict(compared);
    text.push_styled(style, &verdict);
    text.push("\n");
    for flaw in &compared.flaws {
        let style = match flaw.grade {
            Grade::Error => Style::Bad,
            Grade::Warning => Style::Unclear,
        };
        let grade = match flaw.grade {
            Grade::Error => "error",
            Grade::Warning => "warning",
        };
        text.push("  ");
        text.push_styled(style, grade);
        text.push_line(&format!("  {}  {}", flaw.rule, flaw.message));
    }
    if !compared.changes.is_empty() {
        text.push("\n");
        text.push_styled(Style::Bold, "changes");
        text.push("\n");
    }
    for of in &compared.changes {
        let change = &of.change;
        for line in change.lines() {
            let place = match change.namespace.as_str() {
                "" => String::new(),
                namespace => format!("{namespace}/"),
            };
            text.push_line(&format!("  {} {place}{}  {line}", change.kind, change.name));
        }
    }
    for gone in &compared.gone_causes {
        text.push_line(&format!("no longer there: {gone}"));
    }
    if !compared.new_causes.is_empty() {
        text.push("\n");
        let new = output::Shown {
            causes: &compared.new_causes,
            ..shown(&compared.after)
        };
        text.append(output::answer(env.out, &new));
    }
    text
}
