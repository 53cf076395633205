//! Texts that hold secrets: given plainly, or with references to the environment and to files.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use crate::error::Failure;

/// A text that is not printed. `${env:NAME}` and `${file:/path}` in it stand for what is there.
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
    /// The text with what its references stand for.
    ///
    /// # Errors
    /// When a variable or a file is not there.
    pub fn resolved(&self) -> Result<String, Failure> {
        let mut text = String::new();
        let mut rest = self.0.as_str();
        while let Some((before, behind)) = rest.split_once("${") {
            let unclosed = || {
                Failure::new(
                    "a reference `${` is not closed by `}`",
                    "write ${env:NAME} or ${file:/path}",
                )
            };
            let (reference, after) = behind.split_once('}').ok_or_else(unclosed)?;
            text.push_str(before);
            text.push_str(&looked_up(reference)?);
            rest = after;
        }
        text.push_str(rest);
        Ok(text)
    }
}

fn looked_up(reference: &str) -> Result<String, Failure> {
    match reference.split_once(':') {
        Some(("env", name)) => std::env::var(name).map_err(|e| {
            Failure::new(
                format!("${{env:{name}}}: {e}"),
                "set the variable for the daemon",
            )
        }),
        Some(("file", path)) => std::fs::read_to_string(path)
            .map(|text| text.trim_end().to_owned())
            .map_err(|e| {
                Failure::new(
                    format!("${{file:{path}}}: {e}"),
                    "make the file readable for the daemon",
                )
            }),
        _ => Err(Failure::new(
            format!("`${{{reference}}}` is no reference"),
            "write ${env:NAME} or ${file:/path}",
        )),
    }
}

/// Writes a file that only its owner reads; when this returns, it survives a power cut.
///
/// # Errors
/// When it cannot be written.
#[cfg(feature = "server")]
pub fn write_private(file: &std::path::Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;

    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut handle = options.open(file)?;
    handle.write_all(text.as_bytes())?;
    handle.sync_all()?;
    // Its name, too.
    file.parent()
        .map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "s3cret\n").unwrap();
        let secret: Secret = format!("redis://:${{file:{}}}@host", file.display())
            .parse()
            .unwrap();
        assert_eq!(secret.resolved().unwrap(), "redis://:s3cret@host");
        assert_eq!(format!("{secret:?}"), "***");
        for wrong in [
            "${file:/nowhere/at/all}",
            "${env:KGRCA_NOT_SET}",
            "${nothing}",
            "${env:X",
        ] {
            assert!(
                wrong.parse::<Secret>().unwrap().resolved().is_err(),
                "{wrong}"
            );
        }
    }
}
