//! The directory of an export: a file per part and a manifest with checksums.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use kgrca_core::storage::archive::{FORMAT, Manifest, Part, PartFile};
use kgrca_core::tenancy::hex;
use sha2::{Digest, Sha256};

use crate::error::{CliError, Result};

const MANIFEST: &str = "manifest.json";

/// Counts rows and hashes bytes as they pass.
#[derive(Default)]
pub(super) struct Checksum {
    rows: u64,
    hash: Sha256,
}

impl Checksum {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.rows += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.hash.update(bytes);
    }

    /// The manifest's entry of a part with these bytes.
    pub(super) fn finish(self, part: Part) -> PartFile {
        PartFile {
            file: file_name(part),
            part,
            rows: self.rows,
            sha256: hex(&self.hash.finalize()),
        }
    }
}

fn file_name(part: Part) -> String {
    format!("{}.jsonl", part.as_str())
}

/// Maps an IO error to one that names the file.
pub(super) fn at(path: &Path) -> impl Fn(std::io::Error) -> CliError + '_ {
    move |e| CliError::failed(format!("cannot access {}", path.display())).source(&e)
}

/// An export on disk.
pub(super) struct Archive {
    directory: PathBuf,
}

impl Archive {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// The file of a part. Never the name in the manifest, which may be any path.
    pub(super) fn file(&self, part: Part) -> PathBuf {
        self.directory.join(file_name(part))
    }

    pub(super) fn write_manifest(&self, manifest: &Manifest) -> Result {
        let file = self.directory.join(MANIFEST);
        let text = serde_json::to_string_pretty(manifest)
            .map_err(|e| CliError::failed("cannot write the manifest").source(&e))?;
        std::fs::write(&file, text + "\n").map_err(at(&file))
    }

    /// SHA-256 of the manifest: identifies the export.
    pub(super) fn digest(&self) -> Result<String> {
        let file = self.directory.join(MANIFEST);
        let text = std::fs::read(&file).map_err(at(&file))?;
        Ok(hex(&Sha256::digest(&text)))
    }

    /// Reads the manifest and verifies every file against it.
    pub(super) fn verified_manifest(&self) -> Result<Manifest> {
        let manifest = self.manifest()?;
        for part in Part::LOADED {
            let listed = manifest.files.iter().find(|f| f.part == part);
            let listed = listed.ok_or_else(|| {
                let file = self.directory.join(MANIFEST);
                let name = part.as_str();
                CliError::failed(format!("{} does not list part `{name}`", file.display()))
            })?;
            if self.checksum(part)?.sha256 != listed.sha256 {
                let file = self.file(part);
                let message = format!("{}: checksum does not match", file.display());
                return Err(CliError::failed(message).hint("copy the export again"));
            }
        }
        Ok(manifest)
    }

    fn manifest(&self) -> Result<Manifest> {
        let file = self.directory.join(MANIFEST);
        let text = std::fs::read(&file)
            .map_err(|e| at(&file)(e).hint("write an export with `kgrca tenant export`"))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| {
            CliError::failed(format!("invalid manifest {}", file.display())).source(&e)
        })?;
        if manifest.format != FORMAT {
            let message = format!(
                "{} has format {}, but this version reads format {FORMAT}",
                file.display(),
                manifest.format
            );
            let hint = format!("use version {} or later", manifest.version);
            return Err(CliError::failed(message).hint(hint));
        }
        Ok(manifest)
    }

    fn checksum(&self, part: Part) -> Result<PartFile> {
        let file = self.file(part);
        let mut reader = BufReader::new(File::open(&file).map_err(at(&file))?);
        let mut checksum = Checksum::default();
        loop {
            let chunk = reader.fill_buf().map_err(at(&file))?;
            let length = chunk.len();
            if length == 0 {
                return Ok(checksum.finish(part));
            }
            checksum.update(chunk);
            reader.consume(length);
        }
    }
}

/// A part while it is downloaded.
pub(super) struct PartWriter {
    part: Part,
    file: PathBuf,
    writer: std::io::BufWriter<File>,
    checksum: Checksum,
}

impl PartWriter {
    pub(super) fn create(archive: &Archive, part: Part) -> Result<Self> {
        let file = archive.file(part);
        let writer = std::io::BufWriter::new(File::create(&file).map_err(at(&file))?);
        Ok(Self {
            part,
            file,
            writer,
            checksum: Checksum::default(),
        })
    }

    pub(super) fn write(&mut self, chunk: &[u8]) -> Result {
        self.checksum.update(chunk);
        self.writer.write_all(chunk).map_err(at(&self.file))
    }

    /// Makes the file durable.
    pub(super) fn finish(self) -> Result<PartFile> {
        let at = at(&self.file);
        let file = self.writer.into_inner().map_err(|e| at(e.into_error()))?;
        file.sync_all().map_err(at)?;
        Ok(self.checksum.finish(self.part))
    }
}
