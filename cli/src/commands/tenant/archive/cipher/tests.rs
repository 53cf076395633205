use super::*;

const EXPORT: ExportId = Some([5; ID]);

fn file(export: ExportId, name: &str) -> FileOf<'_> {
    FileOf { export, name }
}

fn sealed_in(export: ExportId, key: &ExportKey, content: &[u8]) -> Vec<u8> {
    let mut writer = Encrypting::new(Vec::new(), key, file(export, "records")).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn sealed(key: &ExportKey, content: &[u8]) -> Vec<u8> {
    sealed_in(EXPORT, key, content)
}

fn opened_in(export: ExportId, key: &ExportKey, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    Decrypting::new(bytes, key, file(export, "records"))?.read_to_end(&mut content)?;
    Ok(content)
}

fn opened(key: &ExportKey, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    Decrypting::new(bytes, key, file(EXPORT, name))?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn a_file_of_another_export_under_the_same_key_is_not_read() {
    let (key, other) = (ExportKey::of([1; 32]), Some([6; ID]));
    let mut file = sealed_in(other, &key, b"rows");
    assert_eq!(opened_in(other, &key, &file).unwrap(), b"rows");
    let error = opened_in(EXPORT, &key, &file).unwrap_err().to_string();
    assert_eq!(error, "the file belongs to another export");
    // Nor one that claims to be of this export.
    file[MAGIC.len()..MAGIC.len() + ID].copy_from_slice(&[5; ID]);
    assert!(opened_in(EXPORT, &key, &file).is_err());
    let first = sealed_in(None, &key, b"rows");
    assert_eq!(&first[..8], b"KGRCAEX1");
    assert_eq!(
        opened_in(None, &key, &first).unwrap(),
        b"rows",
        "older exports"
    );
    assert!(opened_in(EXPORT, &key, &first).is_err());
}

#[test]
fn what_was_encrypted_is_read_and_nothing_else() {
    let (key, other) = (ExportKey::of([1; 32]), ExportKey::of([2; 32]));
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        let content: Vec<u8> = (0..length).map(|i| i as u8).collect();
        let file = sealed(&key, &content);
        assert_eq!(opened(&key, "records", &file).unwrap(), content, "{length}");
        assert!(opened(&other, "records", &file).is_err());
        assert!(
            opened(&key, "causes", &file).is_err(),
            "another file's place"
        );
        assert!(opened(&key, "records", &file[..file.len() - 1]).is_err());
        let mut longer = file.clone();
        longer.push(0);
        assert!(opened(&key, "records", &longer).is_err());
    }
    let file = sealed(&key, &vec![7; 3 * CHUNK]);
    let head = MAGIC.len() + ID + SALT;
    let cut = &file[..head + CHUNK + TAG];
    assert!(opened(&key, "records", cut).is_err(), "cut between chunks");
    let (first, second) = (
        head..head + CHUNK + TAG,
        head + CHUNK + TAG..head + 2 * (CHUNK + TAG),
    );
    let exchanged = [&file[..head], &file[second], &file[first]].concat();
    assert!(opened(&key, "records", &exchanged).is_err());
}
