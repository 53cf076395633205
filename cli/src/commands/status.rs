//! `kgrca status`

use kgrca_core::api::Page;
use kgrca_core::incident::State;
use kgrca_core::storage::IncidentRow;

use super::Env;
use crate::client::As;
use crate::error::Result;
use crate::output::{Table, count, now};

/// Most incidents of each state that are read.
const MAX_OF_STATE: usize = 200;

/// Show open incidents, worst first, with their causes
///
/// Examples:
///   kgrca status
///   kgrca status --cluster prod -n shop
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// Only this namespace
    #[arg(short, long)]
    namespace: Option<String>,
}

pub(super) fn run(env: &Env<'_>, args: &Args) -> Result {
    let client = env.client()?;
    let (mut open, mut is_cut) = (Vec::new(), false);
    for state in [State::Open, State::Reopened, State::Acknowledged] {
        let fields = [
            ("state", Some(state.as_str().to_owned())),
            ("limit", Some(MAX_OF_STATE.to_string())),
            ("cluster", args.cluster.clone()),
            ("namespace", args.namespace.clone()),
        ];
        let fields = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let query: Vec<(&str, String)> = fields.collect();
        let page: Page<IncidentRow> = client.get(As::Tenant, "/api/v1/incidents", &query)?;
        is_cut |= page.next.is_some();
        open.extend(page.items);
    }
    open.retain(|incident| incident.merged_into.is_none());
    // Whom no one has taken comes first among the equally severe.
    open.sort_by_key(|i| {
        let is_taken = i.state == State::Acknowledged;
        (std::cmp::Reverse(i.severity), is_taken, i.started_at)
    });
    env.out.value(&open, || table(env, &open))?;
    summary(env, &open);
    if is_cut {
        env.out.message(&format!(
            "more than {MAX_OF_STATE} incidents of a state: not all are shown"
        ));
    }
    Ok(())
}

fn table(env: &Env<'_>, open: &[IncidentRow]) -> Table {
    let now = now();
    let columns = [
        "ID",
        "SEVERITY",
        "STARTED",
        "CLUSTER",
        "NAMESPACE",
        "COMPONENT",
        "CAUSE",
        "TAKEN BY",
    ];
    Table::new(&columns).rows(open, |i| {
        [
            i.incident_id.clone(),
            i.severity.as_str().to_owned(),
            env.out.age(now, i.started_at),
            i.cluster.clone(),
            i.namespace.clone().unwrap_or_default(),
            i.component.clone().unwrap_or_default(),
            cause(env, i),
            i.acknowledged_by.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    })
}

/// The first cause in one sentence, with its confidence.
fn cause(env: &Env<'_>, incident: &IncidentRow) -> String {
    let sentence = incident
        .cause
        .clone()
        .or_else(|| incident.fault_type.clone());
    let Some(sentence) = sentence else {
        return "no cause found yet".to_owned();
    };
    match incident.confidence {
        Some(share) => format!("{sentence} ({})", env.out.share(share)),
        None => sentence,
    }
}

fn summary(env: &Env<'_>, open: &[IncidentRow]) {
    match open.first() {
        None => env.out.message("no open incidents"),
        Some(worst) => {
            let open = count(open.len() as u64, "open incident");
            let id = &worst.incident_id;
            env.out.message(&format!("{open}; next: kgrca rca {id}"));
        }
    }
}
