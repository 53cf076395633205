//! Logs of tenants that the metadata does not know.

use std::path::Path;

use kgrca_core::tenancy::TenantId;

use crate::error::Failure;

/// The tenants that have records in a folder of logs.
pub(super) fn tenants_in(log: &Path) -> Result<Vec<TenantId>, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(
            format!("{}: {e}", log.display()),
            "check the permissions of the folder",
        )
    };
    let entries = match std::fs::read_dir(log) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut tenants = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let Some(tenant) = name.to_str().and_then(TenantId::parse) else {
            continue;
        };
        if has_records(&log.join(&name)).map_err(failed)? {
            tenants.push(tenant);
        }
    }
    Ok(tenants)
}

/// Whether there is a file with content below a folder.
fn has_records(folder: &Path) -> std::io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let found = if meta.is_dir() {
            has_records(&entry.path())?
        } else {
            meta.len() > 0
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The reason not to start, with the ways out.
pub(super) fn refusal(meta: &str, log: &Path, tenants: &[TenantId]) -> Failure {
    let (count, log) = (tenants.len(), log.display());
    let plural = if count == 1 { "" } else { "s" };
    Failure::new(
        format!("{meta}, but {log} has the records of {count} tenant{plural}"),
        format!("restore the metadata from a backup; to start without it, move {log} away first"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_tenants_with_records_count() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert!(tenants_in(&log).unwrap().is_empty());
        for name in ["client-a-abc123", "client-b-abc123", "other"] {
            std::fs::create_dir_all(log.join(name).join("control/0")).unwrap();
        }
        std::fs::write(log.join("client-a-abc123/control/0/1.seg"), "").unwrap();
        std::fs::write(log.join("client-b-abc123/control/0/1.seg"), "x").unwrap();
        std::fs::write(log.join("other/control/0/1.seg"), "x").unwrap();
        let tenants = tenants_in(&log).unwrap();
        assert_eq!(tenants, [TenantId::parse("client-b-abc123").unwrap()]);
    }
}
