//! Text in gzip, zlib or zstd that stands in base64: how it is told, read and written anew.
//!
//! ```text
//! {"data": "H4sIAAAAAAAA_6tWykxRslJKyk_SLUhMTs1LSdVLzs9VqgUAVnWX6RgAAAA="}     {"id": "bob@example.com"}
//! ```
//!
//! `H4sI` is what RFC 1952 lets all of it begin with (section 2.3.1), and in base64
//! nothing else begins so by chance; where text in zlib and zstd may begin the scanner
//! tells ([`packed`](crate::scan::packed)), and whether it is any the text itself. It is held whole, up to [`LONGEST`]: what was
//! compressed cannot be written anew from its middle on. Longer text is refused, and so
//! is text that was compressed twice; what is no text, as an archive, stays as it came.
//! Of what is damaged counts what can be read.

use super::redactor::{Applied, Redactor};
use super::{Format, Plan, RedactError, Report};
use crate::coding::{Coding, CodingError, CodingLimits, Decoder, Encoder, Level, WireFormat};
use crate::scan::embedded::is_character;
use bytes::Bytes;
use memchr::memmem::Finder;
use std::sync::{Arc, LazyLock};

/// What all of gzip begins with in base64.
const WRITTEN: &[u8] = b"H4sI";
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(WRITTEN));
/// Bytes that tell whether it begins.
pub(super) const LEAD: usize = WRITTEN.len() + 1;
/// Raw bytes of the longest that is looked into.
pub(super) const LONGEST: usize = 256 * 1024;
/// Bytes that it may mean.
const LARGEST: u64 = 16 * LONGEST as u64;
/// What all of a body may mean beyond [`RATIO`] times of what stands there.
const GRACE: u64 = 1024 * 1024;
const RATIO: u64 = 200;
/// So many bytes tell whether it is text.
const HEAD: usize = 4096;
/// Control characters of text.
const OF_TEXT: u32 = 1 << b'\t' | 1 << b'\n' | 1 << b'\r' | 1 << 27 | 1 << 30;

/// What was unpacked of one body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unpacked {
    packed: u64,
    text: u64,
}

/// What came of looking into one.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) report: Report,
    pub(super) applied: Vec<Applied>,
    /// What stands for it now, if something was found.
    pub(super) written: Option<Vec<u8>>,
}

/// Where in `raw` it may begin, as [`begins_at`] tells.
pub(super) fn places(raw: &[u8]) -> impl Iterator<Item = usize> {
    FINDER.find_iter(raw)
}

/// Whether it begins at `at` of `raw`: all of [`LEAD`], and no word goes on there.
pub(super) fn begins_at(raw: &[u8], at: usize) -> bool {
    let lead = raw[at..].first_chunk::<LEAD>();
    // Three of the flags' eight bits mean nothing.
    let is_one = lead.is_some_and(|lead| lead.starts_with(WRITTEN) && (b'A'..=b'H').contains(&lead[LEAD - 1]));
    is_one && !goes_on(&raw[..at])
}

/// Whether what stands behind `before` goes on with a word or a token, and with no escape.
fn goes_on(before: &[u8]) -> bool {
    let Some((&last, before)) = before.split_last() else { return false };
    let is_hex = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_hexdigit);
    match before {
        [.., b'\\'] if b"nrtbf".contains(&last) => false,
        [.., b'%', high] if is_hex(&[*high, last]) => false,
        [.., b'\\', b'u', first, second, third] if is_hex(&[*first, *second, *third, last]) => false,
        _ => last == b'.' || is_character(last) && !matches!(last, b'/' | b'-' | b'+' | b'_'),
    }
}

/// Whether bytes, of which nothing stands in base64 any more, may be compressed text:
/// the first ones tell.
pub(crate) fn may_be_packed(bytes: &[u8]) -> bool {
    coding_of(bytes).is_some()
}

/// How bytes are compressed, by the marks of RFC 1952, 1950 (with a window of 32 KiB) and
/// 8878.
fn coding_of(bytes: &[u8]) -> Option<Coding> {
    match bytes {
        [0x1f, 0x8b, 8, ..] => Some(Coding::Gzip),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some(Coding::Deflate),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Coding::Zstd),
        _ => None,
    }
}

/// Whether the beginning of `packed` is text.
pub(crate) fn is_text(packed: &[u8]) -> bool {
    let mut reading = Reading::of(packed, CodingLimits::NONE);
    let mut head = Vec::new();
    while let Some(piece) = reading.next().filter(|_| head.len() < HEAD) {
        head.extend_from_slice(&piece);
    }
    looks_like_text(&head)
}

/// Redacts what `packed` is compressed: the report, and what stands for it, if something
/// was found.
///
/// # Errors
/// As [`Redactor::push`], and when it grows too large.
pub(crate) fn repack(
    plan: &Arc<Plan>,
    packed: &[u8],
    unpacked: &mut Unpacked,
) -> (Report, Result<Option<Vec<u8>>, RedactError>) {
    let mut looked = Looked::default();
    let done = look(plan, packed, (1, false), unpacked, &mut looked);
    (looked.report, done.map(|()| looked.written))
}

/// What the oracle reads: the text, as far as it can be read, if it is any.
pub(super) fn read_plainly(packed: &[u8]) -> Option<(Vec<u8>, Format)> {
    let mut reading = Reading::of(packed, CodingLimits::NONE);
    let text = std::iter::from_fn(|| reading.next()).collect::<Vec<_>>().concat();
    looks_like_text(&text).then(|| {
        let format = format_of(&text);
        (text, format)
    })
}

/// The same within `depth` other texts; whether each finding is `recorded`. On an error
/// `looked` has what was found before.
pub(super) fn look(
    plan: &Arc<Plan>,
    packed: &[u8],
    (depth, recorded): (u8, bool),
    unpacked: &mut Unpacked,
    looked: &mut Looked,
) -> Result<(), RedactError> {
    if !may_unpack(packed) {
        return Ok(());
    }
    unpacked.packed += packed.len() as u64;
    let left = (GRACE + unpacked.packed.saturating_mul(RATIO)).saturating_sub(unpacked.text);
    let limits = CodingLimits { max_decoded: left.min(LARGEST), ..CodingLimits::NONE };
    let mut reading = Reading::of(packed, limits);
    let (mut redactor, mut head, mut out) = (None, Vec::new(), Vec::new());
    let mut counted = || {
        let piece = reading.next();
        unpacked.text += piece.as_ref().map_or(0, |piece: &Bytes| piece.len() as u64);
        piece
    };
    while redactor.is_none() {
        let piece = counted();
        head.extend_from_slice(piece.as_deref().unwrap_or_default());
        if head.len() < HEAD && piece.is_some() {
            continue;
        }
        if !looks_like_text(&head) {
            return Ok(());
        }
        redactor = Some(Redactor::packed(plan, format_of(&head), depth, recorded));
    }
    let Some(mut redactor) = redactor else { return Ok(()) };
    let mut read = redactor.push(head.into(), &mut out);
    while let Some(piece) = counted().filter(|_| read.is_ok()) {
        read = redactor.push(piece, &mut out);
    }
    let read = read.and_then(|()| redactor.finish(&mut out));
    looked.applied.extend(redactor.take_applied());
    looked.report.add(redactor.report());
    read?;
    match reading.ended {
        Some(CodingError::TooLarge) => return Err(RedactError::Large),
        Some(CodingError::Library) => return Err(RedactError::Engine),
        _ => {}
    }
    if reading.annotated {
        look_beside(plan, packed, recorded, looked)?;
    }
    if looked.report.changed() > 0 {
        looked.written = Some(written(packed, &out)?);
    }
    Ok(())
}

/// Looks at the names and comments that stand before the text, or within it where another
/// member begins: all of it is written anew, without them, if something is found there.
fn look_beside(plan: &Arc<Plan>, packed: &[u8], recorded: bool, looked: &mut Looked) -> Result<(), RedactError> {
    let text: Vec<u8> = packed.iter().map(|&byte| if byte < b' ' { b'\n' } else { byte }).collect();
    let mut redactor = Redactor::packed(plan, Format::Text, super::redactor::DEEPEST, recorded);
    let mut out = Vec::new();
    let read = redactor.push(text.into(), &mut out).and_then(|()| redactor.finish(&mut out));
    looked.applied.extend(redactor.take_applied());
    looked.report.add(redactor.report());
    read
}

/// `text`, compressed as `packed` is.
pub(super) fn written(packed: &[u8], text: &[Bytes]) -> Result<Vec<u8>, RedactError> {
    let format = match coding_of(packed) {
        Some(Coding::Deflate) => WireFormat::Zlib,
        Some(Coding::Zstd) => WireFormat::Zstd,
        _ => WireFormat::Gzip,
    };
    let write = || {
        let (mut encoder, mut out) = (Encoder::new(format, Level::Default, None)?, Vec::new());
        text.iter().try_for_each(|piece| encoder.push(piece, &mut out))?;
        encoder.finish(&mut out)?;
        Ok(out.concat())
    };
    write().map_err(|_: CodingError| RedactError::Engine)
}

/// Text piece by piece, up to its end or to what is wrong with it.
/// Whether a frame of zstd has a whole head and that of a block, which are cheaper to look
/// at than a decoder is made (RFC 8878, section 3.1.1). Of others that is not asked.
fn may_unpack(packed: &[u8]) -> bool {
    let Some(frame) = packed.strip_prefix(b"\x28\xb5\x2f\xfd") else { return true };
    let [flags, rest @ ..] = frame else { return false };
    let is_single = flags >> 5 & 1 == 1;
    let window = usize::from(!is_single);
    let dictionary = [0, 1, 2, 4][usize::from(flags & 3)];
    let size = match flags >> 6 {
        0 => usize::from(is_single),
        more => 1 << more,
    };
    let block = rest.get(window + dictionary + size..).and_then(|rest| rest.first_chunk::<3>());
    // Neither bit nor type is given out.
    block.is_some_and(|&[first, ..]| flags >> 3 & 1 == 0 && first >> 1 & 3 != 3)
}

struct Reading {
    decoder: Option<Decoder>,
    /// Whether names or comments were passed over so far.
    annotated: bool,
    ended: Option<CodingError>,
}

impl Reading {
    fn of(packed: &[u8], limits: CodingLimits) -> Self {
        match Decoder::new(coding_of(packed).unwrap_or(Coding::Identity), limits) {
            Ok(mut decoder) => {
                decoder.iter_mut().for_each(|decoder| decoder.push(Bytes::copy_from_slice(packed)));
                Self { decoder, annotated: false, ended: None }
            }
            Err(error) => Self { decoder: None, annotated: false, ended: Some(error) },
        }
    }

    fn next(&mut self) -> Option<Bytes> {
        let mut decoder = self.decoder.take()?;
        let read = decoder.next_piece();
        self.annotated |= decoder.is_annotated();
        match read {
            Ok(piece) => {
                self.decoder = Some(decoder);
                piece
            }
            Err(error) => {
                self.ended = Some(error);
                Some(decoder.salvage()).filter(|piece| !piece.is_empty())
            }
        }
    }
}

fn looks_like_text(head: &[u8]) -> bool {
    let head = &head[..head.len().min(HEAD)];
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !head.is_empty() && head.iter().all(|&byte| byte >= b' ' || OF_TEXT >> byte & 1 == 1)
}

/// JSON, one document or several, by its first bytes, or text.
pub(super) fn format_of(head: &[u8]) -> Format {
    let begun = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let Some((first, rest)) = begun.split_first() else { return Format::Text };
    match (first, rest.trim_ascii_start().first()) {
        (b'{', Some(b'"' | b'}')) | (b'[', Some(b'"' | b'{' | b'[' | b']')) => Format::Json,
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_whole_head_of_a_frame_and_a_block_is_not_unpacked() {
        let frame = zstd::encode_all(&b"to bob@example.com"[..], 3).unwrap();
        let head = (0..frame.len()).find(|&length| may_unpack(&frame[..length]) && length >= 4).unwrap();
        assert!((8..=10).contains(&head), "{head}");
        assert!((4..head).all(|length| !may_unpack(&frame[..length])));
        let mut reserved = frame.clone();
        reserved[4] |= 1 << 3;
        assert!(may_unpack(&frame) && !may_unpack(&reserved));
        assert!(may_unpack(b"\x1f\x8b"));
    }
    use crate::redact::rig::PLAN;
    use crate::redact::{Policy, Treatment, naive};
    use crate::scan::Encoding;

    const CLEAR: &str = r#"{"email": "bob@example.com", "password": "hunter22x", "n": [1]}"#;
    const LABELLED: &str = r#"{"email": "[EMAIL_ADDRESS]", "password": "[PASSWORD]", "n": [1]}"#;

    fn gzip(text: &str) -> Vec<u8> {
        compressed(WireFormat::Gzip, Level::Default, text)
    }

    fn compressed(format: WireFormat, level: Level, text: &str) -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::new(format, level, None).unwrap(), Vec::new());
        encoder.push(text.as_bytes(), &mut out).unwrap();
        encoder.finish(&mut out).unwrap();
        out.concat()
    }

    /// `text` in zstd, and in zlib as each level writes its first bytes.
    fn in_others(text: &str) -> Vec<Vec<u8>> {
        let zlib = compressed(WireFormat::Zlib, Level::Default, text);
        let mut others: Vec<Vec<u8>> =
            [0x01, 0x5e, 0x9c, 0xda].map(|level| [&[0x78, level], &zlib[2..]].concat()).into();
        others.push(compressed(WireFormat::Zlib, Level::Fast, text));
        others.push(compressed(WireFormat::Zlib, Level::Best, text));
        others.push(compressed(WireFormat::Zstd, Level::Default, text));
        others
    }

    fn base64(bytes: &[u8]) -> String {
        String::from_utf8(Encoding::read(b"Ym9iQGFjbWUuaW8=").1.write(bytes)).unwrap()
    }

    fn url_safe(bytes: &[u8]) -> String {
        base64(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
    }

    fn packed(text: &str) -> String {
        base64(&gzip(text))
    }

    /// What stands in the base64 that `raw` holds behind `lead`.
    fn unpacked(raw: &str, lead: &str) -> String {
        let begun = &raw[raw.find(lead).unwrap() + lead.len()..];
        let run = begun.split(['"', '\\', ' ', '&', '\n']).next().unwrap();
        let (bytes, _) = Encoding::read(run.as_bytes());
        let coding = coding_of(&bytes).unwrap();
        let (mut decoder, mut text) = (Decoder::new(coding, CodingLimits::NONE).unwrap().unwrap(), Vec::new());
        decoder.push(bytes.into());
        while let Some(piece) = decoder.next_piece().unwrap() {
            text.extend_from_slice(&piece);
        }
        decoder.finish().unwrap();
        String::from_utf8(text).unwrap()
    }

    fn run<'a>(
        plan: &Arc<Plan>,
        format: Format,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(String, Report), RedactError> {
        let (mut redactor, mut out, mut most) = (Redactor::new(plan, format), Vec::new(), 0);
        for chunk in chunks {
            redactor.push(Bytes::copy_from_slice(chunk), &mut out)?;
            most = most.max(redactor.held());
        }
        redactor.finish(&mut out)?;
        assert!(redactor.held() == 0 && most < LONGEST + (200 << 10), "{most}");
        Ok((String::from_utf8(out.concat()).unwrap(), redactor.report().clone()))
    }

    fn run_whole(format: Format, body: &str) -> (String, Report) {
        run(&PLAN, format, [body.as_bytes()]).unwrap()
    }

    /// Whole, cut in two everywhere, byte by byte, by the oracle and once more.
    #[track_caller]
    fn redacted(format: Format, body: &str) -> String {
        let (whole, report) = run(&PLAN, format, [body.as_bytes()]).unwrap();
        for at in 0..=body.len() {
            let (one, other) = body.as_bytes().split_at(at);
            assert_eq!(run(&PLAN, format, [one, other]).unwrap(), (whole.clone(), report.clone()), "cut at {at}");
            let (mut redactor, mut out) = (Redactor::new(&PLAN, format), Vec::new());
            redactor.scan_every(1);
            [one, other].iter().for_each(|chunk| redactor.push(Bytes::copy_from_slice(chunk), &mut out).unwrap());
            redactor.finish(&mut out).unwrap();
            assert_eq!(out.concat(), whole.as_bytes(), "scanned when cut at {at}");
        }
        assert_eq!(run(&PLAN, format, body.as_bytes().chunks(1)).unwrap().0, whole);
        assert_eq!(naive::redact(&PLAN, format, body.as_bytes()).unwrap(), whole.as_bytes(), "oracle");
        assert_eq!(run(&PLAN, format, [whole.as_bytes()]).unwrap().0, whole, "twice");
        assert_eq!(report.changed() > 0, whole != body);
        whole
    }

    #[test]
    fn what_is_found_within_is_written_anew_wherever_it_stands() {
        for (format, before, after) in [
            (Format::Json, r#"{"data": ""#, r#"", "to": "x"}"#),
            (Format::Json, r#"{"a": "{\"data\": \""#, r#"\"}"}"#),
            (Format::Json, r#"{"a": "see\n"#, r#" for more"}"#),
            (Format::Json, r#"{"a": "data:application/gzip;base64,"#, r#""}"#),
            (Format::Text, "payload=", "\n"),
            (Format::Text, "", ""),
            (Format::Ndjson, "{\"a\":1}\n{\"data\":\"", "\"}\n"),
        ] {
            for run in [packed(CLEAR), url_safe(&gzip(CLEAR))] {
                let out = redacted(format, &format!("{before}{run}{after}"));
                assert!(out.starts_with(before) && out.ends_with(after), "{out}");
                assert_eq!(unpacked(&out, before), LABELLED);
            }
        }
    }

    #[test]
    fn zlib_and_zstd_are_read_as_gzip_is() {
        for (index, bytes) in in_others(CLEAR).into_iter().enumerate() {
            let run = if index % 2 == 0 { base64(&bytes) } else { url_safe(&bytes) };
            let out = redacted(Format::Json, &format!("{{\"data\": \"{}\"}}", run.replace('/', "\\/")));
            assert_eq!(unpacked(&out.replace("\\/", "/"), "\"data\": \""), LABELLED);
            for (format, before) in
                [(Format::Text, "a="), (Format::Json, "[\"see\\n"), (Format::Ndjson, "[\"data:x;base64,")]
            {
                let body = format!("{before}{run}\"");
                let (out, _) = run_whole(format, &body);
                assert_eq!(unpacked(&out, before), LABELLED);
                assert_eq!(naive::redact(&PLAN, format, body.as_bytes()).unwrap(), out.as_bytes());
            }
        }
    }

    #[test]
    fn zlib_and_zstd_begin_where_a_value_does() {
        let same = |body: &str| {
            let (whole, _) = run_whole(Format::Json, body);
            assert_eq!(naive::redact(&PLAN, Format::Json, body.as_bytes()).unwrap(), whole.as_bytes());
            assert_eq!(run(&PLAN, Format::Json, body.as_bytes().chunks(3)).unwrap().0, whole);
            whole == body
        };
        for bytes in in_others(CLEAR) {
            let run = base64(&bytes);
            for before in ["abc", "a-", "a_", "a+", "a/", "a.", "$", "é"] {
                assert!(same(&format!("{{\"data\": \"{before}{run}\"}}")));
            }
            assert!(!same(&format!("{{\"data\": \"{run}\"}}")));
            // What is written with escapes is not told.
            same(&format!("{{\"data\": \"{}\"}}", run.replacen('e', "\\u0065", 1)));
        }
        let words = "eNote phoneNo eJx eAE= eF5 KLUv KLUv/Q== eJxyz0123456789abcdefghij";
        assert!(same(&format!("{{\"{}\": 1}}", words.replace(' ', "\": [\"a\"], \""))));
        for bytes in in_others("nothing to see, nothing to see").iter().chain(&in_others("\0\u{1}\u{2}")) {
            assert!(same(&format!("{{\"data\": \"{}\"}}", base64(bytes))));
        }
    }

    #[test]
    fn text_and_lines_within_are_read_as_what_they_are() {
        for (text, expected) in [
            ("to bob@example.com\nand on", "to [EMAIL_ADDRESS]\nand on"),
            ("[2024-01-02] user bob@example.com", "[2024-01-02] user [EMAIL_ADDRESS]"),
            ("{\"password\": \"hunter22x\"}\n{\"a\": 1}\n", "{\"password\": \"[PASSWORD]\"}\n{\"a\": 1}\n"),
            ("\u{feff}[{\"password\": 4815162342}]", "\u{feff}[{\"password\": \"[PASSWORD]\"}]"),
        ] {
            let out = redacted(Format::Json, &format!("{{\"data\": \"{}\"}}", packed(text)));
            assert_eq!(unpacked(&out, "\"data\": \""), expected);
        }
    }

    #[test]
    fn what_nothing_is_found_in_stays_byte_for_byte() {
        let clean = packed(r#"{"user": "nobody", "n": [1, 2, 3]}"#);
        for run in [clean.clone(), clean.replace('/', "\\/"), clean.replace('=', "\\u003d"), base64(&gzip(""))] {
            let body = format!("{{\"data\": \"{run}\", \"mail\": \"bob@example.com\"}}");
            assert_eq!(redacted(Format::Json, &body), body.replace("bob@example.com", "[EMAIL_ADDRESS]"));
        }
        // No text, as an archive, and no gzip.
        let archive = "bob@example.com\0\0\0\u{1}".repeat(40);
        for run in [packed(&archive), "H4sIAAAAAAAAbob".to_owned(), "H4sI".to_owned(), "H4sIzzzz".to_owned()] {
            let body = format!("{{\"data\": \"{run}\"}}");
            assert_eq!(redacted(Format::Json, &body), body);
        }
        // In the middle of a word it is none.
        let body = format!("{{\"id\": \"abc{}\"}}", packed("to bob@example.com"));
        assert_eq!(run(&PLAN, Format::Json, [body.as_bytes()]).unwrap().0, body);
    }

    #[test]
    fn of_what_is_damaged_counts_what_can_be_read() {
        let whole = gzip(&format!("{CLEAR}{}", "and so on, ".repeat(30)));
        let mut wrong = whole.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let trailing = [&whole[..], b"rest"].concat();
        for damaged in [&whole[..whole.len() - 1], &whole[..whole.len() - 9], &wrong, &trailing] {
            let out = redacted(Format::Json, &format!("{{\"data\": \"{}\"}}", base64(damaged)));
            let text = unpacked(&out, "\"data\": \"");
            assert!(text.starts_with(LABELLED) && !text.contains("bob"), "{text}");
        }
        let clean = gzip("nothing to see, nothing to see");
        let body = format!("{{\"data\": \"{}\"}}", base64(&clean[..clean.len() - 3]));
        assert_eq!(redacted(Format::Json, &body), body);
    }

    #[test]
    fn several_members_and_names_before_them_are_read() {
        let members = [gzip("to bob@exam"), gzip("ple.com, ")].concat();
        let out = redacted(Format::Json, &format!("{{\"data\": \"{}\"}}", base64(&members)));
        assert_eq!(unpacked(&out, "\"data\": \""), "to [EMAIL_ADDRESS], ");
        let mut named = gzip("nothing to see");
        named[3] |= 0b1000;
        named.splice(10..10, *b"bob@example.com\0");
        let first = gzip("nothing ");
        let second = [first.as_slice(), &named].concat();
        for (packed, name, text) in
            [(named, 10, "nothing to see"), (second, first.len() + 10, "nothing nothing to see")]
        {
            let body = format!("{{\"data\": \"{}\"}}", base64(&packed));
            let (out, report) = run(&PLAN, Format::Json, [body.as_bytes()]).unwrap();
            assert_eq!((unpacked(&out, "\"data\": \"").as_str(), report.changed()), (text, 1));
            let name = name / 3 * 4 + 4;
            assert!(!out.contains(&base64(&packed)[name..name + 8]));
        }
    }

    #[test]
    fn json_in_base64_may_hold_it_and_it_may_hold_json_in_base64() {
        let outer = base64(format!("{{\"data\": \"{}\"}}", packed(CLEAR)).as_bytes());
        let out = redacted(Format::Json, &format!("{{\"a\": \"{outer}\"}}"));
        let (json, _) = Encoding::read(&out.as_bytes()[7..out.len() - 2]);
        assert_eq!(unpacked(&String::from_utf8(json).unwrap(), "\"data\": \""), LABELLED);
        let inner = packed(&format!("{{\"data\": \"{}\"}}", base64(CLEAR.as_bytes())));
        let out = redacted(Format::Json, &format!("{{\"a\": \"{inner}\"}}"));
        let json = unpacked(&out, "\"a\": \"");
        assert_eq!(json, format!("{{\"data\": \"{}\"}}", base64(LABELLED.as_bytes())));
    }

    /// Text that compresses badly.
    fn noise(length: usize) -> String {
        let mut state = 1_u64;
        let letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b'a' + state.to_be_bytes()[0] % 16)
        };
        std::iter::repeat_with(letter).take(length).collect()
    }

    #[test]
    fn what_is_too_large_is_refused_and_what_is_no_text_is_not() {
        let outcome = |run: &str| {
            let body = format!("{{\"data\": \"{run}\", \"b\": \"bob@example.com\"}}");
            let sizes =
                [1 << 20, 65_536, 1000].map(|size| self::run(&PLAN, Format::Json, body.as_bytes().chunks(size)));
            assert!(sizes.iter().all(|one| *one == sizes[0]));
            sizes.into_iter().next().unwrap().map(|(out, _)| out)
        };
        let long = noise(500_000);
        assert!(packed(&long).len() > LONGEST);
        assert_eq!(outcome(&packed(&long)), Err(RedactError::Large));
        let archive = packed(&format!("\0{long}"));
        assert!(outcome(&archive).unwrap().contains(&archive));
        // More than so many times of what stands there.
        assert_eq!(outcome(&packed(&" ".repeat(3 << 20))), Err(RedactError::Large));
        let fair = packed(&format!("{} bob@example.com", noise(300_000)));
        assert!(fair.len() < LONGEST);
        assert!(unpacked(&outcome(&fair).unwrap(), "\"data\": \"").ends_with(" [EMAIL_ADDRESS]"));
        // Compressed twice.
        assert_eq!(outcome(&packed(&format!("{{\"a\": \"{}\"}}", packed(CLEAR)))), Err(RedactError::Large));
        assert!(outcome(&packed(&format!("{{\"a\": \"{}\"}}", packed("\0\u{1}")))).is_ok());
    }

    #[test]
    fn all_of_a_body_has_one_limit() {
        let small = packed(&" ".repeat(500_000));
        let body = |count: usize| format!("[{}0]", format!("\"{small}\",").repeat(count));
        assert!(run(&PLAN, Format::Json, [body(2).as_bytes()]).is_ok());
        assert_eq!(run(&PLAN, Format::Json, [body(40).as_bytes()]), Err(RedactError::Large));
        // Wherever they stand.
        let within: String =
            (0..40).map(|_| format!("\"{}\",", base64(format!("{{\"data\":\"{small}\"}}").as_bytes()))).collect();
        assert_eq!(run(&PLAN, Format::Json, [format!("[{within}0]").as_bytes()]), Err(RedactError::Large));
    }

    #[test]
    fn where_lengths_must_stay_it_cannot_change() {
        let body = |text: &str| format!("{{\"data\": \"{}\"}}", packed(text));
        let (clean, found) = (body("nothing to see"), body(CLEAR));
        assert_eq!(run(PLAN.of_same_length(), Format::Json, [clean.as_bytes()]).unwrap().0, clean);
        assert_eq!(run(PLAN.of_same_length(), Format::Json, [found.as_bytes()]), Err(RedactError::Large));
    }

    #[test]
    fn a_policy_that_blocks_or_only_counts_does_so_within() {
        let by = |treatment: Treatment| {
            let policy = Policy { default: treatment, ..Policy::default() };
            let plan = Arc::new(Plan::new(Arc::clone(PLAN.engine()), &policy));
            let body = format!("{{\"data\": \"{}\"}}", packed("to bob@example.com"));
            run(&plan, Format::Json, [body.as_bytes()]).map(|(out, report)| (out == body, report.findings.len()))
        };
        assert!(matches!(by(Treatment::Block), Err(RedactError::Blocked { .. })));
        assert_eq!(by(Treatment::Report), Ok((true, 1)));
    }
}
