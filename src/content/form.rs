//! `application/x-www-form-urlencoded` (WHATWG URL, section 5): names and
//! values, each looked at decoded, under its name.

use super::body::{BodyFormat, Stage};
use super::projection::Projection;
use super::spelling::Spelling;
use super::utf8::Utf8Check;
use super::{ContentError, sniff};
use crate::redact::{self, Format, Plan, RedactError, Redactor, Report, Unpacked};
use crate::scan::Encoding;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// So many bytes of a value tell whether it may be JSON in base64, and whether
/// its plus is that of a phone number.
const LEAD: usize = 24;
/// Shorter values in base64 hold nothing.
const SHORTEST_ENCODED: usize = 12;
/// Digits of a phone number in international form (E.164).
const PHONE: std::ops::RangeInclusive<usize> = 8..=15;

/// Takes a form apart as it streams by.
pub(super) struct FormStage {
    plan: Arc<Plan>,
    projection: Projection,
    place: Place,
    /// Bytes of the current name or value that wait for more.
    held: BytesMut,
    /// The most that a value in base64 may have.
    limit: usize,
    /// So much of what is held was seen to be base64.
    checked: usize,
    field: usize,
    /// Objects around the value: `a[b][c]=` has three.
    depth: usize,
    /// Of values in base64.
    encoded: Report,
    unpacked: Unpacked,
    utf8: Utf8Check,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a name.
    Between,
    Name,
    /// At the first bytes of a value.
    Begin,
    Value,
    /// In what may be JSON in base64.
    Encoded,
}

impl FormStage {
    /// A stage that holds a value in base64 whole, up to `limit` bytes.
    pub(super) fn new(plan: &Arc<Plan>, limit: usize) -> Self {
        Self {
            plan: Arc::clone(plan),
            projection: Projection::new(plan),
            place: Place::Between,
            held: BytesMut::new(),
            limit,
            checked: 0,
            field: 0,
            depth: 0,
            encoded: Report::default(),
            unpacked: Unpacked::default(),
            utf8: Utf8Check::default(),
        }
    }

    /// Part of a name or a value, and whether it ends with it.
    fn text(&mut self, piece: &[u8], ends: bool) -> Result<(), ContentError> {
        self.held.extend_from_slice(piece);
        match self.place {
            Place::Between | Place::Name => self.name(ends),
            Place::Begin if ends || self.held.len() >= LEAD => return self.begin(ends),
            Place::Begin => {}
            Place::Value => self.release(ends),
            Place::Encoded => return self.encoded(ends),
        }
        Ok(())
    }

    /// The first bytes of a value tell how it is read.
    fn begin(&mut self, ends: bool) -> Result<(), ContentError> {
        if may_be_encoded(&self.held) {
            self.place = Place::Encoded;
            self.checked = 0;
            return self.encoded(ends);
        }
        self.place = Place::Value;
        let digits = self.held.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
        // Clients forget to encode the plus of a phone number.
        if self.held.first() == Some(&b'+') && PHONE.contains(&digits) {
            let plus = self.held.split_to(1).freeze();
            self.projection.text(self.field, plus, Spelling::FormPlus);
        }
        self.release(ends);
        Ok(())
    }

    /// Hands on what is held of a value, but for an escape that is not whole.
    fn release(&mut self, ends: bool) {
        let whole = if ends { self.held.len() } else { Spelling::Form.whole(&self.held) };
        if whole > 0 {
            let text = self.held.split_to(whole).freeze();
            self.projection.text(self.field, text, Spelling::Form);
        }
    }

    /// Hands on what is held of a name. `user[password]` is the member `password`
    /// of `user`, as Rails, PHP and others read it; `password[]` is a list.
    fn name(&mut self, ends: bool) {
        let whole = if ends { self.held.len() } else { Spelling::Form.whole(&self.held) };
        // What an open bracket means is told by what stands behind it.
        let open = if ends { 0 } else { open_length(&self.held[..whole]) };
        let mut name = self.held.split_to(whole - open).freeze();
        if !name.is_empty() && self.place == Place::Between {
            self.projection.syntax(b"{\"");
            self.place = Place::Name;
        }
        while !name.is_empty() {
            let Some((at, length, is_open)) = bracket(&name) else {
                self.projection.text(self.field, name, Spelling::Form);
                return;
            };
            let before = name.split_to(at);
            if !before.is_empty() {
                self.projection.text(self.field, before, Spelling::Form);
            }
            self.projection.frame(name.split_to(length));
            self.field += 1;
            let is_list = bracket(&name).is_some_and(|(at, _, is_open)| at == 0 && !is_open);
            if is_open && !is_list {
                self.projection.syntax(b"\":{\"");
                self.depth += 1;
            }
        }
    }

    /// More of what may be JSON or gzip in base64, as PostHog and Mixpanel send.
    fn encoded(&mut self, ends: bool) -> Result<(), ContentError> {
        // However the form is cut, the same bytes decide.
        let near = &self.held[..self.held.len().min(self.limit)];
        let whole = if ends && near.len() == self.held.len() { near.len() } else { Spelling::Form.whole(near) };
        let is_encoded = is_base64(&near[self.checked..whole]);
        self.checked = whole;
        if is_encoded && self.held.len() <= self.limit {
            if !ends {
                return Ok(());
            }
            if let Some((json, encoding)) = decoded(&self.held) {
                self.redact_encoded(json, &encoding)?;
            }
        } else if is_encoded && decoded(&self.held[..whole]).is_some() {
            return Err(ContentError::Large);
        }
        self.place = Place::Value;
        // Its name, or what it looks like as it stands, may tell of it too.
        self.release(ends);
        Ok(())
    }

    /// Puts in the place of what is held the same with `bytes`, which it means,
    /// redacted.
    fn redact_encoded(&mut self, bytes: Vec<u8>, encoding: &Encoding) -> Result<(), ContentError> {
        let redacted = if redact::may_be_packed(&bytes) {
            let (report, redacted) = redact::repack(&self.plan, &bytes, &mut self.unpacked);
            self.encoded.add(&report);
            redacted?
        } else {
            self.redact_json(bytes)?
        };
        if let Some(redacted) = redacted {
            let raw = String::from_utf8_lossy(&encoding.write(&redacted)).into_owned();
            // A plus by itself would be read as a space.
            let raw = if self.held.contains(&b'+') { raw } else { raw.replace('+', "%2B") };
            self.held = BytesMut::from(raw.as_bytes());
        }
        Ok(())
    }

    /// What stands for `json`, if something is found.
    fn redact_json(&mut self, json: Vec<u8>) -> Result<Option<Vec<u8>>, RedactError> {
        let (mut redactor, mut out) = (Redactor::new(&self.plan, Format::Json), Vec::new());
        let redacted = redactor.push(json.into(), &mut out).and_then(|()| redactor.finish(&mut out));
        self.encoded.add(redactor.report());
        redacted?;
        Ok((redactor.report().changed() > 0).then(|| out.concat()))
    }

    /// A `&` or a `=`, behind all of what stands before it.
    fn mark(&mut self, mark: Bytes) {
        if mark[0] == b'&' {
            self.end_pair();
            return self.projection.frame(mark);
        }
        self.projection.syntax(if self.place == Place::Between { b"{\"\":\"" } else { b"\":\"" });
        self.projection.frame(mark);
        self.field += 1;
        self.place = Place::Begin;
    }

    fn end_pair(&mut self) {
        match self.place {
            Place::Between => return,
            Place::Name => self.projection.syntax(b"\":\"\"}"),
            Place::Begin | Place::Value | Place::Encoded => self.projection.syntax(b"\"}"),
        }
        for _ in 0..std::mem::take(&mut self.depth) {
            self.projection.syntax(b"}");
        }
        self.projection.syntax(b"\n");
        self.field += 1;
        self.place = Place::Between;
    }
}

impl Stage for FormStage {
    fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.push_text(&chunk)?;
        while !chunk.is_empty() {
            let end = match self.place {
                Place::Between | Place::Name => memchr::memchr2(b'&', b'=', &chunk),
                // A value may hold any further `=`.
                Place::Begin | Place::Value | Place::Encoded => memchr::memchr(b'&', &chunk),
            };
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            self.text(&piece, end.is_some())?;
            if end.is_some() {
                self.mark(chunk.split_to(1));
            }
            self.projection.advance_to(out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.finish_text()?;
        self.text(b"", true)?;
        self.end_pair();
        self.projection.finish_to(out)
    }

    fn format(&self) -> Option<BodyFormat> {
        Some(BodyFormat::Form)
    }

    fn report(&self) -> Report {
        let mut report = self.projection.report().clone();
        report.add(&self.encoded);
        report
    }

    fn held(&self) -> usize {
        self.projection.held() + self.held.len()
    }
}

/// The first bracket of a name: where it stands, how long it is, and whether it
/// opens.
fn bracket(name: &[u8]) -> Option<(usize, usize, bool)> {
    let mut at = 0;
    while at < name.len() {
        let (length, byte) = Spelling::Form.unit(&name[at..]);
        if matches!(byte, b'[' | b']') {
            return Some((at, length, byte == b'['));
        }
        at += length;
    }
    None
}

/// The length of the open bracket that the beginning of a name ends with.
fn open_length(name: &[u8]) -> usize {
    let ends_with = |bracket: &&[u8]| name.ends_with(bracket);
    [&b"["[..], b"%5B", b"%5b"].iter().copied().find(|bracket| ends_with(bracket)).map_or(0, <[u8]>::len)
}

/// Whether base64 of JSON begins so: `eyJ`, `W3s` and the like, which are `{"`
/// and `[{`, or a byte order mark and white space before them. Or of gzip: `H4sI`.
fn may_be_encoded(lead: &[u8]) -> bool {
    if lead.len() < SHORTEST_ENCODED || !is_base64(&lead[..Spelling::Form.whole(lead)]) {
        return false;
    }
    let (text, _) = Encoding::read(lead);
    if redact::may_be_packed(&text) {
        return true;
    }
    let json = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text).trim_ascii_start();
    let begin = &json[..json.len().min(2)];
    json.is_empty() || (matches!(begin, [b'{' | b'[', ..]) && begin.is_ascii())
}

/// Whether `raw` holds nothing but base64, of either alphabet.
fn is_base64(raw: &[u8]) -> bool {
    let mut rest = raw;
    while !rest.is_empty() {
        let (taken, byte) = Spelling::Form.unit(rest);
        // A plus that was not encoded reads as a space; some encoders break lines.
        if !byte.is_ascii_alphanumeric() && !b"+/-_= \r\n".contains(&byte) {
            return false;
        }
        rest = &rest[taken..];
    }
    true
}

/// The JSON that `raw` is in base64, or text in gzip, if it is.
fn decoded(raw: &[u8]) -> Option<(Vec<u8>, Encoding)> {
    if !is_base64(raw) {
        return None;
    }
    let (text, encoding) = Encoding::read(raw);
    if redact::may_be_packed(&text) {
        return redact::is_packed_text(&text).then_some((text, encoding));
    }
    let is_text = match std::str::from_utf8(&text) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    (sniff::begins_json(&text).unwrap_or(true) && is_text).then_some((text, encoding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coding::{Coding, CodingLimits, Decoder, Encoder, Level, WireFormat};
    use crate::redact::rig::PLAN;
    use proptest::prelude::*;

    const LIMIT: usize = 4096;

    fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(String, u64), ContentError> {
        let (mut form, mut out) = (FormStage::new(&PLAN, LIMIT), Vec::new());
        for chunk in chunks {
            form.push(Bytes::copy_from_slice(chunk), &mut out)?;
        }
        form.finish(&mut out)?;
        assert_eq!(form.held(), 0);
        Ok((String::from_utf8(out.concat()).unwrap(), form.report().changed()))
    }

    /// Whole, and cut in two everywhere.
    fn redacted(form: &str) -> String {
        let (whole, _) = run([form.as_bytes()]).unwrap();
        for at in 0..=form.len() {
            let (one, other) = form.as_bytes().split_at(at);
            assert_eq!(run([one, other]).unwrap().0, whole, "cut at {at}");
        }
        whole
    }

    #[test]
    fn values_and_names_are_redacted_and_all_else_is_left() {
        for (form, expected) in [
            ("to=bob%40example.com&b=%c3%A9+x", "to=%5BEMAIL_ADDRESS%5D&b=%c3%A9+x"),
            ("a=1&password=hunter2%26x&&c", "a=1&password=%5BPASSWORD%5D&&c"),
            ("bob%40example.com=1&=jane@example.com", "%5BEMAIL_ADDRESS%5D=1&=%5BEMAIL_ADDRESS%5D"),
            ("call=%2B14155552671&n=+14155552671", "call=%5BPHONE_NUMBER%5D&n=%5BPHONE_NUMBER%5D"),
            ("t=hello%0Abob%40example.com%0A", "t=hello%0A%5BEMAIL_ADDRESS%5D%0A"),
            (
                "user[password]=hunter2&a[b][]=bob@example.com",
                "user[password]=%5BPASSWORD%5D&a[b][]=%5BEMAIL_ADDRESS%5D",
            ),
            (
                "user%5Bpassword%5D=hunter2&password[]=x1y2z3&]=[",
                "user%5Bpassword%5D=%5BPASSWORD%5D&password[]=%5BPASSWORD%5D&]=[",
            ),
            ("card=+4111111111111111&n=+12", "card=+%5BCREDIT_CARD%5D&n=+12"),
            ("a=100%&b=%zz&c=x=y=z&d=%", "a=100%&b=%zz&c=x=y=z&d=%"),
            ("", ""),
            ("&&=&", "&&=&"),
        ] {
            assert_eq!(redacted(form), expected);
        }
    }

    #[test]
    fn json_in_a_value_is_read_as_json() {
        let form = "data=%7B%22api_key%22%3A+%22aZ3kQ9vT6xR1mB8n%22%2C%22n%22%3A1%7D&v=1";
        let expected = "data=%7B%22api_key%22%3A+%22%5BAPI_KEY%5D%22%2C%22n%22%3A1%7D&v=1";
        assert_eq!(redacted(form), expected);
    }

    /// `text` in base64 with padding, by the alphabet of RFC 4648, section 4.
    fn base64(text: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let group = |group: &[u8]| -> String {
            let bits = (0..3).fold(0, |bits, at| bits << 8 | usize::from(group.get(at).copied().unwrap_or(0)));
            let letter = |at: usize| char::from(ALPHABET[bits >> (18 - 6 * at) & 63]);
            (0..4).map(|at| if at <= group.len() { letter(at) } else { '=' }).collect()
        };
        text.chunks(3).map(group).collect()
    }

    #[test]
    fn json_in_base64_is_written_as_it_was() {
        for name in ["bob", "jane", "janet", "johnny"] {
            // The letters behind it need the last two of the alphabet.
            let json = |mail: &str| format!("{{\"id\":\"{mail}\",\"hi1\":\"<b>ab?>\"}}");
            let (before, after) = (json(&format!("{name}@example.com")), json("[EMAIL_ADDRESS]"));
            let (before, after) = (base64(before.as_bytes()), base64(after.as_bytes()));
            let escaped = |text: &str| text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            let (out, changed) = run([format!("data={}&ip=1", escaped(&before)).as_bytes()]).unwrap();
            assert_eq!((out, changed), (format!("data={}&ip=1", escaped(&after)), 1));
            // As some clients send it.
            let (out, _) = run([format!("data={before}&ip=1").as_bytes()]).unwrap();
            assert_eq!(out.replace("%2B", "+"), format!("data={after}&ip=1"));
        }
        let clean = "data=eyJhIjoiYiIsImMiOjF9&b=e30=&c=W3siYSI6MX1d&d=eyJhIjoi%0AYiIsImMi%0AOjF9%0A";
        assert_eq!(run([clean.as_bytes()]).unwrap(), (clean.to_owned(), 0));
    }

    #[test]
    fn json_in_base64_may_have_broken_lines_and_a_mark_before_it() {
        let (before, after) = (r#"{"to":"bob@example.com","n":1}"#, r#"{"to":"[EMAIL_ADDRESS]","n":1}"#);
        for lead in ["", "\n", "  \r\n", "\u{feff}", "\u{feff}\n", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n"] {
            let [before, after] = [before, after].map(|json| base64(format!("{lead}{json}").as_bytes()));
            let broken = before.as_bytes().chunks(20).map(|line| std::str::from_utf8(line).unwrap());
            let broken: String = broken.map(|line| format!("{line}%0A")).collect();
            for form in [&before, &broken] {
                let out = redacted(&format!("data={form}&ip=1"));
                let read = out.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
                assert_eq!(read, format!("data={after}&ip=1"), "{lead:?}");
            }
        }
    }

    #[test]
    fn text_in_gzip_in_base64_is_written_anew() {
        let (clear, end) = ("{\"a\": \"bob@example.com\", \"b\": \"<b>ab?>~~~\"}", "&ip=1");
        let gzip = |text: &str| {
            let (mut encoder, mut out) = (Encoder::new(WireFormat::Gzip, Level::Best, None).unwrap(), Vec::new());
            encoder.push(text.as_bytes(), &mut out).unwrap();
            encoder.finish(&mut out).unwrap();
            base64(&out.concat())
        };
        let read = |form: &str| {
            let value = form.strip_prefix("data=").unwrap().strip_suffix(end).unwrap();
            let (packed, _) =
                Encoding::read(value.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=").as_bytes());
            let (mut decoder, mut text) =
                (Decoder::new(Coding::Gzip, CodingLimits::NONE).unwrap().unwrap(), Vec::new());
            decoder.push(packed.into());
            while let Some(piece) = decoder.next_piece().unwrap() {
                text.extend_from_slice(&piece);
            }
            String::from_utf8(text).unwrap()
        };
        let run_of = (0..64).map(|n| gzip(&format!("{clear}{n}"))).find(|run| run.contains('+')).unwrap();
        // As it should be sent, and as some clients send it.
        for run in [run_of.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"), run_of] {
            let out = redacted(&format!("data={run}{end}"));
            assert!(read(&out).starts_with(&clear.replace("bob@example.com", "[EMAIL_ADDRESS]")), "{out}");
        }
        let clean = format!("data={}{end}", gzip("{\"a\": 1}").replace('+', "%2B"));
        assert_eq!(redacted(&clean), clean);
        let long = format!(
            "data={}{end}",
            gzip(&format!("{clear}{}", (0..4000).map(|n| (n * n).to_string()).collect::<String>()))
        );
        for size in [1 << 20, 100] {
            assert_eq!(run(long.as_bytes().chunks(size)), Err(ContentError::Large));
        }
    }

    #[test]
    fn the_name_of_a_value_in_base64_counts() {
        assert_eq!(redacted("access_token=eyJ1c2VyIjoxMjN9eyJ1c2VyIjoxMjN9"), "access_token=%5BACCESS_TOKEN%5D");
    }

    #[test]
    fn what_only_looks_like_base64_is_text() {
        for form in ["a=eyJhbGciOiJIUzI1NiJ9.x&b=1", "a=eyewitness&b=W3bob%40x", "a=ey", "a=eyJ"] {
            assert_eq!(redacted(form), form);
        }
        assert_eq!(redacted("a=eyesbob%40example.com"), "a=%5BEMAIL_ADDRESS%5D");
    }

    #[test]
    fn base64_beyond_the_limit_is_refused_and_text_is_not() {
        let long = format!("data={}", base64(format!("[\"{}\"]", "a".repeat(LIMIT)).as_bytes()));
        for form in [long.clone(), format!("{long}&b=1")] {
            for size in [1 << 20, 100, long.len()] {
                assert_eq!(run(form.as_bytes().chunks(size)), Err(ContentError::Large), "{size}");
            }
        }
        let words = format!("c=extra+words{}&d=1", "+and+more".repeat(LIMIT));
        assert_eq!(run(words.as_bytes().chunks(100)).unwrap().0, words);
        let text = format!("data={}", "hello+".repeat(LIMIT));
        assert_eq!(run(text.as_bytes().chunks(1000)).unwrap().0, text);
    }

    #[test]
    fn other_charsets_are_refused() {
        for form in [&b"a=\xe9"[..], b"a\0=\0b\0", b"a=\xc3"] {
            assert_eq!(run([form]), Err(ContentError::Charset));
        }
    }

    #[test]
    fn a_long_value_under_a_name_has_its_label() {
        for length in [100, 10_000, 100_000] {
            let form = format!("a=1&password={}&b=2", "x1%22y+".repeat(length));
            for size in [form.len(), 1000] {
                let expected = "a=1&password=%5BPASSWORD%5D&b=2".to_owned();
                assert_eq!(run(form.as_bytes().chunks(size)).unwrap(), (expected, 1), "{length}");
            }
        }
    }

    #[test]
    fn a_long_value_streams() {
        let form = format!("key=-----BEGIN+PRIVATE+KEY-----%0A{}&b=2", "MIIEvQIBADANBgkqhkiG9w0B%0A".repeat(20_000));
        let (mut stage, mut out, mut most) = (FormStage::new(&PLAN, LIMIT), Vec::new(), 0);
        for chunk in form.as_bytes().chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        assert_eq!(String::from_utf8(out.concat()).unwrap(), "key=%5BPRIVATE_KEY%5D&b=2");
        assert!(most < 80 << 10, "{most}");
    }

    proptest! {
        /// A form says what its JSON says, and is redacted as that is.
        #[test]
        fn a_form_is_redacted_as_the_json_of_its_pairs(
            pairs in prop::collection::vec((name(), text()), 1..6),
            cut in 1usize..20,
        ) {
            let json: String = pairs.iter().map(|(name, value)| serde_json::json!({ name: value }).to_string() + "\n").collect();
            let (mut redactor, mut out) = (Redactor::new(&PLAN, Format::Ndjson), Vec::new());
            redactor.push(json.into(), &mut out).unwrap();
            redactor.finish(&mut out).unwrap();
            let expected: Vec<serde_json::Value> = serde_json::Deserializer::from_slice(&out.concat())
                .into_iter().collect::<Result<_, _>>().unwrap();
            let spelled = |text: &str| String::from_utf8(Spelling::Form.write(text.as_bytes())).unwrap();
            let form: Vec<String> = pairs.iter().map(|(name, value)| format!("{}={}", spelled(name), spelled(value))).collect();
            let form = form.join("&");
            let whole = run([form.as_bytes()]).unwrap();
            prop_assert_eq!(&run(form.as_bytes().chunks(cut)).unwrap(), &whole);
            let read = |spelled: &str| {
                let (mut text, mut rest) = (Vec::new(), spelled.as_bytes());
                while !rest.is_empty() {
                    let (taken, byte) = Spelling::Form.unit(rest);
                    text.push(byte);
                    rest = &rest[taken..];
                }
                String::from_utf8(text).unwrap()
            };
            for (pair, expected) in whole.0.split('&').zip(&expected) {
                let (name, value) = pair.split_once('=').unwrap();
                prop_assert_eq!(&serde_json::json!({ read(name): read(value) }), expected);
            }
            prop_assert_eq!(&run([whole.0.as_bytes()]).unwrap().0, &whole.0);
        }
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![Just("password".to_owned()), Just("to bob@example.com".to_owned()), "[a-z&=% é_]{0,9}"]
    }

    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("bob@example.com".to_owned()),
            Just("+14155552671".to_owned()),
            Just("password".to_owned()),
            Just("{\"api_key\":\"aZ3kQ9vT6xR1mB8n\"}".to_owned()),
            Just("\n".to_owned()),
            Just(" ".to_owned()),
            "[a-z&=%+\"\\\\é]{1,6}",
        ];
        prop::collection::vec(part, 0..4).prop_map(|parts| parts.join(" "))
    }
}
