//! Tests of the parent module.

use super::*;
use proptest::prelude::*;

fn sealer() -> seal::Sealer {
    seal::testing::sealer("client-a-abc123", 9)
}

fn written(record: &Record<'_>, is_sealed: bool) -> Vec<u8> {
    let sealer = sealer();
    let mut session = sealer.session("x").unwrap().filter(|_| is_sealed);
    let mut bytes = Vec::new();
    write(&mut bytes, record, session.as_mut()).unwrap();
    bytes
}

fn opened(bytes: &[u8]) -> Result<Stored> {
    let Read::Frame(frame, len) = read(bytes) else {
        panic!("a complete frame");
    };
    assert_eq!(len, bytes.len());
    frame.open(&mut sealer().opener("x"))
}

#[test]
fn an_encrypted_frame_is_intact_without_its_key_and_stays_in_its_place() {
    let record = |offset| Record {
        offset,
        received_at: Time(7),
        key: b"prod",
        value: b"a message of a customer",
    };
    let bytes = written(&record(5), true);
    assert!(!bytes.windows(7).any(|w| w == b"message"));
    assert_eq!(&*opened(&bytes).unwrap().value, record(5).value);
    let Read::Frame(frame, _) = read(&bytes) else {
        panic!("intact");
    };
    let tenant = crate::tenancy::TenantId::parse("client-a-abc123").unwrap();
    let without = seal::Sealer::clear(tenant);
    let error = frame.open(&mut without.opener("x")).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(find(&bytes, 5).is_some());
    // Moved to another offset, with the right checksum.
    let mut moved = bytes.clone();
    moved[HEAD] = 6;
    let crc = crc32c::crc32c(&moved[HEAD..]);
    moved[4..HEAD].copy_from_slice(&crc.to_le_bytes());
    assert!(find(&moved, 6).is_some());
    assert_eq!(opened(&moved).unwrap_err().kind, ErrorKind::Corrupt);
}

proptest! {
    #[test]
    fn frames_are_read_back_and_damage_is_detected(
        offset in any::<u64>(),
        key in proptest::collection::vec(any::<u8>(), 0..20),
        value in proptest::collection::vec(any::<u8>(), 0..200),
        flip in any::<usize>(),
        is_sealed in any::<bool>(),
    ) {
        let record = Record { offset, received_at: Time(7), key: &key, value: &value };
        let mut bytes = written(&record, is_sealed);
        let stored = opened(&bytes).unwrap();
        prop_assert_eq!(stored.offset, offset);
        prop_assert_eq!(&*stored.key, &*key);
        prop_assert_eq!(&*stored.value, &*value);
        let at = flip % bytes.len();
        bytes[at] ^= 0x40;
        prop_assert!(!matches!(read(&bytes), Read::Frame(..)));
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = read(&bytes);
        let _ = find(&bytes, 0);
    }

    #[test]
    fn what_is_written_is_read_back_and_the_rest_is_refused(
        key in 0..3_usize << 20,
        value in (MAX_CLEAR - FIXED).saturating_sub(40)..MAX_CLEAR + 40,
        is_sealed in any::<bool>(),
    ) {
        for key in [key, key % 64] {
            let value = value.saturating_sub(key);
            let (keys, values) = (vec![b'k'; key], vec![b'v'; value]);
            let record = Record {
                offset: 5,
                received_at: Time(7),
                key: &keys,
                value: &values,
            };
            let mut session = sealer().session("x").unwrap().filter(|_| is_sealed);
            let mut bytes = vec![7];
            let written = write(&mut bytes, &record, session.as_mut());
            let fits = FIXED + key + value <= MAX_CLEAR;
            prop_assert_eq!(written.is_ok(), fits);
            prop_assert_eq!(bytes.len() > 1, fits, "nothing is left of a refused frame");
            prop_assert_eq!(matches!(read(&bytes[1..]), Read::Frame(..)), fits);
            prop_assert_eq!(find(&bytes[1..], 5).is_some(), fits);
            prop_assert!(find(&bytes[1..], 6).is_none(), "offsets only rise");
        }
    }
}
