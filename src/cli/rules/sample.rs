//! Texts that a regular expression matches, made up from it: examples for
//! rules that come without.

use regex_syntax::hir::{Class, ClassUnicode, Hir, HirKind};

/// A text that `pattern` most likely matches; another one for each `seed`.
pub(super) fn sample(pattern: &str, seed: u64) -> Option<String> {
    let hir = regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    let mut writer = Writer { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, text: Vec::new() };
    writer.write(&hir);
    String::from_utf8(writer.text).ok().filter(|text| text.len() < 1024)
}

struct Writer {
    /// Of a generator of pseudo-random numbers (xorshift64, Marsaglia 2003).
    state: u64,
    text: Vec<u8>,
}

impl Writer {
    fn write(&mut self, hir: &Hir) {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.text.extend_from_slice(&literal.0),
            HirKind::Class(class) => self.class(class),
            HirKind::Capture(group) => self.write(&group.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.write(part)),
            HirKind::Alternation(parts) => {
                let index = self.below(parts.len());
                self.write(&parts[index]);
            }
            HirKind::Repetition(repetition) => {
                // Of what may be missing little is written, and of values all.
                let least = repetition.min as usize;
                let most = repetition.max.map_or(least, |most| most as usize).min(least + 2);
                let times = least + self.below(most - least + 1);
                (0..times.min(512)).for_each(|_| self.write(&repetition.sub));
            }
        }
    }

    /// A letter or a digit where the class has one.
    fn class(&mut self, class: &Class) {
        let all: Vec<u8> = match class {
            Class::Bytes(class) => class.ranges().iter().flat_map(|range| range.start()..=range.end()).collect(),
            Class::Unicode(class) => (0..0x80).filter(|&byte| class_has(class, char::from(byte))).collect(),
        };
        let bytes = || all.iter().copied();
        let kinds: [fn(&u8) -> bool; 4] =
            [u8::is_ascii_alphanumeric, u8::is_ascii_graphic, |byte| *byte == b' ', u8::is_ascii];
        let chosen = kinds.iter().map(|is| bytes().filter(is).collect::<Vec<u8>>()).find(|bytes| !bytes.is_empty());
        if let Some(bytes) = chosen {
            let index = self.below(bytes.len());
            self.text.push(bytes[index]);
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap_or(0) % limit.max(1)
    }
}

fn class_has(class: &ClassUnicode, char: char) -> bool {
    class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_of_the_pattern() {
        for pattern in [r"acme_[a-z0-9]{16}", r"(?i)key\s{0,3}=(?P<secret>[0-9a-f]{32,})", "a(?:b|cd){2,4}(?:=|:)e"] {
            let regex = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            for seed in 0..20 {
                let text = sample(pattern, seed).unwrap();
                assert!(regex.is_match(&text), "{pattern}: {text}");
            }
        }
    }
}
