//! A small safe wrapper over Hyperscan, or Vectorscan, its portable fork with
//! the same interface: block mode only, hits into a buffer.
//!
//! Why our own: the bindings on crates.io leak dropped streams, let a scratch
//! be shared between threads, or abort on a panic in a callback. Here no code
//! of the caller runs inside the C library at all: the callback appends to a
//! [`Hits`] buffer whose memory was reserved before, which cannot panic.
//!
//! Invariants:
//! - a [`Database`] is never changed once it is compiled, so threads may share it;
//! - a [`Scratch`] is used by one scan at a time (`&mut`), and only with a
//!   database it was made for. The library does not check the latter (a scan
//!   with too small a scratch writes out of bounds), so every database has a
//!   number of its own and a scratch remembers those it may serve.

#![allow(unsafe_code, reason = "the C library; each block argues its soundness")]

mod ffi;
mod memory;

pub use memory::give_memory_back;

use ffi::{HsCompileError, HsDatabase, HsScratch};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering};

/// Why the library refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HyperscanError {
    /// An expression cannot be compiled.
    #[error("expression {index:?} cannot be compiled: {message}")]
    Compile {
        /// Which of the expressions given, where one is to blame.
        index: Option<usize>,
        /// The library's words about the expression.
        message: String,
    },
    /// This processor lacks what the library was built for.
    #[error("this processor lacks instructions that libhs needs")]
    Platform,
    /// The scratch was not made for the database.
    #[error("the scratch was made for another database")]
    WrongScratch,
    /// The library misses what it was given to find.
    #[error("libhs misses literals on this machine: install another version of libvectorscan or libhyperscan")]
    Blind,
    /// Memory, or an invalid call.
    #[error("libhs failed with code {0}")]
    Code(i32),
}

/// A byte string to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal<'a> {
    /// At least one byte; any value.
    pub bytes: &'a [u8],
    /// Whether ASCII case is ignored.
    pub caseless: bool,
}

/// One match: the literal or expression with this index ends at `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// One past the last byte of the match.
    pub end: u32,
    /// Index into what was compiled.
    pub id: u32,
}

/// A bounded buffer for the hits of one scan.
#[derive(Debug)]
pub struct Hits {
    /// Invariant: capacity stays at least `limit`, so that a push in the
    /// callback never allocates.
    list: Vec<Hit>,
    limit: usize,
}

impl Hits {
    /// A buffer for at most `limit` hits.
    pub fn with_limit(limit: usize) -> Self {
        Self { list: Vec::with_capacity(limit), limit }
    }

    /// The hits of the last scan, in the order of their ends.
    pub fn as_slice(&self) -> &[Hit] {
        &self.list
    }
}

/// Whether a scan saw all of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All hits are in the buffer.
    Complete,
    /// The buffer is full; hits after the last one in it are missing.
    Full,
}

/// Compiled literals or expressions. Immutable.
#[derive(Debug)]
pub struct Database {
    db: NonNull<HsDatabase>,
    /// Never used twice in this process.
    number: u64,
}

/// The next [`Database`]'s number.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

// SAFETY: a database is memory of the library's allocator (malloc) and nothing
// else: no thread owns it, and any may free it.
unsafe impl Send for Database {}
// SAFETY: a compiled database is immutable, says the library's introduction
// (<https://intel.github.io/hyperscan/dev-reference/intro.html>); all that we
// call with a shared one, `hs_scan` and `hs_alloc_scratch`, takes it as `const`
// and writes to the scratch only.
unsafe impl Sync for Database {}

impl Database {
    /// Compiles `literals`; a hit's id is the index in this slice.
    ///
    /// # Errors
    /// When a literal is empty or begins with NUL, or memory runs out.
    pub fn literals(literals: &[Literal<'_>]) -> Result<Self, HyperscanError> {
        check_platform()?;
        // The library crashes on an empty literal, and takes one that begins
        // with NUL for empty, whatever its length.
        let unusable = |literal: &Literal<'_>| matches!(literal.bytes.first(), None | Some(0));
        if let Some(index) = literals.iter().position(unusable) {
            return Err(HyperscanError::Compile { index: Some(index), message: "empty or led by NUL".into() });
        }
        let expressions: Vec<*const c_char> = literals.iter().map(|l| l.bytes.as_ptr().cast()).collect();
        let lengths: Vec<usize> = literals.iter().map(|l| l.bytes.len()).collect();
        let flags: Vec<c_uint> = literals.iter().map(|l| if l.caseless { ffi::HS_FLAG_CASELESS } else { 0 }).collect();
        let ids = ids(literals.len())?;
        let mut db = ptr::null_mut();
        let mut error = ptr::null_mut();
        // SAFETY: the four arrays have `ids.len()` elements each and outlive
        // the call, as do the literals they point to; `lengths` bounds every
        // expression, so no NUL is needed; none is empty, as just checked; a
        // null platform means this machine; the two out-pointers are valid.
        let code = unsafe {
            ffi::hs_compile_lit_multi(
                expressions.as_ptr(),
                flags.as_ptr(),
                ids.as_ptr(),
                lengths.as_ptr(),
                c_length(ids.len())?,
                ffi::HS_MODE_BLOCK,
                ptr::null(),
                &raw mut db,
                &raw mut error,
            )
        };
        Self::from_compile(code, db, error)
    }

    /// Compiles `expressions` (PCRE syntax, `.` matches newlines); a hit's id
    /// is the index in this slice. Takes far longer than literals.
    ///
    /// # Errors
    /// Names the expression that the library cannot take.
    pub fn expressions(expressions: &[&str]) -> Result<Self, HyperscanError> {
        check_platform()?;
        let owned: Vec<CString> = expressions
            .iter()
            .enumerate()
            .map(|(index, text)| {
                CString::new(*text)
                    .map_err(|_| HyperscanError::Compile { index: Some(index), message: "it holds a NUL byte".into() })
            })
            .collect::<Result<_, _>>()?;
        let pointers: Vec<*const c_char> = owned.iter().map(|text| text.as_ptr()).collect();
        let flags = vec![ffi::HS_FLAG_DOTALL; owned.len()];
        let ids = ids(owned.len())?;
        let mut db = ptr::null_mut();
        let mut error = ptr::null_mut();
        // SAFETY: the three arrays have `ids.len()` elements each and outlive
        // the call, the texts end with NUL; the out-pointers are valid.
        let code = unsafe {
            ffi::hs_compile_multi(
                pointers.as_ptr(),
                flags.as_ptr(),
                ids.as_ptr(),
                c_length(ids.len())?,
                ffi::HS_MODE_BLOCK,
                ptr::null(),
                &raw mut db,
                &raw mut error,
            )
        };
        Self::from_compile(code, db, error)
    }

    /// Puts the hits in `data` into `hits`, which is cleared first. Stops when
    /// the buffer is full.
    ///
    /// # Errors
    /// When `scratch` was made for another database, or `data` is longer than
    /// the library can take (4 GiB).
    pub fn scan(&self, data: &[u8], scratch: &mut Scratch, hits: &mut Hits) -> Result<Outcome, HyperscanError> {
        if !scratch.serves.contains(&self.number) {
            return Err(HyperscanError::WrongScratch);
        }
        hits.list.clear();
        hits.list.reserve_exact(hits.limit);
        let length = c_length(data.len())?;
        // SAFETY: the database was compiled for block mode and lives (`&self`);
        // `data` holds `length` bytes, also when it is empty, and its pointer
        // is never null; `data` and `hits` outlive the call, since the library
        // keeps neither; nothing else touches `hits` meanwhile (`&mut`); the
        // scratch is ours alone (`&mut`), and was sized for this very database
        // (`serves`), so that it is in no other scan. `on_event` takes the
        // `Hits` that we pass, and never unwinds.
        let code = unsafe {
            ffi::hs_scan(
                self.db.as_ptr(),
                data.as_ptr().cast(),
                length,
                0,
                scratch.ptr.as_ptr(),
                on_event,
                ptr::from_mut(hits).cast(),
            )
        };
        match code {
            ffi::HS_SUCCESS => Ok(Outcome::Complete),
            ffi::HS_SCAN_TERMINATED => Ok(Outcome::Full),
            code => Err(HyperscanError::Code(code)),
        }
    }

    fn from_compile(code: c_int, db: *mut HsDatabase, error: *mut HsCompileError) -> Result<Self, HyperscanError> {
        match NonNull::new(db) {
            Some(db) if code == ffi::HS_SUCCESS => Ok(Self { db, number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed) }),
            _ => Err(take_compile_error(code, error)),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // SAFETY: made by the library, owned by us, freed once; no scan runs
        // any more (`&mut`), and a scratch keeps no pointer that it would
        // follow before the next scan.
        unsafe { ffi::hs_free_database(self.db.as_ptr()) };
    }
}

/// Working memory for scans with the databases it was made for; one per thread
/// that scans at the same time.
#[derive(Debug)]
pub struct Scratch {
    ptr: NonNull<HsScratch>,
    /// Numbers of the databases that it is large enough for.
    serves: Vec<u64>,
}

// SAFETY: a scratch belongs to no thread; it only must not be used by two at
// once, which `&mut` in `scan` ensures (it is not `Sync`).
unsafe impl Send for Scratch {}

impl Scratch {
    /// Working memory for every database in `databases`.
    ///
    /// # Errors
    /// When memory runs out or `databases` is empty.
    pub fn new(databases: &[&Database]) -> Result<Self, HyperscanError> {
        let mut scratch = ptr::null_mut();
        for database in databases {
            // SAFETY: the database is valid; `scratch` is null or came from
            // this function, which leaves it or frees it for a larger one, and
            // no scan uses it yet.
            let code = unsafe { ffi::hs_alloc_scratch(database.db.as_ptr(), &raw mut scratch) };
            if code != ffi::HS_SUCCESS {
                // SAFETY: the library has left it as it was, and it is ours, or
                // has freed it and made it null, which may be freed.
                unsafe { ffi::hs_free_scratch(scratch) };
                return Err(HyperscanError::Code(code));
            }
        }
        let serves = databases.iter().map(|database| database.number).collect();
        NonNull::new(scratch).map(|ptr| Self { ptr, serves }).ok_or(HyperscanError::Code(ffi::HS_INVALID))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: made by the library, owned by us, freed once; no scan uses
        // it any more (`&mut`). It does not depend on its databases, which may
        // be gone.
        unsafe { ffi::hs_free_scratch(self.ptr.as_ptr()) };
    }
}

/// Appends a hit; a full buffer ends the scan. Does not allocate and does not
/// panic: there is room for what it pushes. If it panicked all the same, the
/// process would abort where `extern "C"` ends: nothing unwinds into the library.
unsafe extern "C" fn on_event(
    id: c_uint,
    _from: c_ulonglong,
    to: c_ulonglong,
    _flags: c_uint,
    context: *mut c_void,
) -> c_int {
    // SAFETY: `context` is the `&mut Hits` that `scan` passed; the library
    // calls back on the same thread, during that call only, and one call ends
    // before the next.
    let hits = unsafe { &mut *context.cast::<Hits>() };
    // The capacity, too: the push must not have to allocate, whatever happens.
    if hits.list.len() >= hits.limit.min(hits.list.capacity()) {
        return 1;
    }
    let end = u32::try_from(to).unwrap_or(u32::MAX);
    hits.list.push(Hit { end, id });
    0
}

fn check_platform() -> Result<(), HyperscanError> {
    if ffi::hs_valid_platform() == ffi::HS_SUCCESS { Ok(()) } else { Err(HyperscanError::Platform) }
}

fn ids(number: usize) -> Result<Vec<c_uint>, HyperscanError> {
    Ok((0..c_length(number)?).collect())
}

/// A length as the library takes it: less than 4 GiB, or refused.
fn c_length(length: usize) -> Result<c_uint, HyperscanError> {
    c_uint::try_from(length).map_err(|_| HyperscanError::Code(ffi::HS_INVALID))
}

fn take_compile_error(code: c_int, error: *mut HsCompileError) -> HyperscanError {
    let Some(error) = NonNull::new(error) else {
        return HyperscanError::Code(code);
    };
    // SAFETY: on failure the library sets it to null or to a filled-in error,
    // whose message is null or NUL-terminated; both live until freed below.
    let (message, expression) = unsafe {
        let error = error.as_ref();
        let message = if error.message.is_null() {
            String::new()
        } else {
            CStr::from_ptr(error.message).to_string_lossy().into_owned()
        };
        (message, error.expression)
    };
    // SAFETY: made by the library, freed once, not used after. (Its constant
    // errors, for want of memory, it does not free.)
    unsafe { ffi::hs_free_compile_error(error.as_ptr()) };
    HyperscanError::Compile { index: usize::try_from(expression).ok(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan_all(literals: &[Literal<'_>], data: &[u8]) -> Vec<Hit> {
        let db = Database::literals(literals).unwrap();
        let mut scratch = Scratch::new(&[&db]).unwrap();
        let mut hits = Hits::with_limit(1 << 16);
        assert_eq!(db.scan(data, &mut scratch, &mut hits).unwrap(), Outcome::Complete);
        hits.as_slice().to_vec()
    }

    fn scan_slowly(literals: &[Literal<'_>], data: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for end in 1..=data.len() {
            for (id, literal) in literals.iter().enumerate() {
                let Some(start) = end.checked_sub(literal.bytes.len()) else {
                    continue;
                };
                let seen = &data[start..end];
                let same =
                    if literal.caseless { seen.eq_ignore_ascii_case(literal.bytes) } else { seen == literal.bytes };
                if same {
                    hits.push(Hit { end: u32::try_from(end).unwrap(), id: u32::try_from(id).unwrap() });
                }
            }
        }
        hits
    }

    #[test]
    fn literals_with_nul_and_case_are_found() {
        let literals = [Literal { bytes: b"a\0b", caseless: false }, Literal { bytes: b"Key", caseless: true }];
        let hits = scan_all(&literals, b"xa\0b KEY key kez");
        assert_eq!(hits, [Hit { end: 4, id: 0 }, Hit { end: 8, id: 1 }, Hit { end: 12, id: 1 }]);
    }

    #[test]
    fn a_full_buffer_ends_the_scan_and_says_so() {
        let db = Database::literals(&[Literal { bytes: b"a", caseless: false }]).unwrap();
        let mut scratch = Scratch::new(&[&db]).unwrap();
        let mut hits = Hits::with_limit(2);
        assert_eq!(db.scan(b"aaaa", &mut scratch, &mut hits).unwrap(), Outcome::Full);
        assert_eq!(hits.as_slice().len(), 2);
    }

    #[test]
    fn the_callback_never_allocates_whatever_the_limit() {
        let db = Database::literals(&[Literal { bytes: b"a", caseless: false }]).unwrap();
        let mut scratch = Scratch::new(&[&db]).unwrap();
        for limit in [0, 1, 2, 3, 4, 5, 100] {
            let mut hits = Hits::with_limit(limit);
            let before = (hits.list.as_ptr(), hits.list.capacity());
            let outcome = db.scan(b"aaaa", &mut scratch, &mut hits).unwrap();
            assert_eq!(outcome, if limit < 4 { Outcome::Full } else { Outcome::Complete });
            assert_eq!(hits.as_slice().len(), limit.min(4));
            assert_eq!((hits.list.as_ptr(), hits.list.capacity()), before);
        }
    }

    #[test]
    fn a_buffer_that_lost_its_memory_is_full_instead_of_growing_under_the_library() {
        let mut hits = Hits { list: Vec::new(), limit: 8 };
        // SAFETY: as the library calls it, with the buffer as context.
        let code = unsafe { on_event(0, 0, 1, 0, ptr::from_mut(&mut hits).cast()) };
        assert_eq!((code, hits.list.capacity()), (1, 0));
    }

    #[test]
    fn what_is_longer_than_the_library_can_take_is_refused() {
        assert_eq!(c_length(u32::MAX as usize), Ok(u32::MAX));
        assert_eq!(c_length(u32::MAX as usize + 1), Err(HyperscanError::Code(ffi::HS_INVALID)));
    }

    #[test]
    fn a_scratch_and_its_databases_may_be_dropped_in_any_order() {
        let literal = |bytes| Database::literals(&[Literal { bytes, caseless: false }]).unwrap();
        let (first, second) = (literal(b"first"), literal(b"second"));
        let mut scratch = Scratch::new(&[&first, &second]).unwrap();
        let mut hits = Hits::with_limit(8);
        first.scan(b"first", &mut scratch, &mut hits).unwrap();
        drop(first);
        second.scan(b"a second", &mut scratch, &mut hits).unwrap();
        assert_eq!(hits.as_slice(), [Hit { end: 8, id: 0 }]);
        drop(second);
        // What comes to lie where they were is none of those that it serves.
        let third = literal(b"third");
        assert_eq!(third.scan(b"third", &mut scratch, &mut hits), Err(HyperscanError::WrongScratch));
    }

    extern "C" fn panics(_: c_uint, _: c_ulonglong, _: c_ulonglong, _: c_uint, _: *mut c_void) -> c_int {
        panic!("within the callback");
    }

    /// The test starts itself in a process of its own, where the panic happens.
    #[test]
    fn a_panic_in_a_callback_ends_the_process_and_never_unwinds_into_the_library() {
        use std::os::unix::process::ExitStatusExt;
        const INNER: &str = "EXPURGATE_TEST_PANIC_IN_CALLBACK";
        const SIGABRT: i32 = 6;
        if std::env::var_os(INNER).is_some() {
            let db = Database::literals(&[Literal { bytes: b"a", caseless: false }]).unwrap();
            let scratch = Scratch::new(&[&db]).unwrap();
            let (db, data, scratch) = (db.db.as_ptr(), b"a".as_ptr().cast(), scratch.ptr.as_ptr());
            // SAFETY: as in `Database::scan`, but for what the callback does.
            let scan = || unsafe { ffi::hs_scan(db, data, 1, 0, scratch, panics, ptr::null_mut()) };
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(scan));
            // Here only if it did not abort.
            std::process::exit(0);
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        let path = format!("{module}::a_panic_in_a_callback_ends_the_process_and_never_unwinds_into_the_library");
        let inner = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &path, "--nocapture"])
            .env(INNER, "1")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&inner.stderr);
        assert!(told.contains("within the callback"), "{told}");
        assert_eq!(inner.status.signal(), Some(SIGABRT), "{told}");
    }

    #[test]
    fn a_scratch_of_another_database_is_refused() {
        let small = Database::literals(&[Literal { bytes: b"abc", caseless: false }]).unwrap();
        let large = Database::expressions(&["[a-z]{3,9}[0-9]{4}(x|yy|zzz)+", "foo.*bar.{3,40}q"]).unwrap();
        let mut scratch = Scratch::new(&[&small]).unwrap();
        let mut hits = Hits::with_limit(8);
        assert_eq!(large.scan(b"abc1234x", &mut scratch, &mut hits), Err(HyperscanError::WrongScratch));
    }

    #[test]
    fn a_bad_expression_is_named() {
        let error = Database::expressions(&["fine", "("]).unwrap_err();
        assert!(matches!(error, HyperscanError::Compile { index: Some(1), .. }), "{error}");
    }

    #[test]
    fn a_literal_that_is_empty_or_led_by_nul_is_refused() {
        for bytes in [&b""[..], b"\0abc"] {
            assert!(Database::literals(&[Literal { bytes, caseless: false }]).is_err());
        }
    }

    proptest! {
        #[test]
        fn hits_equal_a_slow_search(
            literals in prop::collection::vec((prop::collection::vec(prop::sample::select(&b"abAB-_\0"[..]), 1..5), any::<bool>()), 1..8),
            data in prop::collection::vec(prop::sample::select(&b"abAB-_\0c"[..]), 0..300),
        ) {
            prop_assume!(literals.iter().all(|(bytes, _)| bytes[0] != 0));
            let literals: Vec<Literal<'_>> = literals.iter().map(|(bytes, caseless)| Literal { bytes, caseless: *caseless }).collect();
            let mut fast = scan_all(&literals, &data);
            fast.sort_unstable();
            fast.dedup();
            let mut slow = scan_slowly(&literals, &data);
            slow.sort_unstable();
            prop_assert_eq!(fast, slow);
        }
    }
}
