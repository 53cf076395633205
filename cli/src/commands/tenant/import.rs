//! `kgrca tenant import`

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use kgrca_core::api::{CreatedTenant, Imported, NewTenant, SagaAct, SagaChange};
use kgrca_core::storage::archive::{Manifest, Part};
use kgrca_core::tenancy::{Saga, Step, StepState};
use reqwest::Method;

use super::Env;
use super::archive::{Archive, Checksum, ExportKey, at};
use super::create::{PATIENCE, report_once, show_created};
use crate::client::{As, Client, Retry};
use crate::error::{CliError, Result};

/// Bytes sent per request.
const CHUNK: usize = 4 << 20;
/// Longest line, in bytes; the server takes no larger body.
const MAX_LINE: u64 = 32 << 20;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Args {
    /// Directory written by `tenant export`
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Customer name [default: the exported one]
    #[arg(long, conflicts_with = "resume")]
    name: Option<String>,
    /// Plan: free, basic, pro or enterprise; never taken from the export, which is not signed
    #[arg(long, conflicts_with = "resume", required_unless_present = "resume")]
    plan: Option<String>,
    /// Contact e-mail
    #[arg(long, default_value = "", hide_default_value = true)]
    email: String,
    /// File with the key of an encrypted export
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Resume an interrupted import
    #[arg(long, value_name = "SAGA")]
    resume: Option<String>,
}

pub(super) fn run(env: &Env<'_>, args: Args) -> Result {
    let key = args.key_file.as_deref().map(ExportKey::read).transpose()?;
    let archive = Archive::open(&args.directory, key.map(Rc::new).as_ref())?;
    let manifest = archive.verified_manifest()?;
    let digest = archive.digest()?;
    let client = env.client()?;
    let saga = match &args.resume {
        Some(id) => resume(&client, id, &digest)?,
        None => begin(env, &client, &args, &manifest, &digest)?,
    };
    let id = &saga.saga_id;
    let key_file = args.key_file.as_deref();
    let key_file = key_file.map(|file| format!(" --key-file {}", file.display()));
    let recovery = format!(
        "resume with `kgrca tenant import {} --resume {id}{}`, or roll back with \
         `kgrca saga compensate {id}`",
        args.directory.display(),
        key_file.unwrap_or_default()
    );
    for place in &manifest.damaged {
        env.out
            .message(&format!("damaged, and missing in the export: {place}"));
    }
    env.out.message(&format!(
        "importing tenant {}; if this is interrupted, {recovery}",
        saga.client_id
    ));
    let import = Import {
        env,
        client: &client,
        archive: &archive,
        manifest: &manifest,
        route: format!("/api/v1/admin/imports/{id}"),
    };
    let created = import.run().map_err(|mut e| {
        let hints: Vec<String> = e.hint.take().into_iter().chain([recovery]).collect();
        e.hint(hints.join("; "))
    })?;
    show_created(env, &created)
}

/// Creates the tenant up to the point where it accepts rows. The request names the export, so that
/// no other one is loaded into the same tenant.
fn begin(
    env: &Env<'_>,
    client: &Client,
    args: &Args,
    manifest: &Manifest,
    digest: &str,
) -> Result<Saga> {
    let request = NewTenant {
        name: args.name.clone().unwrap_or_else(|| manifest.name.clone()),
        // Required by the parser.
        plan: args.plan.clone().unwrap_or_default(),
        contact_email: args.email.clone(),
    };
    let key = format!("{digest}-{:016x}", rand::random::<u64>());
    let retry = Retry {
        key: &key,
        patience: PATIENCE,
        on_retry: &mut report_once(env),
    };
    client.post_until_answered(As::Operator, "/api/v1/admin/imports", &request, retry)
}

/// An interrupted import, up to the point where it accepts rows.
fn resume(client: &Client, id: &str, digest: &str) -> Result<Saga> {
    let path = format!("/api/v1/admin/sagas/{id}");
    let saga: Saga = client.get(As::Operator, &path, &[])?;
    if saga.is_over() || saga.state_of(Step::Load) != Some(StepState::Pending) {
        let message = format!("{id} is not an import waiting for data");
        return Err(CliError::usage(message).hint("kgrca saga list --open"));
    }
    let request = saga.request.as_deref().unwrap_or_default();
    if !request.starts_with(digest) {
        let message = format!("{id} imports another export");
        return Err(CliError::usage(message).hint("pass the directory that it was started with"));
    }
    let mut before_load = saga.steps.iter().take_while(|s| s.step != Step::Load);
    if before_load.all(|s| s.state == StepState::Done) {
        return Ok(saga);
    }
    let change = SagaChange {
        act: SagaAct::Resume,
    };
    client.send(Method::POST, As::Operator, &path, &change)
}

/// An import that accepts rows: load, then verify, then activate.
struct Import<'a> {
    env: &'a Env<'a>,
    client: &'a Client,
    archive: &'a Archive,
    manifest: &'a Manifest,
    route: String,
}

impl Import<'_> {
    fn run(&self) -> Result<CreatedTenant> {
        for part in Part::LOADED {
            self.load(part)?;
        }
        self.verify()?;
        self.client.send(
            Method::POST,
            As::Operator,
            &self.route,
            &serde_json::Value::Null,
        )
    }

    fn route_of(&self, part: Part) -> String {
        format!("{}/{}", self.route, part.as_str())
    }

    /// Sends a part. Rows of other parts replace themselves when sent again; records do not, so
    /// those that the log already has are skipped.
    fn load(&self, part: Part) -> Result {
        let route = self.route_of(part);
        let known: Imported = self.client.post_lines(&route, Vec::new())?;
        let skip = if part == Part::Records {
            known.records
        } else {
            0
        };
        let (file, lines) = (self.archive.file(part), self.archive.read(part)?);
        send_lines(&file, lines, skip, |chunk| {
            let _: Imported = self.client.post_lines(&route, chunk)?;
            Ok(())
        })
    }

    /// Compares what was loaded with the manifest, byte by byte, but for records: another log
    /// stores them under other keys.
    fn verify(&self) -> Result {
        for expected in self
            .manifest
            .files
            .iter()
            .filter(|f| f.part != Part::Records)
        {
            let part = expected.part;
            let mut checksum = Checksum::default();
            self.client.download(&self.route_of(part), |chunk| {
                checksum.update(chunk);
                Ok(())
            })?;
            let found = checksum.finish(part);
            if found == *expected {
                continue;
            }
            let difference = format!(
                "{}: {} rows were exported, {} were imported",
                part.as_str(),
                expected.rows,
                found.rows
            );
            if !self.manifest.was_served {
                let message = format!("the import differs from the export: {difference}");
                return Err(CliError::failed(message));
            }
            self.env.out.message(&format!(
                "{difference}; the tenant was active during the export"
            ));
        }
        Ok(())
    }
}

/// Sends a file's lines after the first `skip` ones, in chunks of about [`CHUNK`] bytes.
fn send_lines(
    file: &Path,
    mut reader: Box<dyn BufRead>,
    skip: u64,
    send: impl Fn(Vec<u8>) -> Result,
) -> Result {
    let mut chunk = Vec::new();
    let mut next_line = |chunk: &mut Vec<u8>| {
        let mut line = (&mut reader).take(MAX_LINE + 1);
        let length = line.read_until(b'\n', chunk).map_err(at(file))?;
        if length as u64 > MAX_LINE {
            let message = format!("{}: a line is longer than any row", file.display());
            return Err(CliError::failed(message).hint("export the tenant again"));
        }
        Ok(length)
    };
    for _ in 0..skip {
        next_line(&mut chunk)?;
        chunk.clear();
    }
    loop {
        let length = next_line(&mut chunk)?;
        let is_end = length == 0;
        if chunk.len() >= CHUNK || is_end && !chunk.is_empty() {
            send(std::mem::take(&mut chunk)).map_err(|mut e| {
                e.message = format!("{}: {}", file.display(), e.message);
                e
            })?;
        }
        if is_end {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sent_in_chunks_and_an_endless_one_is_refused() {
        let sent = |text: Vec<u8>, skip| {
            let chunks = std::cell::RefCell::new(Vec::new());
            let reader = Box::new(std::io::Cursor::new(text));
            send_lines(Path::new("rows.jsonl"), reader, skip, |chunk| {
                chunks.borrow_mut().push(chunk);
                Ok(())
            })?;
            Ok::<_, CliError>(chunks.into_inner())
        };
        assert_eq!(sent(b"1\n2\n3\n".to_vec(), 1).unwrap(), [b"2\n3\n"]);
        let line = [vec![b'x'; CHUNK], vec![b'\n']].concat();
        assert_eq!(sent(line.repeat(2), 0).unwrap().len(), 2);
        for skip in [0, 1] {
            let endless = vec![b'x'; MAX_LINE as usize + 1];
            let error = sent(endless, skip).unwrap_err();
            assert_eq!(error.message, "rows.jsonl: a line is longer than any row");
        }
    }
}
