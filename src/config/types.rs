//! Values that parse from text: sizes, durations, the upstream's URL.

use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes, written `"256KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

/// A duration above zero, written `"30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

/// Where requests go: scheme, host, port, and a path in front of theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// With or without TLS.
    pub scheme: Scheme,
    /// Host and, where it is not the scheme's default, port.
    pub authority: String,
    /// Put in front of each request's path; empty or `/...` without a `/` at
    /// its end.
    pub base: String,
}

/// With or without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what may become one.
    Warn,
    /// And one line per request.
    #[default]
    Info,
    /// And why requests were refused.
    Debug,
    /// Everything.
    Trace,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line.
    Json,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [
            ("", 1),
            ("B", 1),
            ("KB", 1_000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
        ];
        with_unit(text, &units).map(Self).ok_or_else(|| format!("\"{text}\" is not a size; write one like \"256KiB\""))
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
        match with_unit(text, &units) {
            Some(0) => Err(format!("\"{text}\" is not a duration above zero; write one like \"30s\"")),
            Some(milliseconds) => Ok(Self(Duration::from_millis(milliseconds))),
            None => Err(format!("\"{text}\" is not a whole number with a unit, such as 30s")),
        }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            // The text is not repeated: it may hold a password.
            Err(format!("not an upstream: {why}; write one like \"https://api.example.com\""))
        };
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return wrong("it must begin with http:// or https://");
        };
        let (authority, base) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return wrong("a URL with credentials is not accepted");
        }
        if !is_authority(authority) {
            return wrong("the host or the port is not valid");
        }
        let base = base.trim_end_matches('/');
        if !base.bytes().all(is_path_byte) {
            return wrong("the path may not hold a query or unusual characters");
        }
        Ok(Self { scheme, authority: authority.to_ascii_lowercase(), base: base.to_owned() })
    }
}

impl Upstream {
    /// Its address, if that is known without asking anybody.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let port = match self.scheme {
            Scheme::Http => 80,
            Scheme::Https => 443,
        };
        let authority = self.authority.replace("localhost", "127.0.0.1");
        let ip = || authority.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        authority.parse().ok().or_else(|| Some(SocketAddr::new(ip()?, port)))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.base)
    }
}

impl LogLevel {
    /// The names, by which it is written in any case.
    pub(super) const NAMES: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
}

impl LogFormat {
    /// The names.
    pub(super) const NAMES: [&str; 2] = ["text", "json"];
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(format!("\"{text}\" is not a log level; use error, warn, info, debug or trace")),
        }
    }
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("\"{text}\" is not a log format; use text or json")),
        }
    }
}

/// Lets serde read a type by its `FromStr`, so that errors carry the place.
macro_rules! deserialize_from_str {
    ($($name:ty: $expected:literal),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(Text($expected))?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

deserialize_from_str!(
    Size: "a size; write one like \"256KiB\"",
    Period: "a duration; write one like \"30s\"",
    Upstream: "a string",
    LogLevel: "a string",
    LogFormat: "a string"
);

/// Takes a string, and tells what else was expected.
struct Text(&'static str);

impl de::Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim_start())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn is_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port_is_valid = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    let host_is_valid = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            !host.is_empty() && host.bytes().all(is_name_byte)
        }
    };
    port_is_valid && host_is_valid
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let size = |text: &str| text.parse::<Size>().map(|size| size.0);
        assert_eq!(size("256KiB"), Ok(262_144));
        assert_eq!(size("4 GiB"), Ok(4 << 30));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("17"), Ok(17));
        for wrong in ["", "KiB", "-1", "1.5MiB", "1kib", "99999999999GiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_above_zero() {
        let period = |text: &str| text.parse::<Period>().map(|period| period.0);
        assert_eq!(period("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(period("5m"), Ok(Duration::from_secs(300)));
        for wrong in ["0s", "10", "s", "1d"] {
            assert!(period(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn upstreams_have_a_scheme_a_host_and_perhaps_a_path() {
        let upstream: Upstream = "https://API.example.com:8443/base/".parse().unwrap();
        assert_eq!(upstream.to_string(), "https://api.example.com:8443/base");
        assert!("http://[::1]:80".parse::<Upstream>().is_ok());
        for wrong in
            ["api.example.com", "ftp://x", "https://", "https://a:0", "https://a b", "https://a/?q=1", "https://[::1"]
        {
            assert!(wrong.parse::<Upstream>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_upstream_with_a_password_is_refused_without_repeating_it() {
        let error = "https://user:hunter2@example.com".parse::<Upstream>().unwrap_err();
        assert!(!error.contains("hunter2"));
    }
}
