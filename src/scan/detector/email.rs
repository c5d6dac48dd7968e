//! E-mail addresses: RFC 5321 dot-atoms, internationalised ones (RFC 6531),
//! quoted local parts, addresses of hosts in brackets (RFC 5321, 4.1.3).
//!
//! Where the grammar allows more than people use, the characters of the text
//! around win: `=`, `/`, `?`, quotes, braces and bars are boundaries (`key=a@b.co`,
//! `{user}@host`), unless sender rewriting shows (`SRS0=...`, `user=example.com@`),
//! a mailbox of a mailbox (`user+box/part=x@`), or nothing but signs.
//! Where an edge is unclear, the extent is too wide rather than too narrow. The
//! list of top-level domains is not consulted: reserved and internal names
//! (`.test`, `.local`) count.

use super::{EMAIL_REACH, before, escape_before, further_before};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Longest quoted local part looked for, quotes included.
const LONGEST_QUOTED: usize = 66;
/// Longest top-level domain (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;
/// Longest local part (RFC 5321, 4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;
/// Longest address of a host within its brackets: `IPv6:` and 45 characters.
const LONGEST_LITERAL: usize = 50;
/// Fewest signs of a local part without letters, and how many must differ.
const FEWEST_SIGNS: (usize, usize) = (8, 5);

/// What ends the user and password of a URL, or would be escaped there; commas
/// and bars, though allowed, are more likely between values.
const NOT_IN_USERINFO: &[u8] = b"\"'<>?#,;|()[]{}`\\";

/// The address around the `@` at `anchor`.
pub(super) fn extent(text: &[u8], anchor: usize) -> Option<Range<usize>> {
    text.get(anchor).filter(|&&byte| byte == b'@')?;
    let after = text.get(anchor + 1..text.len().min(anchor + 1 + EMAIL_REACH))?;
    let end = anchor + 1 + domain_length(after).or_else(|| literal_length(after))?;
    let start =
        quoted_start(text, anchor).or_else(|| signs_start(text, anchor)).or_else(|| local_start(text, anchor))?;
    if is_place_in_file(text, anchor, end) {
        return None;
    }
    let start = if text.get(end) == Some(&b'\'') { behind_prefix(text, start..anchor) } else { start };
    let stays = is_remote(text, start..anchor, end..anchor + EMAIL_REACH) || is_userinfo(text, start, anchor);
    (!stays).then_some(start..end)
}

/// Whether it is a function and where it stands, as browsers write their stacks:
/// `onload@main.js:3`. None of these ends is a top-level domain.
fn is_place_in_file(text: &[u8], anchor: usize, end: usize) -> bool {
    const FILES: [&[u8]; 12] =
        [b"js", b"jsx", b"mjs", b"cjs", b"ts", b"tsx", b"vue", b"svelte", b"html", b"php", b"java", b"kt"];
    // What is out of reach tells nothing, wherever the text was cut.
    let is_numbered =
        end + 2 < anchor + EMAIL_REACH && matches!(text.get(end..), Some([b':', digit, ..]) if digit.is_ascii_digit());
    let last = |domain: &[u8]| domain.rsplit(|&byte| byte == b'.').next().is_some_and(|last| FILES.contains(&last));
    is_numbered && text.get(anchor..end).is_some_and(last)
}

/// Where the local part at `local` begins behind the prefix of a quoted string, if it has
/// one: `b'`, `N'`, `rb'`. Nothing else is in quotes by its end alone.
fn behind_prefix(text: &[u8], local: Range<usize>) -> usize {
    let prefix = text.get(local.start..local.end.min(local.start + 3)).unwrap_or_default();
    let letters = prefix.iter().take_while(|byte| b"bBrRuUfFnNeExX".contains(byte)).count();
    let opens = (1..=2).contains(&letters) && prefix.get(letters) == Some(&b'\'');
    let within = before(text, local.start) == Some(b'\'');
    if opens && !within { local.start + letters + 1 } else { local.start }
}

/// Whether a domain stands behind the `@` that `text` begins behind: where none
/// does, what stands before need not be looked at.
pub(super) fn is_before_domain(text: &[u8]) -> bool {
    let text = text.get(..EMAIL_REACH).unwrap_or(text);
    domain_length(text).or_else(|| literal_length(text)).is_some()
}

/// The length of the address of a host in brackets that `text` begins with.
fn literal_length(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"[")?;
    let length = rest.iter().take(LONGEST_LITERAL + 1).position(|&byte| byte == b']')?;
    let inner = std::str::from_utf8(&rest[..length]).ok()?;
    let tagged = inner.split_at_checked(5).filter(|(tag, _)| tag.eq_ignore_ascii_case("IPv6:"));
    let valid = match tagged {
        Some((_, address)) => address.parse::<Ipv6Addr>().is_ok(),
        None => inner.parse::<Ipv4Addr>().is_ok(),
    };
    valid.then_some(length + 2)
}

/// The length of the domain that `text` begins with: two labels or more, the
/// last of which can be a top-level domain.
fn domain_length(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    while let Some(size) = domain_character(text, length) {
        length += size;
        if text.get(length - 1..=length) == Some(b"..") {
            break;
        }
    }
    let run = text.get(..length)?;
    let run = run.strip_suffix(b".").unwrap_or(run);
    let end = last_top_level(run)?;
    let domain = run.get(..end)?;
    let begins = domain.first().is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte >= 0x80);
    (begins && !is_no_domain(domain)).then_some(domain.len())
}

/// Where the last label of `run` ends that can be a top-level domain, but for its first.
fn last_top_level(run: &[u8]) -> Option<usize> {
    let mut end = run.len();
    while let Some(dot) = memchr::memrchr(b'.', &run[..end]) {
        if let Some(size) = top_level_length(&run[dot + 1..end]) {
            return Some(dot + 1 + size);
        }
        end = dot;
    }
    None
}

/// The length of the character at `at` when a domain may hold it.
fn domain_character(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at)? {
        byte if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') => Some(1),
        byte if byte >= 0x80 => foreign_at(text, at),
        _ => None,
    }
}

/// How much of a label is a top-level domain: two letters or more, an encoded
/// (`xn--`) or a non-ASCII name. What is glued behind is not part of it.
fn top_level_length(label: &[u8]) -> Option<usize> {
    if label.starts_with(b"xn--") {
        return Some(label.len());
    }
    let letters = label.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let goes_on = label.get(letters).is_some_and(|byte| !byte.is_ascii());
    if let Some(length) = goes_on.then(|| word_length(label)).flatten() {
        return Some(length);
    }
    let foreign = label.iter().take_while(|&&byte| byte >= 0x80).count();
    if foreign > 1 {
        return Some(foreign);
    }
    let ends = label.get(letters).is_none_or(|&byte| byte >= 0x80 || byte == b'-');
    ((2..=LONGEST_LABEL).contains(&letters) && ends).then_some(letters)
}

/// The length of the letters that `label` begins with if they are a word to its end or
/// to a dash: of alphabets whose words stand apart. What follows an address without a space
/// in other scripts is no part of it.
fn word_length(label: &[u8]) -> Option<usize> {
    let text = label.utf8_chunks().next()?.valid();
    let is_letter = |letter: &char| matches!(letter, 'a'..='z' | 'A'..='Z' | 'À'..='ʯ' | 'Ͱ'..='ԯ' | 'Ḁ'..='῾');
    let letters = text.chars().take_while(is_letter).count();
    let length = text.chars().take_while(is_letter).map(char::len_utf8).sum();
    let ends = label.get(length).is_none_or(|&byte| byte == b'-');
    ((2..=LONGEST_LABEL).contains(&letters) && ends).then_some(length)
}

/// Versions (`pkg@1.3.0-rc.beta`), scaled images (`logo@2x.png`), and systemd's
/// template units (`getty@tty1.service`).
fn is_no_domain(domain: &[u8]) -> bool {
    const IMAGES: [&[u8]; 12] =
        [b"png", b"jpg", b"jpeg", b"webp", b"svg", b"gif", b"avif", b"heic", b"bmp", b"tiff", b"ico", b"pdf"];
    const UNITS: [&[u8]; 9] =
        [b"service", b"socket", b"timer", b"mount", b"automount", b"slice", b"scope", b"device", b"swap"];
    let mut labels = domain.split(|&byte| byte == b'.');
    let first = labels.next().unwrap_or_default();
    let second = labels.next().unwrap_or_default();
    let last = labels.next_back().unwrap_or(second);
    let number = first.strip_prefix(b"v").unwrap_or(first);
    let version = number.iter().all(u8::is_ascii_digit) && second.first().is_some_and(u8::is_ascii_digit);
    let scale = first.strip_suffix(b"x").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    let listed = |list: &[&[u8]]| list.iter().any(|name| last.eq_ignore_ascii_case(name));
    let pair = first.len() + 1 + second.len() == domain.len();
    version || (scale && listed(&IMAGES)) || (pair && listed(&UNITS))
}

/// Where a quoted local part, `"a b"@...`, begins.
fn quoted_start(text: &[u8], anchor: usize) -> Option<usize> {
    let closing = anchor.checked_sub(1).filter(|&at| text.get(at) == Some(&b'"'))?;
    let lowest = anchor.saturating_sub(LONGEST_QUOTED);
    let opening = (lowest..closing).rev().find(|&at| {
        text.get(at).is_some_and(|&byte| byte == b'"' || byte.is_ascii_control()) && before(text, at) != Some(b'\\')
    })?;
    let apart = before(text, opening)
        .is_none_or(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'<' | b'(' | b',' | b';' | b':'));
    let name = text.get(opening + 1..closing)?;
    // More likely the end of one JSON string and the beginning of the next.
    let joint = name.iter().any(|byte| b",:{}[]".contains(byte)) || !name.iter().any(u8::is_ascii_alphanumeric);
    (text.get(opening) == Some(&b'"') && !joint && apart).then_some(opening)
}

/// Where a local part of signs only begins, `#!$%&'*+-/=?^_`{}|~@...`: many of several
/// kinds, with nothing before them, since fewer stand around `@` in code.
fn signs_start(text: &[u8], anchor: usize) -> Option<usize> {
    let is_sign = |byte: &u8| b"!#$%&'*+-/=?^_`{|}~".contains(byte);
    let signs = text.get(..anchor)?.rsplit(|byte| !is_sign(byte)).next()?;
    let start = anchor - signs.len();
    let mut kinds = signs.get(..signs.len().min(LONGEST_LOCAL))?.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    let many = (FEWEST_SIGNS.0..=LONGEST_LOCAL).contains(&signs.len()) && kinds.len() >= FEWEST_SIGNS.1;
    (many && before(text, start).is_none_or(|byte| byte.is_ascii_whitespace())).then_some(start)
}

/// Where the local part before the `@` at `anchor` begins.
fn local_start(text: &[u8], anchor: usize) -> Option<usize> {
    let lowest = anchor.saturating_sub(EMAIL_REACH);
    let mut start = anchor;
    while let Some(size) = local_character(text, lowest, start) {
        start -= size;
    }
    let start =
        rewritten_start(text, lowest, start, anchor).or_else(|| sorted_start(text, lowest, start)).unwrap_or(start);
    let local = text.get(start..anchor)?;
    let syntax =
        local.iter().take_while(|&&byte| !(byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80)).count();
    let start = start + syntax;
    let start = if escape_before(text, start + 1) { start + 1 } else { start };
    (start < anchor).then_some(start)
}

/// The length of the character before `at` when a local part may hold it.
fn local_character(text: &[u8], lowest: usize, at: usize) -> Option<usize> {
    if at <= lowest {
        return None;
    }
    let in_name = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte >= 0x80);
    match before(text, at)? {
        byte if byte.is_ascii_alphanumeric() || b".-_+%&!#$*^~".contains(&byte) => Some(1),
        // O'Brien, but no quotes.
        b'\'' => (in_name(text.get(at).copied()) && in_name(further_before(text, at, 2))).then_some(1),
        byte if byte >= 0x80 => foreign_before(text, lowest, at),
        _ => None,
    }
}

/// Where the local part begins if the `=` before `start` belongs to it, as it
/// does where forwarders write the original address into a new one:
/// `SRS0=hash=tt=example.com=user@`, `prvs=tag=user@`, `bounce+user=example.com@`.
fn rewritten_start(text: &[u8], lowest: usize, start: usize, anchor: usize) -> Option<usize> {
    let domain = text.get(start..anchor)?.contains(&b'.');
    let mut part = start;
    while part > lowest && before(text, part) == Some(b'=') {
        let end = part - 1;
        part = end;
        while let Some(size) = local_character(text, lowest, part) {
            part -= size;
        }
        let forwarded = [&b"SRS0"[..], b"SRS1", b"prvs", b"btv1"]
            .iter()
            .any(|tag| text.get(part..end).is_some_and(|word| word.eq_ignore_ascii_case(tag)));
        if forwarded || (domain && text.get(part..end)?.contains(&b'+')) {
            return Some(part);
        }
    }
    None
}

/// Where the local part begins if the `=` before `start` belongs to it since mail is sorted
/// by it: `user+box/part=x@`, with nothing before it.
fn sorted_start(text: &[u8], lowest: usize, start: usize) -> Option<usize> {
    let in_chain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._+-/=".contains(byte);
    let lowest = lowest.max(start.saturating_sub(LONGEST_LOCAL));
    let chain = text.get(lowest..start).filter(|before| before.ends_with(b"="))?;
    let chain = chain.rsplit(|byte| !in_chain(byte)).next()?;
    let begins = start - chain.len();
    let mailbox = chain.split(|&byte| byte == b'/').next().filter(|mailbox| mailbox.len() < chain.len())?;
    let tagged = mailbox.first().is_some_and(u8::is_ascii_alphanumeric) && mailbox.contains(&b'+');
    let apart = before(text, begins).is_none_or(|byte| byte.is_ascii_whitespace() || byte == b'<');
    (tagged && !mailbox.contains(&b'=') && apart).then_some(begins)
}

/// Remotes of ssh, scp and rsync: `git@host:path`, `user@host:/path`.
fn is_remote(text: &[u8], local: Range<usize>, path: Range<usize>) -> bool {
    if text.get(local).is_some_and(|local| local == b"git") {
        return true;
    }
    match text.get(path.start..text.len().min(path.end)) {
        Some([b':', b'/' | b'~', ..]) => true,
        Some([b':', path @ ..]) => {
            let size = path.iter().take_while(|&&byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)).count();
            path.get(..size).is_some_and(|path| path.ends_with(b".git") && path.contains(&b'/'))
        }
        _ => false,
    }
}

/// Whether the text before the `@` is the user, or user and password, of a URL:
/// those are the business of the credential rules.
fn is_userinfo(text: &[u8], start: usize, anchor: usize) -> bool {
    // Room for the scheme within reach.
    let lowest = anchor.saturating_sub(EMAIL_REACH - b"mailto://".len());
    let Some(slash) = text.get(lowest..start).and_then(|part| memchr::memrchr(b'/', part)) else { return false };
    let at = lowest + slash + 1;
    let authority = text.get(at.saturating_sub(3)..at) == Some(b"://");
    let mailto = || text.get(at.saturating_sub(9)..at).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"mailto://"));
    let ends = |byte: &u8| *byte <= b' ' || NOT_IN_USERINFO.contains(byte);
    authority && !mailto() && !text.get(at..start).is_some_and(|part| part.iter().rev().any(ends))
}

/// The length of the non-ASCII character at `at`, unless it is punctuation.
fn foreign_at(text: &[u8], at: usize) -> Option<usize> {
    match character_at(text, at) {
        Some(character) => (!is_punctuation(character)).then_some(character.len()),
        None => is_latin_1_letter(text.get(at).copied()).then_some(1),
    }
}

/// The length of the non-ASCII character before `at`, unless it is punctuation.
fn foreign_before(text: &[u8], lowest: usize, at: usize) -> Option<usize> {
    let tails = text.get(lowest..at)?.iter().rev().take(3).take_while(|byte| is_continuation(byte)).count();
    let start = at.checked_sub(tails + 1).filter(|&start| start >= lowest)?;
    match character_at(text, start).filter(|character| character.len() == tails + 1) {
        Some(character) => (!is_punctuation(character)).then_some(character.len()),
        None => is_latin_1_letter(before(text, at)).then_some(1),
    }
}

/// The bytes of the UTF-8 character of two bytes or more at `at`.
fn character_at(text: &[u8], at: usize) -> Option<&[u8]> {
    let rest = text.get(at..)?;
    let size = match rest.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    rest.get(..size).filter(|bytes| bytes.iter().skip(1).all(is_continuation))
}

/// Text that is no UTF-8 may be Latin-1; the rest of its upper half is framing.
fn is_latin_1_letter(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte >= 0xc0)
}

fn is_continuation(byte: &u8) -> bool {
    (0x80..0xc0).contains(byte)
}

/// Spaces, quotes, dashes, brackets, symbols and emoji, by the blocks of
/// Unicode they stand in; letters all else.
fn is_punctuation(character: &[u8]) -> bool {
    match *character {
        // Latin-1 signs, without the ordinals and the micro sign.
        [0xc2, second] => !matches!(second, 0xaa | 0xb5 | 0xba),
        // General punctuation to supplemental punctuation; variation selectors.
        [0xe2, second, _] => second < 0xb0 || second == 0xb8 || second == 0xb9,
        // CJK punctuation, without the iteration mark and zero.
        [0xe3, 0x80, third] => !matches!(third, 0x85..=0x87),
        // Byte order mark, variation selectors, full-width forms.
        [0xef, 0xb8, third] => third <= 0x8f,
        [0xef, 0xbb, 0xbf] => true,
        [0xef, 0xbc, third] => !matches!(third, 0x90..=0x99 | 0xa1..=0xba),
        [0xef, 0xbd, third] => matches!(third, 0x80 | 0x9b..=0xa5),
        [0xef, 0xbf, _] => true,
        // Emoji.
        [0xf0, 0x9f, _, _] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found at each `@`.
    fn found(text: &str) -> Vec<&str> {
        text.match_indices('@')
            .filter_map(|(anchor, _)| extent(text.as_bytes(), anchor))
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn addresses_are_found_whole_between_other_text() {
        for value in [
            "a@b.co",
            "jane.o'ivanova2313@example.net",
            "1002pierre%hassan@acme-corp.example",
            "hiro+news8715@globex.invalid",
            "maria.patel.nhgfz.223@a.b.c.startup.example",
            "PIERRE.SATO4307@EXAMPLE.COM",
            "priya_nilsson-5194@initech.test",
            "_private@host.local",
            "björn.åström3866@ejemplo.es",
            "иван.петров6646@пример.испытание",
            "佐藤5915@例え.テスト",
            "用户8740@例子.公司",
            "x@xn--e1afmkfd.xn--p1ai",
            "bob_contoso.com#EXT#@fabrikam.onmicrosoft.com",
            "SRS0=HHH=TT=example.com=user@forward.example.org",
            "bounce+user=example.com@lists.example.org",
            "bob@163.com",
            "1234567+name@users.noreply.github.com",
            "\"john doe\"@example.com",
            "a@correo.españa",
            "a@a.xyϸ",
            "a@b.élan",
            "john@[192.168.2.1]",
            "x@[IPv6:2001:db8::1]",
        ] {
            for (before, after) in [
                ("", ""),
                ("mail ", " now"),
                ("<", ">"),
                ("(", ")."),
                ("mailto:", "?subject=x"),
                ("key=", "&b=1"),
                ("", ", c"),
                ("To:", "; "),
                ("联系：", "，谢谢"),
                ("“", "”"),
                ("mail ", ": yes"),
                ("[", "]"),
                ("| ", " |"),
                ("`", "`"),
            ] {
                // A quoted part needs a space or bracket before it.
                if value.starts_with('"') && (before.ends_with(['=', '[', '`']) || !before.is_ascii()) {
                    continue;
                }
                let text = format!("{before}{value}{after}");
                assert_eq!(found(&text), [value], "{text}");
            }
        }
    }

    #[test]
    fn an_apostrophe_is_no_quote_of_a_prefix_but_before_one_that_closes() {
        for text in ["b'elan@example.com", "'b'elan@example.com'", "x b'elan@example.com.", "d'elan@example.com'"] {
            assert!(found(text)[0].ends_with("'elan@example.com"), "{text}");
        }
    }

    #[test]
    fn places_in_files_are_no_addresses() {
        for text in ["onload@main.ts:3", "handleClick@app.min.js:12:34", "render@App.vue:7"] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
        for text in ["bob@main.ts", "bob@main.ts: hello", "bob@example.com:3"] {
            assert_eq!(found(text).len(), 1, "{text}");
        }
    }

    #[test]
    fn quotes_and_marks_around_are_no_part() {
        for text in [
            "'bob@example.com'",
            "\"bob@example.com\"",
            "**bob@example.com**",
            "...bob@example.com...",
            "-bob@example.com-",
            "{bob@example.com}",
            "/bob@example.com/",
            "mailto://bob@example.com",
            "?bob@example.com",
            "bob@example.com's",
            "b'bob@example.com'",
            "(N'bob@example.com')",
            "rb'bob@example.com'",
            "bob@example.com_old",
            "bob@example.com.123",
            "bob@example.com请",
            "\\nbob@example.com\\n",
            "📧bob@example.com",
            "https://example.com/?q=bob@example.com",
            "https://a.example,bob@example.com",
        ] {
            assert_eq!(found(text), ["bob@example.com"], "{text}");
        }
    }

    #[test]
    fn local_parts_of_many_signs_or_mailboxes_stand_by_themselves() {
        let (signs, sorted) = ("#!$%&'*+-/=?^_`{}|~@example.org", "user+box/part=x@example.org");
        for value in [signs, sorted] {
            assert_eq!(found(value), [value]);
            assert_eq!(found(&format!("to {value}, now")), [value]);
        }
        assert_eq!(found(&format!("x{signs}")), Vec::<&str>::new());
        assert_eq!(found(&format!("({signs}")), Vec::<&str>::new());
        for text in ["=@example.org", "a =+= @example.org", "$#@!%&@example.org", "!!!!!!!!!!====@example.org"] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
        for text in
            ["a+b=x@example.org", "?user+box/part=x@example.org", "box/part=x@example.org", "q=a+b/c=x@example.org"]
        {
            assert_eq!(found(text), ["x@example.org"], "{text}");
        }
    }

    #[test]
    fn other_scripts_behind_a_domain_are_no_part() {
        for text in ["a@a.comまで", "a@a.com请", "a@a.com한글", "a@a.comไทย"] {
            assert_eq!(found(text), ["a@a.com"], "{text}");
        }
        assert_eq!(extent(b"a@a.com\xc0x", 1), Some(0..7));
    }

    #[test]
    fn several_addresses_are_several_findings() {
        assert_eq!(found("a@xy.com;b@xy.com,c@xy.com d@xy.com"), ["a@xy.com", "b@xy.com", "c@xy.com", "d@xy.com"]);
    }

    #[test]
    fn long_local_parts_are_taken_as_far_as_is_looked() {
        let text = format!("{}@example.com", "a".repeat(100));
        assert_eq!(found(&text), [text.as_str()]);
        let text = format!("{}@example.com", "a".repeat(1000));
        assert_eq!(found(&text)[0].len(), EMAIL_REACH + "@example.com".len());
    }

    #[test]
    fn latin_1_names_are_found() {
        assert_eq!(extent(b"bj\xf6rn@example.com", 5), Some(0..17));
        // As MessagePack frames strings.
        assert_eq!(extent(b"\xa4mail\xafbob@example.com\xa4name", 9), Some(6..21));
    }

    #[test]
    fn look_alikes_stay() {
        for text in [
            "left-pad@1.3.0",
            "@types/node@20.11.5",
            "@scope/pkg@^2.0.0-rc.1",
            "pkg@1.2.3-rc.beta",
            "pkg@v1.2.3.tgz",
            "logo@2x.png",
            "hero@1.5x.jpg",
            "icon-small@3x.webp",
            "git@github.com:acme/agents.git",
            "deploy@host.example.com:acme/agents.git",
            "bob@host.example.com:/srv/www",
            "postgres://user:pass@db.example.com/x",
            "https://token@host.example.com/",
            "ssh://git@github.com/acme/agents.git",
            "postgres://user:p@ss@db.example.com",
            "@app.route",
            "\n@pytest.mark.asyncio",
            "@maria_codes",
            "registry/x@sha256:abc",
            "worker:8.5.8@sha256:03f6599b",
            "getty@tty1.service",
            "root@localhost",
            "root@10.0.0.1",
            "root@[10.0.0.1]:/srv",
            "a@[10.0.0]",
            "a@[10.0.0.1",
            "a@[fe80::1]",
            "a@[IPv6:x]",
            "a@[0]",
            "{user}@example.com",
            "***@example.com",
            "a@b.c",
            "a@.com",
            "a@-x.com",
            "a@b..com",
            "a @b.com",
            "a@ b.com",
            "@",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text:?}");
        }
    }

    #[test]
    fn passwords_behind_an_address_do_not_hide_it() {
        assert_eq!(found("bob@example.com:hunter2"), ["bob@example.com"]);
        assert_eq!(found("bob@example.com:8080"), ["bob@example.com"]);
    }
}
