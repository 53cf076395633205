//! Tests of the module above.

use super::*;
use proptest::prelude::*;

const EDIT: &str = "kubectl -n <namespace> edit <kind>/<name>";

fn edit(namespace: &str, name: &str) -> String {
    let values = [("namespace", namespace), ("kind", "pod"), ("name", name)];
    Command::of(EDIT).fill(values).to_string()
}

#[test]
fn known_names_are_filled_in_and_unknown_ones_stay() {
    assert_eq!(edit("shop", "web"), "kubectl -n shop edit pod/web");
    assert_eq!(edit("", "web"), "kubectl edit pod/web");
    let open = Command::of(EDIT).fill([("name", "web")]);
    assert_eq!(open.to_string(), "kubectl -n <namespace> edit <kind>/web");
    assert_eq!(open.open(), ["namespace", "kind"]);
}

const LABEL: &str = "kubectl label for-<group>/<value>";

#[test]
fn values_are_quoted_in_words_and_in_patches() {
    let label = |group: &str, value: &str| {
        let values = [("group", group), ("value", value)];
        Command::of(LABEL).fill(values).to_string()
    };
    assert_eq!(label("a;b", "$(c)"), "kubectl label for-'a;b'/'$(c)'");
    assert_eq!(
        label("a'b", "<kind>"),
        r"kubectl label for-'a'\''b'/'<kind>'"
    );
    let patch = r#"kubectl patch -p '{"a":"<value>","b":<port>}'"#;
    let filled = Command::of(patch).fill([("value", r#"x","y":"z"#), ("port", "80")]);
    assert_eq!(
        filled.to_string(),
        r#"kubectl patch -p '{"a":"x\",\"y\":\"z","b":80}'"#
    );
    let text = Command::of(patch).fill([("port", "http")]);
    assert!(text.to_string().contains(r#""b":"http"}"#), "{text}");
}

#[test]
fn what_looks_like_an_option_or_has_lines_gives_no_command() {
    let delete = Command::of("kubectl delete pod <name>");
    for name in ["--all", "-A", "a\nb", "", "a\u{1b}[2J"] {
        let filled = delete.clone().fill([("name", name)]);
        assert!(filled.is_empty(), "{name:?}: {filled}");
    }
}

#[test]
fn what_no_object_can_be_called_gives_no_command() {
    for name in ["web", "web-0", "a.example.com", "system:node", "W_1"] {
        assert!(!edit("shop", name).is_empty(), "{name}");
    }
    let long = "a".repeat(254);
    for name in [
        "/root/x", "..", ".", "a/../b", "a b", "a;b", "$(c)", "<kind>", "é", &long,
    ] {
        assert_eq!(edit("shop", name), "", "{name}");
        assert_eq!(edit(name, "web"), "", "{name}");
    }
}

proptest! {
    #[test]
    fn the_shell_reads_exactly_the_words_that_are_meant(
        group in "[ -~é]{1,12}", value in "[ -~é]{1,12}",
    ) {
        let values = [("group", &*group), ("value", &*value)];
        let command = Command::of(LABEL).fill(values);
        let object = format!("for-{group}/{value}");
        let meant = ["kubectl", "label", &*object];
        prop_assert_eq!(shlex::split(&command.to_string()).unwrap(), meant);
        prop_assert_eq!(command.arguments(), meant);
    }

    #[test]
    fn a_patch_stays_valid(value in "[ -~é]{1,12}") {
        let patch = Command::of(r#"kubectl patch -p '{"a":"<value>","b":<value>}'"#);
        let words = shlex::split(&patch.fill([("value", &*value)]).to_string()).unwrap();
        let json: Value = serde_json::from_str(&words[3]).unwrap();
        prop_assert_eq!(&json["a"], &Value::from(value.as_str()));
        prop_assert_eq!(json.as_object().unwrap().len(), 2);
    }
}
