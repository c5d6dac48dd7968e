//! Places where the address of a host or of its network card may stand.
//!
//! Points and colons are everywhere, so these places are looked for by
//! themselves, and only where a rule asks for them; what is not asked for costs
//! nothing.

use super::shape::{Candidate, IP, Kinds, MAC};

/// Adds the places in `text` to `candidates`, which are in order and stay so.
pub(super) fn collect(text: &[u8], wanted: Kinds, candidates: &mut Vec<Candidate>) {
    if wanted & (IP | MAC) == 0 {
        return;
    }
    let found = candidates.len();
    for at in memchr::memchr3_iter(b'.', b':', b'-', text) {
        if is_ip(text, at) {
            candidates.push(Candidate { at: at + 1, kinds: IP });
        }
        if is_mac(text, at) {
            candidates.push(Candidate { at, kinds: MAC });
        }
    }
    if candidates.len() == found {
        return;
    }
    candidates.sort_by_key(|candidate| candidate.at);
    candidates.dedup_by(|later, first| {
        let same = later.at == first.at;
        first.kinds |= if same { later.kinds } else { 0 };
        same
    });
}

/// Whether the second point of an IPv4 address, or the first colon of an IPv6
/// one, may stand at `at`, as far as what is near tells.
fn is_ip(text: &[u8], at: usize) -> bool {
    let Some(&next) = text.get(at + 1) else { return false };
    let before = &text[..at];
    match text[at] {
        b'.' => {
            let digits = before.iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
            let point = before.len().checked_sub(digits + 1).map(|point| before[point]);
            next.is_ascii_digit() && (1..=3).contains(&digits) && point == Some(b'.')
        }
        b':' => next == b':' || next.is_ascii_hexdigit() && before.last().is_some_and(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// Whether the second separator of a MAC address may stand at `at`: behind
/// another one and two hex digits, or of points four.
fn is_mac(text: &[u8], at: usize) -> bool {
    let digits = if text[at] == b'.' { 4 } else { 2 };
    let Some(first) = at.checked_sub(digits + 1) else { return false };
    text[first] == text[at] && text[first + 1..at].iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str, wanted: Kinds) -> Vec<(usize, Kinds)> {
        let mut candidates = vec![Candidate { at: 2, kinds: 1 }];
        collect(text.as_bytes(), wanted, &mut candidates);
        candidates.iter().map(|candidate| (candidate.at, candidate.kinds)).collect()
    }

    #[test]
    fn places_are_found_in_order_where_they_are_asked_for() {
        assert_eq!(places("10.0.0.1 fe80::1", IP), [(2, 1), (5, IP), (7, IP), (14, IP)]);
        assert_eq!(places("a:1", IP), [(2, 1 | IP)]);
        assert_eq!(places("00-1a-2b 0012.3456.789a", MAC), [(2, 1), (5, MAC), (18, MAC)]);
        assert_eq!(places("10.0.0.1 00:1a:2b", shapeless()), [(2, 1)]);
    }

    fn shapeless() -> Kinds {
        !(IP | MAC)
    }

    #[test]
    fn names_members_and_fractions_are_no_places() {
        for text in ["std::x", r#""a":"b""#, "3.14 1234.5.x", "https://x", "2025-1-1"] {
            let found = places(text, IP | MAC);
            // A path of types is only told apart by who looks closer.
            assert!(found.len() == 1 || text == "std::x", "{text} {found:?}");
        }
    }
}
