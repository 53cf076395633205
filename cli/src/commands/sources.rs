//! The files of an analysis: named ones, those below directories, and members of archives, read one
//! by one.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use kgrca_core::model::Time;

use super::files::label;
use crate::error::{CliError, Result};
use crate::output::now;

/// Largest file or member of an archive that is read, in bytes after decompression.
const MAX_FILE: u64 = 512 << 20;
/// Where a tar archive has its magic number.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;
/// How deep compressed streams may lie within each other: an archive, and its members.
const MAX_LAYERS: usize = 2;

/// A file or a member of an archive.
pub(super) struct File {
    /// Its path; that of a member is below its archive.
    pub path: String,
    pub bytes: Vec<u8>,
    /// When it was written.
    pub written: Time,
    /// Whether it was named itself, and did not only lie in a directory or archive.
    pub is_named: bool,
}

/// Calls a function with each file of an input: itself, or all below a directory, in the order of
/// their names; the members of an archive. Returns what could not be read.
pub(super) fn each(input: &Path, use_file: &mut dyn FnMut(File)) -> Vec<CliError> {
    if !input.is_dir() {
        return read(input, true, use_file);
    }
    match below(input) {
        Ok(paths) => paths
            .iter()
            .flat_map(|path| read(path, false, use_file))
            .collect(),
        Err(e) => vec![e],
    }
}

/// All files below a directory but hidden ones.
pub(super) fn below(directory: &Path) -> Result<Vec<PathBuf>> {
    let failed =
        |e: io::Error| CliError::failed(format!("cannot list {}", directory.display())).source(&e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        // Links are not followed: they may lead back.
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            found.extend(below(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A file that is open, without its compression.
struct Opened {
    stream: Box<dyn BufRead>,
    written: Time,
    is_archive: bool,
}

fn open(path: &Path) -> io::Result<Opened> {
    let (stream, written): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
        (Box::new(io::stdin().lock()), now())
    } else {
        let file = std::fs::File::open(path)?;
        let written = file.metadata().and_then(|m| m.modified()).ok();
        (Box::new(file), written.map(time).unwrap_or_else(now))
    };
    let mut stream = decompressed(stream, MAX_LAYERS)?;
    let start = peek(&mut stream, TAR_MAGIC.end as u64)?;
    Ok(Opened {
        is_archive: start.get(TAR_MAGIC) == Some(b"ustar"),
        stream: Box::new(rejoin(start, stream)),
        written,
    })
}

fn read(path: &Path, is_named: bool, use_file: &mut dyn FnMut(File)) -> Vec<CliError> {
    let name = label(path);
    let opened = match open(path) {
        Ok(opened) if opened.is_archive => return members(&name, opened.stream, use_file),
        Ok(opened) => opened,
        Err(e) => return vec![unreadable(&name, &e)],
    };
    match whole(opened.stream, &name, MAX_FILE) {
        Ok(bytes) => use_file(File {
            path: name,
            bytes,
            written: opened.written,
            is_named,
        }),
        Err(e) => return vec![e],
    }
    Vec::new()
}

/// The members of an archive. One that cannot be read keeps none of the others.
fn members(name: &str, stream: Box<dyn BufRead>, use_file: &mut dyn FnMut(File)) -> Vec<CliError> {
    let mut archive = tar::Archive::new(stream);
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(e) => return vec![unreadable(name, &e)],
    };
    let mut failures = Vec::new();
    for entry in entries {
        let read = entry.map_err(|e| unreadable(name, &e));
        // What follows cannot be found in an archive that is cut off.
        let Ok(entry) = read.map_err(|e| failures.push(e)) else {
            break;
        };
        match member(name, entry) {
            Ok(file) => file.into_iter().for_each(&mut *use_file),
            Err(e) => failures.push(e),
        }
    }
    failures
}

fn member(archive: &str, entry: tar::Entry<'_, Box<dyn BufRead>>) -> Result<Option<File>> {
    if !entry.header().entry_type().is_file() {
        return Ok(None);
    }
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let path = format!("{archive}/{path}");
    let written = entry.header().mtime().ok();
    let written = written
        .and_then(|s| i64::try_from(s).ok())
        .filter(|s| *s > 0);
    let written = written.map(|s| Time(s.saturating_mul(1_000_000)));
    let content = decompressed(Box::new(entry), MAX_LAYERS);
    let content = content.map_err(|e| unreadable(&path, &e))?;
    let bytes = whole(content, &path, MAX_FILE)?;
    Ok(Some(File {
        path,
        bytes,
        written: written.unwrap_or_else(now),
        is_named: false,
    }))
}

fn unreadable(name: &str, error: &io::Error) -> CliError {
    CliError::failed(format!("cannot read {name}")).source(error)
}

/// The content of a stream of at most so many bytes.
fn whole(stream: impl Read, name: &str, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| unreadable(name, &e))?;
    if bytes.len() as u64 > most {
        let limit = most >> 20;
        return Err(
            CliError::failed(format!("{name} has more than {limit} MiB")).hint(
                "pass the part of the time that matters, such as with `kubectl logs --since 1h`",
            ),
        );
    }
    Ok(bytes)
}

/// A stream without its compression, which is recognized by the first bytes.
fn decompressed<'a>(
    stream: Box<dyn Read + 'a>,
    layers: usize,
) -> io::Result<Box<dyn BufRead + 'a>> {
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    let start = peek(&mut stream, 4)?;
    let inner: Box<dyn Read + 'a> = match start.as_slice() {
        [0x1f, 0x8b, ..] if layers > 0 => {
            Box::new(flate2::bufread::MultiGzDecoder::new(rejoin(start, stream)))
        }
        [0x28, 0xb5, 0x2f, 0xfd] if layers > 0 => Box::new(
            zstd::stream::read::Decoder::with_buffer(rejoin(start, stream))?,
        ),
        _ => return Ok(Box::new(rejoin(start, stream))),
    };
    decompressed(inner, layers - 1)
}

/// The first bytes of a stream, fewer only at its end; they are taken from it.
fn peek(stream: &mut dyn Read, most: u64) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    stream.take(most).read_to_end(&mut start)?;
    Ok(start)
}

fn rejoin<R: BufRead>(start: Vec<u8>, rest: R) -> io::Chain<io::Cursor<Vec<u8>>, R> {
    io::Cursor::new(start).chain(rest)
}

fn time(at: SystemTime) -> Time {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_large_is_an_error() {
        assert_eq!(whole(&b"abc"[..], "a.log", 3).unwrap(), b"abc");
        let content = vec![b'x'; (1 << 20) + 1];
        let error = whole(&content[..], "a.log", 1 << 20).unwrap_err();
        assert_eq!(error.message, "a.log has more than 1 MiB");
    }

    #[test]
    fn a_file_that_cannot_be_read_keeps_none_of_the_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.gz"), [0x1f, 0x8b, 0, 1, 2]).unwrap();
        std::fs::write(folder.path().join("b.json"), "{}").unwrap();
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in [("a.gz", &[0x1f, 0x8b, 0, 1, 2][..]), ("b.json", b"{}")] {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o600);
            header.set_cksum();
            builder.append_data(&mut header, name, content).unwrap();
        }
        let archive = folder.path().join("c.tar");
        std::fs::write(&archive, builder.into_inner().unwrap()).unwrap();
        let mut read = Vec::new();
        let failures = each(folder.path(), &mut |file| read.push(file.path));
        let names: Vec<&str> = read
            .iter()
            .filter_map(|path| path.rsplit('/').next())
            .collect();
        assert_eq!(
            (names, failures.len()),
            (vec!["b.json", "b.json"], 2),
            "{failures:?}"
        );
    }

    #[test]
    fn layers_of_compression_end() {
        let text = b"{\"kind\": \"Pod\"}".to_vec();
        let zipped = |bytes: &[u8]| {
            let mut out = flate2::read::GzEncoder::new(bytes, flate2::Compression::fast());
            let mut zipped = Vec::new();
            out.read_to_end(&mut zipped).unwrap();
            zipped
        };
        let read = |bytes: Vec<u8>| {
            let mut out = Vec::new();
            let mut stream = decompressed(Box::new(io::Cursor::new(bytes)), MAX_LAYERS).unwrap();
            stream.read_to_end(&mut out).unwrap();
            out
        };
        let twice = zipped(&zipped(&text));
        assert_eq!(read(text.clone()), text);
        assert_eq!(read(twice.clone()), text);
        assert_eq!(
            read(zipped(&twice)),
            zipped(&text),
            "one more stays as it is"
        );
        assert_eq!(read(zstd::encode_all(&text[..], 1).unwrap()), text);
    }
}
