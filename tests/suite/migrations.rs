//! The lists of migrations that are compiled in are those of their folders.

use kgrca_tests::repository;

#[test]
fn every_migration_is_listed_in_its_order() {
    for place in [
        "core/src/storage/embedded/sqlite",
        "daemon/src/storage/postgres",
    ] {
        let place = repository().join(place);
        let source = std::fs::read_to_string(place.join("mod.rs")).unwrap();
        let mut names: Vec<String> = std::fs::read_dir(place.join("migrations"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let mut behind = 0;
        for (i, name) in names.iter().enumerate() {
            let stem = name.strip_suffix(".sql").unwrap();
            let version = stem.split('_').next().unwrap();
            assert_eq!(version.parse(), Ok(i + 1), "{name} in {}", place.display());
            let listed = source.find(&format!("\"{stem}\""));
            assert!(
                listed > Some(behind),
                "{name} is not listed, or out of order"
            );
            behind = listed.unwrap();
        }
    }
}
