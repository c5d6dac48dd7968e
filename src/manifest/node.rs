//! A document as a tree that forgets nothing a reader could see: the order of
//! keys, and how numbers and other plain values are spelled.

/// A value of YAML or JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A text, a number, true, false or null.
    Scalar(Scalar),
    /// `- a`
    List(Vec<Node>),
    /// `a: b`
    Map(Map),
}

/// A single value, or a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// What it says, without quotes.
    pub text: String,
    /// Whether readers decide what it is (`8080`, `0.10`, `yes`, nothing at all): it
    /// is written as it was spelled, without quotes. Else it is a text.
    pub plain: bool,
}

/// Keys in their order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(Vec<(Scalar, Node)>);

/// What YAML 1.1 or 1.2 takes for something other than a text, in any case.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// Whether every reader takes this, written without quotes, for a text: numbers and
/// times begin with a digit, a sign or a point.
pub(super) fn reads_as_text(plain: &str) -> bool {
    let begins = plain.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '/' | '_'));
    begins && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(plain))
}

impl Scalar {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), plain: false }
    }

    /// As it was spelled without quotes.
    pub fn plain(text: impl Into<String>) -> Self {
        let text = text.into();
        let plain = !reads_as_text(&text) && !text.contains('\n');
        Self { text, plain }
    }

    fn is_null(&self) -> bool {
        self.plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }
}

impl Node {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::text(text))
    }

    /// A number, true, false or null.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Scalar(Scalar::plain(text))
    }

    /// Texts as keys, in this order.
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        let mut map = Map::default();
        for (key, value) in entries {
            map.set(key, value);
        }
        Self::Map(map)
    }

    /// Whether it is null: to Kubernetes as if it were not there.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(scalar) if scalar.is_null())
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(_) => self.is_null(),
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.0.is_empty(),
        }
    }

    /// What a single value says, unless it is null.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar(scalar) if !scalar.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    /// The text of the value under this key.
    pub fn text_of(&self, key: &str) -> Option<&str> {
        self.at(&[key])?.as_text()
    }

    /// The value at these keys, one below the other.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.as_map()?.get(key))
    }

    /// The same, to be changed.
    pub fn at_mut(&mut self, path: &[&str]) -> Option<&mut Self> {
        path.iter().try_fold(self, |node, key| node.as_map_mut()?.get_mut(key))
    }

    /// The items of the list under this key; none if there is none.
    pub fn items(&self, key: &str) -> &[Self] {
        match self.at(&[key]) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The same, to be changed.
    pub fn items_mut(&mut self, key: &str) -> &mut [Self] {
        match self.at_mut(&[key]) {
            Some(Self::List(items)) => items,
            _ => &mut [],
        }
    }

    /// If it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// If it is one.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }
}

impl Map {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(own, _)| own.text == key).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(own, _)| own.text == key).map(|(_, value)| value)
    }

    /// Sets the value of a key, at its place if it has one, else behind the others.
    pub fn set(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(own) => *own = value,
            None => self.0.push((Scalar::text(key), value)),
        }
    }

    /// Sets the value of a key that is not there, in front of another one if that is
    /// there, else in front of all.
    pub fn set_before(&mut self, other: &str, key: &str, value: Node) {
        let place = self.0.iter().position(|(own, _)| own.text == other).unwrap_or(0);
        self.0.insert(place, (Scalar::text(key), value));
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let place = self.0.iter().position(|(own, _)| own.text == key)?;
        Some(self.0.remove(place).1)
    }

    /// Adds a key behind the others. `None` if it is there already.
    pub(super) fn add(&mut self, key: Scalar, value: Node) -> Option<()> {
        if self.get(&key.text).is_some() {
            return None;
        }
        self.0.push((key, value));
        Some(())
    }

    /// Keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&Scalar, &Node)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_reader_takes_for_a_text_is_one() {
        for text in ["expurgate", "/livez", "a b: c", "_x", "e3", "yes sir"] {
            assert!(!Scalar::plain(text).plain, "{text}");
        }
        for text in ["", "~", "8080", "0.10", "1_000", "12:30:45", "yes", "NO", "On", "y", ".inf", "-1", "2001-01-01"] {
            assert!(Scalar::plain(text).plain, "{text}");
        }
    }

    #[test]
    fn a_key_keeps_its_place_when_its_value_changes() {
        let mut node = Node::map([("a", Node::plain("1")), ("b", Node::plain("2"))]);
        let map = node.as_map_mut().unwrap();
        map.set("a", Node::text("x"));
        map.set_before("b", "c", Node::plain("3"));
        let keys: Vec<&str> = map.iter().map(|(key, _)| key.text.as_str()).collect();
        assert_eq!(keys, ["a", "c", "b"]);
        assert_eq!(map.remove("a"), Some(Node::text("x")));
    }
}
