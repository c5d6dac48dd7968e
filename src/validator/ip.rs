//! Addresses of hosts: IPv4 in decimal (RFC 791), IPv6 (RFC 4291, section 2.2).
//! The unspecified, loopback and broadcast addresses (RFC 6890) are nobody's.

use std::net::IpAddr;

/// Whether `value` is the address of some host.
pub fn accepts(value: &[u8]) -> bool {
    let address = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(|address| match address {
        IpAddr::V4(v4) => !v4.is_unspecified() && !v4.is_loopback() && !v4.is_broadcast(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_loopback(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_hosts_are_accepted() {
        for value in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(accepts(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn addresses_of_nobody_and_other_texts_are_refused() {
        for value in ["127.0.0.1", "0.0.0.0", "255.255.255.255", "::", "::1", "1.2.3", "256.1.1.1", "x", ""] {
            assert!(!accepts(value.as_bytes()), "{value}");
        }
    }
}
