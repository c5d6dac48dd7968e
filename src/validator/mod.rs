//! Pure checks of candidate values, one per file.
//!
//! A check takes the bytes of one candidate, looks at each a bounded number of
//! times, never panics and has no state. Each file names the published source
//! of its numbers. Rule files name a check by [`Validator::name`].

pub mod basic_auth;
pub mod card;
pub mod github;
pub mod iban;
pub mod jwt;
pub mod label;
pub mod luhn;
pub mod phone;
pub mod random;
pub mod secret;
pub mod us_ssn;

mod base64;
mod phone_table;
mod words;

pub use label::{is_label, is_placeholder};

/// A check that a rule file names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Validator {
    /// Luhn's check digit.
    Luhn,
    /// Payment card numbers: Luhn, issuer range, length.
    Card,
    /// International bank account numbers: country, length, check digits.
    Iban,
    /// US social security numbers: no number that is never assigned.
    UsSsn,
    /// Phone numbers with a country code and a length possible there.
    PhoneInternational,
    /// Phone numbers of the North American Numbering Plan.
    PhoneNanp,
    /// The checksum in GitHub's tokens.
    GithubChecksum,
    /// JSON web tokens, by their header.
    Jwt,
    /// Values that are plausibly secret: no placeholder, word or reference.
    Secret,
    /// Values that look drawn by a machine.
    Random,
    /// Credentials of HTTP basic authentication.
    BasicAuth,
}

impl Validator {
    /// Every check, in the order of the documentation.
    pub const ALL: &[Self] = &[
        Self::Luhn,
        Self::Card,
        Self::Iban,
        Self::UsSsn,
        Self::PhoneInternational,
        Self::PhoneNanp,
        Self::GithubChecksum,
        Self::Jwt,
        Self::Secret,
        Self::Random,
        Self::BasicAuth,
    ];

    /// The check of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|validator| validator.name() == name)
    }

    /// The name used in rule files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Luhn => "luhn",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::UsSsn => "us-ssn",
            Self::PhoneInternational => "phone-international",
            Self::PhoneNanp => "phone-nanp",
            Self::GithubChecksum => "github-checksum",
            Self::Jwt => "jwt",
            Self::Secret => "secret",
            Self::Random => "random",
            Self::BasicAuth => "basic-auth",
        }
    }

    /// Whether `value` passes. Linear in its length.
    pub fn accepts(self, value: &[u8]) -> bool {
        match self {
            Self::Luhn => luhn::accepts(value),
            Self::Card => card::accepts(value),
            Self::Iban => iban::accepts(value),
            Self::UsSsn => us_ssn::accepts(value),
            Self::PhoneInternational => phone::international(value),
            Self::PhoneNanp => phone::nanp(value),
            Self::GithubChecksum => github::accepts(value),
            Self::Jwt => jwt::accepts(value),
            Self::Secret => secret::accepts(value),
            Self::Random => random::accepts(value),
            Self::BasicAuth => basic_auth::accepts(value),
        }
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
