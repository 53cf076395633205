//! Master keys in a file or a variable: 32 random bytes in Base64, one key per line. The first
//! encrypts, all decrypt.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kgrca_core::storage::seal::KEY;
use kgrca_core::storage::{Error, ErrorKind, Result};
use kgrca_core::tenancy::hex;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};

use super::random;

/// A new key would make everything unreadable that an older one encrypted.
const RESTORE: &str = "put back the key that was used so far, from its backup: no other one \
     decrypts what is stored. Only where nothing was encrypted yet, create one: \
     openssl rand -base64 32";
const FORM: &str = "each line is a key of 32 bytes in Base64, as `openssl rand -base64 32` prints \
     them. Correct the line from the key's backup: a new key does not decrypt what is stored";

/// A master key that this process has.
pub(super) struct LocalKey {
    /// Says which key it is, and nothing about it.
    pub id: String,
    key: LessSafeKey,
}

impl LocalKey {
    fn new(key: &[u8; KEY]) -> Result<Self> {
        let digest = Sha256::new()
            .chain_update(b"kgrca master key id\0")
            .chain_update(key)
            .finalize();
        let unusable = |_| Error::new(ErrorKind::Internal, "encryption failed");
        let unbound = UnboundKey::new(&AES_256_GCM, key).map_err(unusable)?;
        Ok(Self {
            id: hex(&digest[..8]),
            key: LessSafeKey::new(unbound),
        })
    }

    /// Encrypts a few bytes. Its nonces are random: a master key encrypts few data keys.
    pub(super) fn wrap(&self, plain: &[u8]) -> Result<String> {
        let nonce = random::<NONCE_LEN>()?;
        let mut text = plain.to_vec();
        let failed = |_| Error::new(ErrorKind::Internal, "encryption failed");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .map_err(failed)?;
        Ok(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// Decrypts; `None` when it was not encrypted by this key, or was altered.
    pub(super) fn unwrap(&self, wrapped: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(wrapped).ok()?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.key.open_in_place(nonce, Aad::empty(), &mut text);
        Some(plain.ok()?.to_vec())
    }
}

/// Reads the keys in a file.
pub(super) fn from_file(path: &Path) -> Result<Vec<LocalKey>> {
    let unusable = |e: std::io::Error| {
        let file = path.display();
        let hint = match e.kind() {
            std::io::ErrorKind::NotFound => {
                format!("check the path of --master-key-url. {RESTORE}")
            }
            std::io::ErrorKind::PermissionDenied => {
                format!("let the user that runs kgrcad read it: chown USER {file}")
            }
            std::io::ErrorKind::InvalidData => FORM.to_owned(),
            // Of its mode.
            std::io::ErrorKind::Other => format!("chmod 600 {file}"),
            _ => "check that the path names a file and that its disk can be read".to_owned(),
        };
        Error::new(
            ErrorKind::Unavailable,
            format!("--master-key-url: {file}: {e}"),
        )
        .hint(hint)
    };
    let text = read_private(path).map_err(unusable)?;
    parse(&path.display().to_string(), &text)
}

/// Reads the keys in a variable of the environment.
pub(super) fn from_variable(name: &str) -> Result<Vec<LocalKey>> {
    let text = std::env::var(name).map_err(|e| {
        let what = without_value(&e);
        let message = format!("--master-key-url: env:{name} {what}");
        let hint = format!("set {name} in the environment of kgrcad. {RESTORE}");
        Error::new(ErrorKind::Refused, message).hint(hint)
    })?;
    parse(&format!("env:{name}"), &text)
}

/// The error of a variable, which quotes its value where that is not text.
pub(super) fn without_value(error: &std::env::VarError) -> &'static str {
    match error {
        std::env::VarError::NotPresent => "is not set",
        std::env::VarError::NotUnicode(_) => "is not text",
    }
}

fn parse(place: &str, text: &str) -> Result<Vec<LocalKey>> {
    let invalid = |what: String| {
        let message = format!("--master-key-url: {place}: {what}");
        Error::new(ErrorKind::Refused, message)
    };
    let mut keys = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let bytes = STANDARD.decode(line).unwrap_or_default();
        let key = <&[u8; KEY]>::try_from(bytes.as_slice());
        let number = number + 1;
        let key = key.map_err(|_| {
            invalid(format!("line {number} is not {KEY} bytes in Base64")).hint(FORM)
        })?;
        if key == &[0; KEY] {
            return Err(invalid(format!("line {number} is all zeros")).hint(RESTORE));
        }
        keys.push(LocalKey::new(key)?);
    }
    if keys.is_empty() {
        return Err(invalid("contains no key".to_owned()).hint(RESTORE));
    }
    Ok(keys)
}

/// Reads a file with a secret; refuses one that all users can use, or that its group can change.
pub(super) fn read_private(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    check_mode(&file)?;
    std::io::read_to_string(file)
}

#[cfg(unix)]
fn check_mode(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata()?.permissions().mode() & 0o777;
    let who = match (mode & 0o007, mode & 0o020) {
        (0, 0) => return Ok(()),
        (0, _) => "its group can change the file",
        _ => "every user can use the file",
    };
    let message = format!("{who} (mode {mode:04o}); run chmod 600");
    Err(std::io::Error::other(message))
}

#[cfg(not(unix))]
fn check_mode(_: &std::fs::File) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_what_it_wrapped_and_nothing_else() {
        let (one, two) = (LocalKey::new(&[1; KEY]), LocalKey::new(&[2; KEY]));
        let (one, two) = (one.unwrap(), two.unwrap());
        let wrapped = one.wrap(b"secret").unwrap();
        assert_eq!(one.unwrap(&wrapped).unwrap(), b"secret");
        assert_ne!(one.id, two.id);
        assert!(two.unwrap(&wrapped).is_none());
        assert!(one.unwrap(&wrapped[4..]).is_none());
        assert!(one.unwrap("").is_none());
    }

    #[test]
    fn the_value_of_a_variable_is_never_printed() {
        use std::os::unix::ffi::OsStringExt;

        let value = std::ffi::OsString::from_vec(b"secret\xff".to_vec());
        let error = std::env::VarError::NotUnicode(value);
        assert!(
            error.to_string().contains("secret"),
            "as the library prints it"
        );
        assert_eq!(without_value(&error), "is not text");
    }

    #[test]
    fn each_reason_why_a_file_cannot_be_read_has_its_own_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let hint = |path: &Path| from_file(path).err().and_then(|e| e.hint).unwrap();
        let missing = hint(&folder.path().join("master.key"));
        assert!(missing.starts_with("check the path"), "{missing}");
        assert!(missing.contains("from its backup"), "{missing}");
        let is_folder = hint(folder.path());
        assert!(!is_folder.contains("openssl"), "{is_folder}");
        let file = folder.path().join("binary.key");
        std::fs::write(&file, [0xff; 32]).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&file, mode(0o644)).unwrap();
            assert_eq!(hint(&file), format!("chmod 600 {}", file.display()));
            std::fs::set_permissions(&file, mode(0o600)).unwrap();
        }
        assert!(hint(&file).starts_with("each line is a key"), "not text");
        let unset = from_variable("KGRCA_NOT_SET")
            .err()
            .and_then(|e| e.hint)
            .unwrap();
        assert!(unset.starts_with("set KGRCA_NOT_SET"), "{unset}");
    }

    #[test]
    fn a_file_holds_a_key_per_line_and_belongs_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let text = format!(
            "{}\n\n{}\n",
            STANDARD.encode([1; KEY]),
            STANDARD.encode([2; KEY])
        );
        crate::secret::write_private(&file, &text).unwrap();
        assert_eq!(from_file(&file).unwrap().len(), 2);
        let zeros = STANDARD.encode([0; KEY]);
        for (text, message) in [
            ("", "no key"),
            ("AAAA\n", "line 1"),
            ("\npassword\n", "line 2"),
            (&zeros, "all zeros"),
        ] {
            crate::secret::write_private(&file, text).unwrap();
            let error = from_file(&file).err().unwrap();
            assert!(error.message.contains(message), "{error}");
            assert!(!error.message.contains("password"));
            let hint = error.hint.unwrap();
            assert!(
                hint.contains("backup"),
                "a new key alone does not help: {hint}"
            );
        }
        crate::secret::write_private(&file, &text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for (mode, message) in [
                (0o644, Some("every user can use the file (mode 0644)")),
                (0o660, Some("its group can change the file (mode 0660)")),
                (0o440, None),
            ] {
                std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
                let error = from_file(&file).err().map(|e| e.message);
                let found = error.as_deref().unwrap_or_default();
                assert_eq!(error.is_some(), message.is_some(), "{found}");
                assert!(found.contains(message.unwrap_or_default()), "{found}");
            }
        }
    }
}
