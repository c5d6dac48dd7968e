//! National Insurance numbers of the United Kingdom: two letters, six digits, a
//! letter from A to D; prefixes that are not given out (HM Revenue & Customs,
//! <https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110>).

use super::digits::digits;

const NEVER_FIRST: &[u8] = b"DFIQUV";
const NEVER_SECOND: &[u8] = b"DFIQUVO";
const NEVER: [&[u8; 2]; 7] = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"];

/// Whether `value`, in either case, is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let [first, second, middle @ .., last] = value else { return false };
    let prefix = [first.to_ascii_uppercase(), second.to_ascii_uppercase()];
    prefix.iter().all(u8::is_ascii_uppercase)
        && !NEVER_FIRST.contains(&prefix[0])
        && !NEVER_SECOND.contains(&prefix[1])
        && !NEVER.contains(&&prefix)
        && matches!(last.to_ascii_uppercase(), b'A'..=b'D')
        && digits::<6>(middle).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["AA 12 34 56 B", "tw987654a", "PR123612C"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["FQ 00 00 00 C", "GB123456A", "AO123456A", "AA123456E", "AA12345A", "AA", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
