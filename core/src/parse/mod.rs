//! Parses bytes into the typed model, tolerantly: a record that cannot be read is a [`Reject`] with
//! a reason, never a panic.

mod act;
mod alert;
mod autoscaler;
mod change;
mod custom;
mod ending;
mod event;
mod fields;
mod foreign;
mod identifier;
mod list;
mod log;
mod log_severity;
pub mod mask;
mod message;
mod network;
mod object;
mod object_kinds;
mod report;
mod shape;
mod signal;
mod text;
mod topology;
mod volume;

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::model::{Record, Str, Time, Topic};

pub use act::encode as encode_act;
pub use change::encode as encode_change;
pub use ending::encode_ending;
pub use list::{may_be_list, parse_stored};
pub use log_severity::of as severity_of_line;
pub use shape::parse_any;
pub use signal::{Key, Signal, UnknownTopic};

/// Maximum size of a record in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Maximum nesting depth of a record.
pub const MAX_DEPTH: usize = 64;
/// A number with so many digits may be beyond the largest one.
const MAX_DIGITS: usize = 300;
/// How far the time of a record may lie after its arrival, in microseconds.
pub const MAX_FUTURE: i64 = 5 * crate::model::time::MINUTE;

/// What is known about a record besides its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// When it arrived; replaces a missing time.
    pub received_at: Time,
    /// The cluster of records that name none.
    pub cluster: Option<&'a str>,
    /// The tenant that sent it; a record that names another one is rejected.
    pub client_id: Option<&'a str>,
}

/// Why a record was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The reason, by which rejects are counted.
    pub reason: Reason,
    /// What is wrong and where.
    pub message: String,
}

impl Reject {
    /// A reject with a reason and a message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    fn json(error: &serde_json::Error) -> Self {
        let reason = if error.is_data() {
            Reason::UnknownShape
        } else {
            Reason::Torn
        };
        Self::new(reason, without_values(&error.to_string()))
    }
}

/// The message of a JSON error without the values it quotes: they may be secrets.
fn without_values(message: &str) -> String {
    let quotes = [
        ("string \"", "\", expected"),
        ("unknown variant `", "`, expected"),
    ];
    for (open, close) in quotes {
        let Some((before, rest)) = message.split_once(open) else {
            continue;
        };
        if let Some(end) = rest.rfind(close) {
            let kind = open.trim_end_matches(['"', '`', ' ']);
            return format!("{before}{kind}{}", &rest[end + 1..]);
        }
    }
    message.to_owned()
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident $name:literal),* $(,)?) => {
        /// The reasons by which rejected records are counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used on the wire and in metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Not complete JSON.
    Torn "torn",
    /// Over [`MAX_BYTES`].
    TooLarge "too_large",
    /// Deeper than [`MAX_DEPTH`].
    TooDeep "too_deep",
    /// Not UTF-8.
    NotUtf8 "not_utf8",
    /// Names another tenant.
    ForeignTenant "foreign_tenant",
    /// Of a cluster that the sender's key is not bound to.
    ForeignCluster "foreign_cluster",
    /// More than [`MAX_FUTURE`] after its arrival.
    FarFuture "far_future",
    /// None of the known record forms.
    UnknownShape "unknown_shape",
    /// Names no cluster, and no default is known.
    ClusterMissing "cluster_missing",
    /// A name that is too long, or has control characters.
    InvalidIdentifier "invalid_identifier",
    /// Beyond a hard limit of the plan.
    Quota "quota",
    /// A store refuses the changes that it makes.
    Refused "refused",
}

/// Parses one record of a topic as it is sent, and appends the result to `out`: a webhook contains
/// several records. A list is rejected: its items are records.
///
/// # Errors
/// [`Reject`] says what is wrong and where; `out` is then unchanged.
pub fn parse(
    topic: Topic,
    bytes: &[u8],
    context: &Context<'_>,
    out: &mut Vec<Record>,
) -> Result<(), Reject> {
    let text = &*without_nul(checked(bytes)?);
    let before = out.len();
    let result = topic.signal().parse(text, context, out);
    let result = result
        .and_then(|()| out[before..].iter_mut().try_for_each(identifier::normalize))
        .and_then(|()| far_future(&out[before..], context))
        .map(|()| out[before..].iter_mut().for_each(message::shorten))
        .map_err(|e| if is_envelope(text) { envelope() } else { e });
    if result.is_err() {
        out.truncate(before);
    }
    result
}

/// Replaces each escaped NUL of a JSON text, which `PostgreSQL` cannot store, by U+FFFD.
fn without_nul(text: &str) -> Cow<'_, str> {
    const NUL: &str = "\\u0000";
    if !text.contains(NUL) {
        return Cow::Borrowed(text);
    }
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        replaced.push_str(before);
        let is_nul = escape.starts_with(NUL);
        // Another escape begins with the backslash and one more character.
        let second = escape.chars().nth(1).map(char::len_utf8).unwrap_or(0);
        let len = if is_nul { NUL.len() } else { 1 + second };
        replaced.push_str(if is_nul { "\\ufffd" } else { &escape[..len] });
        rest = &escape[len..];
    }
    replaced.push_str(rest);
    Cow::Owned(replaced)
}

/// Whether a text is a line of a recorded case, `{"topic": …, "value": …}`, which `kgrca analyze`
/// reads.
fn is_envelope(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Envelope {
        #[serde(rename = "topic")]
        _topic: String,
        #[serde(rename = "value")]
        _value: serde::de::IgnoredAny,
    }
    serde_json::from_str::<Envelope>(text).is_ok()
}

fn envelope() -> Reject {
    Reject::new(
        Reason::UnknownShape,
        "this is a line of a recorded case: \
         send its `value` to the ingest endpoint of its `topic`",
    )
}

fn far_future(records: &[Record], context: &Context<'_>) -> Result<(), Reject> {
    let bound = context.received_at.plus(MAX_FUTURE);
    match records.iter().find(|r| r.at > bound) {
        Some(r) => Err(Reject::new(
            Reason::FarFuture,
            format!(
                "time {} is more than 5 minutes after its arrival at {}",
                r.at, context.received_at
            ),
        )),
        None => Ok(()),
    }
}

/// Checks size, encoding and depth, as every parser of a record does first.
pub(crate) fn checked(bytes: &[u8]) -> Result<&str, Reject> {
    if bytes.len() > MAX_BYTES {
        return Err(Reject::new(
            Reason::TooLarge,
            format!("{} bytes exceed the maximum of {MAX_BYTES}", bytes.len()),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Reject::new(
            Reason::NotUtf8,
            format!("not UTF-8 at byte {}", e.valid_up_to()),
        )
    })?;
    check_depth(bytes)?;
    check_values(text)?;
    Ok(text)
}

/// Rejects what is JSON and not a value: half of a character, and numbers that are too large. Parsers
/// skip such fields where they read nothing of them, while masking, exports and the log need the
/// whole record.
fn check_values(text: &str) -> Result<(), Reject> {
    if !may_be_no_value(text.as_bytes()) {
        return Ok(());
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        // What no parser reads either is rejected by it.
        Err(e) if serde_json::from_str::<IgnoredAny>(text).is_ok() => {
            Err(Reject::new(Reason::Torn, e.to_string()))
        }
        _ => Ok(()),
    }
}

/// Whether a text has an escaped character, or digits that may be a number beyond the largest one.
fn may_be_no_value(bytes: &[u8]) -> bool {
    let has_escape = memchr::memmem::find(bytes, b"\\u").is_some();
    let mut digits = 0;
    let is_large = |at: usize| {
        let rest = &bytes[at + 1..];
        let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
        let exponent = rest[sign..].iter().take(2);
        exponent.filter(|b| b.is_ascii_digit()).count() == 2
    };
    has_escape
        || bytes.iter().enumerate().any(|(at, byte)| match byte {
            b'0'..=b'9' => {
                digits += 1;
                digits > MAX_DIGITS
            }
            b'e' | b'E' if digits > 0 && is_large(at) => true,
            b'.' if digits > 0 => false,
            _ => {
                digits = 0;
                false
            }
        })
}

fn check_depth(bytes: &[u8]) -> Result<(), Reject> {
    // Most records have fewer brackets than that in total; counting is much cheaper than parsing
    // strings.
    if bytes.iter().filter(|b| matches!(b, b'{' | b'[')).count() <= MAX_DEPTH {
        return Ok(());
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Reject::new(
                        Reason::TooDeep,
                        format!("nested deeper than {MAX_DEPTH} at byte {at}"),
                    ));
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// The cluster of a record, else that of the context.
fn cluster(own: Option<&str>, context: &Context<'_>) -> Result<Str, Reject> {
    match own.filter(|c| !c.is_empty()).or(context.cluster) {
        Some(cluster) => Ok(cluster.into()),
        None => Err(Reject::new(
            Reason::ClusterMissing,
            "the record names no `cluster`, and neither does the header `X-Cluster`",
        )),
    }
}

fn check_tenant(own: Option<&str>, context: &Context<'_>) -> Result<(), Reject> {
    match (own, context.client_id) {
        (Some(own), Some(expected)) if own != expected => Err(Reject::new(
            Reason::ForeignTenant,
            format!("the record belongs to `{own}`, the sender is `{expected}`"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a record with a field that nothing reads is accepted.
    fn accepts(field: &str) -> bool {
        let record = format!(
            r#"{{"cluster":"c","kind":"Pod","namespace":"n","name":"p","uid":"u","zz":{field}}}"#
        );
        let accepted = parse(
            Topic::Resource,
            record.as_bytes(),
            &Context {
                received_at: Time(2_000_000_000_000_000),
                ..Context::default()
            },
            &mut Vec::new(),
        );
        let is_value = serde_json::from_str::<serde_json::Value>(&record).is_ok();
        assert!(accepted.is_err() || is_value, "{record} cannot be masked");
        accepted.is_ok()
    }

    #[test]
    fn what_cannot_be_masked_is_rejected_also_in_fields_that_nothing_reads() {
        let digits = "9".repeat(400);
        for odd in ["1e999", "-1E+999", r#""\ud800""#, r#"["\udc00x"]"#, &digits] {
            assert!(!accepts(odd), "{odd}");
        }
        let short = "9".repeat(200);
        for plain in [
            "1e10",
            "1e308",
            r#""\ud83d\ude00 \u00e9""#,
            r#""3e99""#,
            &short,
        ] {
            assert!(accepts(plain), "{plain}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_a_value(
            parts in proptest::collection::vec(
                proptest::sample::select(&[
                    "\\u", "d8", "00", "dc", "e", "E", "+", "-", ".", "9", "999", "\"", "[", "]",
                    "{", "}", ":", ",", "\\", "0", "null", " ",
                ][..]),
                0..8,
            ),
            digits in 0..400_usize,
        ) {
            accepts(&parts.concat());
            accepts(&format!("{}{}", "8".repeat(digits), parts.concat()));
        }
    }

    #[test]
    fn errors_quote_no_values() {
        let error = serde_json::from_str::<i64>(r#""hunter2\", expected""#).unwrap_err();
        let message = without_values(&error.to_string());
        assert!(
            message.starts_with("invalid type: string, expected i64"),
            "{message}"
        );
    }
}
