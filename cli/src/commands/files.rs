//! Input files of commands that work offline.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{CliError, Result};

/// How an input is called in output: `stdin` for `-`.
pub(super) fn label(file: &Path) -> String {
    if file.as_os_str() == "-" {
        "stdin".to_owned()
    } else {
        file.display().to_string()
    }
}

/// The files of all inputs, and errors for directories that cannot be listed.
pub(super) fn files(inputs: &[PathBuf]) -> (Vec<PathBuf>, Vec<CliError>) {
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    for input in inputs {
        if input.is_dir() {
            match list(input) {
                Ok(found) => all.extend(found),
                Err(e) => {
                    let message = format!("cannot list {}", input.display());
                    failures.push(CliError::failed(message).source(&e));
                }
            }
        } else {
            all.push(input.clone());
        }
    }
    (all, failures)
}

fn list(directory: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let is_records = [".json", ".jsonl"]
            .iter()
            .any(|ending| plain.ends_with(ending));
        if path.is_dir() {
            found.extend(list(&path)?);
        } else if is_records {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The bytes of a file or of stdin (`-`), decompressed.
pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    let is_stdin = file.as_os_str() == "-";
    let bytes = if is_stdin {
        read_stdin()
    } else {
        read_file(file)
    };
    bytes.map_err(|e| CliError::failed(format!("cannot read {}", label(file))).source(&e))
}

/// Stdin has no file name: compression is recognized by the first bytes.
fn read_stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    let mut plain = Vec::new();
    match bytes.as_slice() {
        [0x1f, 0x8b, ..] => {
            flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
        }
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::stream::read::Decoder::new(bytes.as_slice())?.read_to_end(&mut plain)?;
        }
        _ => return Ok(bytes),
    }
    Ok(plain)
}

/// Compression is recognized by the file's extension.
fn read_file(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut handle = std::fs::File::open(file)?;
    match file.extension().and_then(|e| e.to_str()) {
        Some("gz") => {
            flate2::read::MultiGzDecoder::new(handle).read_to_end(&mut bytes)?;
        }
        Some("zst") => {
            zstd::stream::read::Decoder::new(handle)?.read_to_end(&mut bytes)?;
        }
        _ => {
            handle.read_to_end(&mut bytes)?;
        }
    }
    Ok(bytes)
}

/// Reads a text file.
pub(super) fn read_text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|e| CliError::failed(format!("cannot read {}", file.display())).source(&e))
}

/// Writes a text file.
pub(super) fn write_text(file: &Path, text: &str) -> Result {
    std::fs::write(file, text)
        .map_err(|e| CliError::failed(format!("cannot write {}", file.display())).source(&e))
}
