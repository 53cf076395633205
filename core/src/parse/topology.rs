//! Edges of the topology stream.

use serde::Deserialize;

use super::text::{Count, Text, first_time, non_empty};
use super::{Context, Reason, Reject, check_tenant, cluster};
use crate::model::{Body, Edge, Kind, Op, Record, Str, Subject};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wire<'a> {
    #[serde(borrow)]
    op: Option<Text<'a>>,
    #[serde(borrow)]
    at: Option<Text<'a>>,
    #[serde(borrow)]
    client_id: Option<Text<'a>>,
    #[serde(borrow)]
    cluster: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    from: Option<Text<'a>>,
    #[serde(borrow)]
    to: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    relation: Option<Text<'a>>,
    #[serde(borrow)]
    src: Option<Text<'a>>,
    seq: Count,
}

pub(super) fn parse(
    text: &str,
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let wire: Wire<'_> = serde_json::from_str(text).map_err(|e| Reject::json(&e))?;
    check_tenant(non_empty(wire.client_id.as_ref()), context)?;
    let end = |name: &str, value: &Option<Text<'_>>| {
        let text = non_empty(value.as_ref()).ok_or_else(|| {
            Reject::new(
                Reason::UnknownShape,
                format!("a topology record needs `{name}`"),
            )
        })?;
        subject(text).ok_or_else(|| {
            Reject::new(
                Reason::UnknownShape,
                format!(
                    "invalid `{name}` `{text}`: expected kind:namespace:name, kind:name or kind:uid"
                ),
            )
        })
    };
    let (from, to) = (end("from", &wire.from)?, end("to", &wire.to)?);
    let relation = non_empty(wire.relation.as_ref())
        .ok_or_else(|| Reject::new(Reason::UnknownShape, "a topology record needs `type`"))?;
    let id = non_empty(wire.id.as_ref())
        .map(str::to_owned)
        .unwrap_or_else(|| format!("{from:?}>{relation}>{to:?}"));
    let op = if non_empty(wire.op.as_ref()).is_some_and(|op| op.eq_ignore_ascii_case("DELETE")) {
        Op::Delete
    } else {
        Op::Upsert
    };
    out.push(Record {
        cluster: cluster(non_empty(wire.cluster.as_ref()), context)?,
        at: first_time([wire.at.as_ref()]).unwrap_or(context.received_at),
        sequence: non_empty(wire.src.as_ref())
            .zip(wire.seq.0)
            .map(|(s, n)| (Str::from(s), n)),
        body: Body::Topology(
            op,
            Box::new(Edge {
                id: id.into(),
                from,
                to,
                relation: relation.into(),
            }),
        ),
    });
    Ok(())
}

/// `kind:namespace:name`, `kind:name` for cluster-scoped kinds, `kind:uid` for namespaced ones.
fn subject(text: &str) -> Option<Subject> {
    let mut parts = text.splitn(3, ':');
    let kind = Kind::parse(parts.next().filter(|k| !k.is_empty())?);
    let second = parts.next().filter(|s| !s.is_empty())?;
    let third = parts.next().filter(|s| !s.is_empty());
    let empty = Str::default;
    Some(match third {
        Some(name) if kind.is_cluster_scoped() => Subject {
            kind,
            uid: None,
            namespace: empty(),
            name: name.into(),
        },
        Some(name) => Subject {
            kind,
            uid: None,
            namespace: second.into(),
            name: name.into(),
        },
        None if kind.is_cluster_scoped() => Subject {
            kind,
            uid: None,
            namespace: empty(),
            name: second.into(),
        },
        None => Subject {
            kind,
            uid: Some(second.into()),
            namespace: empty(),
            name: empty(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_three_forms() {
        let s = subject("pod:shop:web-1").unwrap();
        assert_eq!(
            (s.kind, &*s.namespace, &*s.name),
            (Kind::Pod, "shop", "web-1")
        );
        let s = subject("node:n1").unwrap();
        assert_eq!((s.kind, &*s.name), (Kind::Node, "n1"));
        let s = subject("pod:5f-uid").unwrap();
        assert_eq!(s.uid.as_deref(), Some("5f-uid"));
        assert_eq!(subject("pod:"), None);
    }
}
