//! Compressed request bodies: all members of gzip, all frames of zstd, within bounds of size,
//! memory and time.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;

use crate::usecases::budgets::Held;
use crate::usecases::{Error, Result};

/// How long decompression may take: a body can consist of blocks that hold nothing.
const TIME: Duration = Duration::from_secs(5);
/// Largest window of zstd, as a power of two: HTTP allows 8 MiB (RFC 9659).
const WINDOW_LOG: u32 = 23;
/// How much input is decoded between two checks of the time.
const CHUNK: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Zstd,
}

/// A body as it was sent.
pub(super) struct Compressed {
    pub bytes: Bytes,
    /// Maximum size after decompression, in bytes.
    pub limit: usize,
    /// What the request holds: it grows with what comes out.
    pub held: Option<Arc<Held>>,
}

impl Compressed {
    /// The body decompressed.
    ///
    /// # Errors
    /// `payload_too_large` beyond the limit; `rate_limited` and `unavailable` when too many bytes
    /// are in flight; `invalid_request` for an unknown coding, for a body that cannot be
    /// decompressed, and for one that takes too long.
    pub(super) async fn decompress(self, headers: &HeaderMap) -> Result<Bytes> {
        let Some(coding) = coding(headers)? else {
            return Ok(self.bytes);
        };
        // Small ones may become large.
        let _processor = match &self.held {
            Some(held) => Some(held.processor(self.limit).await?),
            None => None,
        };
        let decoding =
            tokio::task::spawn_blocking(move || self.decode(coding, Instant::now() + TIME));
        decoding.await.map_err(Error::internal)?.map(Bytes::from)
    }

    fn decode(&self, coding: Coding, deadline: Instant) -> Result<Vec<u8>> {
        let input = Timed {
            rest: &self.bytes,
            deadline,
        };
        match coding {
            Coding::Gzip => self.read_all(flate2::bufread::MultiGzDecoder::new(input)),
            Coding::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(|e| unreadable(&e))?;
                let bounded = decoder.window_log_max(WINDOW_LOG);
                bounded.map_err(|e| unreadable(&e))?;
                self.read_all(decoder)
            }
        }
    }

    fn read_all(&self, mut from: impl Read) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut part = [0; CHUNK];
        loop {
            let count = from.read(&mut part).map_err(|e| unreadable(&e))?;
            if count == 0 {
                return Ok(out);
            }
            if out.len() + count > self.limit {
                return Err(too_large(self.limit));
            }
            if let Some(held) = &self.held {
                held.grow_body(count)?;
            }
            out.extend_from_slice(&part[..count]);
        }
    }
}

/// The refusal of a body of more than `limit` bytes.
pub(super) fn too_large(limit: usize) -> Error {
    let limit = match limit >> 20 {
        0 => format!("{} KiB", limit >> 10),
        mib => format!("{mib} MiB"),
    };
    let message = format!("the body exceeds {limit} after decompression");
    Error::too_large(message).hint("send less in one request, such as smaller batches")
}

fn unreadable(e: &io::Error) -> Error {
    if e.kind() == io::ErrorKind::TimedOut {
        let seconds = TIME.as_secs();
        return Error::invalid(format!(
            "the body takes longer than {seconds} s to decompress"
        ))
        .hint("send smaller batches, each as one compressed stream");
    }
    Error::invalid(format!("the body cannot be decompressed: {e}"))
}

fn coding(headers: &HeaderMap) -> Result<Option<Coding>> {
    let mut all = headers.get_all(CONTENT_ENCODING).iter();
    let Some(value) = all.next() else {
        return Ok(None);
    };
    let name = value.to_str().unwrap_or_default().trim();
    let known = match name.to_ascii_lowercase().as_str() {
        "identity" | "" => Some(None),
        "gzip" | "x-gzip" => Some(Some(Coding::Gzip)),
        "zstd" => Some(Some(Coding::Zstd)),
        _ => None,
    };
    known.filter(|_| all.next().is_none()).ok_or_else(|| {
        Error::invalid(format!("unsupported `Content-Encoding` `{name}`"))
            .hint("use gzip or zstd, once, or send the body as it is")
    })
}

/// Input that ends with an error when the time is up.
struct Timed<'a> {
    rest: &'a [u8],
    deadline: Instant,
}

impl BufRead for Timed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if Instant::now() > self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(&self.rest[..self.rest.len().min(CHUNK)])
    }

    fn consume(&mut self, amount: usize) {
        self.rest = &self.rest[amount.min(self.rest.len())..];
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(coding: Coding, body: &[u8], limit: usize, deadline: Instant) -> Result<Vec<u8>> {
        let body = Compressed {
            bytes: Bytes::copy_from_slice(body),
            limit,
            held: None,
        };
        body.decode(coding, deadline)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_mins(1)
    }

    #[test]
    fn all_members_and_frames_are_read() {
        let members = [gzip(b"one\n"), gzip(b""), gzip(b"two\n")].concat();
        assert_eq!(
            decode(Coding::Gzip, &members, 100, later()).unwrap(),
            b"one\ntwo\n"
        );
        let frame = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        let frames = [frame(b"one\n"), frame(b"two\n")].concat();
        assert_eq!(
            decode(Coding::Zstd, &frames, 100, later()).unwrap(),
            b"one\ntwo\n"
        );
    }

    #[test]
    fn what_is_cut_or_followed_by_something_else_is_refused() {
        let zstd = zstd::encode_all(&b"text"[..], 3).unwrap();
        for (coding, whole) in [(Coding::Gzip, gzip(b"text")), (Coding::Zstd, zstd)] {
            assert!(decode(coding, &whole[..whole.len() - 1], 100, later()).is_err());
            let followed = [&whole[..], b"GARBAGE"].concat();
            assert!(decode(coding, &followed, 100, later()).is_err());
            assert!(decode(coding, &whole, 4, later()).is_ok());
            let error = decode(coding, &whole, 3, later()).unwrap_err();
            assert_eq!(error.code, crate::usecases::Code::PayloadTooLarge);
        }
    }

    #[test]
    fn input_that_holds_nothing_takes_no_longer_than_allowed() {
        let header = gzip(b"")[..10].to_vec();
        let blocks = [0, 0, 0, 0xff, 0xff].repeat(1 << 20);
        let endless = [header, blocks].concat();
        let error = decode(Coding::Gzip, &endless, 100, Instant::now()).unwrap_err();
        assert!(error.message.contains("to decompress"), "{}", error.message);
        let members = gzip(b"").repeat(100_000);
        let error = decode(Coding::Gzip, &members, 100, Instant::now()).unwrap_err();
        assert!(error.message.contains("to decompress"), "{}", error.message);
    }

    #[test]
    fn a_window_beyond_what_http_allows_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(&vec![0; 64 << 20]).unwrap();
        let body = encoder.finish().unwrap();
        assert!(decode(Coding::Zstd, &body, 128 << 20, later()).is_err());
    }
}
