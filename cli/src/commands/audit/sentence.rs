//! An entry of the audit log as a sentence, whose subject is its actor: `created key key_2`.

use kgrca_core::tenancy::Audit;

/// Actions, and how their sentences begin; what it was done to follows.
const SENTENCES: [(&str, &str); 23] = [
    ("agents.forget", "forgot the agents of cluster"),
    ("audit.anchor", "exported an anchor of the audit log"),
    ("billing.verify", "recounted the events of"),
    ("client.create", "created the tenant:"),
    ("client.delete", "deleted the tenant, with"),
    ("client.export", "exported the tenant's"),
    ("client.grow", "gave the tenant's topics"),
    ("client.import", "began to import the tenant:"),
    ("client.load", "imported"),
    ("client.move", "moved the graph:"),
    ("client.update", "changed the tenant:"),
    (
        "encryption.rewrap",
        "encrypted data keys under the current master key",
    ),
    ("encryption.rotate", "created new data keys"),
    ("job.cancel", "cancelled"),
    ("job.retry", "retried"),
    ("key.create", "created key"),
    ("key.revoke", "revoked key"),
    ("key.rotate", "rotated key"),
    ("login.failed", "failed to log in with"),
    ("read", "read"),
    ("refused", "was refused:"),
    ("saga.compensate", "rolled back"),
    ("saga.resume", "resumed"),
];

/// What was done.
pub(super) fn of(audit: &Audit) -> String {
    let known = SENTENCES.iter().find(|(action, _)| *action == audit.action);
    let (begin, target) = match known {
        // As versions before wrote it.
        Some(("key.rotate", begin)) if !audit.target.contains(',') => {
            (*begin, audit.target.replace(" by ", ", replaced by "))
        }
        Some((_, begin)) => (*begin, audit.target.clone()),
        None => (audit.action.as_str(), audit.target.clone()),
    };
    format!("{begin} {target}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use kgrca_core::model::Time;

    use super::*;

    #[test]
    fn an_entry_reads_as_a_sentence() {
        let entry = |action: &str, target: &str| {
            of(&Audit {
                client_id: None,
                at: Time(0),
                actor: "key_1".into(),
                action: action.into(),
                target: target.into(),
                address: None,
            })
        };
        for (action, target, sentence) in [
            ("key.create", "key_2", "created key key_2"),
            (
                "key.rotate",
                "key_2, replaced by key_3",
                "rotated key key_2, replaced by key_3",
            ),
            (
                "key.rotate",
                "key_2 by key_3",
                "rotated key key_2, replaced by key_3",
            ),
            (
                "login.failed",
                "an unknown key, 3 times",
                "failed to log in with an unknown key, 3 times",
            ),
            (
                "client.delete",
                "30 days of grace",
                "deleted the tenant, with 30 days of grace",
            ),
            ("audit.anchor", "", "exported an anchor of the audit log"),
            ("of.a.newer.server", "x", "of.a.newer.server x"),
        ] {
            assert_eq!(entry(action, target), sentence);
        }
    }
}
