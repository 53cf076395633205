//! Labels of recorded cases.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

/// A fault that a case contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledFault {
    /// The component at fault, such as `app/cart`.
    pub component: String,
    /// Id of the fault type.
    pub fault: String,
}

impl fmt::Display for LabelledFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.component, self.fault)
    }
}

/// The right answer of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Every fault of the case; none for a healthy cluster.
    pub faults: Vec<LabelledFault>,
    /// The group in which the case is reported.
    pub group: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LabelWire {
    component: Option<String>,
    fault_type: Option<String>,
    fault_object: Option<String>,
    root_cause: Option<String>,
    causes: Vec<LabelWire>,
    healthy: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CaseWire {
    case: Option<String>,
    system: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Line<'a> {
    topic: String,
    #[serde(borrow)]
    value: &'a serde_json::value::RawValue,
}

/// Reads the label of a recorded case; `map` translates `root_cause` words to fault ids.
///
/// # Errors
/// When the label is missing, or the map lacks a word.
pub fn label(bytes: &[u8], map: &BTreeMap<String, String>) -> Result<Label, String> {
    let lines = || {
        bytes
            .split(|b| *b == b'\n')
            .filter_map(|l| serde_json::from_slice::<Line<'_>>(l).ok())
    };
    let wire: LabelWire = lines()
        .find(|l| l.topic == "label")
        .and_then(|l| serde_json::from_str(l.value.get()).ok())
        .ok_or("no `label` line")?;
    let case: CaseWire = lines()
        .find(|l| l.topic == "case")
        .and_then(|l| serde_json::from_str(l.value.get()).ok())
        .unwrap_or_default();
    if wire.healthy {
        return Ok(Label {
            faults: Vec::new(),
            group: "healthy".into(),
        });
    }
    let parts: Vec<&LabelWire> = if wire.causes.is_empty() {
        vec![&wire]
    } else {
        wire.causes.iter().collect()
    };
    let faults = parts
        .iter()
        .map(|w| fault(w, map))
        .collect::<Result<Vec<_>, String>>()?;
    let system = case
        .system
        .or_else(|| {
            case.case
                .as_deref()
                .and_then(|c| c.split('/').next())
                .map(str::to_owned)
        })
        .unwrap_or_default();
    let group = if faults.len() > 1 {
        "several faults".to_owned()
    } else {
        format!("{system} {}", faults[0].fault)
    };
    Ok(Label { faults, group })
}

fn fault(wire: &LabelWire, map: &BTreeMap<String, String>) -> Result<LabelledFault, String> {
    let component = wire
        .component
        .clone()
        .or_else(|| wire.fault_object.clone())
        .ok_or("the label has no `component`")?;
    let fault = match (&wire.fault_type, &wire.root_cause) {
        (Some(fault), _) => fault.clone(),
        (None, Some(word)) => map
            .get(word)
            .cloned()
            .ok_or_else(|| format!("the label map has no entry for `{word}`"))?,
        (None, None) => return Err("the label has no `fault_type`".into()),
    };
    Ok(LabelledFault { component, fault })
}
