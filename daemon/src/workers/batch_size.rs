//! How many records are applied together: few where each takes long, so that a batch is committed,
//! the lease renewed and a stop noticed within seconds.

use std::time::Duration;

/// Most records of one stream in a batch.
const MAX: usize = 20_000;
/// Fewest.
const MIN: usize = 20;
/// What the first batch has.
const FIRST: usize = 2_500;
/// A batch that took longer is followed by smaller ones.
const LONG: Duration = Duration::from_secs(2);
/// A batch that took less is followed by larger ones.
const SHORT: Duration = Duration::from_millis(500);

/// The size of the next batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchSize(usize);

impl Default for BatchSize {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl BatchSize {
    /// Most records of one stream in the next batch.
    pub fn of_stream(self) -> usize {
        self.0
    }

    /// Learns how long so many records took.
    pub fn applied(&mut self, records: usize, took: Duration) {
        if took > LONG {
            self.0 = (self.0 / 4).max(MIN);
        } else if took < SHORT && records >= self.0 {
            self.0 = (self.0 * 2).min(MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_shrink_while_they_take_long_and_grow_again() {
        let mut size = BatchSize::default();
        for _ in 0..10 {
            size.applied(size.0, Duration::from_secs(3));
        }
        assert_eq!(size.0, MIN);
        size.applied(size.0, Duration::from_secs(1));
        size.applied(size.0 - 1, Duration::ZERO);
        assert_eq!(size.0, MIN, "neither long nor full and short");
        for _ in 0..20 {
            size.applied(size.0, Duration::from_millis(1));
        }
        assert_eq!(size.0, MAX);
    }
}
