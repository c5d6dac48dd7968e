//! What has to be done to a document to make another one of it (RFC 6902).

use super::node::Node;

/// The operations, as a JSON Patch.
pub(super) fn patch(from: &Node, to: &Node) -> Node {
    let mut operations = Vec::new();
    compare(from, to, "", &mut operations);
    Node::List(operations)
}

/// Lists of one length are compared item by item; others are replaced.
fn compare(from: &Node, to: &Node, path: &str, operations: &mut Vec<Node>) {
    let step = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    match (from, to) {
        _ if from == to => {}
        (Node::Map(from), Node::Map(to)) => {
            for (key, _) in from.iter().filter(|(key, _)| to.get(&key.text).is_none()) {
                operations.push(operation("remove", &step(&key.text), None));
            }
            for (key, value) in to.iter() {
                match from.get(&key.text) {
                    Some(own) => compare(own, value, &step(&key.text), operations),
                    None => operations.push(operation("add", &step(&key.text), Some(value))),
                }
            }
        }
        (Node::List(from), Node::List(to)) if from.len() == to.len() => {
            for (index, (from, to)) in from.iter().zip(to).enumerate() {
                compare(from, to, &step(&index.to_string()), operations);
            }
        }
        _ => operations.push(operation("replace", path, Some(to))),
    }
}

fn operation(name: &str, path: &str, value: Option<&Node>) -> Node {
    let mut operation = Node::map([("op", Node::text(name)), ("path", Node::text(path))]);
    if let (Some(map), Some(value)) = (operation.as_map_mut(), value) {
        map.set("value", value.clone());
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::json::{read_json, write_json};

    #[test]
    fn only_what_differs_is_named() {
        let [from, to] = [
            r#"{"a":{"x/y":1,"b~":2},"l":[{"n":1},{"n":2}],"k":[1],"same":[1,2]}"#,
            r#"{"a":{"x/y":3,"new":{}},"l":[{"n":1},{"n":3}],"k":[0,1],"same":[1,2]}"#,
        ]
        .map(|text| read_json(text).unwrap());
        let expected = r#"[{"op":"remove","path":"/a/b~0"},{"op":"replace","path":"/a/x~1y","value":3},{"op":"add","path":"/a/new","value":{}},{"op":"replace","path":"/l/1/n","value":3},{"op":"replace","path":"/k","value":[0,1]}]"#;
        assert_eq!(write_json(&patch(&from, &to), None), expected);
        assert_eq!(patch(&to, &to), Node::List(Vec::new()));
    }
}
