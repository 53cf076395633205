//! Shared by suites and benchmarks: real daemons and servers in temporary folders.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "test support: a panic is a failed test"
)]

pub mod corpus;
pub mod faults;
pub mod kube;
pub mod kubelet;
pub mod played;
pub mod processes;
pub mod proxy;
pub mod receiver;
pub mod recording;
pub mod refusal;
pub mod refusing;
pub mod server;
pub mod services;
pub mod simulate;
pub mod source;
pub mod stack;
pub mod vault;

use std::path::{Path, PathBuf};

pub use server::Server;

/// Path of one of our binaries: in `KGRCA_BIN`, else next to the test's own.
pub fn binary(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("KGRCA_BIN") {
        return PathBuf::from(folder).join(name);
    }
    let own = std::env::current_exe().unwrap();
    let folder = own.ancestors().find(|f| f.join(name).exists());
    let Some(folder) = folder else {
        panic!("{name} is not built: run `cargo build --workspace --bins`");
    };
    folder.join(name)
}

/// Root of the repository.
pub fn repository() -> PathBuf {
    // Read at run time: clones with one target folder share compiled tests.
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().unwrap().to_owned()
}

/// Writes a file that only its owner can read.
pub fn write_private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;

    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Whether to run the long counts (`./tests/run.sh --soak`).
pub fn soak() -> bool {
    std::env::var("KGRCA_SOAK").is_ok_and(|v| v == "1")
}

/// Path of a tool for `OpenAPI` documents.
///
/// # Panics
/// When `tests/run.sh` has not installed it.
pub fn openapi_tool(name: &str) -> PathBuf {
    let Some(folder) = std::env::var_os("KGRCA_OPENAPI_TOOLS") else {
        panic!(
            "KGRCA_OPENAPI_TOOLS is not set: set it to the folder printed by \
             `tests/services/openapi.sh install FOLDER`"
        );
    };
    PathBuf::from(folder).join(name)
}

/// Builds a library of `tests/support` for `LD_PRELOAD`, which changes how the disk behaves.
pub fn preloaded(folder: &Path, name: &str) -> PathBuf {
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
