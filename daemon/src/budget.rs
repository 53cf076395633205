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
    kept: Vec<Kept>,
    taken: Mutex<Taken<K>>,
}

/// A part of a budget for keys that hold little: what keys have beyond `each` leaves `amount`.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How much is kept.
    pub amount: usize,
    /// Up to how much a key may take of it.
    pub each: usize,
}

impl Kept {
    /// How much of what a key holds is not taken from what is kept.
    fn beyond(self, of_key: usize) -> usize {
        of_key.saturating_sub(self.each)
    }
}

#[derive(Debug)]
struct Taken<K> {
    by_key: HashMap<K, usize>,
    total: usize,
    /// What all keys have beyond the small amounts, for each part that is kept.
    beyond: Vec<usize>,
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
        Self::keeping(per_key, total, &[])
    }

    /// The same with parts kept for keys that hold little: however much a few keys take, so many
    /// others get their small amounts.
    pub fn keeping(per_key: usize, total: usize, kept: &[Kept]) -> Self {
        Self(Arc::new(Inner {
            per_key,
            total,
            kept: kept.to_vec(),
            taken: Mutex::new(Taken {
                by_key: HashMap::new(),
                total: 0,
                beyond: vec![0; kept.len()],
            }),
        }))
    }

    /// How much there is of it.
    #[cfg(feature = "server")]
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
    /// For each part that is kept, what a key that changes from one amount to a larger one takes of
    /// the rest.
    fn beyond(&self, less: usize, more: usize) -> impl Iterator<Item = (&Kept, usize)> {
        let kept = self.kept.iter();
        kept.map(move |kept| (kept, kept.beyond(more) - kept.beyond(less)))
    }

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
        let total = self.budget.total;
        if amount > total.saturating_sub(taken.total) {
            return Err(Exhausted::All);
        }
        let beyond = || self.budget.beyond(of_key, of_key + amount);
        let leaves_none = |((kept, more), all): ((&Kept, usize), &usize)| {
            more > 0 && more > total.saturating_sub(kept.amount + all)
        };
        if beyond().zip(&taken.beyond).any(leaves_none) {
            return Err(Exhausted::All);
        }
        for ((_, more), all) in beyond().zip(&mut taken.beyond) {
            *all += more;
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
        let of_key = taken.by_key.get(&self.key).copied().unwrap_or(0);
        let left = of_key - self.amount;
        for ((_, less), all) in self.budget.beyond(left, of_key).zip(&mut taken.beyond) {
            *all -= less;
        }
        match taken.by_key.get_mut(&self.key) {
            Some(of_key) if left > 0 => *of_key = left,
            _ => _ = taken.by_key.remove(&self.key),
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

    #[test]
    fn many_who_take_all_they_can_leave_small_amounts_to_others() {
        let kept = [(30, 4), (10, 1)].map(|(amount, each)| Kept { amount, each });
        let budget = Budget::keeping(40, 100, &kept);
        let mut attackers: Vec<_> = (0..5).map(|n| budget.take(n, 0).unwrap()).collect();
        for attacker in &mut attackers {
            while attacker.grow(1).is_ok() {}
        }
        let all = attackers.iter().map(|a| a.amount).sum::<usize>();
        assert_eq!(all, 90, "they can take nothing more");
        let mut others: Vec<_> = (20..30).map(|n| budget.take(n, 1).unwrap()).collect();
        assert_eq!(others[0].grow(1), Err(Exhausted::All), "a small amount");
        assert_eq!(budget.take(30, 1).unwrap_err(), Exhausted::All, "no more");
        drop(attackers);
        others[0].grow(39).unwrap();
        drop(others);
        let taken = budget.0.taken();
        assert_eq!((taken.total, &taken.beyond[..]), (0, &[0, 0][..]));
        assert!(taken.by_key.is_empty());
    }
}
