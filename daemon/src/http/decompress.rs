//! Compressed request bodies: all members of gzip, all frames of zstd, within bounds of size,
//! memory and time.

use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::Bytes;

use crate::usecases::budgets::Held;
use crate::usecases::{Error, Result};

/// How long decompression may take. A body that is too slow here may be fast on a machine that has
/// less to do.
const TIME: Duration = Duration::from_secs(5);
/// By how many bytes a body may be larger than what it holds: it can consist of blocks that hold
/// nothing. What cannot be compressed grows by less than a thousandth.
const OVERHEAD: usize = 64 << 10;
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
    /// are in flight, and when it takes too long; `invalid_request` for an unknown coding, and for
    /// a body that cannot be decompressed or is larger than what it holds.
    pub(super) async fn decompress(self, headers: &HeaderMap) -> Result<Bytes> {
        let Some(coding) = coding(headers)? else {
            return Ok(self.bytes);
        };
        // Small ones may become large.
        let processor = match &self.held {
            Some(held) => Some(held.processor(self.limit).await?),
            None => None,
        };
        let decoding = tokio::task::spawn_blocking(move || {
            // Held until the work ends, whatever becomes of the request.
            let _processor = processor;
            self.decode(coding, Instant::now() + TIME)
        });
        decoding.await.map_err(Error::internal)?.map(Bytes::from)
    }

    fn decode(&self, coding: Coding, deadline: Instant) -> Result<Vec<u8>> {
        let out = Cell::new(0);
        let input = Input {
            rest: &self.bytes,
            taken: 0,
            out: &out,
            deadline,
        };
        match coding {
            Coding::Gzip => self.read_all(flate2::bufread::MultiGzDecoder::new(input), &out),
            Coding::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(input).map_err(|e| unreadable(&e))?;
                let bounded = decoder.window_log_max(WINDOW_LOG);
                bounded.map_err(|e| unreadable(&e))?;
                self.read_all(decoder, &out)
            }
        }
    }

    fn read_all(&self, mut from: impl Read, so_far: &Cell<usize>) -> Result<Vec<u8>> {
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
            so_far.set(out.len());
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
    match e.kind() {
        io::ErrorKind::TimedOut => {
            let seconds = TIME.as_secs();
            return Error::overloaded(format!(
                "the body takes longer than {seconds} s to decompress"
            ))
            .hint("retry, or send smaller batches, each as one compressed stream");
        }
        io::ErrorKind::FileTooLarge => {
            return Error::invalid("the compressed body is larger than what it holds")
                .hint("send each batch as one compressed stream");
        }
        _ => {}
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

/// Input that ends with an error when the time is up, or when it holds next to nothing.
struct Input<'a> {
    rest: &'a [u8],
    /// Bytes that were read of it, and bytes that came out so far.
    taken: usize,
    out: &'a Cell<usize>,
    deadline: Instant,
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let out = self.out.get();
        if self.taken > 2 * out + OVERHEAD {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if Instant::now() > self.deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(&self.rest[..self.rest.len().min(CHUNK)])
    }

    fn consume(&mut self, amount: usize) {
        let amount = amount.min(self.rest.len());
        self.rest = &self.rest[amount..];
        self.taken += amount;
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
