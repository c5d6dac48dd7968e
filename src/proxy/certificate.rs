//! Certificates and their keys, as files hold them (PEM, RFC 7468).
//!
//! What a file holds may be a private key, whatever it should be. So no error
//! tells more than its path, and what was read is overwritten.

use crate::config::KeyPair;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::{Zeroize, Zeroizing};

/// Why files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system does not let us.
    #[error("{path} cannot be read")]
    Unreadable {
        /// As configured.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not what it should be.
    #[error("{path} {why}")]
    Wrong {
        /// As configured.
        path: String,
        /// What it lacks, and what would be right.
        why: String,
    },
    /// The system's own certificates.
    #[error("the system's certificates cannot be read; set tls.ca to a file of certificates")]
    System(#[source] io::Error),
    /// No fault of the files.
    #[error("the library of TLS refuses")]
    Library(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Something that is made of files with certificates, and is made anew when they
/// change.
pub trait Certified: Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> String;

    /// Its files.
    fn paths(&self) -> Vec<&Path>;

    /// Reads the files again. From then on new connections use what they hold;
    /// those that are open go on.
    ///
    /// # Errors
    /// When they cannot be used; then what is in use stays.
    fn renew(&self) -> Result<(), TlsError>;
}

/// The cryptography of all TLS here.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads a certificate, with those behind it, and its key.
///
/// # Errors
/// When they cannot be read, or do not belong together.
pub fn read_pair(pair: &KeyPair) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(&pair.cert)?;
    let key = read(&pair.key)?;
    let wrong = |why| wrong(&pair.key, why);
    let mut der = PrivateKeyDer::from_pem_slice(&key).map_err(|error| match error {
        PemError::NoItemsFound => wrong("holds no private key in PEM, or one that is encrypted; decrypt it"),
        _ => wrong("is not valid PEM"),
    })?;
    let key = ring::sign::any_supported_type(&der);
    der.zeroize();
    let key = key.map_err(|_| {
        wrong("holds no key that can be used; RSA of 2048 to 4096 bits, ECDSA (P-256, P-384) and Ed25519 can")
    })?;
    let certified = CertifiedKey::new(chain, key);
    if not_after(&certified.cert[0]).is_some_and(|end| end < now()) {
        tracing::warn!(path = %shown(&pair.cert), "the certificate has expired; renew it");
    }
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => {
            Err(wrong(&format!("is not the key of the first certificate in {}", shown(&pair.cert))))
        }
        Err(_) => Err(self::wrong(&pair.cert, "holds a first certificate that cannot be read")),
    }
}

/// Reads certificates that are trusted.
///
/// # Errors
/// When they cannot be read, or there is none.
pub fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|_| wrong(path, "holds a certificate that cannot be read"))?;
    }
    Ok(roots)
}

/// Until when a certificate is valid, since the Unix epoch.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<Duration> {
    // Whoever verifies it beyond all time is told when that was over, which is
    // looked at before who has issued it.
    let end = UnixTime::since_unix_epoch(Duration::from_secs(u64::MAX));
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    match verify_server_cert_signed_by_trust_anchor(&parsed, &RootCertStore::empty(), &[], end, &[]) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(path, "holds no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(wrong(path, "is not valid PEM")),
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { path: shown(path), source };
    std::fs::read(path).map(Zeroizing::new).map_err(unreadable)
}

fn wrong(path: &Path, why: &str) -> TlsError {
    TlsError::Wrong { path: shown(path), why: why.to_owned() }
}

/// A path as errors tell it. Whoever gives the text of a key in the place of its file's
/// path does not find it in a log.
fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let is_text = text.contains(['\n', '\r']) || text.contains("-----") || text.len() > 1024;
    if is_text { "(not shown: this is the text of a file, where its path belongs)".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::Causes;
    use rcgen::{CertificateParams, date_time_ymd};
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn the_text_of_a_key_in_the_place_of_a_path_is_not_told() {
        let text = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n";
        for path in [text, "-----BEGIN PRIVATE KEY----- MIGHAgEAMBMGByqGSM49"] {
            let path = Path::new(path);
            for error in [read(path).unwrap_err(), wrong(path, "is not valid PEM")] {
                assert!(!Causes(&error).to_string().contains("MIGH"), "{error}");
            }
        }
        assert!(wrong(Path::new("/tls/tls.key"), "x").to_string().contains("/tls/tls.key"));
    }

    /// A file of this name and text.
    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn the_end_of_a_certificate_is_told_however_far_it_is() {
        let key = rcgen::KeyPair::generate().unwrap();
        // Of the first two digits of a year some forms leave out.
        for (year, end) in [(1999, 915_148_800), (2049, 2_493_072_000), (2050, 2_524_608_000), (9999, 253_370_764_800)]
        {
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_before = date_time_ymd(1990, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
            params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(not_after(certificate.der()), Some(Duration::from_secs(end)), "{year}");
        }
        assert_eq!(not_after(&CertificateDer::from(vec![0x30, 0])), None);
    }

    #[test]
    fn no_error_tells_what_a_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let cert = params.self_signed(&key).unwrap().pem();
        let secret = key.serialize_pem();
        let line = secret.lines().nth(1).unwrap();
        let broken = [
            secret.replace("-----END", "-----"),
            secret.replace('\n', "?\n"),
            format!("-----BEGIN {line}\n{line}\n-----END {line}-----\n"),
            format!("-----BEGIN {line}-----\n{line}"),
            secret.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            line.to_owned(),
            other.serialize_pem(),
            String::new(),
        ];
        let right = KeyPair { cert: file(&folder, "a.crt", &cert), key: file(&folder, "a.key", &secret) };
        assert!(read_pair(&right).is_ok());
        assert!(read_roots(&right.cert).is_ok());
        let nowhere = folder.path().join("nowhere");
        let mut errors = vec![
            read_pair(&KeyPair { cert: right.key.clone(), ..right.clone() }).err(),
            read_pair(&KeyPair { key: right.cert.clone(), ..right.clone() }).err(),
            read_pair(&KeyPair { key: nowhere, ..right.clone() }).err(),
            read_roots(&right.key).err(),
        ];
        for text in &broken {
            let path = file(&folder, "broken", text);
            errors.push(read_pair(&KeyPair { key: path.clone(), ..right.clone() }).err());
            errors.push(read_pair(&KeyPair { cert: path.clone(), ..right.clone() }).err());
            errors.push(read_roots(&path).err());
        }
        for (number, error) in errors.into_iter().enumerate() {
            let error = error.unwrap_or_else(|| panic!("no error {number}"));
            let told = format!("{} {error:?}", Causes(&error));
            assert!(told.contains(folder.path().to_str().unwrap()), "{told}");
            assert!(
                !secret.lines().any(|line| told.contains(line) || told.contains(&format!("{:?}", line.as_bytes())))
            );
        }
    }
}
