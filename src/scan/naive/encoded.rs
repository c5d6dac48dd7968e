//! Text that stands in base64 (see [`base64`]), the plain way: every stretch of
//! units of an alphabet, decoded by a table of its characters.

use super::super::again::Outer;
use super::super::base64;
use super::super::check::Checks;
use super::super::finding::Opened;
use super::super::path::PathId;
use super::super::resolve::Match;
use super::super::unit::Meaning;
use super::document::Document;
use super::{Origin, Search, read};
use crate::span::Span;
use regex_automata::meta::Regex;
use std::ops::Range;

const STANDARD: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The document around such a text.
struct Around<'a> {
    search: &'a Search<'a>,
    start: usize,
}

impl Outer for Around<'_> {
    fn is_near(&self, _: usize, _: usize) -> bool {
        false
    }

    fn leads(&self, path: PathId, _: usize) -> bool {
        let document = self.search.document;
        let mut checks = Checks::new(self.search.engine, document.format);
        checks.leads(path, (document.raw, 0), self.start)
    }
}

impl Search<'_> {
    /// The texts in base64 in which something is found.
    pub(super) fn find_encoded(&self) -> Vec<Opened> {
        let Some(engine) = &self.engine.encoded else { return Vec::new() };
        let mut opened: Vec<Opened> = Vec::new();
        for (haystack, _) in self.document.haystacks() {
            for alphabet in [STANDARD, URL_SAFE] {
                for units in runs(self.document, haystack.clone(), alphabet) {
                    let Some((run, text)) = self.text_of(haystack.clone(), units, alphabet) else { continue };
                    let around = Around { search: self, start: run.start };
                    let run = Span::new(run.start as u64, run.end as u64);
                    let ((findings, _), _) = read(engine, base64::format_of(&text), &text, Origin::Encoded(&around));
                    if !findings.is_empty() && opened.iter().all(|one| one.run != run) {
                        opened.push(Opened { run, findings });
                    }
                }
            }
        }
        opened
    }

    /// The raw bytes of a run with its padding, and what it means, if that is text.
    fn text_of(&self, haystack: Range<usize>, units: Range<usize>, alphabet: &str) -> Option<(Range<usize>, Vec<u8>)> {
        let (start, end) = (self.document.start(units.start), self.document.start(units.end));
        let run: String = units.clone().filter_map(|index| self.character(index)).collect();
        let is_number = run.chars().all(|char| "0123456789+-eE".contains(char));
        if run.len() < base64::SHORTEST || end - start > base64::LONGEST || is_number || self.is_media(&haystack, start)
        {
            return None;
        }
        let bits: String = run.chars().filter_map(|char| Some(format!("{:06b}", alphabet.find(char)?))).collect();
        let bytes = (0..bits.len() / 8).map(|index| u8::from_str_radix(&bits[index * 8..][..8], 2));
        let text: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
        let chars = String::from_utf8_lossy(&text);
        let whole = match std::str::from_utf8(&text) {
            Ok(_) => &*chars,
            Err(error) if error.error_len().is_none() => chars.strip_suffix(char::REPLACEMENT_CHARACTER)?,
            Err(_) => return None,
        };
        let controls = whole.chars().filter(|&char| char.is_control() && !"\t\r\n".contains(char)).count();
        if controls * 32 > text.len() {
            return None;
        }
        let padding = (4 - run.len() % 4) % 4;
        let behind = (units.end..haystack.end).take(if padding == 3 { 0 } else { padding });
        let padding = behind.take_while(|&index| self.character(index) == Some('=')).count();
        Some((start..self.document.start(units.end + padding), text))
    }

    /// What the unit at `index` means, if that is one of ASCII.
    fn character(&self, index: usize) -> Option<char> {
        character(self.document, index)
    }

    fn is_media(&self, haystack: &Range<usize>, start: usize) -> bool {
        let from = self.document.start(haystack.start).max(start.saturating_sub(base64::MEDIA_REACH));
        let before = String::from_utf8_lossy(&self.document.raw[from..start]).replace('\\', "");
        // Of several the last one counts.
        let before = before.to_ascii_lowercase();
        let url = before.rfind("data:").map_or("", |at| &before[at..]);
        Regex::new("^data:(image|audio|video|font)/(?s:.*);base64,$").is_ok_and(|media| media.is_match(url))
    }

    /// The match that such a text is.
    pub(super) fn judge_encoded(&self, opened: &Opened) -> Option<Match> {
        let start = usize::try_from(opened.run.start).ok()?;
        let covered = self.regions.iter().any(|region| region.span.contains(&start));
        (!covered).then(|| Match::of_run(opened.run, opened.findings[0].rule))
    }
}

fn character(document: &Document<'_>, index: usize) -> Option<char> {
    let (_, unit) = document.units.get(index).filter(|(_, unit)| unit.len <= base64::LONGEST_CHARACTER)?;
    match unit.meaning {
        Meaning::Byte(byte) if byte.is_ascii() => Some(char::from(byte)),
        _ => None,
    }
}

/// The stretches of units in `haystack` that are characters of `alphabet`.
fn runs(document: &Document<'_>, haystack: Range<usize>, alphabet: &str) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = haystack.start;
    for index in haystack.start..=haystack.end {
        let is_in = index < haystack.end && character(document, index).is_some_and(|char| alphabet.contains(char));
        if !is_in {
            if start < index {
                runs.push(start..index);
            }
            start = index + 1;
        }
    }
    runs
}
