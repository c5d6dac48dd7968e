use super::*;
use crate::redact::rig::PLAN;
use proptest::prelude::*;

/// Above every text of these tests.
const WHOLE: usize = 1 << 20;

fn run<'a>(limit: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, u64), ContentError> {
    let (mut stage, mut out) = (MsgpackStage::new(&PLAN, limit), Vec::new());
    for chunk in chunks {
        stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    stage.finish(&mut out)?;
    assert_eq!(stage.held(), 0);
    Ok((out.concat(), stage.report().changed()))
}

fn text(text: &str) -> Vec<u8> {
    [&head::of_str(text.len())[..], text.as_bytes()].concat()
}

fn bin(bytes: &[u8]) -> Vec<u8> {
    [&head::of_bin(bytes.len())[..], bytes].concat()
}

fn array(values: &[Vec<u8>]) -> Vec<u8> {
    [&[0x90 | u8::try_from(values.len()).unwrap()][..], &values.concat()].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = u8::try_from(pairs.len()).unwrap();
    let pairs: Vec<u8> = pairs.iter().flat_map(|(name, value)| [text(name), value.clone()].concat()).collect();
    [&[0xde, 0, count][..], &pairs].concat()
}

fn unsigned(number: u64) -> Vec<u8> {
    [&[0xcf][..], &number.to_be_bytes()].concat()
}

struct Planted<'a> {
    mail: &'a str,
    password: &'a str,
    /// In bytes that are no text.
    blob: &'a str,
    card: Vec<u8>,
}

const MAIL: &str = "bob@example.com";
const PASSWORD: &str = "hunter2 and more";
const STARS: &str = "***************";

fn planted() -> Planted<'static> {
    Planted { mail: MAIL, password: PASSWORD, blob: MAIL, card: unsigned(4_111_111_111_111_111) }
}

fn labelled() -> Planted<'static> {
    Planted { mail: "[EMAIL_ADDRESS]", password: "[PASSWORD]", blob: STARS, card: text("[CREDIT_CARD]") }
}

fn spans(planted: &Planted) -> Vec<u8> {
    let Planted { mail, password, blob, card } = planted;
    let meta = map(&[
        ("http.url", text(&format!("https://a.example/?to={mail}"))),
        ("db.password", text(password)),
        ("input", text(&format!(r#"{{"password": "{password}", "to": "{mail}"}}"#))),
        (mail, text("")),
        ("long", text(&format!("{} {mail}", "all is well ".repeat(40)))),
    ]);
    let nested = map(&[("input", array(&[text(mail), bin(&map(&[("password", text(password))]))]))]);
    let span = map(&[
        ("trace_id", unsigned(0x5b8e_fff7_9803_8103)),
        ("start", vec![0xd3, 0x17, 0x97, 0x9c, 0xfe, 0x36, 0x2a, 0, 0]),
        ("error", vec![0xff]),
        ("rate", vec![0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0]),
        ("on", vec![0xc3]),
        ("meta", meta),
        ("meta_struct", map(&[("_llmobs", bin(&nested))])),
        ("text", bin(format!("to {mail}").as_bytes())),
        ("blob", bin(&[&b"\xff\0 "[..], blob.as_bytes()].concat())),
        ("time", b"\xd6\xff\x65\x55\x55\x55".to_vec()),
        ("card", card.clone()),
        ("list", array(&[vec![0x01], text(mail), vec![0xc0]])),
    ]);
    array(&[array(&[span.clone(), span])])
}

#[test]
fn spans_are_redacted_and_every_length_is_true() {
    assert_eq!(run(WHOLE, [&spans(&planted())[..]]).unwrap().0, spans(&labelled()));
}

#[test]
fn cuts_make_no_difference() {
    let raw = spans(&planted());
    for limit in [0, 100, WHOLE] {
        let expected = run(limit, [&raw[..]]).unwrap();
        for size in [1, 2, 3, 7, 64, 1000] {
            assert!(run(limit, raw.chunks(size)).unwrap() == expected, "{limit} {size}");
        }
        assert_eq!(run(limit, [&expected.0[..]]).unwrap().0, expected.0);
    }
}

#[test]
fn a_text_beyond_the_limit_keeps_its_length() {
    let raw = |mail: &str| array(&[text(&format!("{} {mail}", "all is well ".repeat(40)))]);
    assert_eq!(run(100, [&raw(MAIL)[..]]).unwrap().0, raw(STARS));
}

#[test]
fn what_is_clean_comes_back_as_it_was_spelled() {
    // Longer heads than need be.
    let raw = b"\xdd\0\0\0\x03\xdb\0\0\0\x02ab\xd9\0\xce\0\0\0\x01";
    assert_eq!(run(WHOLE, [&raw[..]]), Ok((raw.to_vec(), 0)));
    // Several values, and none.
    for raw in [&b"\x91\x01\x91\xa1a\x80"[..], b"", b"\x90", b"\x80", b"\x91\x90"] {
        assert_eq!(run(WHOLE, [raw]), Ok((raw.to_vec(), 0)));
    }
}

#[test]
fn names_that_are_no_texts_are_left() {
    let raw = |mail: &str| [&b"\x83\x05"[..], &text(mail), b"\xc0\x01", &[0xca, 0, 0, 0, 0], b"\x01"].concat();
    assert_eq!(run(WHOLE, [&raw(MAIL)[..]]).unwrap().0, raw("[EMAIL_ADDRESS]"));
}

#[test]
fn bytes_that_only_begin_like_messagepack_are_looked_at_as_they_are() {
    let raw = |mail: &str| {
        array(&[bin(format!("\u{90}\u{90}{mail}").as_bytes()), bin(&[&[0x90][..], mail.as_bytes()].concat())])
    };
    let (out, changed) = run(WHOLE, [&raw(MAIL)[..]]).unwrap();
    assert_eq!(changed, 2);
    assert!(!String::from_utf8_lossy(&out).contains(MAIL));
    let named = |inner: Vec<u8>| array(&[map(&[("password", bin(&inner))])]);
    let (out, _) = run(WHOLE, [&named(array(&[text("hunter2!")]))[..]]).unwrap();
    assert_eq!(out, named(b"**********".to_vec()));
}

#[test]
fn memory_is_a_constant_however_small_the_values() {
    let tiny = [&[0xdd, 0, 3, 0, 0][..], &[0x01; 3 << 16]].concat();
    let nested = [&[0xdc, 0, 200][..], &bin(&array(&[text(&"all is well ".repeat(3000))])).repeat(200)].concat();
    for raw in [tiny, nested] {
        let (mut stage, mut out, mut most, mut items) = (MsgpackStage::new(&PLAN, 1 << 16), Vec::new(), 0, 0);
        for chunk in raw.chunks(1 << 12) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            (most, items) = (most.max(stage.held()), items.max(stage.projection.items()));
        }
        stage.finish(&mut out).unwrap();
        assert!(out.concat() == raw);
        assert!(most < 200 << 10 && items < 20_000, "{most} {items}");
    }
}

#[test]
fn broken_values_are_refused_wherever_they_are_cut() {
    let raw = spans(&planted());
    for at in 1..raw.len() {
        assert_eq!(run(WHOLE, [&raw[..at]]), Err(ContentError::Framing), "{at}");
    }
    // Text is a row of small numbers.
    for text in [&b"{\"email\":\"bob@example.com\"}"[..], b"\x90bob@example.com", b"\xa3abc", b"\xc0"] {
        assert_eq!(run(WHOLE, [text]), Err(ContentError::Framing), "{text:?}");
    }
    let deep = [vec![0x91; 200], vec![1]].concat();
    for raw in [&b"\xc1"[..], b"\x81\x90\x01", b"\xdf\xff\xff\xff\xff", &deep] {
        assert_eq!(run(WHOLE, [raw]), Err(ContentError::Framing), "{raw:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_alike_however_cut(raw in values(), cut in 1usize..40, limit in prop_oneof![Just(4usize), Just(WHOLE)]) {
        let expected = run(limit, [&raw[..]]);
        prop_assert_eq!(&run(limit, raw.chunks(cut)), &expected);
        if let Ok((once, changed)) = expected {
            prop_assert!(changed > 0 || once == raw);
            prop_assert_eq!(&run(limit, [&once[..]]).unwrap().0, &once);
        }
    }
}

/// Values, some of them broken.
fn values() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        "[ -~]{0,40}".prop_map(|leaf| text(&leaf)),
        any::<Vec<u8>>().prop_map(|leaf| bin(&leaf)),
        any::<u64>().prop_map(unsigned),
        Just(text(MAIL)),
        Just(text("password")),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| array(&values)),
            prop::collection::vec(("[a-z]{1,4}", inner.clone()), 0..4).prop_map(|pairs| {
                let pairs: Vec<(&str, Vec<u8>)> =
                    pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                map(&pairs)
            }),
            inner.prop_map(|value| bin(&value)),
        ]
    })
}

#[test]
fn ids_in_arrays_stay_with_a_pack_that_says_where() {
    use crate::redact::Policy;
    use crate::rule::protocol::Packs;
    let pack = r#"
        name = "acme"
        title = "Acme"
        upstream = "https://acme.example"
        references = ["https://acme.example/docs"]

        [[protected]]
        paths = ["/1/*/*/3", "/1/*/*/4", "/1/*/*/5", "/1/*/*/6", "/1/*/*/7"]
        pattern = '[0-9]{1,20}'
        reason = "ids of spans"

        [[example]]
        body = '[1, [[[0, 0, 0, 4111111111111111]]]]'
        keeps = ["4111111111111111"]
    "#;
    let packs = Packs::from_texts(&[("acme.toml".to_owned(), pack.to_owned())]).unwrap();
    let protected = packs.find("acme").unwrap().protected.clone();
    let policy = Policy { protected, ..Policy::default() };
    let plan = Arc::new(Plan::new(Arc::clone(PLAN.engine()), &policy));
    let id = || unsigned(4_111_111_111_111_111);
    let spans = |mail: &str, number: Vec<u8>| {
        let span = array(&[vec![0], vec![1], vec![1], id(), id(), id(), id(), id(), vec![0], map(&[("n", number)])]);
        array(&[array(&[text("web"), text(mail)]), array(&[array(&[span])])])
    };
    let (given, expected) = (spans(MAIL, id()), spans("[EMAIL_ADDRESS]", text("[CREDIT_CARD]")));
    for cut in [1, 7, given.len()] {
        let (mut stage, mut out) = (MsgpackStage::new(&plan, WHOLE), Vec::new());
        for chunk in given.chunks(cut) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        }
        stage.finish(&mut out).unwrap();
        assert_eq!(out.concat(), expected);
    }
}
