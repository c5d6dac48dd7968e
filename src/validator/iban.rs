//! International bank account numbers (ISO 13616): the country's length and
//! the check modulo 97. Lengths: SWIFT's IBAN registry.

/// (country, length) in the order of the countries.
const LENGTHS: &[([u8; 2], u8)] = &[
    (*b"AD", 24),
    (*b"AE", 23),
    (*b"AL", 28),
    (*b"AT", 20),
    (*b"AZ", 28),
    (*b"BA", 20),
    (*b"BE", 16),
    (*b"BG", 22),
    (*b"BH", 22),
    (*b"BI", 27),
    (*b"BR", 29),
    (*b"BY", 28),
    (*b"CH", 21),
    (*b"CR", 22),
    (*b"CY", 28),
    (*b"CZ", 24),
    (*b"DE", 22),
    (*b"DJ", 27),
    (*b"DK", 18),
    (*b"DO", 28),
    (*b"EE", 20),
    (*b"EG", 29),
    (*b"ES", 24),
    (*b"FI", 18),
    (*b"FK", 18),
    (*b"FO", 18),
    (*b"FR", 27),
    (*b"GB", 22),
    (*b"GE", 22),
    (*b"GI", 23),
    (*b"GL", 18),
    (*b"GR", 27),
    (*b"GT", 28),
    (*b"HN", 28),
    (*b"HR", 21),
    (*b"HU", 28),
    (*b"IE", 22),
    (*b"IL", 23),
    (*b"IQ", 23),
    (*b"IS", 26),
    (*b"IT", 27),
    (*b"JO", 30),
    (*b"KW", 30),
    (*b"KZ", 20),
    (*b"LB", 28),
    (*b"LC", 32),
    (*b"LI", 21),
    (*b"LT", 20),
    (*b"LU", 20),
    (*b"LV", 21),
    (*b"LY", 25),
    (*b"MC", 27),
    (*b"MD", 24),
    (*b"ME", 22),
    (*b"MK", 19),
    (*b"MN", 20),
    (*b"MR", 27),
    (*b"MT", 31),
    (*b"MU", 30),
    (*b"NI", 28),
    (*b"NL", 18),
    (*b"NO", 15),
    (*b"OM", 23),
    (*b"PK", 24),
    (*b"PL", 28),
    (*b"PS", 29),
    (*b"PT", 25),
    (*b"QA", 29),
    (*b"RO", 24),
    (*b"RS", 22),
    (*b"RU", 33),
    (*b"SA", 24),
    (*b"SC", 31),
    (*b"SD", 18),
    (*b"SE", 24),
    (*b"SI", 19),
    (*b"SK", 24),
    (*b"SM", 27),
    (*b"SO", 23),
    (*b"ST", 25),
    (*b"SV", 28),
    (*b"TL", 23),
    (*b"TN", 24),
    (*b"TR", 26),
    (*b"UA", 29),
    (*b"VA", 22),
    (*b"VG", 24),
    (*b"XK", 20),
    (*b"YE", 30),
];

/// The number of characters, without spaces, of the country's IBANs.
pub fn length(country: [u8; 2]) -> Option<usize> {
    let index = LENGTHS.binary_search_by_key(&country, |&(country, _)| country).ok()?;
    LENGTHS.get(index).map(|&(_, length)| usize::from(length))
}

/// Whether `value`, upper case with optional spaces or dashes, is an IBAN.
pub fn accepts(value: &[u8]) -> bool {
    let mut country = [0_u8; 2];
    let mut head = 0_u32;
    let mut rest = 0_u32;
    let mut count = 0_usize;
    for &byte in value {
        if matches!(byte, b' ' | b'-') {
            continue;
        }
        if !right_kind(count, byte) {
            return false;
        }
        // The check runs over the number with its first four characters last.
        match count {
            0..=3 => head = append(head, byte),
            _ => rest = append(rest, byte),
        }
        if let Some(slot) = country.get_mut(count) {
            *slot = byte;
        }
        count += 1;
    }
    // The country and check digits take two decimal digits per letter: six.
    length(country) == Some(count) && (rest * (1_000_000 % 97) + head) % 97 == 1
}

/// Two letters, two digits, then either.
fn right_kind(index: usize, byte: u8) -> bool {
    match index {
        0 | 1 => byte.is_ascii_uppercase(),
        2 | 3 => byte.is_ascii_digit(),
        _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
    }
}

/// The remainder after one more character; letters count as 10 to 35.
fn append(remainder: u32, byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.wrapping_sub(b'A')) + 10) % 97,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_registry_are_accepted() {
        for value in [
            "GB29NWBK60161331926819",
            "DE89 3704 0044 0532 0130 00",
            "FR1420041010050500013M02606",
            "NO93 8601 1117 947",
            "MT84MALT011000012345MTLCAST001S",
            "BR1800360305000010009795493C1",
            "LC55HEMM000100010012001200023015",
            "SC18SSCB11010000000000001497USD",
            "CH93-0076-2011-6238-5295-7",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn wrong_checks_lengths_and_countries_are_refused() {
        for value in [
            "DE99054706699090905883",
            "GB29NWBK6016133192681",
            "GB29NWBK601613319268190",
            "ZZ29NWBK60161331926819",
            "gb29nwbk60161331926819",
            "GB2XNWBK60161331926819",
            "GB29.NWBK.6016.1331.9268.19",
            "",
            "GB",
        ] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_within_the_standard() {
        assert!(LENGTHS.is_sorted_by(|left, right| left.0 < right.0));
        assert!(LENGTHS.iter().all(|&(_, length)| (15..=34).contains(&length)));
    }

    #[test]
    fn a_change_of_any_digit_is_noticed() {
        let good = b"DE89370400440532013000";
        for index in 2..good.len() {
            let mut bad = *good;
            bad[index] = if bad[index] == b'9' { b'0' } else { bad[index] + 1 };
            assert!(!accepts(&bad), "digit {index}");
        }
    }
}
