//! The `kgrcad` binary.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Not a command of the usual kind: it starts no threads before it has limited itself.
    #[cfg(feature = "server")]
    if std::env::args_os()
        .nth(1)
        .is_some_and(|arg| arg == kgrca_daemon::sandbox::COMMAND)
    {
        return kgrca_daemon::sandbox::run();
    }
    kgrca_daemon::main()
}
