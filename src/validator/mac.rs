//! Addresses of network cards (EUI-48 of IEEE Std 802, as in
//! <https://standards.ieee.org/wp-content/uploads/import/documents/tutorials/eui.pdf>). All zeros and the broadcast
//! address, all ones, are nobody's.

/// Whether the hex digits of `value`, separators aside, are such an address.
pub fn accepts(value: &[u8]) -> bool {
    let digits = || value.iter().filter(|byte| byte.is_ascii_hexdigit());
    let separated = value.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'-' | b'.'));
    let all = |digit: u8| digits().all(|byte| byte.eq_ignore_ascii_case(&digit));
    separated && digits().count() == 12 && !all(b'0') && !all(b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_cards_are_accepted_and_those_of_nobody_are_not() {
        assert!(accepts(b"00:1A:2b:3c:4d:5e") && accepts(b"0012.3456.789a"));
        for value in ["00:00:00:00:00:00", "FF-FF-FF-ff-ff-ff", "00:1a:2b:3c:4d", "00:1a:2b:3c:4d:5g", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
