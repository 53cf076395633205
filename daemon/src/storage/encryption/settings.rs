//! Opens encryption as the settings say.

use std::path::Path;
use std::sync::Arc;

use kgrca_core::storage::MetaStore;

use super::Encryption;
use crate::config::Settings;
use crate::error::Failure;
use crate::secret::Secret;
use crate::storage::{path, scheme};

/// Opens the master keys, and says what is not encrypted by them.
pub(in crate::storage) async fn open(
    settings: &Settings,
    folder: &Path,
    meta: &Arc<dyn MetaStore>,
) -> Result<Encryption, Failure> {
    let encrypts_new = !settings.no_encryption;
    let urls = settings.master_key_url.iter().map(Secret::resolved);
    let urls: Vec<String> = urls.collect::<Result<_, _>>()?;
    // An empty variable is one that is not set.
    let urls: Vec<&str> = urls
        .iter()
        .map(|url| url.trim())
        .filter(|u| !u.is_empty())
        .collect();
    for file in urls.iter().filter_map(|url| url.strip_prefix("file:")) {
        warn_if_within(Path::new(file), folder);
    }
    let encryption = Encryption::open(Arc::clone(meta), &urls, encrypts_new).await?;
    let mut places = not_encrypted(settings, folder)?;
    if !encryption.encrypts_new() {
        let log = settings.log_url.resolved()?;
        if scheme(&log) != "kafka" {
            places.insert(
                0,
                format!("records in {}", path(&log, folder, "log").display()),
            );
        }
        places.push(format!(
            "snapshots in {}",
            folder.join("snapshots").display()
        ));
        places.push("the secrets by which values are hashed, in the metadata".to_owned());
    }
    let encryption = encryption.beside(places);
    if encryption.is_on() {
        for place in encryption.not_encrypted() {
            tracing::warn!("not encrypted by kgrcad: {place}; use an encrypted file system");
        }
    }
    Ok(encryption)
}

fn warn_if_within(file: &Path, folder: &Path) {
    let (Ok(file), Ok(folder)) = (file.canonicalize(), folder.canonicalize()) else {
        return;
    };
    if file.starts_with(folder) {
        let file = file.display();
        tracing::warn!(
            "{file}: whoever copies the data directory copies the master key, too; move it"
        );
    }
}

/// Where data of tenants is stored that this daemon cannot encrypt.
fn not_encrypted(settings: &Settings, folder: &Path) -> Result<Vec<String>, Failure> {
    let mut places = Vec::new();
    let meta = settings.meta_url.resolved()?;
    places.push(match scheme(&meta) {
        "sqlite" => format!(
            "incidents and answers in {}",
            path(&meta, folder, "meta.db").display()
        ),
        _ => "incidents and answers in PostgreSQL".to_owned(),
    });
    let graph = settings.graph_url.resolved()?;
    places.push(match scheme(&graph) {
        "mars" => format!("graphs in {}", path(&graph, folder, "graph").display()),
        _ => "graphs in Neo4j".to_owned(),
    });
    if scheme(&settings.log_url.resolved()?) == "kafka" {
        places.push("records in Kafka".to_owned());
    }
    Ok(places)
}
