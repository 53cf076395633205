//! The key of an encrypted export.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::at;
use crate::error::{CliError, Result};

const LENGTH: usize = 32;
/// How much of the file is read, in bytes: another file may have been named.
const MAX_FILE: u64 = 4 << 10;
const CREATE: &str = "create a key with: (umask 077 && openssl rand -base64 32 > FILE)";

/// 32 bytes that only their owner knows.
pub(in crate::commands::tenant) struct ExportKey([u8; LENGTH]);

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExportKey")
    }
}

impl ExportKey {
    /// Reads a key in Base64 from a file that other users cannot read.
    pub(in crate::commands::tenant) fn read(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| at(path)(e).hint(CREATE))?;
        if is_open_to_others(&file).map_err(at(path))? {
            let message = format!("{}: other users can use the key file", path.display());
            let hint = format!("chmod 600 {}", path.display());
            return Err(CliError::usage(message).hint(hint));
        }
        let text = std::io::read_to_string(file.take(MAX_FILE)).map_err(at(path))?;
        let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
        let key = <[u8; LENGTH]>::try_from(bytes.as_slice()).map_err(|_| {
            let message = format!("{}: not {LENGTH} bytes in Base64", path.display());
            CliError::usage(message).hint(CREATE)
        })?;
        Ok(Self(key))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn of(bytes: [u8; LENGTH]) -> Self {
        Self(bytes)
    }
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;

    // Secrets of Kubernetes are readable by a group.
    Ok(file.metadata()?.permissions().mode() & 0o027 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &File) -> std::io::Result<bool> {
    Ok(false)
}
