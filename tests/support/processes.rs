//! What the kernel says about processes.

use std::fs::read_to_string;

/// The living children of a process. Zombies have ended.
pub fn children(parent: u32) -> Vec<u32> {
    let all = std::fs::read_dir("/proc").unwrap();
    let numbers = all.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| is_alive(*process) && parent_of(*process) == Some(parent))
        .collect()
}

/// Whether a process runs: it is there, and no zombie.
pub fn is_alive(process: u32) -> bool {
    stat(process).is_some_and(|stat| !stat.starts_with('Z'))
}

/// Bytes of memory that a process and its children hold.
pub fn resident(process: u32) -> u64 {
    let of = |process: u32| {
        let status = read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or_default() << 10
    };
    of(process) + children(process).into_iter().map(of).sum::<u64>()
}

/// State, parent and so on: what follows the name in `/proc/N/stat`.
fn stat(process: u32) -> Option<String> {
    let stat = read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}

fn parent_of(process: u32) -> Option<u32> {
    stat(process)?.split(' ').nth(1)?.parse().ok()
}
