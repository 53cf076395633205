//! What suites and benchmarks share: a real daemon in a temporary folder, and calls to it.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "test support: a panic is a failed test"
)]

pub mod faults;
pub mod kube;
pub mod proxy;
pub mod server;
pub mod services;
pub mod simulate;
pub mod source;
pub mod stack;

use std::path::PathBuf;

pub use server::Server;

/// Where the binaries are: `KGRCA_BIN`, else beside the test's own.
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("KGRCA_BIN") {
        return PathBuf::from(folder).join(name);
    }
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().find(|f| f.join(name).exists());
    folder.map_or_else(
        || panic!("build {name} first: ./tests/run.sh does"),
        |f| f.join(name),
    )
}

/// The repository.
pub fn repository() -> PathBuf {
    // Asked when it runs: clones that share a target folder share what was compiled, too.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().unwrap().to_owned()
}

/// Whether the long counts are wanted.
pub fn soak() -> bool {
    std::env::var("KGRCA_SOAK").is_ok_and(|v| v == "1")
}

/// A library of `tests/support` that changes what the disk does, built by the compiler that the
/// workspace needs anyway.
pub fn preloaded(folder: &std::path::Path, name: &str) -> PathBuf {
    let library = folder.join(format!("{name}.so"));
    let source = repository().join(format!("tests/support/{name}.c"));
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl")
        .status();
    assert!(built.unwrap().success(), "cc builds {}", source.display());
    library
}
