//! The directory of an export: a file per part and a manifest with checksums.

mod cipher;
mod key;

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kgrca_core::storage::archive::{FORMAT, Manifest, Part, PartFile};
use kgrca_core::tenancy::hex;
use sha2::{Digest, Sha256};

use crate::error::{CliError, Result};
use crate::private;
use cipher::{Decrypting, Encrypting, ExportId, FileOf};
pub(super) use key::ExportKey;

const MANIFEST: &str = "manifest.json";
/// Its largest size, in bytes; real ones have a few KiB.
const MAX_MANIFEST: usize = 1 << 20;
/// Behind the names of encrypted files.
const ENCRYPTED: &str = "enc";

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

/// The hint for a directory without a manifest that can be read.
fn no_manifest(mut error: CliError) -> CliError {
    let hint = || "write an export with `kgrca tenant export`".to_owned();
    error.hint.get_or_insert_with(hint);
    error
}

/// An export on disk.
pub(super) struct Archive {
    directory: PathBuf,
    key: Option<Rc<ExportKey>>,
    /// What its encrypted files are bound to.
    id: ExportId,
}

impl Archive {
    /// An export whose files are encrypted if there is a key.
    pub(super) fn new(directory: &Path, key: Option<&Rc<ExportKey>>) -> Self {
        Self {
            directory: directory.to_owned(),
            key: key.cloned(),
            id: Some(cipher::new_id()),
        }
    }

    /// An export that exists.
    pub(super) fn open(directory: &Path, key: Option<&Rc<ExportKey>>) -> Result<Self> {
        let has = |name: &str| directory.join(name).exists();
        let encrypted = format!("{MANIFEST}.{ENCRYPTED}");
        let export = directory.display();
        if key.is_none() && has(&encrypted) {
            let message = format!("the export {export} is encrypted");
            return Err(CliError::usage(message).hint("pass its key with --key-file FILE"));
        }
        if key.is_some() && has(MANIFEST) && !has(&encrypted) {
            let message = format!("the export {export} is not encrypted");
            return Err(CliError::usage(message).hint("leave out --key-file"));
        }
        let mut archive = Self::new(directory, key);
        let manifest = archive.path(MANIFEST);
        if key.is_some() {
            let mut file = File::open(&manifest).map_err(|e| no_manifest(at(&manifest)(e)))?;
            archive.id = cipher::read_id(&mut file).map_err(at(&manifest))?;
        }
        Ok(archive)
    }

    fn path(&self, name: &str) -> PathBuf {
        match self.key {
            Some(_) => self.directory.join(format!("{name}.{ENCRYPTED}")),
            None => self.directory.join(name),
        }
    }

    /// The file of a part. Never the name in the manifest, which may be any path.
    pub(super) fn file(&self, part: Part) -> PathBuf {
        self.path(&file_name(part))
    }

    /// The content of a part.
    pub(super) fn read(&self, part: Part) -> Result<Box<dyn BufRead>> {
        self.reader(&file_name(part))
    }

    fn file_of<'a>(&self, name: &'a str) -> FileOf<'a> {
        FileOf {
            export: self.id,
            name,
        }
    }

    fn reader(&self, name: &str) -> Result<Box<dyn BufRead>> {
        let path = self.path(name);
        let file = BufReader::new(File::open(&path).map_err(at(&path))?);
        Ok(match &self.key {
            Some(key) => {
                let file = Decrypting::new(file, key, self.file_of(name));
                Box::new(file.map_err(at(&path))?)
            }
            None => Box::new(file),
        })
    }

    fn writer(&self, name: &str) -> Result<Sink> {
        let path = self.path(name);
        let file = BufWriter::new(private::create(&path).map_err(at(&path))?);
        let writer = match &self.key {
            Some(key) => {
                let file = Encrypting::new(file, key, self.file_of(name));
                let file = file.map_err(at(&path))?;
                Writer::Encrypted(Box::new(file))
            }
            None => Writer::Plain(file),
        };
        Ok(Sink { path, writer })
    }

    pub(super) fn write_manifest(&self, manifest: &Manifest) -> Result {
        let text = serde_json::to_string_pretty(manifest)
            .map_err(|e| CliError::failed("cannot write the manifest").source(&e))?;
        let mut sink = self.writer(MANIFEST)?;
        sink.write((text + "\n").as_bytes())?;
        sink.finish()
    }

    fn manifest_text(&self) -> Result<Vec<u8>> {
        let path = self.path(MANIFEST);
        let mut text = Vec::new();
        let reader = self.reader(MANIFEST).map_err(no_manifest)?;
        let mut reader = reader.take(MAX_MANIFEST as u64 + 1);
        reader.read_to_end(&mut text).map_err(at(&path))?;
        if text.len() > MAX_MANIFEST {
            let message = format!("{}: larger than any manifest", path.display());
            return Err(no_manifest(CliError::failed(message)));
        }
        Ok(text)
    }

    /// SHA-256 of the manifest: identifies the export.
    pub(super) fn digest(&self) -> Result<String> {
        Ok(hex(&Sha256::digest(self.manifest_text()?)))
    }

    /// Reads the manifest and verifies every file against it.
    pub(super) fn verified_manifest(&self) -> Result<Manifest> {
        let manifest = self.manifest()?;
        for part in Part::LOADED {
            let listed = manifest.files.iter().find(|f| f.part == part);
            let listed = listed.ok_or_else(|| {
                let file = self.path(MANIFEST);
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
        let file = self.path(MANIFEST);
        let text = self.manifest_text()?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| {
            CliError::failed(format!("invalid manifest {}", file.display())).json(&e)
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
        let mut reader = self.read(part)?;
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

/// A file that is written.
struct Sink {
    path: PathBuf,
    writer: Writer,
}

enum Writer {
    Plain(BufWriter<File>),
    Encrypted(Box<Encrypting<BufWriter<File>>>),
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> Result {
        match &mut self.writer {
            Writer::Plain(file) => file.write_all(bytes),
            Writer::Encrypted(file) => file.write_all(bytes),
        }
        .map_err(at(&self.path))
    }

    /// Makes the file durable.
    fn finish(self) -> Result {
        let file = match self.writer {
            Writer::Plain(file) => Ok(file),
            Writer::Encrypted(file) => file.finish(),
        };
        let file = file.and_then(|f| f.into_inner().map_err(io::IntoInnerError::into_error));
        file.and_then(|f| f.sync_all()).map_err(at(&self.path))
    }
}

/// A part while it is downloaded.
pub(super) struct PartWriter {
    part: Part,
    sink: Sink,
    checksum: Checksum,
}

impl PartWriter {
    pub(super) fn create(archive: &Archive, part: Part) -> Result<Self> {
        Ok(Self {
            part,
            sink: archive.writer(&file_name(part))?,
            checksum: Checksum::default(),
        })
    }

    pub(super) fn write(&mut self, chunk: &[u8]) -> Result {
        self.checksum.update(chunk);
        self.sink.write(chunk)
    }

    /// Makes the file durable.
    pub(super) fn finish(self) -> Result<PartFile> {
        self.sink.finish()?;
        Ok(self.checksum.finish(self.part))
    }
}
