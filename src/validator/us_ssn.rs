//! US social security numbers, by the Social Security Administration's rules
//! for numbers never assigned (<https://www.ssa.gov/employer/randomization.html>):
//! area 000 or 666, group 00, serial 0000.
//!
//! Areas 900 to 999 are accepted although no SSN has one: individual taxpayer
//! identification numbers (IRS) are written the same way there.

/// Whether `value`, nine digits or `ddd-dd-dddd` (spaces or dots likewise),
/// may be a number of a person.
pub fn accepts(value: &[u8]) -> bool {
    let mut number = 0_u32;
    let mut count = 0_usize;
    for &byte in value {
        match byte {
            b'0'..=b'9' if count < 9 => {
                number = number * 10 + u32::from(byte - b'0');
                count += 1;
            }
            b'-' | b' ' | b'.' if count == 3 || count == 5 => {}
            _ => return false,
        }
    }
    let (area, group, serial) = (number / 1_000_000, number / 10_000 % 100, number % 10_000);
    count == 9 && area != 0 && area != 666 && group != 0 && serial != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plausible_numbers_are_accepted() {
        for value in ["078-05-1123", "078051123", "900-69-5311", "219 09 9999", "899-99-9999"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn numbers_never_assigned_are_refused() {
        for value in ["000-12-3456", "666-00-0201", "666-21-5259", "396-00-3073", "538-18-0000"] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn other_shapes_are_refused() {
        for value in ["", "078-05-112", "078-05-11234", "0780-5-1123", "078/05/1123", "07805112a"] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
