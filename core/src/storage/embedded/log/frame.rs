//! One record in a segment: `len u32 | crc32c u32 | offset u64 | received_at i64 | content`, little
//! endian; `len` counts what follows the checksum, the checksum covers it. The content is `key_len
//! u32 | key | value`, or that as an encrypted piece (`storage/seal.rs`), which opens only in a
//! frame with this offset and time. Damage is found without a key: what the checksum confirms is
//! intact, even if it cannot be decrypted.

use crate::model::Time;
use crate::storage::seal::{self, Opener, Session};
use crate::storage::{Error, ErrorKind, Result, Stored};

const HEAD: usize = 8;
/// Offset and time.
const PLACE: usize = 16;
const FIXED: usize = PLACE + 4;
/// Largest frame in clear: a record, its key and the fixed part.
const MAX_CLEAR: usize = 2 << 20;
/// Largest frame: what was written in clear can be encrypted later.
const MAX: usize = MAX_CLEAR + seal::OVERHEAD;
/// How far the offset of a frame may lie behind the one expected where frames are searched for.
const MAX_GAP: u64 = 1 << 32;

/// A record that becomes a frame.
pub(super) struct Record<'a> {
    pub offset: u64,
    pub received_at: Time,
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// Appends a frame to a buffer, encrypted when there is a session.
///
/// # Errors
/// `Refused` for a frame that [`read`] would not accept; the buffer is then unchanged.
pub(super) fn write(
    buffer: &mut Vec<u8>,
    record: &Record<'_>,
    session: Option<&mut Session>,
) -> Result<()> {
    let start = buffer.len();
    let (key, value) = (record.key, record.value);
    let added = session.as_ref().map(|_| seal::OVERHEAD).unwrap_or(0);
    let clear = FIXED + key.len() + value.len();
    if clear > MAX_CLEAR {
        let message =
            format!("a record with its key has {clear} bytes; the maximum is {MAX_CLEAR}");
        return Err(Error::new(ErrorKind::Refused, message));
    }
    let len = clear + added;
    buffer.extend_from_slice(&(len as u32).to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    let mut place = [0; PLACE];
    place[..8].copy_from_slice(&record.offset.to_le_bytes());
    place[8..].copy_from_slice(&record.received_at.0.to_le_bytes());
    buffer.extend_from_slice(&place);
    let key_len = (key.len() as u32).to_le_bytes();
    let parts: [&[u8]; 3] = [&key_len, key, value];
    match session {
        Some(session) => {
            if let Err(e) = session.seal(&place, &parts, buffer) {
                buffer.truncate(start);
                return Err(e);
            }
        }
        None => {
            for part in parts {
                buffer.extend_from_slice(part);
            }
        }
    }
    let crc = crc32c::crc32c(&buffer[start + HEAD..]);
    buffer[start + 4..start + HEAD].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// Bytes of a frame that show where it belongs and how long it is.
const SHOWN: usize = HEAD + 8;

/// Whether what remains of a segment is the beginning of a frame: its append was never finished,
/// and so never acknowledged. A frame whose length is damaged, and nothing else, looks the same but for
/// its checksum.
pub(super) fn is_cut_short(bytes: &[u8], offset: u64) -> bool {
    let Some(shown) = bytes.get(..SHOWN) else {
        return true;
    };
    let len = u32_at(shown, 0).map(|len| len as usize).unwrap_or(0);
    let continues = (FIXED..=MAX).contains(&len) && HEAD + len > bytes.len();
    let is_next = shown[HEAD..] == offset.to_le_bytes();
    let is_complete = u32_at(shown, 4) == Some(crc32c::crc32c(&bytes[HEAD..]));
    continues && is_next && !is_complete
}

/// An intact frame.
pub(super) struct Frame<'a> {
    pub offset: u64,
    pub received_at: Time,
    /// All of it.
    pub bytes: &'a [u8],
    /// What follows the length and the checksum.
    body: &'a [u8],
}

impl Frame<'_> {
    /// The id of the data key that encrypted it; `None` when it is in clear.
    pub(super) fn key_id(&self) -> Option<u32> {
        seal::key_id(&self.body[PLACE..])
    }

    /// Its record, decrypted where it is encrypted.
    ///
    /// # Errors
    /// When it cannot be decrypted. The frame is intact all the same: it is not damage.
    pub(super) fn open(&self, opener: &mut Opener<'_>) -> Result<Stored> {
        let (place, content) = self.body.split_at(PLACE);
        if self.key_id().is_none() {
            return self.stored(content);
        }
        self.stored(opener.open(place, content)?)
    }

    fn stored(&self, content: &[u8]) -> Result<Stored> {
        let invalid = || Error::new(ErrorKind::Corrupt, "a record has an invalid key length");
        let (key, value) = split(content).ok_or_else(invalid)?;
        Ok(Stored {
            offset: self.offset,
            key: key.into(),
            value: value.into(),
            received_at: self.received_at,
        })
    }
}

/// The key and the value in a content in clear.
fn split(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let key_len = u32_at(content, 0)? as usize;
    content.get(4..)?.split_at_checked(key_len)
}

/// Whether a content is in clear and complete, or encrypted.
fn is_valid(content: &[u8]) -> bool {
    seal::key_id(content).is_some() || split(content).is_some()
}

/// What is at the start of some bytes.
pub(super) enum Read<'a> {
    /// A complete frame and its length.
    Frame(Frame<'a>, usize),
    /// More bytes are needed: this many in all.
    Short(usize),
    /// No frame can start like this.
    Broken,
}

/// Reads the frame at the start of `bytes`.
pub(super) fn read(bytes: &[u8]) -> Read<'_> {
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
    let (Some(offset), Some(received)) = (u64_at(body, 0), u64_at(body, 8)) else {
        return Read::Broken;
    };
    if !is_valid(&body[PLACE..]) {
        return Read::Broken;
    }
    Read::Frame(
        Frame {
            offset,
            received_at: Time(received as i64),
            bytes: &bytes[..HEAD + len],
            body,
        },
        HEAD + len,
    )
}

/// A frame that was found, not copied.
pub(super) struct Found {
    pub offset: u64,
    pub received_at: Time,
    /// See [`Frame::key_id`].
    pub key_id: Option<u32>,
    /// Its length with the head.
    pub len: usize,
}

/// The intact frame at the start of `bytes`, if there is one whose offset is `next` or later. It
/// costs little at most positions that are no start of a frame.
pub(super) fn find(bytes: &[u8], next: u64) -> Option<Found> {
    let found = head(bytes)?;
    let is_later = (next..next.saturating_add(MAX_GAP)).contains(&found.offset);
    let body = bytes.get(HEAD..found.len)?;
    if !is_later || !is_valid(&body[PLACE..]) {
        return None;
    }
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
        key_id: seal::key_id(&bytes[HEAD + PLACE..HEAD + len]),
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
mod tests;
