//! Shares of something bounded: connections, requests, bytes. Each key can have a part of it, all
//! keys together no more than there is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is shared, in units that its owner defines.
#[derive(Clone, Debug)]
pub struct Budget<K>(Arc<Inner<K>>);

#[derive(Debug)]
struct Inner<K> {
    per_key: usize,
    total: usize,
    taken: Mutex<Taken<K>>,
}

#[derive(Debug)]
struct Taken<K> {
    by_key: HashMap<K, usize>,
    total: usize,
}

/// Why nothing more can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The key has its part.
    Key,
    /// Nothing is left for anybody.
    All,
    /// It is more than the key's part: waiting does not help.
    TooMuch,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Share<K: Hash + Eq> {
    budget: Arc<Inner<K>>,
    key: K,
    amount: usize,
}

impl<K: Hash + Eq + Clone> Budget<K> {
    /// A budget of `total`, of which one key gets at most `per_key`.
    pub fn new(per_key: usize, total: usize) -> Self {
        Self(Arc::new(Inner {
            per_key,
            total,
            taken: Mutex::new(Taken {
                by_key: HashMap::new(),
                total: 0,
            }),
        }))
    }

    /// How much there is of it.
    pub fn total(&self) -> usize {
        self.0.total
    }

    /// Takes an amount, which may be zero: a share can grow.
    ///
    /// # Errors
    /// Says what is exhausted.
    pub fn take(&self, key: K, amount: usize) -> Result<Share<K>, Exhausted> {
        let mut share = Share {
            budget: Arc::clone(&self.0),
            key,
            amount: 0,
        };
        share.grow(amount)?;
        Ok(share)
    }
}

impl<K> Inner<K> {
    fn taken(&self) -> MutexGuard<'_, Taken<K>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> Share<K> {
    /// Takes more. What it had before stays, also when this fails.
    ///
    /// # Errors
    /// Says what is exhausted.
    pub fn grow(&mut self, amount: usize) -> Result<(), Exhausted> {
        if amount == 0 {
            return Ok(());
        }
        let mut taken = self.budget.taken();
        let of_key = taken.by_key.get(&self.key).copied().unwrap_or(0);
        if self.amount.saturating_add(amount) > self.budget.per_key {
            return Err(Exhausted::TooMuch);
        }
        if amount > self.budget.per_key.saturating_sub(of_key) {
            return Err(Exhausted::Key);
        }
        if amount > self.budget.total.saturating_sub(taken.total) {
            return Err(Exhausted::All);
        }
        taken.by_key.insert(self.key.clone(), of_key + amount);
        taken.total += amount;
        drop(taken);
        self.amount += amount;
        Ok(())
    }
}

impl<K: Hash + Eq> Drop for Share<K> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let mut taken = self.budget.taken();
        taken.total -= self.amount;
        if let Some(of_key) = taken.by_key.get_mut(&self.key) {
            *of_key -= self.amount;
            if *of_key == 0 {
                taken.by_key.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_cannot_take_what_belongs_to_all() {
        let budget = Budget::new(3, 5);
        let mut a = budget.take("a", 2).unwrap();
        assert_eq!(a.grow(2), Err(Exhausted::TooMuch));
        assert_eq!(budget.take("a", 2).unwrap_err(), Exhausted::Key);
        assert_eq!(budget.take("a", 4).unwrap_err(), Exhausted::TooMuch);
        a.grow(1).unwrap();
        let b = budget.take("b", 2).unwrap();
        assert_eq!(budget.take("c", 1).unwrap_err(), Exhausted::All);
        drop(a);
        let c = budget.take("c", 3).unwrap();
        assert_eq!(budget.take("d", 1).unwrap_err(), Exhausted::All);
        drop((b, c));
        assert!(budget.0.taken().by_key.is_empty());
        assert_eq!(budget.0.taken().total, 0);
    }
}
