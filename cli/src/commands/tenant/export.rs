//! `kgrca tenant export`

use std::path::{Path, PathBuf};
use std::rc::Rc;

use kgrca_core::api::{DamagedRecords, TenantStatus};
use kgrca_core::storage::archive::{FORMAT, Manifest, Part, PartFile};
use kgrca_core::tenancy::TenantState;

use super::archive::{Archive, Checksum, ExportKey, PartWriter, at};
use super::{Env, path};
use crate::client::{As, Client};
use crate::error::{CliError, Result};
use crate::output::{Table, now};
use crate::private;

/// An export in progress: it is written next to its target and renamed when it is complete.
struct Export<'a> {
    client: &'a Client,
    status: TenantStatus,
    out: &'a Path,
    /// The directory while it is incomplete.
    partial: PathBuf,
    /// What its files are encrypted with.
    key: Option<Rc<ExportKey>>,
}

pub(super) fn run(env: &Env<'_>, id: &str, out: &Path, key_file: Option<&Path>) -> Result {
    let key = key_file.map(ExportKey::read).transpose()?.map(Rc::new);
    let client = env.client()?;
    let export = Export::plan(&client, id, out, key)?;
    if export.is_active() {
        env.out.message(&format!(
            "not a point-in-time copy; run `kgrca tenant suspend {id}` first for a consistent \
             export"
        ));
    }
    let manifest = export.write()?;
    env.out.value(&manifest, || {
        let cells = |f: &PartFile| [f.file.clone(), f.rows.to_string(), f.sha256.clone()];
        Table::new(&["FILE", "ROWS", "SHA256"]).rows(&manifest.files, cells)
    })?;
    if manifest.damaged.is_empty() {
        return Ok(());
    }
    for place in &manifest.damaged {
        env.out
            .message(&format!("damaged, and missing in the export: {place}"));
    }
    env.out
        .message("the export is complete but for these; its manifest lists them");
    Err(CliError::found())
}

impl<'a> Export<'a> {
    /// Checks that the target is free and the tenant can be exported.
    fn plan(
        client: &'a Client,
        id: &str,
        out: &'a Path,
        key: Option<Rc<ExportKey>>,
    ) -> Result<Self> {
        let status: TenantStatus = client.get(As::Operator, &path(id), &[])?;
        if out.exists() {
            let message = format!("{} already exists", out.display());
            return Err(CliError::usage(message).hint("choose a new directory"));
        }
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let export = Self {
            client,
            status,
            out,
            partial: out.with_file_name(format!("{name}.part")),
            key,
        };
        if !export.is_active() && export.status.lag > 0 {
            let message = format!(
                "{} records of {id} are not processed yet and would be missing from the export",
                export.status.lag
            );
            let hint = format!("retry when the lag in `kgrca tenant show {id}` is 0");
            return Err(CliError::failed(message).hint(hint));
        }
        Ok(export)
    }

    fn is_active(&self) -> bool {
        self.status.client.state == TenantState::Active
    }

    /// Downloads all parts. What an interrupted export left behind is removed first.
    fn write(self) -> Result<Manifest> {
        if self.partial.exists() {
            std::fs::remove_dir_all(&self.partial).map_err(at(&self.partial))?;
        }
        private::create_directory(&self.partial).map_err(at(&self.partial))?;
        let archive = Archive::new(&self.partial, self.key.as_ref());
        let exported_at = now();
        let files = Part::EXPORTED
            .iter()
            .map(|part| self.download(&archive, *part))
            .collect::<Result<Vec<_>>>()?;
        let was_served = self.is_active() || self.has_changed(&files)?;
        // Damage that was not known before was found by reading the records.
        let id = &self.status.client.client_id;
        let status: TenantStatus = self.client.get(As::Operator, &path(id), &[])?;
        let damaged = status.damaged.iter().map(DamagedRecords::place).collect();
        let tenant = self.status.client;
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            client_id: tenant.client_id,
            name: tenant.name,
            plan: tenant.plan,
            exported_at,
            was_served,
            damaged,
            files,
        };
        archive.write_manifest(&manifest)?;
        std::fs::rename(&self.partial, self.out).map_err(at(self.out))?;
        Ok(manifest)
    }

    fn route(&self, part: Part) -> String {
        format!(
            "{}/export/{}",
            path(&self.status.client.client_id),
            part.as_str()
        )
    }

    fn download(&self, archive: &Archive, part: Part) -> Result<PartFile> {
        let mut writer = PartWriter::create(archive, part)?;
        self.client
            .download(&self.route(part), |chunk| writer.write(chunk))?;
        writer.finish()
    }

    /// Whether the clusters changed during the export: incidents of a suspended tenant still
    /// resolve with time.
    fn has_changed(&self, files: &[PartFile]) -> Result<bool> {
        let mut checksum = Checksum::default();
        self.client.download(&self.route(Part::Clusters), |chunk| {
            checksum.update(chunk);
            Ok(())
        })?;
        Ok(!files.contains(&checksum.finish(Part::Clusters)))
    }
}
