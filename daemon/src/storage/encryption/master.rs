//! Master keys, under which the data keys of tenants are encrypted.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use kgrca_core::storage::seal::KEY;
use kgrca_core::storage::{DataKey, Error, ErrorKind, Result};

use super::local::{self, LocalKey};
use super::place;
use super::vault::{self, Vault};

/// Where master keys come from.
enum Source {
    File(PathBuf),
    Variable(String),
    Vault(Arc<Vault>),
}

#[derive(Clone)]
enum Master {
    Local(Arc<LocalKey>),
    Vault(Arc<Vault>),
}

/// A data key that was encrypted.
pub(super) struct Wrapped {
    pub text: String,
    /// Id of the master key.
    pub master_key: String,
}

/// A master key, and its version where its server counts them.
pub(super) struct Newest {
    master_key: String,
    version: Option<u32>,
}

impl Newest {
    /// Whether a data key is encrypted by it.
    pub(super) fn encrypted(&self, key: &DataKey) -> bool {
        key.master_key == self.master_key && vault::version(&key.wrapped) == self.version
    }
}

/// All master keys: the first encrypts, each decrypts what it encrypted.
pub(super) struct MasterKeys {
    sources: Vec<Source>,
    loaded: RwLock<Arc<Loaded>>,
}

/// The keys that were read.
#[derive(Default)]
struct Loaded {
    /// All of them; those that are gone from their place come last.
    all: Vec<Master>,
    /// How many are in their place.
    listed: usize,
}

impl Source {
    fn parse(url: &str) -> Result<Self> {
        match url.split_once(':') {
            Some(("file", path)) if !path.is_empty() => {
                let path = match path.strip_prefix("//") {
                    // Otherwise it would be a host.
                    Some(rest) if !rest.starts_with('/') => {
                        let message = "--master-key-url: a URL that begins with file:// needs an \
                                       absolute path";
                        return Err(Error::new(ErrorKind::Refused, message)
                            .hint("write file:/PATH or file:///PATH"));
                    }
                    rest => rest.unwrap_or(path),
                };
                Ok(Self::File(PathBuf::from(path)))
            }
            Some(("env", name)) if !name.is_empty() => Ok(Self::Variable(name.to_owned())),
            Some(("vault", _)) => Ok(Self::Vault(Arc::new(Vault::parse(url)?))),
            _ => {
                // It may be a key that was given in the place of its file.
                let message = "--master-key-url: unsupported URL";
                Err(Error::new(ErrorKind::Refused, message)
                    .hint("supported: file:PATH, env:NAME, vault://HOST/MOUNT/KEY"))
            }
        }
    }

    fn load(&self) -> Result<Vec<Master>> {
        let local = |keys: Vec<LocalKey>| {
            let keys = keys.into_iter().map(Arc::new);
            keys.map(Master::Local).collect()
        };
        match self {
            Self::File(path) => local::from_file(path).map(local),
            Self::Variable(name) => local::from_variable(name).map(local),
            Self::Vault(vault) => Ok(vec![Master::Vault(Arc::clone(vault))]),
        }
    }
}

impl Master {
    fn id(&self) -> &str {
        match self {
            Self::Local(key) => &key.id,
            Self::Vault(vault) => &vault.id,
        }
    }
}

impl Master {
    /// `None` when it did not encrypt this.
    async fn decrypt(&self, wrapped: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Local(key) => Ok(key.unwrap(wrapped)),
            Self::Vault(vault) => vault.decrypt(wrapped).await.map(Some),
        }
    }
}

/// While a daemon runs, a missing key may come back: senders repeat what they sent.
fn unavailable(message: String) -> Error {
    Error::new(ErrorKind::Unavailable, message).hint("add that master key to --master-key-url")
}

impl MasterKeys {
    pub(super) fn open(urls: &[&str]) -> Result<Self> {
        let sources = urls.iter().map(|url| Source::parse(url));
        let sources: Vec<Source> = sources.collect::<Result<_>>()?;
        let mut ids = HashSet::new();
        for source in &sources {
            // What the one encrypted would be sent to the other.
            if let Source::Vault(vault) = source
                && !ids.insert(&vault.id)
            {
                let message = format!("--master-key-url: two keys have the id {}", vault.id);
                return Err(Error::new(ErrorKind::Refused, message)
                    .hint("give the new one another with &id=NAME in its URL"));
            }
        }
        let keys = Self {
            sources,
            loaded: RwLock::default(),
        };
        keys.reload()?;
        Ok(keys)
    }

    /// Reads the keys again: a file may have got another. Keys that are gone from it are kept until
    /// the daemon ends, because data keys may need them; they encrypt nothing.
    pub(super) fn reload(&self) -> Result<()> {
        let mut all = Vec::new();
        for source in &self.sources {
            all.extend(source.load()?);
        }
        let listed = all.len();
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        for old in &loaded.all {
            if !all.iter().any(|new| new.id() == old.id()) {
                all.push(old.clone());
            }
        }
        *loaded = Arc::new(Loaded { all, listed });
        Ok(())
    }

    /// Ids of the keys that were in their place when they were last read, in order.
    pub(super) fn listed(&self) -> Vec<String> {
        let loaded = self.loaded();
        let listed = loaded.all.iter().take(loaded.listed);
        listed.map(|master| master.id().to_owned()).collect()
    }

    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a master key is there.
    pub(super) fn has(&self, id: &str) -> bool {
        self.loaded().all.iter().any(|master| master.id() == id)
    }

    /// Id of the key that encrypts.
    pub(super) fn current(&self) -> Option<String> {
        self.loaded()
            .all
            .first()
            .map(|master| master.id().to_owned())
    }

    /// Whether an id says which key it is: that of a key in Vault is only its name.
    pub(super) fn is_fingerprint(&self, id: &str) -> bool {
        let is_local = |master: &Master| matches!(master, Master::Local(key) if key.id == id);
        self.loaded().all.iter().any(is_local)
    }

    /// What the first master key encrypts with now: Vault may have rotated it.
    pub(super) async fn newest(&self) -> Result<Newest> {
        let probe = self.wrap(&[0; KEY], "check").await?;
        Ok(Newest {
            version: vault::version(&probe.text),
            master_key: probe.master_key,
        })
    }

    /// Encrypts a data key under the first master key.
    pub(super) async fn wrap(&self, secret: &[u8; KEY], place: &str) -> Result<Wrapped> {
        let loaded = self.loaded();
        let missing = || Error::new(ErrorKind::Internal, "no master key is configured");
        let master = loaded.all.first().ok_or_else(missing)?;
        let plain = [&secret[..], place.as_bytes()].concat();
        let text = match master {
            Master::Local(key) => key.wrap(&plain)?,
            Master::Vault(vault) => vault.encrypt(&plain).await?,
        };
        // What cannot be decrypted must not replace a key, nor become one.
        if master.decrypt(&text).await? != Some(plain) {
            let id = master.id();
            let message = format!("master key {id} does not decrypt what it encrypted");
            return Err(Error::new(ErrorKind::Unavailable, message)
                .hint("check the master key and, for Vault, what is between kgrcad and Vault"));
        }
        Ok(Wrapped {
            text,
            master_key: master.id().to_owned(),
        })
    }

    /// Decrypts one of some data keys under the same master key, to see that it can.
    ///
    /// # Errors
    /// When the master key is unavailable, or opens none of them.
    pub(super) async fn unwrap_any(&self, keys: &[DataKey]) -> Result<()> {
        let mut result = Ok(());
        for key in keys {
            result = self.unwrap(key).await.map(|_| ());
            match &result {
                Err(e) if e.kind == ErrorKind::Corrupt => {}
                _ => break,
            }
        }
        result
    }

    /// Decrypts a data key.
    ///
    /// # Errors
    /// When its master key is not given, or it was altered or belongs elsewhere.
    pub(super) async fn unwrap(&self, key: &DataKey) -> Result<[u8; KEY]> {
        let (tenant, id) = (&key.client_id, &key.master_key);
        if !self.has(id) {
            // Encrypted by another daemon, under a key that was added after this one started.
            self.reload().map_err(|e| Error {
                kind: ErrorKind::Unavailable,
                ..e
            })?;
        }
        let loaded = self.loaded();
        let Some(master) = loaded.all.iter().find(|master| master.id() == id) else {
            return Err(unavailable(format!(
                "the data key of {tenant} is encrypted under master key {id}, which is not given"
            )));
        };
        let plain = master.decrypt(&key.wrapped).await.map_err(|e| {
            let message = format!("data key {} of {tenant}: {}", key.key_id, e.message);
            Error { message, ..e }
        })?;
        let expected = place(tenant, key.key_id);
        let secret = plain.as_deref().and_then(|plain| {
            let (secret, place) = plain.split_first_chunk::<KEY>()?;
            (place == expected.as_bytes()).then_some(*secret)
        });
        secret.ok_or_else(|| {
            let message = format!(
                "data key {} of {tenant} in the metadata was altered, or belongs to another tenant",
                key.key_id
            );
            Error::new(ErrorKind::Corrupt, message).hint("restore the metadata from a backup")
        })
    }
}
