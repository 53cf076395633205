//! Fuzz targets: whatever reads bytes of senders, users or a disk. A target panics when an input
//! breaks what it must hold. `run.sh` searches for such inputs, guided by coverage; those that once
//! broke something are in `corpus/`, which each test run tries.

mod disk;
mod records;
mod text;

/// A function that must not panic, whatever it is given.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const ALL: [(&str, Target); 9] = [
    ("log", disk::log),
    ("snapshot", disk::snapshot),
    ("archive", disk::archive),
    ("record", records::history),
    ("shape", records::shapes),
    ("mask", text::masking),
    ("cypher", text::cypher),
    ("query", text::query),
    ("identifier", text::identifiers),
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    let known = ALL.iter().find(|(target, _)| *target == name);
    known.map(|(_, run)| *run)
}
