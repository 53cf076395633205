//! Inputs that once broke something, and those from which the fuzzer starts.

use std::fs;
use std::path::Path;

#[test]
fn nothing_in_the_corpus_breaks_its_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in kgrca_fuzz::ALL {
        let folder = fs::read_dir(corpus.join(name)).unwrap();
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty(), "no input for {name}");
        files.sort();
        for file in files {
            let input = fs::read(&file).unwrap();
            let broke = std::panic::catch_unwind(|| target(&input)).is_err();
            assert!(!broke, "{} breaks its target", file.display());
        }
    }
}
