//! JSON that stands in base64: decoded as it is released, redacted by a redactor of its
//! own, encoded again. A run in which nothing is found leaves as it came. So is text in
//! gzip, zlib or zstd, but for that it is held to its end: see [`packed`].
//!
//! ```text
//!        passed             read
//! raw      | not released yet | may belong to it   behind it
//! text     rest               | with the redactor
//! ```
//!
//! Invariant: until something is found, `rest` is what the raw bytes from `passed` on
//! mean, and begins with a group of four characters.

use super::{Applied, Redactor, relative};
use crate::redact::packed::{self, Looked, Unpacked};
use crate::redact::{Format, Plan, RedactError, Report};
use crate::scan::Finding;
use crate::scan::embedded::{self, Reader, Taken};
use crate::scan::meter::Meter;
use crate::scan::typed::{Between, Gap};
use crate::span::Span;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::sync::Arc;

/// Base64 within base64 that is looked into.
pub(in crate::redact) const DEEPEST: u8 = 3;
/// Bytes looked at before it is known whether they belong to a run.
const STEP: usize = 1024;

/// A run on its way through.
pub(super) struct Embedded {
    plan: Arc<Plan>,
    /// Made when there is something to look at.
    redactor: Option<Box<Redactor>>,
    depth: u8,
    reader: Reader,
    kind: Kind,
    /// It stands in what was compressed.
    in_packed: bool,
    unpacked: Unpacked,
    /// It turned out to be part of a token, or no text.
    is_token: bool,
    /// The raw bytes that were not released, of which `read` were read.
    raw: BytesMut,
    read: usize,
    /// What was read and not given to the redactor.
    text: Vec<u8>,
    /// What came back from it and was not released.
    rest: Vec<u8>,
    /// So many bytes that came back were released as they were.
    given: u64,
    is_changed: bool,
    start: u64,
    /// In bytes of the body around it: everything before is released or written anew.
    passed: u64,
    /// Told about each finding, if asked for.
    applied: Option<Vec<Applied>>,
    /// What was found since it was last asked for.
    report: Report,
}

/// Compressed text that stands in base64 in a body, and bytes of OTLP.
#[derive(Default)]
pub(super) struct Packed {
    /// Where bytes begin that were not released.
    bytes: VecDeque<u64>,
    /// Names of such, and how far behind them was read: where they stand is not known yet.
    pub(super) names: VecDeque<u64>,
    gap: Option<Gap>,
    /// Where text in gzip begins that was not released.
    starts: VecDeque<u64>,
    /// Where text in zlib or zstd may.
    pub(super) heads: VecDeque<u64>,
    /// In bytes of the body: up to here all of it was found.
    searched: u64,
    /// The body was compressed itself.
    is_within: bool,
    unpacked: Unpacked,
}

/// What stands in base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::redact) enum Kind {
    Json,
    /// In gzip, zlib or zstd.
    Packed,
    /// Bytes of OTLP: text, or JSON.
    Bytes,
}

/// What of a run may leave, in this order.
struct Ready {
    unchanged: Bytes,
    /// So many raw bytes behind that are written anew, and how.
    replaced: usize,
    written: Vec<u8>,
    /// What does not belong to it.
    behind: Bytes,
}

impl Embedded {
    fn new<M: Meter>(outer: &Redactor<M>, start: u64, kind: Kind) -> Self {
        Self {
            plan: Arc::clone(&outer.plan),
            redactor: None,
            depth: outer.depth + 1,
            reader: Reader::default(),
            kind,
            in_packed: outer.packed.is_within,
            unpacked: outer.packed.unpacked,
            is_token: false,
            raw: BytesMut::new(),
            read: 0,
            text: Vec::new(),
            rest: Vec::new(),
            given: 0,
            is_changed: false,
            start,
            passed: start,
            applied: outer.applied.as_ref().map(|_| Vec::new()),
            report: Report::default(),
        }
    }

    /// Raw bytes that were not released.
    pub(super) fn held(&self) -> usize {
        self.raw.len()
    }

    /// In bytes of the body around it: everything before is released.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// Takes more of the body: how many of its bytes, and whether the run ends there.
    fn push(&mut self, data: &[u8]) -> Result<Taken, RedactError> {
        self.raw.extend_from_slice(data);
        let taken = self.reader.read(&self.raw[self.read..], false, &mut self.text);
        self.read += taken.raw;
        let behind = &self.raw[self.read..];
        let is_leading = self.reader.is_leading();
        // Whether a point ends a sentence or joins the parts of a token is told by what follows.
        self.is_token = taken.ends && is_leading && embedded::is_joint(behind);
        if taken.ends && !(is_leading && behind == b".") {
            let over = behind.len() - usize::from(self.is_token);
            let over = over.min(data.len());
            self.raw.truncate(self.raw.len() - over);
            return Ok(Taken { raw: data.len() - over, ends: true });
        }
        if self.kind == Kind::Packed {
            let is_over = self.read > packed::LONGEST && self.is_let_be()?;
            return Ok(Taken { raw: data.len(), ends: is_over });
        }
        if !is_leading {
            self.look()?;
        }
        Ok(Taken { raw: data.len(), ends: false })
    }

    /// Whether what is compressed is not looked into: it is no text. Text that is too long
    /// is refused.
    fn is_let_be(&mut self) -> Result<bool, RedactError> {
        if packed::is_text(&self.text) {
            return Err(RedactError::Large);
        }
        self.is_token = true;
        Ok(true)
    }

    /// Looks into what is compressed, all of which was read.
    fn unpack(&mut self) -> Result<(), RedactError> {
        if self.read > packed::LONGEST || self.in_packed {
            return self.is_let_be().map(|_| ());
        }
        let mut looked = Looked::default();
        let how = (self.depth, self.applied.is_some());
        let done = packed::look(&self.plan, &self.text, how, &mut self.unpacked, &mut looked);
        self.report.add(&looked.report);
        if let Some(applied) = &mut self.applied {
            applied.extend(looked.applied);
        }
        done?;
        if let Some(written) = looked.written {
            if self.plan.keeps_length {
                return Err(RedactError::Large);
            }
            (self.rest, self.is_changed) = (written, true);
        }
        Ok(())
    }

    /// Has the redactor look at what was read.
    fn look(&mut self) -> Result<(), RedactError> {
        let redactor = self.redactor.get_or_insert_with(|| {
            let format = if self.kind == Kind::Bytes { packed::format_of(&self.text) } else { Format::Json };
            let mut redactor = Redactor::new(&self.plan, format);
            redactor.keep_edits();
            redactor.depth = self.depth;
            (redactor.packed.is_within, redactor.packed.unpacked) = (self.in_packed, self.unpacked);
            if self.applied.is_some() {
                redactor.record();
            }
            Box::new(redactor)
        });
        let mut out = Vec::new();
        let looked = redactor.push(std::mem::take(&mut self.text).into(), &mut out);
        self.take_back(&out);
        looked
    }

    /// The run has ended.
    fn finish(&mut self) -> Result<(), RedactError> {
        if self.is_token {
            return Ok(());
        }
        self.read += self.reader.read(&self.raw[self.read..], true, &mut self.text).raw;
        if self.kind == Kind::Packed {
            return self.unpack();
        }
        let may_hold = || self.plan.engine().may_hold(&self.text).map_err(|_| RedactError::Engine);
        let has_packed = packed::places(&self.text).next().is_some();
        if self.redactor.is_none() && self.reader.is_leading() && !has_packed && !may_hold()? {
            return Ok(());
        }
        self.look()?;
        let Some(redactor) = &mut self.redactor else { return Ok(()) };
        let mut out = Vec::new();
        let finished = redactor.finish(&mut out);
        self.take_back(&out);
        finished
    }

    /// Takes what the redactor has done.
    fn take_back(&mut self, out: &[Bytes]) {
        let Some(redactor) = &mut self.redactor else { return };
        self.unpacked = redactor.packed.unpacked;
        self.report.add(&std::mem::take(&mut redactor.report));
        if let Some(applied) = &mut self.applied {
            applied.extend(redactor.take_applied());
        }
        out.iter().for_each(|piece| self.rest.extend_from_slice(piece));
    }

    /// Takes what may leave. `ends` tells that nothing comes any more.
    fn take_ready(&mut self, ends: bool) -> Ready {
        let mut ready = Ready { unchanged: Bytes::new(), replaced: 0, written: Vec::new(), behind: Bytes::new() };
        let edit = self.redactor.as_mut().and_then(|redactor| redactor.take_edits().first().copied());
        if !self.is_changed {
            let same = edit.map_or(self.rest.len(), |edit| relative(edit.at, self.given)).min(self.rest.len());
            let groups = same / 3;
            let raw = match edit {
                None if ends => self.raw.len(),
                _ => embedded::length_of(&self.raw, groups as u64 * 4),
            };
            ready.unchanged = self.raw.split_to(raw).freeze();
            self.rest.drain(..groups * 3);
            self.given += groups as u64 * 3;
            self.read = self.read.saturating_sub(raw);
            self.passed += raw as u64;
            self.is_changed = edit.is_some();
        }
        if self.is_changed {
            let whole = if ends { self.rest.len() } else { self.rest.len() / 3 * 3 };
            let text: Vec<u8> = self.rest.drain(..whole).collect();
            ready.written = self.reader.encoding().write(&text);
            ready.replaced = self.read;
            if self.plan.keeps_length {
                if !ends {
                    ready.replaced = embedded::length_of(&self.raw[..self.read], ready.written.len() as u64);
                }
                ready.written = embedded::laid_out(&self.raw[..ready.replaced], &ready.written);
            }
            let _gone = self.raw.split_to(ready.replaced);
            self.read -= ready.replaced;
            self.passed += ready.replaced as u64;
        }
        if ends {
            ready.behind = self.raw.split().freeze();
            self.passed += ready.behind.len() as u64;
        }
        ready
    }
}

impl Redactor {
    /// A redactor for what was compressed, within `depth` other texts.
    pub(in crate::redact) fn packed(plan: &Arc<Plan>, format: Format, depth: u8, recorded: bool) -> Self {
        let packed = Packed { is_within: true, ..Packed::default() };
        Self { depth, packed, applied: recorded.then(Vec::new), ..Self::new(plan, format) }
    }
}

impl<M: Meter> Redactor<M> {
    /// Releases the bytes up to `end`: all of them unchanged, but for JSON in base64.
    pub(super) fn pass(&mut self, data: &Bytes, base: u64, end: u64, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        if end > self.released {
            self.close(out);
        }
        while self.released < end {
            let next = self.next_embedded().map_or(end, |start| start.min(end));
            let from = relative(self.released, base);
            if next == self.released {
                self.pass_embedded(&data[from..relative(end, base)], out)?;
            } else {
                out.push(data.slice(from..relative(next, base)));
                self.released = next;
            }
        }
        Ok(())
    }

    /// Where a run begins or goes on that was not released.
    fn next_embedded(&mut self) -> Option<u64> {
        if self.embedded.is_some() || self.is_cut {
            return Some(self.released);
        }
        let (packed, depth, released) = (&mut self.packed, self.depth, self.released);
        let queues = [&mut self.starts, &mut packed.starts, &mut packed.heads, &mut packed.bytes];
        let firsts = queues.into_iter().filter_map(|starts| {
            while starts.front().is_some_and(|&start| start < released || depth >= DEEPEST) {
                starts.pop_front();
            }
            starts.front().copied()
        });
        firsts.min()
    }

    /// What the run is that begins where the next one does.
    fn next_kind(&self) -> Kind {
        let begins = |starts: &VecDeque<u64>| starts.front() == Some(&self.released);
        match (begins(&self.packed.starts) || begins(&self.packed.heads), begins(&self.starts)) {
            (true, _) => Kind::Packed,
            (false, true) => Kind::Json,
            (false, false) => Kind::Bytes,
        }
    }

    /// Finds where the bytes begin behind the names that were found.
    pub(super) fn find_bytes(&mut self, data: &[u8], base: u64) {
        while let Some(&at) = self.packed.names.front() {
            let rest = data.get(relative(at, base)..).unwrap_or_default();
            let mut gap = self.packed.gap.take().unwrap_or_else(Gap::new);
            match gap.read(rest) {
                Between::More => {
                    self.packed.gap = Some(gap);
                    self.packed.names[0] = at + rest.len() as u64;
                    return;
                }
                Between::Value(length) => self.packed.bytes.push_back(at + length as u64),
                Between::None => {}
            }
            self.packed.names.pop_front();
        }
    }

    /// Notes where text in gzip begins in base64, in what comes after what was looked at.
    pub(super) fn find_packed(&mut self, data: &[u8], base: u64, last: bool) {
        let from = relative(self.packed.searched, base).min(data.len());
        // What does not tell yet is looked at again.
        let end = if last { data.len() } else { data.len().saturating_sub(packed::LEAD - 1).max(from) };
        let found = packed::places(&data[from..]).map(|at| from + at);
        let begun = found.filter(|&at| at < end && packed::begins_at(data, at));
        self.packed.starts.extend(begun.map(|at| base + at as u64));
        self.packed.searched = base + end as u64;
    }

    /// Releases what `data`, of which nothing was released, begins with of such a run.
    fn pass_embedded(&mut self, data: &[u8], out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        if self.is_cut {
            self.drop_rest(data, out);
            return Ok(());
        }
        let mut run = self.embedded.take().unwrap_or_else(|| {
            let kind = self.next_kind();
            // A run may be empty: then its place is not behind what was released.
            let packed = &mut self.packed;
            for starts in [&mut self.starts, &mut packed.starts, &mut packed.heads, &mut packed.bytes] {
                if starts.front() == Some(&self.released) {
                    starts.pop_front();
                }
            }
            Box::new(Embedded::new(self, self.released, kind))
        });
        let taken = run.push(&data[..data.len().min(STEP)]);
        self.report.add(&std::mem::take(&mut run.report));
        let taken = taken?;
        self.released += taken.raw as u64;
        if !taken.ends {
            self.release_run(&mut run, false, out);
        }
        self.embedded = Some(run);
        if taken.ends { self.end_embedded(out) } else { Ok(()) }
    }

    /// Nothing of the run comes any more.
    pub(super) fn end_embedded(&mut self, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        let Some(mut run) = self.embedded.take() else { return Ok(()) };
        let finished = run.finish();
        self.packed.unpacked = run.unpacked;
        let span = Span::new(run.start, run.passed + run.read as u64);
        self.tell_of(&mut run, span);
        finished?;
        self.release_run(&mut run, true, out);
        Ok(())
    }

    /// The run ends where `finding` begins, which was found in it.
    pub(super) fn cut_embedded(
        &mut self,
        finding: &Finding,
        data: &Bytes,
        base: u64,
        out: &mut Vec<Bytes>,
    ) -> Result<(), RedactError> {
        let Some(run) = &self.embedded else { return Ok(()) };
        let goes_on = data.get(relative(finding.span.start, base)).copied().is_some_and(embedded::is_character);
        self.is_cut = goes_on && run.read == run.raw.len();
        self.end_embedded(out)
    }

    /// Writes what stands in the place of the run `span` by rules that look at any text in
    /// base64: if it is JSON, all others have not seen it.
    pub(super) fn write_run(&mut self, span: Span, written: Bytes, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        if self.next_embedded() != Some(span.start) {
            out.push(written);
            return Ok(());
        }
        let is_bytes = self.packed.bytes.front() == Some(&span.start) && self.starts.front() != Some(&span.start);
        let mut run = Embedded::new(self, span.start, if is_bytes { Kind::Bytes } else { Kind::Json });
        let taken = run.push(&written).and_then(|taken| run.finish().map(|()| taken.raw));
        self.tell_of(&mut run, span);
        let behind = written.slice(taken?..);
        let ready = run.take_ready(true);
        out.extend([ready.unchanged, ready.written.into(), ready.behind, behind]);
        Ok(())
    }

    /// Counts what was found in a run.
    fn tell_of(&mut self, run: &mut Embedded, span: Span) {
        self.report.add(&std::mem::take(&mut run.report));
        let found = run.applied.take().unwrap_or_default();
        if let Some(list) = self.applied.as_mut().filter(|_| !found.is_empty()) {
            list.extend(found.into_iter().map(|applied| Applied { span, base64: true, ..applied }));
            self.open = false;
        }
    }

    fn release_run(&mut self, run: &mut Embedded, ends: bool, out: &mut Vec<Bytes>) {
        let from = run.passed;
        let ready = run.take_ready(ends);
        let from = from + ready.unchanged.len() as u64;
        let write = |piece: Bytes, out: &mut Vec<Bytes>| out.extend(Some(piece).filter(|piece| !piece.is_empty()));
        write(ready.unchanged, out);
        if ready.replaced > 0 {
            self.note_edit(Span::new(from, from + ready.replaced as u64), out);
        }
        write(ready.written.into(), out);
        write(ready.behind, out);
    }

    /// Drops what is left of a run of which a finding took a part.
    fn drop_rest(&mut self, data: &[u8], out: &mut [Bytes]) {
        let length = data.iter().take_while(|&&byte| embedded::is_character(byte) || byte == b'=').count();
        self.is_cut = length == data.len();
        if length > 0 {
            let span = Span::new(self.released, self.released + length as u64);
            self.note_edit(span, out);
            self.released = span.end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::naive;
    use crate::redact::rig::PLAN;
    use crate::redact::{Policy, Treatment};
    use crate::scan::Encoding;

    fn encoded(text: &str) -> String {
        String::from_utf8(Encoding::read(b"Ym9iQGFjbWUuaW8=").1.write(text.as_bytes())).unwrap()
    }

    fn url_safe(text: &str) -> String {
        encoded(text).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
    }

    fn run<'a>(
        plan: &Arc<Plan>,
        format: Format,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, RedactError> {
        run_by(Redactor::new(plan, format), chunks)
    }

    /// The same with each chunk scanned as it comes.
    fn run_at_once<'a>(
        plan: &Arc<Plan>,
        format: Format,
        chunks: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, RedactError> {
        let mut redactor = Redactor::new(plan, format);
        redactor.scan_every(1);
        run_by(redactor, chunks)
    }

    fn run_by<'a>(mut redactor: Redactor, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, RedactError> {
        let (mut out, mut most) = (Vec::new(), 0);
        for chunk in chunks {
            redactor.push(Bytes::copy_from_slice(chunk), &mut out)?;
            most = most.max(redactor.held());
        }
        redactor.finish(&mut out)?;
        assert!(redactor.held() == 0 && most < 200 << 10, "{most}");
        Ok(out.concat())
    }

    /// Whole, cut in two everywhere, byte by byte, by the oracle and once more.
    fn redacted_by(plan: &Arc<Plan>, format: Format, text: &str) -> String {
        let whole = run(plan, format, [text.as_bytes()]).unwrap();
        for at in 0..=text.len() {
            let (one, other) = text.as_bytes().split_at(at);
            for cut in [run(plan, format, [one, other]), run_at_once(plan, format, [one, other])] {
                let cut = cut.unwrap();
                assert_eq!(String::from_utf8_lossy(&cut), String::from_utf8_lossy(&whole), "cut at {at}");
            }
        }
        assert!(run(plan, format, text.as_bytes().chunks(1)).unwrap() == whole);
        let plainly = naive::redact(plan, format, text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8_lossy(&plainly), String::from_utf8_lossy(&whole), "by the oracle");
        assert!(run(plan, format, [&whole[..]]).unwrap() == whole, "once more");
        String::from_utf8(whole).unwrap()
    }

    fn redacted(text: &str) -> String {
        redacted_by(&PLAN, Format::Json, text)
    }

    const CLEAR: &str = r#"{"user": {"email": "bob@example.com", "password": "hunter22x"}, "n": 1}"#;
    const LABELLED: &str = r#"{"user": {"email": "[EMAIL_ADDRESS]", "password": "[PASSWORD]"}, "n": 1}"#;

    #[test]
    fn a_string_of_compressed_bytes_is_refused_however_cut() {
        for text in [
            r#"{"cv":"2024-10","data":"\u001f\u008b\b\u0000\u0000"}"#,
            r#"{"data" : "\u001F\u008B\u0008"}"#,
            "{\"data\":\"\\u001f\u{8b}\\b\"}",
            r#"["x\u0001\u00ab"]"#,
            r#"["x\u00da\u00abVJ\u0002"]"#,
            r#"["x^%\u0002\u00e8"]"#,
            "[\"x\u{da}\u{ab}VJ\u{84}\"]",
            r#"["x\u009c\u00ab"]"#,
            "[\"x\u{9c}\u{ab}\"]",
        ] {
            for at in 0..=text.len() {
                let (one, other) = text.as_bytes().split_at(at);
                let cut = run_at_once(&PLAN, Format::Json, [one, other]);
                assert_eq!(cut, Err(RedactError::Zipped), "{text} cut at {at}");
                assert_eq!(run(&PLAN, Format::Json, [one, other]), cut, "{text} cut at {at}");
            }
            assert_eq!(naive::redact(&PLAN, Format::Json, text.as_bytes()), Err(RedactError::Zipped), "{text}");
        }
        for text in [r#"{"a":"see \u001f\u008b, too"}"#, r#"{"a":"\u001f\u008a","b":"x\u009d"}"#] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn bytes_of_otlp_are_read_as_json_or_as_text() {
        let attribute = |name: &str, value: &str| format!(r#"{{"key":"b","value":{{"{name}" : "{value}"}},"n":1}}"#);
        let cases = [
            ("bytesValue", "mail kate.1@leak-corp.example", "mail [EMAIL_ADDRESS]"),
            ("bytes_value", CLEAR, LABELLED),
            ("bytesValue", "\u{0}\u{1}\u{fffd}\u{7f}", "\u{0}\u{1}\u{fffd}\u{7f}"),
            ("bytesValue", "", ""),
        ];
        for (name, clear, expected) in cases {
            let write = |text: &str| if name == "bytesValue" { encoded(text) } else { url_safe(text) };
            let body = attribute(name, &write(clear));
            assert_eq!(redacted(&body), attribute(name, &write(expected)), "{clear}");
        }
        let nested = |text: &str| serde_json::json!({ "a": attribute("bytesValue", &encoded(text)) }).to_string();
        assert_eq!(redacted(&nested("to bob@example.com")), nested("to [EMAIL_ADDRESS]"));
        // By their name alone.
        let body = attribute("bytesValue2", &encoded("mail kate.1@leak-corp.example"));
        assert_eq!(redacted(&body), body);
        for body in [
            r#"["bytesValue", "bWFpbCBrYXRlLjFAbGVhay1jb3JwLmV4YW1wbGU="]"#,
            r#"{"bytesValue": {"a": "bytesValue"}, "b": 1}"#,
        ] {
            assert_eq!(redacted(body), body);
        }
        let long = "see bob@example.com and others, ".repeat(600);
        let body = attribute("bytesValue", &encoded(&long));
        let expected = attribute("bytesValue", &encoded(&long.replace("bob@example.com", "[EMAIL_ADDRESS]")));
        for size in [1 << 20, 4096, 97] {
            assert!(
                run(&PLAN, Format::Json, body.as_bytes().chunks(size)).unwrap() == expected.as_bytes(),
                "by {size}"
            );
        }
    }

    #[test]
    fn json_in_base64_is_redacted_and_encoded_as_it_was() {
        for written in [encoded, url_safe] {
            for [before, after] in [
                ["{\"data\": \"", "\"}"],
                ["{\"a\": \"{\\\"b\\\": \\\"", "\\\"}\"}"],
                ["[\"data:application/json;base64,", "\"]"],
            ] {
                let whole = |text: &str| format!("{before}{}{after}", written(text));
                assert_eq!(redacted(&whole(CLEAR)), whole(LABELLED));
                assert_eq!(redacted(&whole(&format!("[{CLEAR}]"))), whole(&format!("[{LABELLED}]")));
            }
        }
        let text = |text: &str| format!("sent {}. Then\n{}, too", encoded(text), url_safe(text));
        for format in [Format::Text, Format::Ndjson] {
            assert_eq!(redacted_by(&PLAN, format, &text(CLEAR)), text(LABELLED));
        }
    }

    #[test]
    fn what_nothing_is_found_in_stays_byte_for_byte() {
        let raw = encoded(r#"{"user": "nobody", "n": [1, 2, 3], "url": "https://a.example/b?c=d~e"}"#);
        for raw in [
            raw.clone(),
            raw.replace('/', "\\/"),
            raw.replace('=', "\\u003d"),
            format!("{}R==", raw.trim_end_matches('=')),
        ] {
            let json = format!("{{\"data\": \"{raw}\", \"mail\": \"bob@example.com\"}}");
            assert_eq!(redacted(&json), json.replace("bob@example.com", "[EMAIL_ADDRESS]"));
        }
    }

    #[test]
    fn base64_within_base64_is_looked_into_up_to_a_depth() {
        let nest = |text: &str| {
            encoded(&format!(r#"{{"data": "{}"}}"#, encoded(&format!(r#"{{"data": "{}"}}"#, encoded(text)))))
        };
        let whole = |text: &str| format!(r#"{{"data": "{}"}}"#, nest(text));
        assert_eq!(redacted(&whole(CLEAR)), whole(LABELLED));
    }

    #[test]
    fn parts_of_tokens_stay_and_whole_values_go() {
        let header = url_safe(r#"{"alg": "none", "kid": "bob@example.com"}"#);
        let token = format!(r#"{{"cursor": "{header}.{}.x"}}"#, url_safe(CLEAR));
        // Whatever rules for tokens say of it, no part of it is written anew.
        let kept = redacted(&token);
        assert!(kept == token || kept == r#"{"cursor": "[JSON_WEB_TOKEN]"}"#, "{kept}");
        let secret = format!(r#"{{"password": "{}"}}"#, encoded(CLEAR));
        assert_eq!(redacted(&secret), r#"{"password": "[PASSWORD]"}"#);
    }

    #[test]
    fn lines_and_escapes_are_read_through() {
        let lines = |text: &str| -> String {
            let raw = encoded(text);
            let lines: Vec<&str> = (0..raw.len()).step_by(76).map(|at| &raw[at..raw.len().min(at + 76)]).collect();
            lines.join("\\n")
        };
        let long = format!("[{CLEAR}, {CLEAR}, {CLEAR}]");
        let out = redacted(&format!("{{\"data\": \"{}\\n\"}}", lines(&long)));
        let raw = out.strip_prefix("{\"data\": \"").unwrap().strip_suffix("\\n\"}").unwrap().replace("\\n", "");
        let (text, _) = Encoding::read(raw.as_bytes());
        assert_eq!(
            String::from_utf8(text).unwrap(),
            long.replace("bob@example.com", "[EMAIL_ADDRESS]").replace("hunter22x", "[PASSWORD]")
        );
    }

    #[test]
    fn its_length_stays_where_it_has_to() {
        for raw in [
            encoded(CLEAR),
            url_safe(CLEAR),
            encoded(CLEAR).replace('=', "\\u003d"),
            encoded(CLEAR).replace('Z', "\\u005a"),
        ] {
            let json = format!(r#"{{"data": "{raw}"}}"#);
            let out = redacted_by(PLAN.of_same_length(), Format::Json, &json);
            assert_eq!(out.len(), json.len());
            assert!(out != json, "{raw}");
        }
        let out = redacted_by(PLAN.of_same_length(), Format::Json, &format!(r#"{{"data": "{}"}}"#, encoded(CLEAR)));
        let (text, _) = Encoding::read(&out.as_bytes()[10..out.len() - 2]);
        assert_eq!(
            text,
            CLEAR.replace("bob@example.com", "***************").replace("hunter22x", "*********").as_bytes()
        );
    }

    #[test]
    fn a_long_run_streams_in_constant_memory_however_cut() {
        let body = |mail: &str| {
            let items =
                format!("{{\"email\": \"{mail}\", \"note\": \"{}?>~\"}},", "some words ".repeat(200)).repeat(300);
            format!("[{{\"note\": \"{}\"}},{items}{{}}]", "first words ?>~, ".repeat(3000))
        };
        for written in [encoded, url_safe] {
            let whole = |mail: &str| format!("{{\"data\": \"{}\", \"b\": \"bob@example.com\"}}", written(&body(mail)));
            let (clear, expected) = (whole("bob@example.com"), whole("[EMAIL_ADDRESS]"));
            let expected = expected.replace("bob@example.com", "[EMAIL_ADDRESS]");
            for size in [1 << 20, 65_537, 16_384, 1000, 97] {
                assert!(
                    run(&PLAN, Format::Json, clear.as_bytes().chunks(size)).unwrap() == expected.as_bytes(),
                    "by {size}"
                );
            }
            let clean = whole("bob at example").replace("bob@example.com", "x");
            for size in [1 << 20, 997] {
                assert!(
                    run(&PLAN, Format::Json, clean.as_bytes().chunks(size)).unwrap() == clean.as_bytes(),
                    "clean by {size}"
                );
            }
        }
    }

    #[test]
    fn what_blocks_blocks_within_and_everything_counts() {
        let ruleset = Arc::clone(PLAN.engine());
        let mut policy = Policy::default();
        policy.entities.insert("EMAIL_ADDRESS".into(), Treatment::Block);
        let plan = Arc::new(Plan::new(ruleset, &policy));
        let json = format!(r#"{{"data": "{}"}}"#, encoded(CLEAR));
        let error = run(&plan, Format::Json, [json.as_bytes()]).unwrap_err();
        assert!(matches!(error, RedactError::Blocked { entity, .. } if entity == "EMAIL_ADDRESS"));
        let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Json), Vec::new());
        redactor.record();
        redactor.push(json.clone().into(), &mut out).unwrap();
        redactor.finish(&mut out).unwrap();
        assert_eq!(redactor.report().changed(), 2);
        let applied = redactor.take_applied();
        let span = Span::new(10, json.len() as u64 - 2);
        assert!(applied.len() == 2 && applied.iter().all(|one| one.base64 && one.span == span), "{applied:?}");
        assert_eq!(applied, naive::find(&PLAN, Format::Json, json.as_bytes()).unwrap());
    }
}
