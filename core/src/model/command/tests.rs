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

#[test]
fn names_are_quoted_in_words_and_in_patches() {
    assert_eq!(edit("a;b", "$(c)"), "kubectl -n 'a;b' edit pod/'$(c)'");
    assert_eq!(
        edit("a'b", "<kind>"),
        r"kubectl -n 'a'\''b' edit pod/'<kind>'"
    );
    let patch = r#"kubectl patch -p '{"a":"<name>","b":<port>}'"#;
    let filled = Command::of(patch).fill([("name", r#"x","y":"z"#), ("port", "80")]);
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

proptest! {
    #[test]
    fn the_shell_reads_exactly_the_words_that_are_meant(
        namespace in "[ -~é]{1,12}", name in "[ -~é]{1,12}",
    ) {
        let values = [("namespace", &*namespace), ("kind", "pod"), ("name", &*name)];
        let command = Command::of(EDIT).fill(values);
        if namespace.starts_with('-') {
            prop_assert!(command.is_empty());
            return Ok(());
        }
        let object = format!("pod/{name}");
        let meant = ["kubectl", "-n", &*namespace, "edit", &*object];
        prop_assert_eq!(shlex::split(&command.to_string()).unwrap(), meant);
        prop_assert_eq!(command.arguments(), meant);
    }

    #[test]
    fn a_patch_stays_valid(value in "[ -~é]{1,12}") {
        let patch = Command::of(r#"kubectl patch -p '{"a":"<name>","b":<name>}'"#);
        let words = shlex::split(&patch.fill([("name", &*value)]).to_string()).unwrap();
        let json: Value = serde_json::from_str(&words[3]).unwrap();
        prop_assert_eq!(&json["a"], &Value::from(value.as_str()));
        prop_assert_eq!(json.as_object().unwrap().len(), 2);
    }
}
