//! Where a stretch of bytes has fences, and where its digits, signs and
//! escapes have a shape that some detector wants to see: shifts and ANDs over
//! the 64-bit masks of [`crate::simd`].
//!
//! A *fence* is a byte that no match crosses: in JSON a quote that delimits a
//! top-level string, in NDJSON also the line feed between records, in text
//! the line feed, but for lines that go on: see [`line`].

use super::Format;
use super::closer::judge;
use super::line;
use super::token::Tokens;
use crate::simd::{self, BLOCK, Masks};

/// What made a place a candidate: a set of bits.
pub(crate) type Kinds = u16;

/// `@`: an e-mail address may surround it.
pub(crate) const AT: Kinds = 1;
/// `+` before a digit or parenthesis: the place is the `+`'s follower.
pub(crate) const PLUS: Kinds = 1 << 1;
/// The last digit of `ddd-dddd` behind a separator.
pub(crate) const NANP: Kinds = 1 << 2;
/// The last digit of `ddd-dd-dddd`.
pub(crate) const SSN: Kinds = 1 << 3;
/// A digit of a group pattern, or the 13th digit of a run, of a card number.
pub(crate) const CARD: Kinds = 1 << 4;
/// The second digit behind two capitals.
pub(crate) const IBAN: Kinds = 1 << 5;
/// The 4th digit of a run that begins with `00` and no third zero.
pub(crate) const RUN: Kinds = 1 << 6;
/// An escape that hides something from who looks at the raw bytes: see
/// [`judge_escape`].
pub(crate) const ESCAPE: Kinds = 1 << 7;

/// The last of [`TOKEN_RUN`] bytes of which tokens are made, of which the first
/// begins a word.
pub(crate) const TOKEN: Kinds = 1 << 8;

/// The beginning of a character that [`fold`] is about, escaped or not.
pub(crate) const FOLD: Kinds = 1 << 9;

/// The byte behind the second point of an IPv4 address, or the first colon of an
/// IPv6 one; see [`super::address`].
pub(crate) const IP: Kinds = 1 << 10;
/// The second separator of a MAC address.
pub(crate) const MAC: Kinds = 1 << 11;
/// The last of six digits and separators that begin with a digit and no word.
pub(crate) const NATIONAL: Kinds = 1 << 12;

/// Runs of so many bytes may be tokens.
pub(crate) const TOKEN_RUN: usize = 16;

/// Whether a byte may stand in such a run.
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    is_word_byte(byte) || matches!(byte, b'-' | b'.' | b'+' | b'=')
}

/// Whether a byte may begin such a run.
pub(crate) const fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A place to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Relative to the data.
    pub(crate) at: usize,
    pub(crate) kinds: Kinds,
}

/// The lexical state before the first byte of some data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lexical {
    /// Within a top-level JSON string.
    pub(crate) inside: bool,
    /// The first byte is escaped by a backslash before it.
    pub(crate) escaped: bool,
}

/// The structure of some data; reused from scan to scan.
#[derive(Debug, Default)]
pub(crate) struct Shapes {
    blocks: Vec<Structure>,
    pub(crate) candidates: Vec<Candidate>,
    /// The state behind the last byte.
    end: Lexical,
    /// The fences around the place last asked for.
    around: Option<(Option<usize>, Option<usize>)>,
}

/// Where the fences of a block are, and what else tells its lexical state.
#[derive(Clone, Copy, Debug, Default)]
struct Structure {
    /// A bit per byte.
    fences: u64,
    /// Fences after which no string is open, whatever was before.
    resets: u64,
    /// Bytes escaped by a backslash.
    escaped: u64,
    /// Whether the block begins within a string.
    inside: bool,
}

impl Structure {
    /// The state before the byte at `bit`.
    fn lexical_at(&self, bit: usize) -> Lexical {
        let quotes = self.fences & !self.resets & below(bit);
        Lexical {
            inside: inside_after(self.inside, quotes, self.resets & below(bit)),
            escaped: self.escaped >> bit & 1 == 1,
        }
    }
}

impl Shapes {
    /// Looks at all of `data`, which `before` precedes.
    pub(crate) fn analyze(&mut self, data: &[u8], before: Lexical, format: Format, prefixes: &Tokens) {
        self.blocks.clear();
        self.blocks.reserve(data.len().div_ceil(BLOCK));
        self.candidates.clear();
        self.around = None;
        let (blocks, candidates) = (&mut self.blocks, &mut self.candidates);
        let walk = simd::each_block(
            data,
            Walk { state: before, ..Walk::default() },
            #[inline(always)]
            |walk, masks| {
                let start = blocks.len() * BLOCK;
                let mut structure = walk.structure(masks, format);
                if format == Format::Text && structure.fences != 0 {
                    structure.fences = line::ends_among(structure.fences, data, start);
                }
                blocks.push(structure);
                let found = walk.shapes(masks);
                if found.any() != 0 {
                    found.collect(start, data, prefixes, candidates);
                }
            },
        );
        self.end = walk.state;
        if !data.len().is_multiple_of(BLOCK) {
            self.end = self.lexical_at(data.len());
        }
    }

    /// The last fence before `end`.
    pub(crate) fn fence_before(&self, end: usize) -> Option<usize> {
        let mut block = end / BLOCK;
        let mut bits = self.blocks.get(block).map_or(0, |found| found.fences & below(end % BLOCK));
        loop {
            if bits != 0 {
                return Some(block * BLOCK + (63 - bits.leading_zeros() as usize));
            }
            block = block.checked_sub(1)?;
            bits = self.blocks.get(block).map_or(0, |found| found.fences);
        }
    }

    /// The first fence at or after `start`.
    pub(crate) fn fence_from(&self, start: usize) -> Option<usize> {
        let mut block = start / BLOCK;
        let mut bits = self.blocks.get(block)?.fences & !below(start % BLOCK);
        loop {
            if bits != 0 {
                return Some(block * BLOCK + bits.trailing_zeros() as usize);
            }
            block += 1;
            bits = self.blocks.get(block)?.fences;
        }
    }

    /// Bytes between `start` and the first fence at or after it, if these are
    /// fewer than [`BLOCK`]; else that.
    pub(crate) fn room(&self, start: usize) -> usize {
        let fences = |block| self.blocks.get(block).map_or(0, |found: &Structure| found.fences);
        let (block, bit) = (start / BLOCK, start % BLOCK);
        let seen = u128::from(fences(block)) | u128::from(fences(block + 1)) << BLOCK;
        BLOCK.min((seen >> bit).trailing_zeros() as usize)
    }

    /// The last fence before `at` and the first one at or after it. Quick for
    /// places that lie between the same fences as the last one asked for.
    pub(crate) fn fences_around(&mut self, at: usize) -> (Option<usize>, Option<usize>) {
        let known = self
            .around
            .filter(|(before, after)| before.is_none_or(|fence| fence < at) && after.is_none_or(|fence| at <= fence));
        let around = known.unwrap_or_else(|| (self.fence_before(at), self.fence_from(at)));
        self.around = Some(around);
        around
    }

    /// The state before the byte at `at`.
    pub(crate) fn lexical_at(&self, at: usize) -> Lexical {
        self.blocks.get(at / BLOCK).map_or(self.end, |block| block.lexical_at(at % BLOCK))
    }
}

/// What goes from block to block.
#[derive(Clone, Copy, Default)]
struct Walk {
    state: Lexical,
    runs: Runs,
    /// Masks of the block before.
    backslash: u64,
    plus: u64,
}

impl Walk {
    /// The fences of the next block.
    #[inline(always)]
    fn structure(&mut self, masks: &Masks, format: Format) -> Structure {
        let inside = self.state.inside;
        let escaped = escaped(masks.backslash, &mut self.state.escaped);
        let quotes = if format == Format::Text { 0 } else { masks.quote & !escaped };
        let resets = if format == Format::Json { 0 } else { masks.newline };
        self.state.inside = inside_after(inside, quotes, resets);
        Structure { fences: quotes | resets, resets, escaped, inside }
    }

    /// The shapes that end in the next block.
    #[inline(always)]
    fn shapes(&mut self, masks: &Masks) -> Found {
        let mut found = self.runs.shapes(masks);
        found.at = masks.at;
        found.fold = masks.fold_lead;
        found.escape = masks.percent | masks.code_letter & after(masks.backslash, self.backslash, 1);
        // `(` is not among the masks: any follower will do but white space and letters,
        // of which there are many in base64.
        found.plus = after(masks.plus, self.plus, 1) & !masks.separator & (masks.digit | !masks.word);
        (self.backslash, self.plus) = (masks.backslash, masks.plus);
        found
    }
}

/// Runs of digits, and what stands between them, that end in the block before:
/// what shapes that reach back into it are made of.
#[derive(Clone, Copy, Default)]
struct Runs {
    digit: u64,
    /// The last of two, three and four digits or more.
    two: u64,
    three: u64,
    four: u64,
    thirteen: u64,
    separator: u64,
    zero: u64,
    upper: u64,
    word: u64,
    /// Beginnings of words.
    begins: u64,
    backslash: u64,
    /// The last of one, two, four and eight bytes of a token or more.
    token: [u64; 4],
}

impl Runs {
    /// The shapes of numbers that end in the next block.
    #[inline(always)]
    fn shapes(&mut self, masks: &Masks) -> Found {
        let (digit, separator) = (masks.digit, masks.separator);
        let two = digit & after(digit, self.digit, 1);
        let three = two & after(digit, self.digit, 2);
        let four = two & after(two, self.two, 2);
        let mut now = Self {
            digit,
            two,
            three,
            four,
            thirteen: 0,
            separator,
            zero: masks.zero,
            upper: masks.upper,
            ..Self::default()
        };
        let token = now.tokens(self, masks);
        let mut found = Found { iban: two & now.upper(self, 2) & now.upper(self, 3), token, ..Found::default() };
        if two | self.two != 0 {
            found.national = now.national(self);
        }
        if four != 0 {
            now.thirteen = four & after(four, self.four, 4) & after(four, self.four, 8) & after(digit, self.digit, 12);
            now.long(self, &mut found);
        }
        *self = now;
        found
    }

    /// Where [`TOKEN_RUN`] bytes of a token end that begin a word, or stand
    /// behind an escape: `\n` and `\u00e9` end in letters.
    #[inline(always)]
    fn tokens(&mut self, last: &Self, masks: &Masks) -> u64 {
        self.word = masks.word;
        self.backslash = masks.backslash;
        self.begins = masks.word & !after(masks.word, last.word, 1);
        let mut run = masks.token;
        for (index, by) in [1, 2, 4, 8].into_iter().enumerate() {
            self.token[index] = run;
            run &= after(run, last.token[index], by);
        }
        let back = |now, then, by: u32| after(now, then, 15 + by);
        let begins = back(self.begins, last.begins, 0);
        let escapes = back(self.backslash, last.backslash, 2) | back(self.backslash, last.backslash, 6);
        run & (begins | escapes)
    }

    #[inline(always)]
    fn upper(&self, last: &Self, by: u32) -> u64 {
        after(self.upper, last.upper, by)
    }

    /// Where a sixth byte of digits and separators ends, of which the first begins
    /// a run of digits, and a word or what stands behind an escape: `\n`, `\xe9` and
    /// `\u00e9` end in letters.
    #[inline(always)]
    fn national(&self, last: &Self) -> u64 {
        let (now, then) = (self.digit | self.separator, last.digit | last.separator);
        // Two, four, six in a row; of the block before only the last five count.
        let (pair, last_pair) = (now & after(now, then, 1), then & then << 1);
        let run = pair & after(pair, last_pair, 2) & after(pair, last_pair, 4);
        if run == 0 {
            return 0;
        }
        let digit = |by| after(self.digit, last.digit, by);
        let escape = |by: u32| after(self.backslash, last.backslash, 5 + by);
        let begins = !after(self.word, last.word, 6) | escape(2) | escape(4) | escape(6);
        let letter = after(self.word & !self.digit, last.word & !last.digit, 7);
        // Groups of an id: `af4a-000000012345`.
        // `-` and `.`, no space.
        let joint = after(self.separator & self.token[0], last.separator & last.token[0], 6);
        let id = joint & letter & !escape(3) & !escape(5) & !escape(7);
        run & digit(5) & !digit(6) & begins & !id
    }

    /// The shapes that end with four digits.
    #[inline(always)]
    fn long(&self, last: &Self, found: &mut Found) {
        let two = |by| after(self.two, last.two, by);
        let three = |by| after(self.three, last.three, by);
        let four = |by| after(self.four, last.four, by);
        let separator = |by| after(self.separator, last.separator, by);
        let behind_separator = self.four & separator(4);
        // What stands before is judged later.
        found.nanp = behind_separator & three(5);
        found.ssn = behind_separator & two(5) & separator(7) & three(8);
        let fours = behind_separator & four(5) & separator(9) & four(10);
        let four_six = self.four & two(4) & separator(6) & four(7);
        let thirteen = self.thirteen & !after(self.thirteen, last.thirteen, 1);
        found.card = fours | four_six | thirteen;
        let zero = |by| after(self.zero, last.zero, by);
        found.run = self.four & !four(1) & zero(3) & zero(2) & !zero(1);
    }
}

/// The shapes that end in one block.
#[derive(Clone, Copy, Default)]
struct Found {
    at: u64,
    plus: u64,
    nanp: u64,
    ssn: u64,
    card: u64,
    iban: u64,
    run: u64,
    national: u64,
    escape: u64,
    token: u64,
    fold: u64,
}

impl Found {
    #[inline(always)]
    fn any(&self) -> u64 {
        self.at
            | self.plus
            | self.nanp
            | self.ssn
            | self.card
            | self.iban
            | self.run
            | self.national
            | self.escape
            | self.token
            | self.fold
    }

    /// Appends what is found in the block at `start` of `data`. Not inlined:
    /// most blocks hold nothing, and the way of those must stay in registers.
    #[inline(never)]
    fn collect(&self, start: usize, data: &[u8], prefixes: &Tokens, candidates: &mut Vec<Candidate>) {
        let token = self.tokens(start, data, prefixes);
        let found = Self { token, ..*self };
        let mut any = found.any();
        while any != 0 {
            let bit = any.trailing_zeros();
            any &= any - 1;
            let at = start + bit as usize;
            let kinds = judge(data, at, found.kinds(bit), &prefixes.pairs.letters);
            if kinds != 0 {
                candidates.push(Candidate { at, kinds });
            }
        }
    }

    /// Those of the tokens that begin as some rule's do: few, while long words
    /// are many.
    fn tokens(&self, start: usize, data: &[u8], prefixes: &Tokens) -> u64 {
        let mut left = self.token;
        let mut tokens = 0;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let at = start + bit.trailing_zeros() as usize;
            if at < data.len() && at + 1 >= TOKEN_RUN && prefixes.begin(&data[at + 1 - TOKEN_RUN..]) {
                tokens |= bit;
            }
        }
        tokens
    }

    fn kinds(&self, bit: u32) -> Kinds {
        let is = |mask: u64| Kinds::from(mask >> bit & 1 == 1);
        let kinds = [
            is(self.at) * AT,
            is(self.plus) * PLUS,
            is(self.nanp) * NANP,
            is(self.ssn) * SSN,
            is(self.card) * CARD,
            is(self.iban) * IBAN,
            is(self.run) * RUN,
            is(self.escape) * ESCAPE,
            is(self.token) * TOKEN,
            is(self.fold) * FOLD,
            is(self.national) * NATIONAL,
        ];
        kinds.into_iter().fold(0, |all, kind| all | kind)
    }
}

/// The shapes of decoded `text`, which holds no escapes: the same as
/// [`Shapes::analyze`] finds, without its fences.
pub(crate) fn of_text(text: &[u8], prefixes: &Tokens, candidates: &mut Vec<Candidate>) {
    candidates.clear();
    simd::each_block(
        text,
        (Walk::default(), 0),
        #[inline(always)]
        |(walk, start), masks| {
            let found = Found { escape: 0, fold: 0, ..walk.shapes(masks) };
            if found.any() != 0 {
                found.collect(*start, text, prefixes, candidates);
            }
            *start += BLOCK;
        },
    );
}

/// `now`, moved `by` bytes on, with the bits that come over from the block before.
#[inline(always)]
fn after(now: u64, then: u64, by: u32) -> u64 {
    now << by | then >> (64 - by)
}

/// The bits below `bit`.
fn below(bit: usize) -> u64 {
    (1 << bit) - 1
}

/// Whether a string is open behind a block with these `quotes` and `resets`.
fn inside_after(inside: bool, quotes: u64, resets: u64) -> bool {
    if resets == 0 {
        return inside ^ (quotes.count_ones() % 2 == 1);
    }
    let last = 63 - resets.leading_zeros();
    let after = if last == 63 { 0 } else { quotes >> (last + 1) };
    after.count_ones() % 2 == 1
}

/// Which bytes of a block a backslash escapes: those behind an odd run. Adding
/// the starts of odd runs to the runs themselves carries past their ends
/// (Langdale and Lemire, "Parsing gigabytes of JSON per second", 3.1.1).
fn escaped(backslash: u64, carry: &mut bool) -> u64 {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let first = u64::from(*carry);
    if backslash == 0 {
        *carry = false;
        return first;
    }
    let backslash = backslash & !first;
    let follows = backslash << 1 | first;
    let odd_starts = backslash & !EVEN & !follows;
    let (even_ends, overflow) = odd_starts.overflowing_add(backslash);
    *carry = overflow;
    (EVEN ^ (even_ends << 1)) & follows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;

    /// Byte by byte what [`Shapes::analyze`] does by masks.
    fn fences_slowly(data: &[u8], format: Format) -> (Vec<usize>, Vec<Lexical>) {
        let (mut fences, mut states) = (Vec::new(), Vec::new());
        let mut state = Lexical::default();
        for (at, &byte) in data.iter().enumerate() {
            states.push(state);
            let quote = byte == b'"' && !state.escaped && format != Format::Text;
            let feed = byte == b'\n' && format != Format::Json && (format != Format::Text || line::ends(data, at));
            if quote || feed {
                fences.push(at);
            }
            if quote {
                state.inside = !state.inside;
            }
            if byte == b'\n' && format == Format::Ndjson {
                state.inside = false;
            }
            state.escaped = byte == b'\\' && !state.escaped;
        }
        states.push(state);
        (fences, states)
    }

    /// Byte by byte what [`Shapes::analyze`] does by masks.
    fn candidates_slowly(data: &[u8], prefixes: &Tokens) -> Vec<Candidate> {
        let judged =
            |at| Candidate { at, kinds: judge(data, at, kinds_slowly(data, at, prefixes), &prefixes.pairs.letters) };
        (0..data.len()).map(judged).filter(|candidate| candidate.kinds != 0).collect()
    }

    /// The shapes that end at `at`, before they are judged.
    fn kinds_slowly(data: &[u8], at: usize, prefixes: &Tokens) -> Kinds {
        // `d` is a digit, `A` a capital, `-` a separator.
        let ends = |end: usize, shape: &str| {
            let like = |(byte, class): (&u8, u8)| match class {
                b'd' => byte.is_ascii_digit(),
                b'A' => byte.is_ascii_uppercase(),
                _ => matches!(byte, b' ' | b'-' | b'.'),
            };
            let start = (end + 1).checked_sub(shape.len());
            start.is_some_and(|start| data[start..=end].iter().zip(shape.bytes()).all(like))
        };
        let ends_before = |shape| at.checked_sub(1).is_some_and(|before| ends(before, shape));
        let back = |by: usize| at.checked_sub(by).map(|place| data[place]);
        let token = (at + 1)
            .checked_sub(TOKEN_RUN)
            .is_some_and(|start| data[start..=at].iter().copied().all(is_token_byte) && prefixes.begin(&data[start..]));
        let kinds = [
            (AT, data[at] == b'@'),
            (PLUS, back(1) == Some(b'+') && !matches!(data[at], b' ' | b'-' | b'.')),
            (NANP, ends(at, "ddd-dddd")),
            (SSN, ends(at, "ddd-dd-dddd")),
            (CARD, ends(at, "dddd-dddd-dddd") || ends(at, "dddd-dddddd")),
            (CARD, ends(at, "ddddddddddddd") && !ends_before("ddddddddddddd")),
            (IBAN, ends(at, "AAdd")),
            (
                RUN,
                ends(at, "dddd") && !ends_before("dddd") && data[at - 3..].starts_with(b"00") && data[at - 1] != b'0',
            ),
            (
                NATIONAL,
                at >= 5
                    && data[at - 5].is_ascii_digit()
                    && data[at - 5..=at].iter().all(|byte| byte.is_ascii_digit() || b" -.".contains(byte))
                    && !back(6).is_some_and(|byte| byte.is_ascii_digit())
                    && (!back(6).is_some_and(is_word_byte) || [7, 9, 11].iter().any(|&by| back(by) == Some(b'\\')))
                    && !(back(6).is_some_and(|byte| b"-.".contains(&byte))
                        && back(7).is_some_and(|byte| is_word_byte(byte) && !byte.is_ascii_digit())
                        && [8, 10, 12].iter().all(|&by| back(by) != Some(b'\\'))),
            ),
            (ESCAPE, data[at] == b'%' || data[at] == b'u' && back(1) == Some(b'\\')),
            (TOKEN, token),
        ];
        kinds.into_iter().filter(|(_, found)| *found).fold(0, |all, (kind, _)| all | kind)
    }

    /// What the tokens of these tests begin with.
    fn prefixes() -> Tokens {
        let mut tokens = Tokens::default();
        tokens.watch([b"AB", b"u4", b"B_", b"4u"].map(|pair| *pair));
        tokens
    }

    /// Bytes of all classes, and shapes that they would seldom make.
    fn shaped() -> impl Strategy<Value = Vec<u8>> {
        const SHAPES: &[&str] = &[
            "617-555-0154",
            "(202) 555-0109",
            "078-05-1120",
            "4111 1111 1111 1111",
            "3782 822463 10005",
            "4111111111111111",
            "0049171",
            "DE89",
            "+1",
            "\\u0041",
            "\\u00e9",
            "\\\\n",
            "\\n",
            "%40",
        ];
        let piece = prop_oneof![
            8 => prop::sample::select(&b"\"\\\\\\\n0123456789 -.)AB+@%u4_=\xc3"[..]).prop_map(|byte| vec![byte]),
            1 => prop::sample::select(SHAPES).prop_map(|text| text.as_bytes().to_vec()),
            1 => "(AB|u4|B_|4u)?[ABnu4_=.+-]{12,40}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
    }

    fn formats() -> impl Strategy<Value = Format> {
        prop::sample::select(&[Format::Json, Format::Ndjson, Format::Text][..])
    }

    proptest! {
        #[test]
        fn fences_and_states_equal_a_byte_by_byte_walk(data in shaped(), format in formats()) {
            let mut shapes = Shapes::default();
            shapes.analyze(&data, Lexical::default(), format, &Tokens::default());
            let (fences, states) = fences_slowly(&data, format);
            for (at, state) in states.iter().enumerate() {
                prop_assert_eq!(shapes.fence_before(at), fences.iter().rev().find(|&&f| f < at).copied());
                let next = fences.iter().find(|&&f| f >= at).copied();
                prop_assert_eq!(shapes.fence_from(at), next);
                prop_assert_eq!(shapes.room(at), next.map_or(BLOCK, |next| BLOCK.min(next - at)));
                let found = shapes.lexical_at(at);
                prop_assert_eq!(found.escaped, state.escaped);
                if format != Format::Text {
                    prop_assert_eq!(found.inside, state.inside);
                }
            }
        }

        #[test]
        fn candidates_equal_a_byte_by_byte_walk(data in shaped(), format in formats()) {
            let slow = candidates_slowly(&data, &prefixes());
            let mut shapes = Shapes::default();
            shapes.analyze(&data, Lexical::default(), format, &prefixes());
            prop_assert_eq!(&shapes.candidates, &slow);
            let mut of_text = Vec::new();
            super::of_text(&data, &prefixes(), &mut of_text);
            let without_escapes = |one: &Candidate| Candidate { kinds: one.kinds & !ESCAPE, ..*one };
            let slow: Vec<_> = slow.iter().map(without_escapes).filter(|one| one.kinds != 0).collect();
            prop_assert_eq!(of_text, slow);
        }

        #[test]
        fn candidates_do_not_depend_on_where_blocks_begin(data in shaped(), pad in 0_usize..64) {
            let mut plain = Vec::new();
            of_text(&data, &prefixes(), &mut plain);
            // A byte of no class.
            let mut padded = vec![b'!'; pad];
            padded.extend_from_slice(&data);
            let mut moved = Vec::new();
            of_text(&padded, &prefixes(), &mut moved);
            let moved: Vec<_> = moved.iter().map(|c| Candidate { at: c.at - pad, ..*c }).collect();
            prop_assert_eq!(plain, moved);
        }
    }

    #[test]
    fn every_kind_of_candidate_is_among_those_of_the_properties() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut seen = 0;
        for _ in 0..200 {
            let data = shaped().new_tree(&mut runner).unwrap().current();
            seen |= candidates_slowly(&data, &prefixes()).iter().fold(0, |all, one| all | one.kinds);
        }
        assert_eq!(seen, AT | PLUS | NANP | SSN | CARD | IBAN | RUN | NATIONAL | ESCAPE | TOKEN);
    }

    #[test]
    fn number_shapes_are_seen_at_their_last_digit() {
        let kinds_at = |text: &str, at: usize| {
            let mut found = Vec::new();
            of_text(text.as_bytes(), &Tokens::default(), &mut found);
            found.iter().find(|c| c.at == at).map_or(0, |c| c.kinds)
        };
        assert_eq!(kinds_at("617-555-0154", 11), NANP);
        assert_eq!(kinds_at("(202) 555-0109", 13), NANP);
        assert_eq!(kinds_at("078-05-1120", 10) & SSN, SSN);
        assert_eq!(kinds_at("06 12 34 56 78", 5), NATIONAL);
        assert_eq!(kinds_at("0171/3920011", 10), NATIONAL);
        assert_eq!(kinds_at("4111 1111 1111 1111", 13) & CARD, CARD);
        assert_eq!(kinds_at("3782 822463 10005", 10) & CARD, CARD);
        assert_eq!(kinds_at("4111111111111111", 12), CARD);
        assert_eq!(kinds_at("0049 171 3920011", 3), RUN);
        assert_eq!(kinds_at("DE89370400440532013000", 3), IBAN);
        assert_eq!(kinds_at("call +49 30", 6), PLUS);
        assert_eq!(kinds_at("a@b", 1), AT);
    }

    #[test]
    fn only_escapes_of_ascii_are_candidates() {
        let mut shapes = Shapes::default();
        let data = br"\u00e9 \u0040 %zz %40 \\u0041 un";
        shapes.analyze(data, Lexical::default(), Format::Text, &Tokens::default());
        let places: Vec<usize> = shapes.candidates.iter().filter(|c| c.kinds & ESCAPE != 0).map(|c| c.at).collect();
        assert_eq!(places, [8, 18, 24]);
    }
}
