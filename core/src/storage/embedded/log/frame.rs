//! One record in a segment: `len u32 | crc32c u32 | offset u64 | received_at i64 | key_len u32 |
//! key | value`, little endian; `len` counts what follows the checksum, the checksum covers it.

use crate::model::Time;
use crate::storage::{Error, ErrorKind, Result, Stored};

const HEAD: usize = 8;
const FIXED: usize = 20;
/// Largest frame: a record, its key and the fixed part.
const MAX: usize = 2 << 20;
/// How far the offset of a frame may lie behind the one expected where frames are searched for.
const MAX_GAP: u64 = 1 << 32;

/// Appends a frame to a buffer.
///
/// # Errors
/// `Refused` for a frame that [`read`] would not accept; the buffer is then unchanged.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    offset: u64,
    received_at: Time,
    key: &[u8],
    value: &[u8],
) -> Result<()> {
    let start = buffer.len();
    let len = FIXED + key.len() + value.len();
    if len > MAX {
        let message = format!("a record with its key has {len} bytes; the maximum is {MAX}");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    buffer.extend_from_slice(&(len as u32).to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&offset.to_le_bytes());
    buffer.extend_from_slice(&received_at.0.to_le_bytes());
    buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
    buffer.extend_from_slice(key);
    buffer.extend_from_slice(value);
    let crc = crc32c::crc32c(&buffer[start + HEAD..]);
    buffer[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// What is at the start of some bytes.
pub(super) enum Read {
    /// A complete frame and its length.
    Frame(Stored, usize),
    /// More bytes are needed: this many in all.
    Short(usize),
    /// No frame can start like this.
    Broken,
}

/// Reads the frame at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read {
    let Some(len) = u32_at(bytes, 0).map(|n| n as usize) else {
        return Read::Short(HEAD);
    };
    if !(FIXED..=MAX).contains(&len) {
        return Read::Broken;
    }
    let Some(body) = bytes.get(HEAD..HEAD + len) else {
        return Read::Short(HEAD + len);
    };
    if u32_at(bytes, 4) != Some(crc32c::crc32c(body)) {
        return Read::Broken;
    }
    let key_len = u32_at(body, 16).map(|n| n as usize).unwrap_or(usize::MAX);
    let Some(rest) = body.get(FIXED..).filter(|r| r.len() >= key_len) else {
        return Read::Broken;
    };
    let (Some(offset), Some(received)) = (u64_at(body, 0), u64_at(body, 8)) else {
        return Read::Broken;
    };
    let (key, value) = rest.split_at(key_len);
    Read::Frame(
        Stored {
            offset,
            key: key.into(),
            value: value.into(),
            received_at: Time(received as i64),
        },
        HEAD + len,
    )
}

/// A frame that was found, not copied.
pub(super) struct Found {
    pub offset: u64,
    pub received_at: Time,
    /// Its length with the head.
    pub len: usize,
}

/// The intact frame at the start of `bytes`, if there is one whose offset is `next` or later. It
/// costs little at most positions that are no start of a frame.
pub(super) fn find(bytes: &[u8], next: u64) -> Option<Found> {
    let found = head(bytes)?;
    let is_later = (next..next.saturating_add(MAX_GAP)).contains(&found.offset);
    let key_len = u32_at(bytes, HEAD + 16)? as usize;
    let fits = is_later && HEAD + FIXED + key_len <= found.len;
    let body = bytes.get(HEAD..found.len).filter(|_| fits)?;
    (u32_at(bytes, 4)? == crc32c::crc32c(body)).then_some(found)
}

/// What the start of `bytes` says of its frame, be it intact or not; `None` when the frame cannot
/// be complete.
pub(super) fn head(bytes: &[u8]) -> Option<Found> {
    let len = u32_at(bytes, 0)? as usize;
    let is_complete = (FIXED..=MAX).contains(&len) && HEAD + len <= bytes.len();
    if !is_complete {
        return None;
    }
    Some(Found {
        offset: u64_at(bytes, HEAD)?,
        received_at: Time(u64_at(bytes, HEAD + 8)? as i64),
        len: HEAD + len,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_are_read_back_and_damage_is_detected(
            offset in any::<u64>(),
            key in proptest::collection::vec(any::<u8>(), 0..20),
            value in proptest::collection::vec(any::<u8>(), 0..200),
            flip in any::<usize>(),
        ) {
            let mut bytes = Vec::new();
            write(&mut bytes, offset, Time(7), &key, &value).unwrap();
            match read(&bytes) {
                Read::Frame(stored, len) => {
                    prop_assert_eq!(len, bytes.len());
                    prop_assert_eq!(stored.offset, offset);
                    prop_assert_eq!(&*stored.key, &*key);
                    prop_assert_eq!(&*stored.value, &*value);
                }
                _ => prop_assert!(false, "a complete frame"),
            }
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
            value in (MAX - FIXED).saturating_sub(40)..MAX + 40,
        ) {
            for key in [key, key % 64] {
                let value = value.saturating_sub(key);
                let mut bytes = vec![7];
                let written = write(&mut bytes, 5, Time(7), &vec![b'k'; key], &vec![b'v'; value]);
                let fits = FIXED + key + value <= MAX;
                prop_assert_eq!(written.is_ok(), fits);
                prop_assert_eq!(bytes.len() > 1, fits, "nothing is left of a refused frame");
                prop_assert_eq!(matches!(read(&bytes[1..]), Read::Frame(..)), fits);
                prop_assert_eq!(find(&bytes[1..], 5).is_some(), fits);
                prop_assert!(find(&bytes[1..], 6).is_none(), "offsets only rise");
            }
        }
    }
}
