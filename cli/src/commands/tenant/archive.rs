//! `kgrca tenant export` and `kgrca tenant import`

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use kgrca_core::api::{CreatedTenant, Imported, NewTenant, SagaAct, SagaChange, TenantStatus};
use kgrca_core::model::Time;
use kgrca_core::storage::archive::{FORMAT, Manifest, Part, PartFile};
use kgrca_core::tenancy::{Saga, Step, StepState, TenantState, hex};
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::{Env, PATIENCE, once, path, show_created};
use crate::client::{As, Client};
use crate::error::{CliError, Result};
use crate::output::Table;

const MANIFEST: &str = "manifest.json";
/// Bytes that are sent at once.
const PIECE: usize = 4 << 20;

/// What a person wants of an import.
pub(super) struct Wish {
    pub name: Option<String>,
    pub plan: Option<String>,
    pub email: String,
    pub resume: Option<String>,
}

/// Rows and checksum of what passed.
#[derive(Default)]
struct Sum {
    rows: u64,
    hash: Sha256,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.rows += memchr::memchr_iter(b'\n', bytes).count() as u64;
        self.hash.update(bytes);
    }

    fn of(self, part: Part) -> PartFile {
        PartFile {
            file: format!("{}.jsonl", part.as_str()),
            part,
            rows: self.rows,
            sha256: hex(&self.hash.finalize()),
        }
    }
}

fn at(place: &Path) -> impl Fn(std::io::Error) -> CliError + '_ {
    move |e| CliError::failed(format!("{}: {e}", place.display()))
}

pub(super) fn export(env: &Env<'_>, id: &str, out: &Path) -> Result {
    let client = env.client()?;
    let status: TenantStatus = client.get(As::Operator, &path(id), &[])?;
    if out.exists() {
        return Err(
            CliError::usage(format!("{} is there already", out.display()))
                .hint("give a folder that is not"),
        );
    }
    let mut was_served = status.client.state == TenantState::Active;
    if !was_served && status.lag > 0 {
        let message = format!(
            "{} records of {id} are not worked off: they would be missing",
            status.lag
        );
        return Err(CliError::failed(message)
            .hint("try again in a moment: `kgrca tenant show` tells its lag"));
    }
    if was_served {
        let advice = format!("`kgrca tenant suspend {id}` first makes a copy of one instant");
        env.out
            .message(&format!("records may come in meanwhile; {advice}"));
    }
    // Under another name until it is whole; what an export left there that broke off goes.
    let part_of = out.with_file_name(format!(
        "{}.part",
        out.file_name().unwrap_or_default().to_string_lossy()
    ));
    if part_of.exists() {
        std::fs::remove_dir_all(&part_of).map_err(at(&part_of))?;
    }
    let mut folder = std::fs::DirBuilder::new();
    // It holds a customer's data.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(&part_of).map_err(at(&part_of))?;
    let exported_at = Time(jiff::Timestamp::now().as_microsecond());
    let mut files = Vec::new();
    for part in Part::EXPORTED {
        let file = part_of.join(format!("{}.jsonl", part.as_str()));
        let mut sum = Sum::default();
        let mut writer = BufWriter::new(File::create(&file).map_err(at(&file))?);
        client.download(&format!("{}/export/{}", path(id), part.as_str()), |piece| {
            sum.add(piece);
            writer.write_all(piece).map_err(at(&file))
        })?;
        writer
            .into_inner()
            .map_err(|e| at(&file)(e.into_error()))?
            .sync_all()
            .map_err(at(&file))?;
        files.push(sum.of(part));
    }
    // Also who rests has incidents that end by themselves.
    let mut again = Sum::default();
    client.download(&format!("{}/export/clusters", path(id)), |piece| {
        again.add(piece);
        Ok(())
    })?;
    was_served |= !files.contains(&again.of(Part::Clusters));
    let (version, c) = (env!("CARGO_PKG_VERSION").to_owned(), status.client);
    let manifest = Manifest {
        format: FORMAT,
        version,
        client_id: c.client_id,
        name: c.name,
        plan: c.plan,
        exported_at,
        was_served,
        files,
    };
    let file = part_of.join(MANIFEST);
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|e| CliError::failed("the manifest").cause(e))?;
    std::fs::write(&file, text + "\n").map_err(at(&file))?;
    std::fs::rename(&part_of, out).map_err(at(out))?;
    env.out.value(&manifest, || {
        let cells = |f: &PartFile| [f.file.clone(), f.rows.to_string(), f.sha256.clone()];
        Table::new(&["FILE", "ROWS", "SHA256"]).rows(&manifest.files, cells)
    })
}

/// Reads the manifest of a folder and checks every file against it.
fn checked(folder: &Path) -> Result<Manifest> {
    let file = folder.join(MANIFEST);
    let text = std::fs::read(&file)
        .map_err(|e| at(&file)(e).hint("`kgrca tenant export` writes such a folder"))?;
    let manifest: Manifest = serde_json::from_slice(&text)
        .map_err(|e| CliError::failed(format!("{}: {e}", file.display())))?;
    if manifest.format != FORMAT {
        let message = format!(
            "{}: format {}; this version reads {FORMAT}",
            file.display(),
            manifest.format
        );
        return Err(CliError::failed(message)
            .hint(format!("use version {} or a later one", manifest.version)));
    }
    for part in Part::LOADED {
        let told = manifest.files.iter().find(|f| f.part == part);
        let told = told.ok_or_else(|| {
            CliError::failed(format!("{}: no file of {}", file.display(), part.as_str()))
        })?;
        // By our own name: what a manifest says is no path.
        let file = folder.join(format!("{}.jsonl", part.as_str()));
        let mut reader = BufReader::new(File::open(&file).map_err(at(&file))?);
        let mut sum = Sum::default();
        loop {
            let piece = reader.fill_buf().map_err(at(&file))?;
            let length = piece.len();
            if length == 0 {
                break;
            }
            sum.add(piece);
            reader.consume(length);
        }
        let found = sum.of(part);
        if found.sha256 != told.sha256 {
            let message = format!(
                "{}: it is not what was exported: its checksum differs",
                file.display()
            );
            return Err(CliError::failed(message).hint("copy the folder again"));
        }
    }
    Ok(manifest)
}

pub(super) fn import(env: &Env<'_>, folder: &Path, wish: Wish) -> Result {
    let manifest = checked(folder)?;
    let client = env.client()?;
    // The request says which export it is of: another one is not loaded on top of it.
    let digest = std::fs::read(folder.join(MANIFEST))
        .map(|text| hex(&Sha256::digest(&text)))
        .map_err(at(folder))?;
    let saga = if let Some(id) = wish.resume {
        resumed(&client, &id, &digest)?
    } else {
        let plan = wish.plan.unwrap_or_else(|| manifest.plan.clone());
        let name = wish.name.unwrap_or_else(|| manifest.name.clone());
        let request = format!("{digest}-{:016x}", rand::random::<u64>());
        let new = NewTenant {
            name,
            plan,
            contact_email: wish.email,
        };
        client.send_until(
            As::Operator,
            "/api/v1/admin/imports",
            &new,
            &request,
            PATIENCE,
            &mut once(env),
        )?
    };
    let id = &saga.saga_id;
    let way = format!(
        "`kgrca tenant import {} --resume {id}` goes on, `kgrca saga compensate {id}` removes it",
        folder.display()
    );
    env.out.message(&format!(
        "tenant {} is loaded before it is served; when this stops, {way}",
        saga.client_id
    ));
    let created = loaded(env, &client, folder, &manifest, id).map_err(|mut e| {
        let hint = e
            .hint
            .take()
            .map_or(way.clone(), |first| format!("{first}; {way}"));
        e.hint(hint)
    })?;
    show_created(env, &created)
}

/// An import that stopped, set up so far that it takes rows.
fn resumed(client: &Client, id: &str, digest: &str) -> Result<Saga> {
    let path = format!("/api/v1/admin/sagas/{id}");
    let mut saga: Saga = client.get(As::Operator, &path, &[])?;
    if saga.is_over() || saga.state_of(Step::Load) != Some(StepState::Pending) {
        return Err(
            CliError::usage(format!("{id} is no import that waits for its data"))
                .hint("kgrca saga list --open"),
        );
    }
    if !saga
        .request
        .as_ref()
        .is_some_and(|request| request.starts_with(digest))
    {
        return Err(CliError::usage(format!("{id} imports another export"))
            .hint("give the folder with which it began"));
    }
    let before_load = saga.steps.iter().take_while(|s| s.step != Step::Load);
    if before_load.into_iter().any(|s| s.state != StepState::Done) {
        saga = client.send(
            Method::POST,
            As::Operator,
            &path,
            &SagaChange {
                act: SagaAct::Resume,
            },
        )?;
    }
    Ok(saga)
}

/// Sends all files, compares what came of them, and lets the tenant be served.
fn loaded(
    env: &Env<'_>,
    client: &Client,
    folder: &Path,
    manifest: &Manifest,
    saga: &str,
) -> Result<CreatedTenant> {
    let route = format!("/api/v1/admin/imports/{saga}");
    for part in Part::LOADED {
        let (file, route) = (
            folder.join(format!("{}.jsonl", part.as_str())),
            format!("{route}/{}", part.as_str()),
        );
        // Only records are not recognised when they come again: those that are there are passed
        // over.
        let known: Imported = client.post_lines(&route, Vec::new())?;
        send(
            client,
            &file,
            &route,
            if part == Part::Records {
                known.records
            } else {
                0
            },
        )?;
    }
    // Records are kept by other keys in other logs; all else is equal to the byte.
    for told in manifest.files.iter().filter(|f| f.part != Part::Records) {
        let mut sum = Sum::default();
        client.download(&format!("{route}/{}", told.part.as_str()), |piece| {
            sum.add(piece);
            Ok(())
        })?;
        let found = sum.of(told.part);
        if found == *told {
            continue;
        }
        let what = format!(
            "{}: {} rows were exported, {} are here",
            told.part.as_str(),
            told.rows,
            found.rows
        );
        if !manifest.was_served {
            return Err(CliError::failed(format!("the copy is not equal: {what}")));
        }
        env.out.message(&format!(
            "{what}; the tenant was served while it was exported"
        ));
    }
    client.send(Method::POST, As::Operator, &route, &serde_json::Value::Null)
}

/// Sends a file in pieces of whole lines, but for its first ones.
fn send(client: &Client, file: &Path, route: &str, passed_over: u64) -> Result {
    let mut reader = BufReader::new(File::open(file).map_err(at(file))?);
    let mut piece = Vec::new();
    for _ in 0..passed_over {
        reader.read_until(b'\n', &mut piece).map_err(at(file))?;
        piece.clear();
    }
    loop {
        let length = reader.read_until(b'\n', &mut piece).map_err(at(file))?;
        if piece.len() >= PIECE || length == 0 && !piece.is_empty() {
            let _: Imported = client
                .post_lines(route, std::mem::take(&mut piece))
                .map_err(|mut e| {
                    e.message = format!("{}: {}", file.display(), e.message);
                    e
                })?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}
