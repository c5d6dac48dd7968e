//! The part of the C interface that we use, as declared in `hs_common.h`,
//! `hs_compile.h` and `hs_runtime.h` of Hyperscan 5.2 and later (Vectorscan
//! keeps the same): <https://intel.github.io/hyperscan/dev-reference/api_files.html>.

// Brings the library with it; nothing else of the crate is of use here.
#[cfg(feature = "vendored")]
use vectorscan_rs_sys as _;

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};

/// `hs_database_t`: opaque.
#[repr(C)]
pub(super) struct HsDatabase {
    _opaque: [u8; 0],
}

/// `hs_scratch_t`: opaque.
#[repr(C)]
pub(super) struct HsScratch {
    _opaque: [u8; 0],
}

/// `hs_platform_info_t`: opaque, only ever null here (the machine we run on).
#[repr(C)]
pub(super) struct HsPlatformInfo {
    _opaque: [u8; 0],
}

/// `hs_compile_error_t`.
#[repr(C)]
pub(super) struct HsCompileError {
    /// A NUL-terminated text, or null.
    pub(super) message: *mut c_char,
    /// Index of the faulty expression; negative when none is to blame.
    pub(super) expression: c_int,
}

/// `match_event_handler`: a non-zero return value ends the scan.
pub(super) type MatchEvent =
    unsafe extern "C" fn(id: c_uint, from: c_ulonglong, to: c_ulonglong, flags: c_uint, context: *mut c_void) -> c_int;

pub(super) const HS_SUCCESS: c_int = 0;
pub(super) const HS_INVALID: c_int = -1;
pub(super) const HS_SCAN_TERMINATED: c_int = -3;
pub(super) const HS_FLAG_CASELESS: c_uint = 1;
pub(super) const HS_FLAG_DOTALL: c_uint = 2;
pub(super) const HS_MODE_BLOCK: c_uint = 1;

unsafe extern "C" {
    pub(super) fn hs_compile_lit_multi(
        expressions: *const *const c_char,
        flags: *const c_uint,
        ids: *const c_uint,
        lens: *const usize,
        elements: c_uint,
        mode: c_uint,
        platform: *const HsPlatformInfo,
        db: *mut *mut HsDatabase,
        error: *mut *mut HsCompileError,
    ) -> c_int;
    pub(super) fn hs_compile_multi(
        expressions: *const *const c_char,
        flags: *const c_uint,
        ids: *const c_uint,
        elements: c_uint,
        mode: c_uint,
        platform: *const HsPlatformInfo,
        db: *mut *mut HsDatabase,
        error: *mut *mut HsCompileError,
    ) -> c_int;
    pub(super) fn hs_free_compile_error(error: *mut HsCompileError) -> c_int;
    pub(super) fn hs_free_database(db: *mut HsDatabase) -> c_int;
    pub(super) fn hs_alloc_scratch(db: *const HsDatabase, scratch: *mut *mut HsScratch) -> c_int;
    pub(super) fn hs_free_scratch(scratch: *mut HsScratch) -> c_int;
    pub(super) fn hs_scan(
        db: *const HsDatabase,
        data: *const c_char,
        length: c_uint,
        flags: c_uint,
        scratch: *mut HsScratch,
        on_event: MatchEvent,
        context: *mut c_void,
    ) -> c_int;
    // Takes nothing; reads the processor's features.
    pub(super) safe fn hs_valid_platform() -> c_int;
}
