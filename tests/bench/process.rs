//! Whole processes, cold.

use std::process::{Command, Stdio};
use std::time::Instant;

use kgrca_tests::{binary, repository};

use crate::figure;

fn seconds(args: &[&str]) -> f64 {
    let started = Instant::now();
    let status = Command::new(binary("kgrca"))
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(status.is_ok_and(|s| s.success()), "kgrca {args:?} succeeds");
    started.elapsed().as_secs_f64()
}

pub(crate) fn analyze() {
    let given = std::env::args().nth(2);
    let folder =
        given.unwrap_or_else(|| repository().join("tests/scenarios").display().to_string());
    let count = walk(std::path::Path::new(&folder));
    for _ in 0..5 {
        figure(
            "analyze",
            count as f64 / seconds(&["analyze", "-o", "json", &folder]),
            "cases/s",
        );
    }
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|e| {
            if e.path().is_dir() {
                walk(&e.path())
            } else {
                1
            }
        })
        .sum()
}

pub(crate) fn cli() {
    let mut times: Vec<f64> = (0..20).map(|_| seconds(&["version"]) * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    figure("cli_version_best", times[0], "ms");
    figure("cli_version_worst", times[19], "ms");
    let size = std::fs::metadata(binary("kgrca"))
        .map(|m| m.len())
        .unwrap_or(0);
    figure("cli_size", size as f64 / 1e6, "MB");
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = text
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .unwrap_or("0");
    line.split_whitespace()
        .next()
        .and_then(|n| n.parse::<f64>().ok())
        .unwrap_or(0.0)
        * 1024.0
}

/// Processor time of a process until now, in seconds.
pub(crate) fn processor_seconds(id: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The name before may have spaces. Of what follows it, fields 12 and 13 are the ticks of user
    // and system, a hundred per second.
    let fields = text.rsplit_once(')').map(|(_, rest)| rest).unwrap_or("");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}
