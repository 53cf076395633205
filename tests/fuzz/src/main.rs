//! One program for all targets, because each is linked with all dependencies: `run.sh` builds it,
//! and names the target in `KGRCA_FUZZ_TARGET`.
#![no_main]

use std::sync::LazyLock;

use kgrca_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("KGRCA_FUZZ_TARGET").unwrap_or_default();
    kgrca_fuzz::target(&name).unwrap_or_else(|| panic!("unknown target `{name}`"))
});

fuzz_target!(|input: &[u8]| TARGET(input));
