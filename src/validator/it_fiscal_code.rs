//! Italian fiscal codes: six letters of the name, year, letter of the month,
//! day, place of birth, and a letter by the remainder modulo 26; where two
//! persons would share one, letters stand for digits (decree of 23 December
//! 1976, <https://www.agenziaentrate.gov.it/portale/schede/istanze/richiesta-ts_cf/informazioni-codificazione-pf>).

/// What characters in odd places count, digits as the first ten letters.
const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
/// What stands for the digits 0 to 9.
const LETTERS: &[u8; 10] = b"LMNPQRSTUV";
const MONTHS: &[u8] = b"ABCDEHLMPRST";
/// Where digits stand.
const DIGITS: [usize; 7] = [6, 7, 9, 10, 12, 13, 14];

/// Whether `value`, in either case, is such a code.
pub fn accepts(value: &[u8]) -> bool {
    let Ok(code) = <[u8; 16]>::try_from(value) else { return false };
    let code = code.map(|byte| byte.to_ascii_uppercase());
    let is_right = |(index, &byte): (usize, &u8)| match index {
        8 => MONTHS.contains(&byte),
        _ if DIGITS.contains(&index) => digit(byte).is_some(),
        _ => byte.is_ascii_uppercase(),
    };
    let day = || Some(digit(code[9])? * 10 + digit(code[10])?);
    let sum: u32 = code[..15].iter().enumerate().map(|(index, &byte)| count(index, byte)).sum();
    // Of women the day is 40 more.
    code.iter().enumerate().all(is_right)
        && day().is_some_and(|day| matches!(day, 1..=31 | 41..=71))
        && sum % 26 == u32::from(code[15] - b'A')
}

fn digit(byte: u8) -> Option<usize> {
    match byte {
        b'0'..=b'9' => Some(usize::from(byte - b'0')),
        _ => LETTERS.iter().position(|&letter| letter == byte),
    }
}

/// What a character counts; places are odd from the first on.
fn count(index: usize, byte: u8) -> u32 {
    let number = if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') };
    match index % 2 {
        0 => ODD.get(usize::from(number)).copied().unwrap_or(0),
        _ => u32::from(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["RSSMRA85T10A562S", "rssmra85t10a562s", "BNCLRA91D52F205V"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in
            ["RSSMRA85T10A562T", "RSSMRA85I10A562S", "RSSMRA85T80A562S", "RSSMRA85T10A56S", "R55MRA85T10A562S", ""]
        {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
