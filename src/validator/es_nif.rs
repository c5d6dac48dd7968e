//! Spanish tax numbers of persons: the number of the identity card, or of
//! foreigners X, Y or Z and seven digits, and a letter by the remainder modulo
//! 23 (Ministerio del Interior, "Cálculo del dígito de control del NIF/NIE",
//! <https://www.interior.gob.es/opencms/es/servicios-al-ciudadano/tramites-y-gestiones/dni/calculo-del-digito-de-control-del-nif-nie/>).

const LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Whether `value`, in either case and with single separators or without, is
/// such a number.
pub fn accepts(value: &[u8]) -> bool {
    let (mut number, mut count) = (0_usize, 0);
    for (index, byte) in value.iter().map(u8::to_ascii_uppercase).enumerate() {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'X'..=b'Z' if index == 0 => byte - b'X',
            b'-' | b' ' | b'.' => continue,
            letter => {
                let last = index + 1 == value.len() && (7..=8).contains(&count);
                return last && LETTERS[number % LETTERS.len()] == letter;
            }
        };
        if count == 8 {
            return false;
        }
        number = number * 10 + usize::from(digit);
        count += 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_check_holds_are_accepted() {
        for value in ["12345678Z", "12345678-z", "1234567L", "X1234567L", "Z8078221M"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn others_are_refused() {
        for value in ["12345678A", "123456789Z", "123456Z", "W1234567L", "12345678", "1234567Z8", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
