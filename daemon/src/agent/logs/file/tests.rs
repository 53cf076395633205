use std::io::Write;

use super::*;

fn container() -> Arc<Container> {
    Arc::new(Container {
        namespace: "shop".into(),
        pod: "web".into(),
        uid: "u".into(),
        name: "app".into(),
    })
}

fn open(path: &std::path::Path, position: Position) -> LogFile {
    LogFile::new(container(), "f".into(), File::open(path).unwrap(), position).unwrap()
}

fn records(read: &Turn) -> Vec<serde_json::Value> {
    read.written
        .text
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

#[test]
fn each_message_is_produced_once_across_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    let mut out = File::create(&path).unwrap();
    let mut fine = 0;
    for i in 0..300 {
        // Several messages of one stream in a row, while one of the other stream is open.
        let stream = if i / 2 % 3 == 0 { "stderr" } else { "stdout" };
        let is_fine = i * 7 % 5 < 3;
        fine += u64::from(is_fine);
        let text = if is_fine {
            format!("INFO fine {i}")
        } else {
            format!("ERROR wrong {i}")
        };
        writeln!(out, "2026-01-01T00:00:00.{i:09}Z {stream} F {text}").unwrap();
    }
    let mut produced = Vec::new();
    let mut position = Position::default();
    // A crash after every turn: its records and its position are durable together.
    for _ in 0..3 {
        let mut file = open(&path, position);
        produced.extend(records(
            &file
                .read(&mut [0; 4096], "prod", BelowWarning::Fold)
                .unwrap(),
        ));
        position = file.position().to_string().parse().unwrap();
    }
    let mut file = open(&path, position);
    file.is_rotated = true;
    while {
        let read = file
            .read(&mut [0; 4096], "prod", BelowWarning::Fold)
            .unwrap();
        produced.extend(records(&read));
        !read.is_finished
    } {}
    let errors = produced.iter().filter(|r| r["severity"] == "ERROR").count();
    let counted: u64 = produced.iter().filter_map(|r| r["count"].as_u64()).sum();
    assert_eq!((errors as u64, counted), (300 - fine, fine));
    for stream in ["f/out", "f/err", "f/out-below", "f/err-below"] {
        let seqs: Vec<u64> = produced
            .iter()
            .filter(|r| r["src"] == stream)
            .map(|r| r["seq"].as_u64().unwrap())
            .collect();
        assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{stream}: {seqs:?}");
    }
}

#[test]
fn an_incomplete_line_waits_for_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.log");
    std::fs::write(
        &path,
        "2026-01-01T00:00:00Z stdout F ERROR a\n2026-01-01T00:00:01Z stdout F ERROR b",
    )
    .unwrap();
    let mut file = open(&path, Position::default());
    assert_eq!(
        file.read(&mut [0; 4096], "prod", BelowWarning::Fold)
            .unwrap()
            .written
            .records,
        0,
        "the message may continue"
    );
    assert_eq!(file.position().from, 0);
    let mut out = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    writeln!(out, "c\nnot in the CRI format").unwrap();
    let read = file
        .read(&mut [0; 4096], "prod", BelowWarning::Fold)
        .unwrap();
    assert_eq!(
        (records(&read)[0]["message"].as_str(), read.foreign),
        (Some("ERROR a"), 1)
    );
}
