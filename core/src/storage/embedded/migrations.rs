//! Migrations of a database, compiled in. The macro of sqlx does the same, but has all drivers
//! compiled a second time for the compiler's own use.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// A file of statements.
#[derive(Clone, Copy, Debug)]
pub struct MigrationFile {
    /// Its name without `.sql`, such as `0001_first`: the version, then a description.
    pub name: &'static str,
    /// Its content.
    pub sql: &'static str,
}

/// The files of a folder: `migration_files!["migrations"; "0001_first", …]`.
#[macro_export]
macro_rules! migration_files {
    [$folder:literal; $($name:literal),* $(,)?] => {
        [$($crate::storage::embedded::MigrationFile {
            name: $name,
            sql: include_str!(concat!($folder, "/", $name, ".sql")),
        }),*]
    };
}

/// What runs the files, in order of their versions.
pub fn migrator(files: &[MigrationFile]) -> Migrator {
    let migration = |file: &MigrationFile| {
        let (version, description) = file.name.split_once('_').unwrap_or((file.name, ""));
        Migration::new(
            // The suite reads all names: each begins with its version.
            version.parse().unwrap_or_default(),
            Cow::Owned(description.replace('_', " ")),
            MigrationType::Simple,
            file.sql.into_sql_str(),
            file.sql.starts_with("-- no-transaction"),
        )
    };
    Migrator::with_migrations(files.iter().map(migration).collect())
}
