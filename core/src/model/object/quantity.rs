//! Quantities of resources.

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::selector::Labels;
use super::values::Scalar;
use crate::model::Str;

/// A resource quantity in thousandths of its base unit: cores, bytes or objects.
#[derive(
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
)]
pub struct Quantity(pub i128);

impl Quantity {
    /// Reads `100m`, `1.5`, `2Gi`, `1e3`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(split);
        let factor: f64 = match suffix {
            "" => 1.0,
            "n" => 1e-9,
            "u" => 1e-6,
            "m" => 1e-3,
            "k" | "K" => 1e3,
            "M" => 1e6,
            "G" => 1e9,
            "T" => 1e12,
            "P" => 1e15,
            "E" => 1e18,
            "Ki" => 1024.0,
            "Mi" => 1024_f64.powi(2),
            "Gi" => 1024_f64.powi(3),
            "Ti" => 1024_f64.powi(4),
            "Pi" => 1024_f64.powi(5),
            "Ei" => 1024_f64.powi(6),
            exponent if exponent.starts_with(['e', 'E']) => 10_f64.powi(
                exponent[1..]
                    .parse()
                    .ok()
                    .filter(|e| (-18..=18).contains(e))?,
            ),
            _ => return None,
        };
        let value: f64 = number.parse().ok()?;
        Some(Self((value * factor * 1000.0).round() as i128))
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Scalar::deserialize(d)?.0;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("invalid quantity `{text}`")))
    }
}

/// A quantity of a named resource.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, PartialEq, Eq)]
pub struct NamedQuantity {
    pub name: Str,
    pub quantity: Quantity,
    /// The quantity as it was written.
    pub text: Str,
}

/// Quantities by resource such as `{cpu: 100m, memory: 1Gi}`, without the entries that are invalid.
#[derive(borsh::BorshSerialize, borsh::BorshDeserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities(Box<[NamedQuantity]>);

impl Quantities {
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.find(name).map(|q| q.quantity)
    }

    /// The quantity of a resource as it was written.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.find(name).map(|q| &*q.text)
    }

    fn find(&self, name: &str) -> Option<&NamedQuantity> {
        self.0.iter().find(|q| &*q.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &NamedQuantity> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Quantities {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let labels = Labels::deserialize(d)?;
        let quantities = labels.0.iter().filter_map(|(name, text)| {
            Some(NamedQuantity {
                name: name.clone(),
                quantity: Quantity::parse(text)?,
                text: text.clone(),
            })
        });
        Ok(Self(quantities.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_in_all_forms_of_the_api() {
        let q = |t| Quantity::parse(t).map(|q| q.0);
        assert_eq!(q("100m"), Some(100));
        assert_eq!(q("1.5"), Some(1500));
        assert_eq!(q("1Ki"), Some(1_024_000));
        assert_eq!(q("1e3"), Some(1_000_000));
        assert_eq!(q("lots"), None);
    }

    proptest! {
        #[test]
        fn parsing_any_text_does_not_panic(text in ".{0,12}") {
            let _ = Quantity::parse(&text);
        }
    }
}
