//! A value so that it can be told from others and not be read.

/// The first and the last characters, and how many there are in all.
pub(super) fn preview(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let chars: Vec<char> = text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect();
    let (first, last) = match chars.len() {
        0..=5 => (0, 0),
        6..=11 => (1, 1),
        12..=19 => (2, 2),
        _ => (4, 2),
    };
    let part = |chars: &[char]| chars.iter().collect::<String>();
    format!("{}…{} ({} characters)", part(&chars[..first]), part(&chars[chars.len() - last..]), chars.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_of_a_value_stays_hidden() {
        assert_eq!(preview(b"1234"), "… (4 characters)");
        assert_eq!(preview(b"hunter22"), "h…2 (8 characters)");
        assert_eq!(preview(b"jane@example.com"), "ja…om (16 characters)");
        assert_eq!(preview(b"ghp_abcdefghijklmnopqrstuvwx"), "ghp_…wx (28 characters)");
        assert_eq!(preview(b"\x1b[2Jabc"), "\u{fffd}…c (7 characters)");
    }
}
