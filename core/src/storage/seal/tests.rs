//! Tests of the parent module.

use super::testing::sealer;
use super::*;

const A: &str = "client-a-abc123";

#[test]
fn a_piece_opens_only_where_it_belongs() {
    let own = sealer(A, 1);
    let mut session = own.session("log").unwrap().unwrap();
    let mut sealed = Vec::new();
    session
        .seal(b"place 1", &[b"secret ", b"text"], &mut sealed)
        .unwrap();
    assert_eq!(sealed.len(), 11 + OVERHEAD);
    assert_eq!(
        own.opener("log").open(b"place 1", &sealed).unwrap(),
        b"secret text"
    );
    let refused = |sealer: &Sealer, label: &str, context: &[u8]| {
        let mut opener = sealer.opener(label);
        let opened = opener.open(context, &sealed);
        assert_eq!(opened.unwrap_err().kind, ErrorKind::Corrupt);
    };
    refused(&own, "log", b"place 2");
    refused(&own, "snapshot", b"place 1");
    refused(&sealer(A, 2), "log", b"place 1");
    refused(&sealer("client-b-abc123", 1), "log", b"place 1");
    refused(
        &Sealer::clear(TenantId::parse(A).unwrap()),
        "log",
        b"place 1",
    );
}

#[test]
fn a_change_to_any_byte_is_noticed() {
    let own = sealer(A, 1);
    let sealed = own.seal("x", b"text").unwrap().unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert!(own.open("x", &changed).is_err(), "byte {at}, bit {bit}");
        }
        assert!(own.open("x", &sealed[..at]).is_err(), "cut at {at}");
    }
    assert_eq!(own.open("x", &sealed).unwrap(), b"text");
}

#[test]
fn older_key_ids_stay_readable_and_new_data_uses_the_newest() {
    let own = sealer(A, 1);
    let old = own.seal("x", b"old").unwrap().unwrap();
    own.put(2, &[2; KEY]);
    own.write_with(Some(2));
    let new = own.seal("x", b"new").unwrap().unwrap();
    assert_eq!(own.open("x", &old).unwrap(), b"old");
    assert_eq!(own.open("x", &new).unwrap(), b"new");
    let error = sealer(A, 1).open("x", &new).unwrap_err();
    assert!(error.message.contains("its data key 2"), "{error}");
    own.write_with(None);
    assert_eq!(own.seal("x", b"clear").unwrap(), None);
    assert_eq!(own.open("x", &new).unwrap(), b"new");
}

#[test]
fn equal_texts_differ_once_they_are_encrypted() {
    let own = sealer(A, 1);
    let mut session = own.session("x").unwrap().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut sealed = Vec::new();
        session.seal(&[], &[&[0; 32]], &mut sealed).unwrap();
        assert!(seen.insert(sealed[HEAD..].to_vec()));
        let alone = own.seal("x", &[0; 32]).unwrap().unwrap();
        assert!(seen.insert(alone[HEAD..].to_vec()));
    }
}

#[test]
fn keys_are_not_printed() {
    let own = sealer(A, 200);
    let session = own.session("x").unwrap();
    let printed = format!("{own:?} {session:?}");
    assert_eq!(
        printed,
        "Sealer(client-a-abc123, data keys [1]) Some(Session(data key 1))"
    );
}
