//! Settings that hold secrets: plain text, or with references to environment variables and files.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::error::Failure;

/// Text that is never printed. References such as `${env:NAME}` and `${file:/path}` in it are
/// replaced when it is used.
#[derive(Clone)]
pub struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    /// The text with its references replaced.
    ///
    /// # Errors
    /// If a reference is malformed, or its variable or file cannot be read.
    pub fn resolved(&self) -> Result<String, Failure> {
        let mut text = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once("${") {
            let unclosed = || {
                Failure::new(
                    "unclosed reference `${`",
                    "write ${env:NAME} or ${file:/path}",
                )
            };
            let (reference, after) = behind.split_once('}').ok_or_else(unclosed)?;
            text.push_str(before);
            text.push_str(&resolve(reference)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

fn resolve(reference: &str) -> Result<String, Failure> {
    match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|e| {
            Failure::new(
                format!("${{env:{name}}}"),
                "set this variable in the environment of kgrcad",
            )
            .source(e)
        }),
        Some(("file", path)) => std::fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(|e| {
                Failure::new(
                    format!("${{file:{path}}}"),
                    "check that the file exists and that kgrcad can read it",
                )
                .source(e)
            }),
        _ => Err(Failure::new(
            format!("invalid reference `${{{reference}}}`"),
            "write ${env:NAME} or ${file:/path}",
        )),
    }
}

/// Writes a file with mode 0600 and flushes it and its directory to disk.
///
/// # Errors
/// If the file cannot be written.
#[cfg(feature = "server")]
pub fn write_private(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;

    // Beside the file, then renamed over it: a link that is there is replaced and not followed, and
    // the modes of an older file do not stay.
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = std::path::PathBuf::from(temporary);
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(&temporary)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    std::fs::rename(&temporary, file)?;
    // The directory entry must reach the disk, too.
    match file.parent() {
        Some(folder) => std::fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_variables_and_files_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let secret: Secret = format!("redis://:${{file:{}}}@host", file.display())
            .parse()
            .unwrap();
        assert_eq!(secret.resolved().unwrap(), "redis://:s3cret@host");
        assert_eq!(format!("{secret:?}"), "***");
    }

    #[test]
    fn an_unusable_reference_is_named_with_a_next_step() {
        for (reference, message, next_step) in [
            ("${file:/nowhere}", "${file:/nowhere}: ", "file exists"),
            (
                "${env:KGRCA_NOT_SET}",
                "${env:KGRCA_NOT_SET}: ",
                "set this variable",
            ),
            (
                "${nothing}",
                "invalid reference `${nothing}`",
                "${env:NAME}",
            ),
            ("${env:X", "unclosed reference", "${env:NAME}"),
        ] {
            let secret: Secret = reference.parse().unwrap();
            let failure = secret.resolved().unwrap_err();
            assert!(failure.to_string().starts_with(message), "{failure}");
            assert!(failure.next_step().contains(next_step), "{failure}");
        }
    }
}
