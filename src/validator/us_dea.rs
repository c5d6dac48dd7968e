//! Registration numbers of the US Drug Enforcement Administration: two letters,
//! or a letter and a nine, six digits and a check digit. A worked example is in
//! <https://pharmacy-tech-study.com/dea-number-verification.html>.

use super::digits::digits;

/// Whether `value`, in either case, is such a number.
pub fn accepts(value: &[u8]) -> bool {
    let [kind, name, rest @ ..] = value else { return false };
    let Some(digits) = digits::<7>(rest).map(|digits| digits.map(u32::from)) else { return false };
    let [a, b, c, d, e, f, check] = digits;
    kind.is_ascii_alphabetic()
        && (name.is_ascii_alphabetic() || *name == b'9')
        && (a + c + e + 2 * (b + d + f)) % 10 == check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["BB1388568", "F91234563"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["BB1388569", "1B1388568", "BB138856", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
