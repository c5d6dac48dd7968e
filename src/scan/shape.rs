//! Where a stretch of bytes has fences, and where its digits, signs and
//! escapes have a shape that some detector wants to see: shifts and ANDs over
//! the 64-bit masks of [`crate::simd`].
//!
//! A *fence* is a byte that no match crosses: in JSON a quote that delimits a
//! top-level string, in NDJSON also the line feed between records, in text
//! the line feed.

use super::Format;
use super::unit::{Meaning, unit};
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
/// The 4th digit of a run that begins with `00`.
pub(crate) const RUN: Kinds = 1 << 6;
/// An escape that hides something from who looks at the raw bytes: see
/// [`judge_escape`].
pub(crate) const ESCAPE: Kinds = 1 << 7;

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
    /// Fences, a bit per byte.
    fences: Vec<u64>,
    /// Line feeds, a bit per byte; none are kept of JSON.
    newlines: Vec<u64>,
    /// Bytes escaped by a backslash, a bit per byte.
    escaped: Vec<u64>,
    /// Whether a block begins within a string.
    inside: Vec<bool>,
    pub(crate) candidates: Vec<Candidate>,
    /// The state behind the last byte.
    end: Lexical,
    /// The fences around the place last asked for.
    around: Option<(Option<usize>, Option<usize>)>,
}

impl Shapes {
    /// Looks at all of `data`, which `before` precedes.
    pub(crate) fn analyze(&mut self, data: &[u8], before: Lexical, format: Format) {
        self.clear(data.len());
        let mut state = before;
        let mut last = Masks::default();
        simd::each_block(
            data,
            #[inline(always)]
            |masks| {
                let escaped = escaped(masks.backslash, &mut state.escaped);
                let quotes = if format == Format::Text { 0 } else { masks.quote & !escaped };
                let newlines = if format == Format::Json { 0 } else { masks.newline };
                self.fences.push(quotes | newlines);
                self.escaped.push(escaped);
                self.inside.push(state.inside);
                if format != Format::Json {
                    self.newlines.push(newlines);
                }
                state.inside = inside_after(state.inside, quotes, newlines);
                let at = (self.fences.len() - 1) * BLOCK;
                Found::of(&masks, &last).each(at, data, &mut self.candidates);
                last = masks;
            },
        );
        self.end = state;
        if !data.len().is_multiple_of(BLOCK) {
            self.end = self.lexical_at(data.len());
        }
    }

    /// Forgets all, and makes room for as much as `length` bytes need.
    fn clear(&mut self, length: usize) {
        let blocks = length.div_ceil(BLOCK);
        for list in [&mut self.fences, &mut self.newlines, &mut self.escaped] {
            list.clear();
            list.reserve(blocks);
        }
        self.inside.clear();
        self.inside.reserve(blocks);
        self.candidates.clear();
        self.around = None;
    }

    /// The last fence before `end`.
    pub(crate) fn fence_before(&self, end: usize) -> Option<usize> {
        let mut block = end / BLOCK;
        let mut bits = match self.fences.get(block) {
            Some(fences) => fences & below(end % BLOCK),
            None => 0,
        };
        loop {
            if bits != 0 {
                return Some(block * BLOCK + (63 - bits.leading_zeros() as usize));
            }
            block = block.checked_sub(1)?;
            bits = self.fences.get(block).copied().unwrap_or(0);
        }
    }

    /// The first fence at or after `start`.
    pub(crate) fn fence_from(&self, start: usize) -> Option<usize> {
        let mut block = start / BLOCK;
        let mut bits = self.fences.get(block)? & !below(start % BLOCK);
        loop {
            if bits != 0 {
                return Some(block * BLOCK + bits.trailing_zeros() as usize);
            }
            block += 1;
            bits = *self.fences.get(block)?;
        }
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
        let block = at / BLOCK;
        match (self.fences.get(block), self.escaped.get(block), self.inside.get(block)) {
            (Some(fences), Some(escaped), Some(&inside)) => {
                let quotes = self.quotes(block, *fences) & below(at % BLOCK);
                let resets = self.resets(block) & below(at % BLOCK);
                Lexical { inside: inside_after(inside, quotes, resets), escaped: escaped >> (at % BLOCK) & 1 == 1 }
            }
            _ => self.end,
        }
    }

    /// The fences of a block that open or close strings.
    fn quotes(&self, block: usize, fences: u64) -> u64 {
        fences & !self.resets(block)
    }

    /// The bytes of a block after which no string is open, whatever was before.
    fn resets(&self, block: usize) -> u64 {
        self.newlines.get(block).copied().unwrap_or(0)
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
    escape: u64,
}

impl Found {
    #[inline(always)]
    fn of(masks: &Masks, before: &Masks) -> Self {
        let mut found = Self {
            at: masks.at,
            escape: masks.percent | masks.letter_u & behind(masks.backslash, before.backslash, 1),
            ..Self::default()
        };
        // Most blocks of prose hold no digit at all.
        if masks.digit != 0 {
            found.digits(masks, before);
        }
        if masks.plus != 0 || before.plus >> 63 != 0 {
            // `(` is not among the masks: any follower but white space will do.
            found.plus = behind(masks.plus, before.plus, 1) & !masks.separator;
        }
        found
    }

    /// The shapes of numbers, over this block and the one before as 128 bits.
    #[inline(always)]
    fn digits(&mut self, masks: &Masks, before: &Masks) {
        let join = |now: u64, then: u64| u128::from(now) << 64 | u128::from(then);
        let upper_half = |bits: u128| (bits >> 64) as u64;
        let d = join(masks.digit, before.digit);
        let d2 = d & d << 1;
        if upper_half(d2) == 0 {
            return;
        }
        let upper = join(masks.upper, before.upper);
        self.iban = upper_half(d2 & upper << 2 & upper << 3);
        let d4 = d2 & d2 << 2;
        if upper_half(d4) == 0 {
            return;
        }
        let s = join(masks.separator, before.separator);
        let close = join(masks.close, before.close);
        let d3 = d2 & d << 2;
        let d8 = d4 & d4 << 4;
        let behind_separator = d4 & s << 4;
        self.nanp = upper_half(behind_separator & d3 << 5 & (s | close) << 8);
        self.ssn = upper_half(behind_separator & d2 << 5 & s << 7 & d3 << 8);
        let fours = behind_separator & d4 << 5 & s << 9 & d4 << 10;
        let four_six = d4 & d2 << 4 & s << 6 & d4 << 7;
        let d13 = d8 & d4 << 8 & d << 12;
        self.card = upper_half(fours | four_six | d13 & !(d13 << 1));
        self.run = upper_half(d4 & !(d4 << 1));
    }

    /// Appends what is found in the block at `start` of `data`.
    #[inline(always)]
    fn each(&self, start: usize, data: &[u8], candidates: &mut Vec<Candidate>) {
        let mut any = self.any();
        while any != 0 {
            let bit = any.trailing_zeros();
            any &= any - 1;
            let at = start + bit as usize;
            let kinds = judge(data, at, self.kinds(bit));
            if kinds != 0 {
                candidates.push(Candidate { at, kinds });
            }
        }
    }

    #[inline(always)]
    fn any(&self) -> u64 {
        self.at | self.plus | self.nanp | self.ssn | self.card | self.iban | self.run | self.escape
    }

    fn kinds(&self, bit: u32) -> Kinds {
        let one = |mask: u64, kind: Kinds| if mask >> bit & 1 == 1 { kind } else { 0 };
        one(self.at, AT)
            | one(self.plus, PLUS)
            | one(self.nanp, NANP)
            | one(self.ssn, SSN)
            | one(self.card, CARD)
            | one(self.iban, IBAN)
            | one(self.run, RUN)
            | one(self.escape, ESCAPE)
    }
}

/// Drops the kinds that a closer look at the bytes rules out.
fn judge(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let kinds = if kinds & ESCAPE != 0 { judge_escape(data, at, kinds) } else { kinds };
    let kinds = if kinds & RUN != 0 { judge_run(data, at, kinds) } else { kinds };
    // A `+` at the very end has no follower.
    if at < data.len() { kinds } else { 0 }
}

/// Drops [`RUN`] unless the run of digits whose 4th is at `at` begins with `00`.
fn judge_run(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let begins = at.checked_sub(3).and_then(|start| data.get(start..start + 2));
    if begins == Some(b"00") { kinds } else { kinds & !RUN }
}

/// Drops [`ESCAPE`] unless the sign at `at` (`%`, or the `u` behind a
/// backslash) really escapes ASCII, or its hex digits run into a zero, and so
/// hide that a run of digits begins with `00`.
fn judge_escape(data: &[u8], at: usize, kinds: Kinds) -> Kinds {
    let start = if data[at] == b'u' { at.wrapping_sub(1) } else { at };
    let hides = start < data.len() && {
        let unit = unit(data, start);
        let ascii = matches!(unit.meaning, Meaning::Byte(_) | Meaning::Quote(_));
        unit.escaped && (ascii || data.get(start + unit.len) == Some(&b'0'))
    };
    if hides { kinds } else { kinds & !ESCAPE }
}

/// The shapes of decoded `text`, which holds no escapes: the same as
/// [`Shapes::analyze`] finds, without its fences.
pub(crate) fn of_text(text: &[u8], candidates: &mut Vec<Candidate>) {
    candidates.clear();
    let mut last = Masks::default();
    let mut start = 0;
    simd::each_block(
        text,
        #[inline(always)]
        |masks| {
            let found = Found { escape: 0, ..Found::of(&masks, &last) };
            found.each(start, text, candidates);
            last = masks;
            start += BLOCK;
        },
    );
}

/// `now`, moved `by` bytes on, with the bits that come over from the block before.
fn behind(now: u64, then: u64, by: u32) -> u64 {
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

    /// Byte by byte what [`Shapes::find_fences`] does by masks.
    fn fences_slowly(data: &[u8], format: Format) -> (Vec<usize>, Vec<Lexical>) {
        let (mut fences, mut states) = (Vec::new(), Vec::new());
        let mut state = Lexical::default();
        for (at, &byte) in data.iter().enumerate() {
            states.push(state);
            let quote = byte == b'"' && !state.escaped && format != Format::Text;
            if quote || byte == b'\n' && format != Format::Json {
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

    fn shaped() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(&b"\"\\\\\\\n0123456789 -.)AB+@%u4"[..]), 0..300)
    }

    fn formats() -> impl Strategy<Value = Format> {
        prop::sample::select(&[Format::Json, Format::Ndjson, Format::Text][..])
    }

    proptest! {
        #[test]
        fn fences_and_states_equal_a_byte_by_byte_walk(data in shaped(), format in formats()) {
            let mut shapes = Shapes::default();
            shapes.analyze(&data, Lexical::default(), format);
            let (fences, states) = fences_slowly(&data, format);
            for (at, state) in states.iter().enumerate() {
                prop_assert_eq!(shapes.fence_before(at), fences.iter().rev().find(|&&f| f < at).copied());
                prop_assert_eq!(shapes.fence_from(at), fences.iter().find(|&&f| f >= at).copied());
                let found = shapes.lexical_at(at);
                prop_assert_eq!(found.escaped, state.escaped);
                if format != Format::Text {
                    prop_assert_eq!(found.inside, state.inside);
                }
            }
        }

        #[test]
        fn candidates_do_not_depend_on_where_blocks_begin(data in shaped(), pad in 0_usize..64) {
            let mut plain = Vec::new();
            of_text(&data, &mut plain);
            let mut padded = vec![b'x'; pad];
            padded.extend_from_slice(&data);
            let mut moved = Vec::new();
            of_text(&padded, &mut moved);
            let moved: Vec<_> = moved.iter().map(|c| Candidate { at: c.at - pad, ..*c }).collect();
            prop_assert_eq!(plain, moved);
        }
    }

    #[test]
    fn number_shapes_are_seen_at_their_last_digit() {
        let kinds_at = |text: &str, at: usize| {
            let mut found = Vec::new();
            of_text(text.as_bytes(), &mut found);
            found.iter().find(|c| c.at == at).map_or(0, |c| c.kinds)
        };
        assert_eq!(kinds_at("617-555-0154", 11), NANP);
        assert_eq!(kinds_at("(202) 555-0109", 13), NANP);
        assert_eq!(kinds_at("078-05-1120", 10), SSN);
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
        shapes.analyze(data, Lexical::default(), Format::Text);
        let places: Vec<usize> = shapes.candidates.iter().filter(|c| c.kinds & ESCAPE != 0).map(|c| c.at).collect();
        assert_eq!(places, [8, 18, 24]);
    }
}
