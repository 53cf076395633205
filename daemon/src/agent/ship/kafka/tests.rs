use super::*;

#[test]
fn a_block_becomes_the_entries_that_the_ingest_api_would_write() {
    let admission = Admission {
        tenant: TenantId::parse("client-acme-7f3k2a").unwrap(),
        cluster: "prod".into(),
    };
    let now = Time(1_767_261_600_000_000);
    let pod = r#"{"op":"UPSERT","at":"2026-01-01T09:59:00Z","cluster":"prod","kind":"Pod",
        "metadata":{"namespace":"shop","name":"web-1","uid":"u1"},"src":"agent-x","seq":7}"#
        .replace("\n        ", "");
    let large = pod.replace("u1", &"u".repeat(parse::MAX_BYTES));
    let body = zstd::encode_all(format!("{pod}\nno record\n{large}\n").as_bytes(), 3).unwrap();
    let Admitted { entries, ingested } = admission.admit(Topic::Resource, &body, now, 6).unwrap();
    let rejected: Vec<_> = ingested
        .rejected
        .iter()
        .map(|r| (r.index, r.reason.as_str()))
        .collect();
    assert_eq!(ingested.accepted, 1);
    assert_eq!(rejected, [(1, "torn"), (2, "too_large")]);
    assert_eq!(entries.len(), 1);
    assert_eq!(&*entries[0].key, &b"prod/Pod/shop/web-1"[..]);
    // Masking writes what it parsed.
    let json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
    assert_eq!(json(&entries[0].value), json(pod.as_bytes()));
    assert_eq!(
        entries[0].stream.partition,
        partition_of(&admission.tenant, "prod", 6)
    );
    assert!(
        admission
            .admit(Topic::Resource, b"not compressed", now, 6)
            .is_err()
    );
}

#[test]
fn a_user_that_is_not_a_tenants_is_refused_without_showing_the_password() {
    for url in ["kafka://admin:secret@h:9092", "kafka://h:9092"] {
        let error = Kafka::open(url.parse().unwrap(), None, "prod")
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("not the user of a tenant") && !error.contains("secret"),
            "{error}"
        );
    }
}
