//! Payment card numbers: Luhn, issuer ranges, and the lengths of that issuer.
//!
//! Ranges: ISO/IEC 7812 issuer identification numbers as the networks publish
//! them to acquirers (Visa, Mastercard, American Express, Discover with Diners
//! Club and UnionPay, JCB, Maestro, Mir, RuPay, Troy, Verve). Lengths are those
//! in use: Visa's 13 digits, obsolete, would be every tenth EAN-13 from Germany
//! or Japan, and 17 or 18 digits would be database ids of that size.
//!
//! UATP's 15 digits begin with 1 and the accounting code of the airline that issued
//! the card, three digits that also begin the numbers of its tickets. Any number of
//! that size that begins with 1 would be an id far more often, so only the airlines
//! count that are known to issue them: <https://uatp.com/issuers/>; the codes are in
//! IATA's list: <https://www.iata.org/en/publications/directories/code-search/>.

use super::luhn;

/// Most digits of a card number (ISO/IEC 7812-1).
const MAX_DIGITS: usize = 19;

/// Most digits without separators. Longer ones are 64-bit ids in decimal far more
/// often (trace ids are): only UnionPay's, whose debit cards have 19, are taken.
const LONGEST_PLAIN: usize = 16;
/// The first two digits of UnionPay's.
const UNIONPAY: u32 = 62;

/// An issuer: inclusive range of the first six digits, mask of the lengths.
struct Issuer {
    first: u32,
    last: u32,
    lengths: u32,
}

const fn issuer(first: u32, last: u32, lengths: &[u32]) -> Issuer {
    let mut mask = 0;
    let mut index = 0;
    while index < lengths.len() {
        mask |= 1 << lengths[index];
        index += 1;
    }
    Issuer { first, last, lengths: mask }
}

/// UATP's cards of the airline with this accounting code.
const fn airline(code: u32) -> Issuer {
    issuer(100_000 + code * 100, 100_000 + code * 100 + 99, &[15])
}

const ISSUERS: &[Issuer] = &[
    // Visa
    issuer(400_000, 499_999, &[16, 19]),
    // Mastercard
    issuer(510_000, 559_999, &[16]),
    issuer(222_100, 272_099, &[16]),
    // American Express
    issuer(340_000, 349_999, &[15]),
    issuer(370_000, 379_999, &[15]),
    // Diners Club
    issuer(300_000, 305_999, &[14, 16, 19]),
    issuer(309_500, 309_599, &[14, 16, 19]),
    issuer(360_000, 369_999, &[14, 16, 19]),
    issuer(380_000, 399_999, &[14, 16, 19]),
    // Discover
    issuer(601_100, 601_199, &[16, 19]),
    issuer(644_000, 659_999, &[16, 19]),
    // UnionPay
    issuer(620_000, 629_999, &[16, 19]),
    // JCB
    issuer(352_800, 358_999, &[16, 19]),
    // Maestro; 5019 is Dankort's
    issuer(501_800, 501_999, &[13, 15, 16, 18, 19]),
    issuer(502_000, 502_099, &[13, 15, 16, 18, 19]),
    issuer(503_800, 503_899, &[13, 15, 16, 18, 19]),
    issuer(589_300, 589_399, &[13, 15, 16, 18, 19]),
    issuer(630_400, 630_499, &[13, 15, 16, 18, 19]),
    issuer(675_900, 676_399, &[13, 15, 16, 18, 19]),
    // Mir
    issuer(220_000, 220_499, &[16, 19]),
    // RuPay
    issuer(508_000, 508_999, &[16]),
    issuer(607_000, 608_999, &[16]),
    // Troy
    issuer(979_200, 979_299, &[16]),
    // Verve
    issuer(506_099, 506_198, &[16, 18, 19]),
    issuer(507_865, 507_964, &[16, 18, 19]),
    // UATP: American, Delta, Air Canada, United, Aer Lingus, Qantas, Air New Zealand, SAS, Gol, Japan Airlines,
    // Hahn Air, Lufthansa and AirPlus, Turkish, Austrian, Shandong, Frontier, Southwest, China Eastern, WestJet
    airline(1),
    airline(6),
    airline(14),
    airline(16),
    airline(53),
    airline(81),
    airline(86),
    airline(117),
    airline(127),
    airline(131),
    airline(169),
    airline(220),
    airline(235),
    airline(257),
    airline(324),
    airline(422),
    airline(526),
    airline(781),
    airline(838),
];

/// Whether `value`, digits with optional spaces or dashes between them, is a
/// number that some network could have issued.
pub fn accepts(value: &[u8]) -> bool {
    let mut prefix = 0_u32;
    let mut count = 0_usize;
    let mut varied = false;
    let mut grouped = false;
    let first = value.first();
    for byte in value {
        match byte {
            b'0'..=b'9' => {
                if count < 6 {
                    prefix = prefix * 10 + u32::from(byte - b'0');
                }
                varied |= Some(byte) != first;
                count += 1;
            }
            b' ' | b'-' => grouped = true,
            _ => return false,
        }
    }
    let id = count > LONGEST_PLAIN && !grouped && prefix / 10_000 != UNIONPAY;
    count <= MAX_DIGITS && varied && !id && issued(prefix, count) && luhn::accepts(value)
}

/// Whether a network issues numbers of `count` digits that begin with `prefix`.
fn issued(prefix: u32, count: usize) -> bool {
    ISSUERS.iter().any(|issuer| (issuer.first..=issuer.last).contains(&prefix) && issuer.lengths >> count & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_numbers_of_the_networks_are_accepted() {
        for value in [
            "4111111111111111",
            "4012 8888 8888 1881",
            "5555-5555-5555-4444",
            "2223000048400011",
            "378282246310005",
            "3714 496353 98431",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "6200000000000005",
            "4044-4049-5964-5932-768",
            "6759649826438453",
            "5019717010103742",
            "122000000000003",
            "1220-000000-00003",
        ] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn numbers_that_nobody_issues_are_refused() {
        for (value, why) in [
            ("4111111111111112", "check digit"),
            ("4444444444444444", "one digit only"),
            ("0000000000000000", "no issuer"),
            ("0138006977358060", "no issuer"),
            ("411111111111116", "15 digits are not Visa's"),
            ("4222222222222", "13 digits are an EAN"),
            ("37828224631000", "14 digits are not Amex's"),
            ("122000000000004", "check digit"),
            ("100004123456783", "no airline of UATP's"),
            ("1220000000000002", "16 digits are not UATP's"),
            ("41111111111111111111", "20 digits"),
            ("629417824651511376", "18 digits are an id"),
            ("4044404959645932768", "19 digits are an id"),
            ("4111.1111.1111.1111", "dots"),
            ("", "empty"),
        ] {
            assert!(!accepts(value.as_bytes()), "{value}: {why}");
        }
    }
}
