//! Which server a message is about, by the words of its drivers.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

/// A kind of server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// Its name.
    pub product: String,
    /// Any of these words shows it, in any letter case.
    words: Vec<String>,
    /// The ports that it uses.
    pub ports: Vec<i64>,
}

struct Products {
    all: Vec<Product>,
    automaton: Option<AhoCorasick>,
    /// The product of each pattern.
    of: Vec<usize>,
}

static PRODUCTS: LazyLock<Products> = LazyLock::new(|| {
    // A test reads the file, so that it cannot be invalid here.
    let all: Vec<Product> = serde_yaml::from_str(include_str!("products.yaml")).unwrap_or_default();
    let words = || all.iter().flat_map(|product| &product.words);
    let of = all
        .iter()
        .enumerate()
        .flat_map(|(i, product)| product.words.iter().map(move |_| i))
        .collect();
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words())
        .ok();
    Products { all, automaton, of }
});

/// The product that a message names; the first of the file if it names several. The packages of
/// classes count only where nothing else is named: a framework of one product may report the error
/// of another.
pub fn named(message: &str) -> Option<&'static Product> {
    let products = &*PRODUCTS;
    let automaton = products.automaton.as_ref()?;
    // The dots on both sides of the word that a match is in.
    let in_package = |start: usize, end: usize| {
        let is_word = |c: char| c.is_ascii_alphanumeric();
        let (before, after) = (&message[..start], &message[end..]);
        let before = before.trim_end_matches(is_word);
        before.ends_with('.') && after.trim_start_matches(is_word).starts_with('.')
    };
    let found: Vec<(bool, usize)> = automaton
        .find_overlapping_iter(message)
        .map(|m| {
            let product = products.of[m.pattern().as_usize()];
            (in_package(m.start(), m.end()), product)
        })
        .collect();
    let (_, first) = found.into_iter().min()?;
    products.all.get(first)
}

/// Whether an image of this name is that of a server.
pub fn is_server(image: &str) -> bool {
    let names = |p: &Product| p.product == image || p.words.iter().any(|word| word == image);
    PRODUCTS.all.iter().any(names)
}

/// A product by its name.
pub fn by_name(name: &str) -> Option<&'static Product> {
    PRODUCTS.all.iter().find(|product| product.product == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_names_its_server() {
        for (text, product) in [
            ("at com.mysql.cj.NativeSession.connect", "mysql"),
            ("SQLSTATE 08001: could not open JDBC connection", "sql"),
            ("redis.exceptions.ConnectionError", "redis"),
            (
                "org.apache.kafka.connect.errors.ConnectException: ElasticsearchStatusException",
                "elasticsearch",
            ),
            ("org.apache.kafka.common.errors.TimeoutException", "kafka"),
        ] {
            assert_eq!(named(text).unwrap().product, product, "{text}");
        }
        assert!(named("GET /orders: timeout").is_none());
        let all: Vec<Product> = serde_yaml::from_str(include_str!("products.yaml")).unwrap();
        assert_eq!(all.len(), PRODUCTS.all.len());
    }
}
