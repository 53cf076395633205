//! Bodies that are read, and those that are refused.

use std::io::Write;

use super::*;
use crate::usecases::Code;

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
        assert_eq!(error.code, Code::PayloadTooLarge);
    }
}

#[test]
fn input_that_holds_nothing_is_refused() {
    let header = gzip(b"")[..10].to_vec();
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(1 << 20);
    let endless = [header, blocks].concat();
    let members = gzip(b"").repeat(100_000);
    let frames = zstd::encode_all(&b""[..], 3).unwrap().repeat(100_000);
    for (coding, body) in [
        (Coding::Gzip, &endless),
        (Coding::Gzip, &members),
        (Coding::Zstd, &frames),
    ] {
        let error = decode(coding, body, 100, later()).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest);
        assert!(error.message.contains("larger than"), "{}", error.message);
    }
}

#[test]
fn what_cannot_be_compressed_is_read() {
    let mut seed = 1_u32;
    let noise = std::iter::repeat_with(|| {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed as u8
    });
    let noise: Vec<u8> = noise.take(4 << 20).collect();
    let zstd = zstd::encode_all(&noise[..], 3).unwrap();
    for (coding, body) in [(Coding::Gzip, gzip(&noise)), (Coding::Zstd, zstd)] {
        assert_eq!(decode(coding, &body, 4 << 20, later()).unwrap(), noise);
    }
}

#[test]
fn a_body_for_which_there_was_no_time_may_be_sent_again() {
    let body = gzip(&b"line\n".repeat(1 << 20));
    let error = decode(Coding::Gzip, &body, 8 << 20, Instant::now()).unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.retry_after.is_some());
}

#[test]
fn a_window_beyond_what_http_allows_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(&vec![0; 64 << 20]).unwrap();
    let body = encoder.finish().unwrap();
    assert!(decode(Coding::Zstd, &body, 128 << 20, later()).is_err());
}
