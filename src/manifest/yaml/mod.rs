//! YAML to nodes and back.
//!
//! Plain values are never interpreted: what was `0.10` or `yes` is written as `0.10`
//! or `yes`, and what was a text is quoted wherever a reader of YAML 1.1 or 1.2 could
//! take it for something else. Anchors and merge keys (`<<`) are resolved.

mod read;
mod write;

pub use read::{Wrong, read_yaml};
pub use write::write_yaml;

#[cfg(test)]
mod tests {
    use super::super::node::Node;
    use super::*;

    fn read(text: &str) -> Node {
        read_yaml(text).unwrap().unwrap().node
    }

    /// Reads, writes, and reads what was written.
    fn rewritten(text: &str) -> String {
        let node = read(text);
        let written = write_yaml(&node);
        assert_eq!(read(&written), node, "{written}");
        written
    }

    #[test]
    fn what_kubectl_writes_stays_as_it_is() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations: {}\n  creationTimestamp: null\n\
                    spec:\n  template:\n    spec:\n      containers:\n      - name: app\n        image: app:1.0\n        \
                    args:\n        - --port=8080\n        - \"8080\"\n        ports: []\n        command:\n        - sh\n        \
                    - -c\n        - |\n          set -e\n            echo \"a\"\n\n          exec app\n      \
                    terminationGracePeriodSeconds: 30\n";
        assert_eq!(rewritten(text), text);
    }

    #[test]
    fn numbers_and_words_keep_their_spelling_and_their_quotes() {
        for value in
            ["0.10", "1e3", "0o17", "017", "1_000", "12:30:45", "yes", "NO", "~", "2001-01-01", "0x1F", ".5", ""]
        {
            let plain = format!("a: {value}\n").replace(": \n", ":\n");
            assert_eq!(rewritten(&plain), plain);
            let text = format!("a: \"{value}\"\n");
            assert_eq!(rewritten(&text), text);
            assert_eq!(rewritten(&format!("a: '{value}'\n")), text);
        }
    }

    #[test]
    fn texts_of_all_kinds_survive() {
        for text in [
            "a: \"x: y\"",
            "a: 'it''s'",
            "a: \"#x\"",
            "a: \"x #y\"",
            "a: \"tab\\t\"",
            "a: \"\\u0085\\u2028\\0\\e\"",
            "a: |-\n  b\n  c",
            "a: |+\n  b\n\n\n",
            "a: |2\n    lead\n  b\n",
            "a: >\n  folded\n  text\n\n  more\n",
            "a: 'x '",
            "a: \"x:\"",
            "a: ünï",
            "a: \"\\U0001F600\"",
            "a: plain over\n  two lines",
            "? a\n: b",
            "a: [b, {c: d}, []]",
            "'a b': c",
            "\"8080\": x",
            "8080: x",
            "a:\n- - b\n  - c\n- []",
            "a: x'y\"z",
            "a: \"\\n\"",
            "a: |\n  \ttab\n",
            "a: b \\n c",
            "a: '- x'",
            "a: '!x'",
            "a: \"a\\r\\nb\"",
            "a: |\n  x\n  ---\n  # y\n",
        ] {
            rewritten(text);
        }
        assert_eq!(rewritten("a: 😀"), "a: 😀\n");
    }

    #[test]
    fn anchors_and_merge_keys_are_resolved() {
        let merged = "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: [*x]\nf:\n  <<: [{b: 4}, *x]";
        let expected = "a:\n  b: 1\n  c: 2\nd:\n  b: 1\n  c: 3\ne:\n- b: 1\n  c: 2\nf:\n  b: 4\n  c: 2\n";
        assert_eq!(rewritten(merged), expected);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let laughs: String = (1..30).map(|level| format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1)).collect();
        let laughs = format!("a0: &a0 [x]\n{laughs}");
        let deep = format!("a: {}{}", "[".repeat(300), "]".repeat(300));
        for (text, line, told) in [
            ("a: 1\na: 2", 2, "there twice"),
            ("a: 1\n{{ .Values.x }}: 2\n", 2, ""),
            ("a: [1", 1, ""),
            ("a: 1\n? [b]\n: c", 2, "a key that is no text"),
            ("a: *x", 1, ""),
            (&laughs, 15, "more than"),
            (&deep, 1, ""),
        ] {
            let wrong = read_yaml(text).err().unwrap();
            assert!(wrong.why.contains(told) && wrong.line >= line, "{text}: {wrong:?}");
        }
    }

    #[test]
    fn nothing_is_no_document_and_tags_are_told() {
        for text in ["", "---\n", "# a\n---\n# b\n", "...\n"] {
            assert!(read_yaml(text).unwrap().is_none_or(|found| found.node.is_null()), "{text}");
        }
        assert!(!read_yaml("a: !!str 1").unwrap().unwrap().has_tags);
        assert!(read_yaml("a: !Ref x").unwrap().unwrap().has_tags);
        assert_eq!(rewritten("a: !!str 1\nb: !!int 2"), "a: \"1\"\nb: 2\n");
    }
}
