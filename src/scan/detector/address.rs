//! Addresses of hosts, IPv4 (`d.d.d.d`) and IPv6 (RFC 4291, 2.2), and of network
//! cards (IEEE 802), six groups of two hex digits or three of four.

use super::{in_word, word_before};
use crate::validator::{ip, mac};
use std::ops::Range;

/// `255.255.255.255`
const LONGEST_V4: usize = 15;
/// An IPv6 address that ends with an IPv4 one.
const LONGEST_V6: usize = 45;

/// The address whose second point or first colon is at `anchor`.
pub(super) fn ip(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    match text.get(anchor)? {
        b'.' => v4(text, anchor),
        b':' => v6(text, anchor),
        _ => None,
    }
}

fn v4(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let digits = |end: usize| text[..end].iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let first = anchor.checked_sub(digits(anchor) + 1).filter(|&first| text[first] == b'.')?;
    let start = first - digits(first);
    let end = start + four_numbers(&text[start..])?;
    let part = match start.checked_sub(1).map(|before| text[before]) {
        Some(b'.') => true,
        _ => word_before(text, start),
    };
    let more = |by: usize| in_word(text.get(end + by).copied());
    let goes_on = match text.get(end) {
        Some(b'.') => more(1),
        Some(b'-') => more(1) && !text[end + 1].is_ascii_digit(),
        _ => more(0),
    };
    (anchor < end && !part && !goes_on && ip::accepts(&text[start..end])).then_some(start..end)
}

/// Where the last of four numbers with points between ends: an ellipsis may follow.
fn four_numbers(text: &[u8]) -> Option<usize> {
    let mut end = 0;
    for number in 0..4 {
        if number > 0 {
            end += usize::from(text.get(end) == Some(&b'.'));
        }
        let digits = run(&text[end..], LONGEST_V4, |byte| byte.is_ascii_digit());
        end += digits;
        if digits == 0 {
            return None;
        }
    }
    Some(end)
}

fn v6(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let start = anchor - text[..anchor].iter().rev().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
    let before = start.checked_sub(1).map(|before| text[before]);
    let part = match before {
        // A mask may keep what looks like one.
        Some(b'.' | b'*') => true,
        Some(b':') => !is_label(&text[..start - 1]),
        _ => word_before(text, start),
    };
    if part {
        return None;
    }
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let end = start + run(&text[start..], LONGEST_V6 + 1, is_part);
    let goes_on = in_word(text.get(end).copied());
    // At the end of a sentence, before an ellipsis, or before a colon.
    let end = end - run_behind(&text[start..end], |byte| byte == b'.');
    let end = match &text[start..end] {
        [.., b':', b':'] => end,
        [.., b':'] => end - 1,
        _ => end,
    };
    // A path of types, `a::b`, has no digit.
    let has_digit = text[start..end].iter().any(u8::is_ascii_digit);
    (anchor < end && has_digit && !goes_on && ip::accepts(&text[start..end])).then_some(start..end)
}

/// The address whose second separator is at `anchor`.
pub(super) fn mac(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    let (group, length) = match text.get(anchor)? {
        b':' | b'-' => (2, 17),
        b'.' => (4, 14),
        _ => return None,
    };
    let separator = text[anchor];
    let start = anchor.checked_sub(2 * group + 1)?;
    let end = start + length;
    let shaped = text.get(start..end)?.iter().enumerate().all(|(index, byte)| match index % (group + 1) == group {
        true => *byte == separator,
        false => byte.is_ascii_hexdigit(),
    });
    let before = start.checked_sub(1).map(|before| text[before]);
    let goes_on = text.get(end) == Some(&separator) && in_word(text.get(end + 1).copied());
    let longer = before == Some(separator) && !is_label(&text[..start - 1]);
    let part = longer || word_before(text, start) || in_word(text.get(end).copied()) || goes_on;
    (shaped && !part && mac::accepts(&text[start..end])).then_some(start..end)
}

/// Whether `text` ends with a word that is no group of an address, nor part of one:
/// `addr:fe80::1`, `MAC:00:1a:2b:3c:4d:5e`.
fn is_label(text: &[u8]) -> bool {
    let word = &text[text.len() - run_behind(text, |byte| byte.is_ascii_alphanumeric())..];
    word.iter().all(u8::is_ascii_alphabetic) && !word.iter().all(u8::is_ascii_hexdigit)
}

/// How many bytes at the end of `text` are such, as far as a group may go.
fn run_behind(text: &[u8], is: impl Fn(u8) -> bool) -> usize {
    text.iter().rev().take(8).take_while(|&&byte| is(byte)).count()
}

/// How many bytes of `text` are such, `most` of them at most.
fn run(text: &[u8], most: usize, is: impl Fn(u8) -> bool) -> usize {
    text.iter().take(most).take_while(|&&byte| is(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first address in `text`, whatever the anchor.
    fn found(text: &str, extent: fn(&[u8], usize) -> Option<Range<usize>>) -> Option<&str> {
        (0..text.len()).find_map(|anchor| extent(text.as_bytes(), anchor)).map(|range| &text[range])
    }

    #[test]
    fn addresses_of_hosts_are_found_whole() {
        for (text, address) in [
            ("from 192.0.2.17:8080", "192.0.2.17"),
            ("198.51.100.4/24", "198.51.100.4"),
            ("It was 203.0.113.9.", "203.0.113.9"),
            ("Connecting to 192.0.2.17... done", "192.0.2.17"),
            ("Connecting to 2001:db8::17... done", "2001:db8::17"),
            ("addr:2001:db8::17", "2001:db8::17"),
            ("MAC:2001:db8::17", "2001:db8::17"),
            ("192.0.2.1-192.0.2.9", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:DB8:85a3:0:0:8a2e:370:7334, and", "2001:DB8:85a3:0:0:8a2e:370:7334"),
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
            ("at 2001:db8:1::", "2001:db8:1::"),
        ] {
            assert_eq!(found(text, ip), Some(address), "{text}");
        }
    }

    #[test]
    fn versions_times_and_paths_of_types_stay() {
        for text in [
            "1.2.3",
            "1.2.3.4.5",
            "v1.2.3.4",
            "1.2.3.4-rc1",
            "1.2.3.4.tar",
            "256.1.1.1",
            "01.2.3.4",
            "1.2.3.4567",
            "12:30:45",
            "std::fmt",
            "dead::beef",
            "a:1",
            "::",
            "::1",
            "127.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "1:2:3:4:5:6:7",
            "2001:db8::1::2",
            "x2001:db8::1",
            "*2001:db8::1",
            "2001:db8::1x",
            "00:1a:2b:3c:4d:5e",
        ] {
            assert_eq!(found(text, ip), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_cards_are_found_whole_and_longer_ones_stay() {
        for (text, address) in [
            ("eth 00:1A:2b:3c:4d:5e up", Some("00:1A:2b:3c:4d:5e")),
            ("00-1a-2b-3c-4d-5e.", Some("00-1a-2b-3c-4d-5e")),
            ("MAC:00:1a:2b:3c:4d:5e", Some("00:1a:2b:3c:4d:5e")),
            ("HWaddr:00:1a:2b:3c:4d:5e", Some("00:1a:2b:3c:4d:5e")),
            ("0012.3456.789a", Some("0012.3456.789a")),
            ("00:1a:2b:3c:4d", None),
            ("00:1a-2b:3c:4d:5e", None),
            ("00:1a:2b:3c:4d:5e:6f", None),
            ("ff:ff:ff:ff:ff:ff", None),
            ("00:00:00:00:00:00", None),
            ("x00:1a:2b:3c:4d:5e", None),
        ] {
            assert_eq!(found(text, mac), address, "{text}");
        }
    }
}
