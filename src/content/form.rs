//! `application/x-www-form-urlencoded` (WHATWG URL, section 5): names and
//! values, each looked at decoded, under its name.

use super::projection::{Piece, Projection};
use super::spelling::Spelling;
use super::utf8::Utf8Check;
use super::{ContentError, sniff};
use crate::redact::{Format, Plan, Redactor, Report};
use crate::scan::Encoding;
use bytes::{Bytes, BytesMut};
use std::sync::Arc;

/// So many bytes of a value tell whether it may be JSON in base64.
const LEAD: usize = 12;

/// Takes a form apart as it streams by.
pub(super) struct FormStage {
    plan: Arc<Plan>,
    projection: Projection,
    place: Place,
    /// Bytes of the current name or value that wait for more.
    held: BytesMut,
    /// The most that a value in base64 may have.
    limit: usize,
    field: usize,
    /// Of values in base64.
    encoded: Report,
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
            projection: Projection::new(plan, false),
            place: Place::Between,
            held: BytesMut::new(),
            limit,
            field: 0,
            encoded: Report::default(),
            utf8: Utf8Check::default(),
        }
    }

    /// Takes the next bytes; appends to `out` what may leave.
    pub(super) fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        if self.utf8.push(&chunk).is_err() || memchr::memchr(0, &chunk).is_some() {
            return Err(ContentError::Charset);
        }
        while !chunk.is_empty() {
            let end = memchr::memchr2(b'&', b'=', &chunk);
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            self.text(&piece, end.is_some())?;
            if end.is_some() {
                self.mark(chunk.split_to(1))?;
            }
            self.projection.advance(&mut |piece| out.push(piece.into_bytes()))?;
        }
        Ok(())
    }

    /// The form has ended.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) -> Result<(), ContentError> {
        self.utf8.finish().map_err(|_| ContentError::Charset)?;
        self.text(b"", true)?;
        self.end_pair();
        self.projection.finish(&mut |piece: Piece| out.push(piece.into_bytes()))
    }

    /// All counters so far.
    pub(super) fn report(&self) -> Report {
        let mut report = self.projection.report().clone();
        report.add(&self.encoded);
        report
    }

    /// Bytes held back now.
    pub(super) fn held(&self) -> usize {
        self.projection.held() + self.held.len()
    }

    /// Part of a name or a value, and whether it ends with it.
    fn text(&mut self, piece: &[u8], ends: bool) -> Result<(), ContentError> {
        self.held.extend_from_slice(piece);
        if self.place == Place::Begin && (ends || self.held.len() >= LEAD) {
            self.place = if may_be_encoded(&self.held) { Place::Encoded } else { Place::Value };
            // Clients forget to encode the plus of a phone number.
            if let [b'+', b'0'..=b'9', ..] = self.held[..] {
                let plus = self.held.split_to(1).freeze();
                self.projection.text(self.field, plus, Spelling::FormPlus);
            }
        }
        match self.place {
            Place::Begin => Ok(()),
            Place::Encoded if ends => self.redact_encoded(),
            Place::Encoded if self.held.len() > self.limit => Err(ContentError::Large),
            Place::Encoded => Ok(()),
            Place::Between | Place::Name | Place::Value => {
                self.release(ends);
                Ok(())
            }
        }
    }

    /// Hands on what is held, but for an escape that is not whole.
    fn release(&mut self, ends: bool) {
        let whole = if ends { self.held.len() } else { Spelling::Form.whole(&self.held) };
        if whole == 0 {
            return;
        }
        if self.place == Place::Between {
            self.projection.syntax(b"{\"");
            self.place = Place::Name;
        }
        let text = self.held.split_to(whole).freeze();
        self.projection.text(self.field, text, Spelling::Form);
    }

    /// A whole value which may be JSON in base64, as PostHog and Mixpanel send.
    fn redact_encoded(&mut self) -> Result<(), ContentError> {
        let Some((json, encoding)) = decoded(&self.held) else {
            self.release(true);
            return Ok(());
        };
        let (mut redactor, mut out) = (Redactor::new(&self.plan, Format::Json), Vec::new());
        let redacted = redactor.push(json.into(), &mut out).and_then(|()| redactor.finish(&mut out));
        self.encoded.add(redactor.report());
        redacted?;
        let raw = self.held.split().freeze();
        let changed = redactor.report().changed() > 0;
        self.projection.frame(if changed { encoding.write(&out.concat()).into() } else { raw });
        Ok(())
    }

    /// A `&` or a `=`, behind all of what stands before it.
    fn mark(&mut self, mark: Bytes) -> Result<(), ContentError> {
        match (self.place, mark[0]) {
            (Place::Between, b'=') => self.projection.syntax(b"{\"\":\""),
            (Place::Name, b'=') => self.projection.syntax(b"\":\""),
            // Only the first one ends a name: this one is part of the value.
            (_, b'=') => return self.text(&mark, false),
            _ => {
                self.end_pair();
                self.projection.frame(mark);
                return Ok(());
            }
        }
        self.projection.frame(mark);
        self.field += 1;
        self.place = Place::Begin;
        Ok(())
    }

    fn end_pair(&mut self) {
        match self.place {
            Place::Between => return,
            Place::Name => self.projection.syntax(b"\":\"\"}\n"),
            Place::Begin | Place::Value | Place::Encoded => self.projection.syntax(b"\"}\n"),
        }
        self.field += 1;
        self.place = Place::Between;
    }
}

/// Whether base64 of JSON begins so: `eyJ`, `W3s` and the like, which are `{"`
/// and `[{`.
fn may_be_encoded(lead: &[u8]) -> bool {
    lead.get(..4).is_some_and(|lead| {
        let (text, _) = Encoding::read(lead);
        lead.iter().all(u8::is_ascii_alphanumeric) && matches!(text[..], [b'{' | b'[', ..]) && text.is_ascii()
    })
}

/// The JSON that `raw` is in base64, if it is.
fn decoded(raw: &[u8]) -> Option<(Vec<u8>, Encoding)> {
    let mut rest = raw;
    while !rest.is_empty() {
        let (taken, byte) = Spelling::Form.unit(rest);
        // A plus that was not encoded reads as a space.
        if !byte.is_ascii_alphanumeric() && !b"+/-_= ".contains(&byte) {
            return None;
        }
        rest = &rest[taken..];
    }
    let (text, encoding) = Encoding::read(raw);
    let is_json = sniff::begins_json(&text).unwrap_or(true) && std::str::from_utf8(&text).is_ok();
    is_json.then_some((text, encoding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Policy;
    use crate::rule::Ruleset;
    use crate::scan::Engine;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
        let ruleset = Arc::new(Ruleset::builtin().unwrap());
        Arc::new(Plan::new(Arc::new(Engine::compile(ruleset).unwrap()), &Policy::default()))
    });

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

    fn redacted(form: &str) -> String {
        run([form.as_bytes()]).unwrap().0
    }

    #[test]
    fn values_and_names_are_redacted_and_all_else_is_left() {
        for (form, expected) in [
            ("to=bob%40example.com&b=%c3%A9+x", "to=%5BEMAIL_ADDRESS%5D&b=%c3%A9+x"),
            ("a=1&password=hunter2%26x&&c", "a=1&password=%5BPASSWORD%5D&&c"),
            ("bob%40example.com=1&=jane@example.com", "%5BEMAIL_ADDRESS%5D=1&=%5BEMAIL_ADDRESS%5D"),
            ("call=%2B14155552671&n=+14155552671", "call=%5BPHONE_NUMBER%5D&n=%5BPHONE_NUMBER%5D"),
            ("t=hello%0Abob%40example.com%0A", "t=hello%0A%5BEMAIL_ADDRESS%5D%0A"),
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

    #[test]
    fn json_in_base64_is_written_as_it_was() {
        use crate::scan::Encoding;
        let json = br#"{"distinct_id":"bob@example.com","n":12}"#;
        // That of `{}`, to be written the same way: with its padding, escaped or not.
        for (like, pad) in [("e30=", "="), ("e30%3D", "%3D"), ("e30", "")] {
            let (_, encoding) = Encoding::read(like.as_bytes());
            let raw = String::from_utf8(encoding.write(json)).unwrap();
            let (out, changed) = run([format!("data={raw}&ip=1").as_bytes()]).unwrap();
            let value = out.strip_prefix("data=").unwrap().strip_suffix("&ip=1").unwrap();
            assert_eq!(Encoding::read(value.as_bytes()).0, br#"{"distinct_id":"[EMAIL_ADDRESS]","n":12}"#);
            assert_eq!(changed, 1);
            assert!(!value.contains('=') || pad == "=", "{value}");
            let clean = format!("data={like}&ip=1");
            assert_eq!(run([clean.as_bytes()]).unwrap(), (clean, 0));
        }
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
        let long = "eyJh".repeat(LIMIT / 4 + 1);
        assert_eq!(run([format!("data={long}").as_bytes()]), Err(ContentError::Large));
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
            pairs in prop::collection::vec((text(), text()), 1..6),
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
