//! How much memory a value takes.

use borsh::{BorshSerialize, io};

/// What a part of a value takes beside its content, in bytes: a text has two parts, its length and
/// its bytes, and takes the header and rounding of an allocation, and a pointer to it.
const PART: usize = 20;

/// Roughly how many bytes of memory a value takes. Many short texts take several times what is
/// saved of them.
pub fn memory(value: &impl BorshSerialize) -> u64 {
    let mut counter = Counter(0);
    // Only a writer fails, and this one counts.
    let counted = value.serialize(&mut counter);
    counted.map(|()| counter.0 as u64).unwrap_or(u64::MAX)
}

struct Counter(usize);

impl io::Write for Counter {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.0 += PART + part.len();
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_short_texts_take_more_than_a_long_one() {
        let long = vec!["x".repeat(6000)];
        let short = vec!["x".repeat(6); 1000];
        assert!((6000..6200).contains(&memory(&long)), "{}", memory(&long));
        assert!(memory(&short) > 40_000, "{}", memory(&short));
    }
}
