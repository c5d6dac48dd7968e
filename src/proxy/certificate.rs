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
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
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

impl TlsError {
    /// Whether it is about this file.
    pub fn is_about(&self, file: &Path) -> bool {
        match self {
            Self::Unreadable { path, .. } | Self::Wrong { path, .. } => *path == shown(file),
            Self::System(_) | Self::Library(_) => false,
        }
    }
}

/// Something that is made of files with certificates, and is made anew when they
/// change.
pub trait Certified: Send + Sync {
    /// What it is, for the log.
    fn name(&self) -> String;

    /// Its files.
    fn paths(&self) -> Vec<&Path>;

    /// The hash of what it was made of at first.
    fn first(&self) -> [u8; 32];

    /// From now on new connections use what the files hold; those that are open
    /// go on.
    ///
    /// # Errors
    /// When they cannot be used; then what is in use stays.
    fn renew(&self, files: &Snapshot) -> Result<(), TlsError>;
}

/// What files held when they were read, once: what is judged to be new is what is
/// used.
pub struct Snapshot(Vec<(PathBuf, io::Result<Zeroizing<Vec<u8>>>)>);

impl Snapshot {
    /// Reads them.
    pub fn of(paths: &[&Path]) -> Self {
        Self(paths.iter().map(|path| (path.to_path_buf(), patiently(|| read_file(path)))).collect())
    }

    /// Of what they hold; of one that cannot be read, of that.
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for (_, content) in &self.0 {
            match content {
                Ok(content) => hash.update(Sha256::digest(content)),
                Err(_) => hash.update([0]),
            }
        }
        hash.finalize().into()
    }

    fn read(&self, path: &Path) -> Result<&[u8], TlsError> {
        let source = match self.0.iter().find(|(known, _)| known == path) {
            Some((_, Ok(content))) => return Ok(content),
            Some((_, Err(error))) => match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            },
            None => io::ErrorKind::NotFound.into(),
        };
        Err(TlsError::Unreadable { path: shown(path), source })
    }
}

/// More than any chain of certificates has.
const LARGEST: u64 = 1024 * 1024;

/// Never waits for a writer, as a named pipe has it, and never reads without end.
fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // With room for all of it: a copy that is left behind is not overwritten.
    let room = usize::try_from(metadata.len().min(LARGEST)).unwrap_or_default() + 1;
    let mut content = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "larger than 1 MiB"));
    }
    Ok(content)
}

/// How often something is tried whose failure may pass, and how long apart.
const TRIES: usize = 3;
const APART: Duration = Duration::from_millis(50);

/// Reads again what may be there in a moment: a file system over a network stumbles,
/// descriptors run out.
fn patiently<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    use io::ErrorKind::{InvalidInput, NotFound, PermissionDenied};
    let lasts = |error: &io::Error| matches!(error.kind(), InvalidInput | NotFound | PermissionDenied);
    for _ in 1..TRIES {
        match read() {
            Err(error) if !lasts(&error) => std::thread::sleep(APART),
            other => return other,
        }
    }
    read()
}

/// The cryptography of all TLS here.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Reads a certificate, with those behind it, and its key.
///
/// # Errors
/// When they cannot be read, or do not belong together.
pub fn read_pair(pair: &KeyPair, files: &Snapshot) -> Result<CertifiedKey, TlsError> {
    let chain = read_certificates(&pair.cert, files)?;
    let key = files.read(&pair.key)?;
    let wrong = |why| wrong(&pair.key, why);
    let mut der = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
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
pub fn read_roots(path: &Path, files: &Snapshot) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path, files)? {
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

fn read_certificates(path: &Path, files: &Snapshot) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(files.read(path)?).collect();
    let is_garbage = |certificate: &CertificateDer<'_>| ParsedCertificate::try_from(certificate).is_err();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(wrong(path, "holds no certificate in PEM")),
        // The first one has an error of its own.
        Ok(certificates) if certificates.iter().skip(1).any(is_garbage) => {
            Err(wrong(path, "holds a certificate behind the first that cannot be read"))
        }
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(wrong(path, "is not valid PEM")),
    }
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

    #[test]
    fn the_text_of_a_key_in_the_place_of_a_path_is_not_told() {
        let text = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n";
        for path in [text, "-----BEGIN PRIVATE KEY----- MIGHAgEAMBMGByqGSM49"] {
            let path = Path::new(path);
            for error in [Snapshot::of(&[path]).read(path).unwrap_err(), wrong(path, "is not valid PEM")] {
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
    fn what_is_no_file_or_is_too_large_is_refused_and_waits_for_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let (most, more) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
        let (most, more) = (file(&folder, "most", &most), file(&folder, "more", &more));
        for (path, expected) in [(&pipe, "not a regular file"), (&more, "larger than 1 MiB")] {
            let error = read_roots(path, &Snapshot::of(&[path])).unwrap_err();
            assert!(Causes(&error).to_string().ends_with(expected), "{}", Causes(&error));
        }
        assert!(Snapshot::of(&[folder.path()]).read(folder.path()).is_err());
        assert!(Snapshot::of(&[&most]).read(&most).is_ok());
    }

    #[test]
    fn what_is_used_is_what_was_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "a", "one");
        let one = Snapshot::of(&[&path]);
        fs::write(&path, "two").unwrap();
        let two = Snapshot::of(&[&path]);
        assert_eq!((one.read(&path).unwrap(), two.read(&path).unwrap()), (&b"one"[..], &b"two"[..]));
        assert_ne!(one.hash(), two.hash());
        fs::remove_file(&path).unwrap();
        assert!(![one.hash(), two.hash()].contains(&Snapshot::of(&[&path]).hash()));
    }

    #[test]
    fn a_read_that_fails_for_a_moment_is_tried_again() {
        let reads = |failing: usize, kind: io::ErrorKind| {
            let mut count = 0;
            let read = patiently(|| {
                count += 1;
                if count > failing { Ok(()) } else { Err(kind.into()) }
            });
            (read.is_ok(), count)
        };
        assert_eq!(reads(2, io::ErrorKind::StaleNetworkFileHandle), (true, 3));
        assert_eq!(reads(3, io::ErrorKind::StaleNetworkFileHandle), (false, 3));
        assert_eq!(reads(3, io::ErrorKind::NotFound), (false, 1));
    }

    #[test]
    fn garbage_behind_the_first_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let key = file(&folder, "a.key", &key.serialize_pem());
        for (behind, is_good) in [("", true), (pem.as_str(), true), (garbage, false)] {
            let cert = file(&folder, "a.crt", &format!("{pem}{behind}"));
            let pair = KeyPair { cert, key: key.clone() };
            let read = read_pair(&pair, &Snapshot::of(&[&pair.cert, &pair.key]));
            assert_eq!(read.is_ok(), is_good, "{behind}");
        }
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
        let read_pair = |pair: &KeyPair| read_pair(pair, &Snapshot::of(&[&pair.cert, &pair.key]));
        let read_roots = |path: &PathBuf| read_roots(path, &Snapshot::of(&[path]));
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
