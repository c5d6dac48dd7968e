//! Pure checks of candidate values, one per file.
//!
//! A check takes the bytes of one candidate, looks at each a bounded number of
//! times, never panics and has no state. Each file names the published source
//! of its numbers. Rule files name a check by [`Validator::name`].

pub mod au_abn;
pub mod au_acn;
pub mod au_medicare;
pub mod au_tfn;
pub mod base58check;
pub mod basic_auth;
pub mod bech32;
pub mod card;
pub mod de_kvnr;
pub mod de_pension;
pub mod eip55;
pub mod es_nif;
pub mod fi_hetu;
pub mod github;
pub mod iban;
pub mod ip;
pub mod it_fiscal_code;
pub mod jwt;
pub mod label;
pub mod luhn;
pub mod mac;
pub mod mod_11_10;
pub mod phone;
pub mod pl_pesel;
pub mod random;
pub mod se_personnummer;
pub mod secret;
pub mod sg_nric;
pub mod th_tnin;
pub mod tr_tckn;
pub mod uk_nhs;
pub mod uk_nino;
pub mod us_dea;
pub mod us_npi;
pub mod us_routing;
pub mod us_ssn;
pub mod verhoeff;

mod base64;
mod digits;
mod keccak;
mod phone_table;
mod words;

pub use label::{is_label, is_placeholder};

/// The checks, each with its name in rule files and the function that does it.
macro_rules! validators {
    ($($(#[$doc:meta])+ $validator:ident = $name:literal: $accepts:path,)+) => {
        /// A check that a rule file names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Validator {
            $($(#[$doc])+ $validator,)+
        }

        impl Validator {
            /// Every check, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$validator,)+];

            /// The name used in rule files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$validator => $name,)+
                }
            }

            /// Whether `value` passes. Linear in its length.
            pub fn accepts(self, value: &[u8]) -> bool {
                match self {
                    $(Self::$validator => $accepts(value),)+
                }
            }
        }
    };
}

validators! {
    /// Luhn's check digit.
    Luhn = "luhn": luhn::accepts,
    /// Payment card numbers: Luhn, issuer range, length.
    Card = "card": card::accepts,
    /// International bank account numbers: country, length, check digits.
    Iban = "iban": iban::accepts,
    /// US social security numbers: no number that is never assigned.
    UsSsn = "us-ssn": us_ssn::accepts,
    /// Phone numbers with a country code and a length possible there.
    PhoneInternational = "phone-international": phone::international,
    /// Phone numbers of the North American Numbering Plan.
    PhoneNanp = "phone-nanp": phone::nanp,
    /// Phone numbers, with a country code or as dialled within any country.
    Phone = "phone": phone::accepts,
    /// Phone numbers as dialled within a country, in groups or with a leading zero.
    PhoneWritten = "phone-written": phone::written,
    /// The checksum in GitHub's tokens.
    GithubChecksum = "github-checksum": github::accepts,
    /// JSON web tokens, by their header.
    Jwt = "jwt": jwt::accepts,
    /// Values that are plausibly secret: no placeholder, word or reference.
    Secret = "secret": secret::accepts,
    /// Values that look drawn by a machine.
    Random = "random": random::accepts,
    /// Addresses of hosts, IPv4 and IPv6.
    Ip = "ip": ip::accepts,
    /// Addresses of network cards.
    Mac = "mac": mac::accepts,
    /// Credentials of HTTP basic authentication.
    BasicAuth = "basic-auth": basic_auth::accepts,
    /// Australian business numbers.
    AuAbn = "au-abn": au_abn::accepts,
    /// Australian company numbers.
    AuAcn = "au-acn": au_acn::accepts,
    /// Australian Medicare card numbers.
    AuMedicare = "au-medicare": au_medicare::accepts,
    /// Australian tax file numbers.
    AuTfn = "au-tfn": au_tfn::accepts,
    /// German health insurance numbers.
    DeKvnr = "de-kvnr": de_kvnr::accepts,
    /// German pension insurance numbers.
    DePension = "de-pension": de_pension::accepts,
    /// Spanish tax numbers of persons.
    EsNif = "es-nif": es_nif::accepts,
    /// Finnish personal identity codes.
    FiHetu = "fi-hetu": fi_hetu::accepts,
    /// Italian fiscal codes.
    ItFiscalCode = "it-fiscal-code": it_fiscal_code::accepts,
    /// Polish PESEL numbers.
    PlPesel = "pl-pesel": pl_pesel::accepts,
    /// Swedish personal identity numbers.
    SePersonnummer = "se-personnummer": se_personnummer::accepts,
    /// Singapore's identity card numbers.
    SgNric = "sg-nric": sg_nric::accepts,
    /// Thai identification numbers.
    ThTnin = "th-tnin": th_tnin::accepts,
    /// Turkish identification numbers.
    TrTckn = "tr-tckn": tr_tckn::accepts,
    /// NHS numbers.
    UkNhs = "uk-nhs": uk_nhs::accepts,
    /// National Insurance numbers of the United Kingdom.
    UkNino = "uk-nino": uk_nino::accepts,
    /// Registration numbers of the US Drug Enforcement Administration.
    UsDea = "us-dea": us_dea::accepts,
    /// National provider identifiers of the US.
    UsNpi = "us-npi": us_npi::accepts,
    /// Routing numbers of US banks.
    UsRouting = "us-routing": us_routing::accepts,
    /// The check digit of ISO/IEC 7064 modulo 11 and 10.
    Mod1110 = "mod-11-10": mod_11_10::accepts,
    /// Verhoeff's check digit.
    Verhoeff = "verhoeff": verhoeff::accepts,
    /// Wallet addresses in base 58 with a checksum.
    Base58Check = "base58check": base58check::accepts,
    /// Wallet addresses in base 32 with a checksum.
    Bech32 = "bech32": bech32::accepts,
    /// Addresses of Ethereum with a checksum in their case.
    Eip55 = "eip55": eip55::accepts,
}

impl Validator {
    /// The check of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|validator| validator.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_name_finds_its_validator() {
        for &validator in Validator::ALL {
            assert_eq!(Validator::from_name(validator.name()), Some(validator));
        }
        assert_eq!(Validator::from_name("no-such-check"), None);
    }

    #[test]
    fn nothing_accepts_an_empty_value() {
        for &validator in Validator::ALL {
            assert!(!validator.accepts(b""), "{}", validator.name());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_check_panic(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            for &validator in Validator::ALL {
                let _verdict = validator.accepts(&value);
            }
        }

        #[test]
        fn no_digits_make_a_check_panic(value in "[-+0-9 ().A-Z]{0,80}") {
            for &validator in Validator::ALL {
                let _verdict = validator.accepts(value.as_bytes());
            }
        }
    }
}
