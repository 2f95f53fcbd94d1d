//! Which literals stand in a text.
//!
//! Owns the automaton that finds all literals of a column at once, and the glance at an event as it was written that says
//! that none of them stands in its values. Texts come folded, as literals are. Called by `column`.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use daachorse::DoubleArrayAhoCorasick;

use super::column::BuildError;
use super::memory::ENTRY_BYTES;

/// The literals of a column, by their numbers.
pub(super) struct Literals {
    automaton: DoubleArrayAhoCorasick<u32>,
    all: Vec<String>,
    /// Each stands in one line of a text, or not at all.
    in_lines: bool,
    /// Finds in an event as it was written that none stands in its values, where that can be seen there.
    screen: OnceLock<Option<AhoCorasick>>,
}

impl Literals {
    /// None of none.
    pub(super) fn new(all: Vec<String>) -> Result<Option<Self>, BuildError> {
        if all.is_empty() {
            return Ok(None);
        }
        let automaton = DoubleArrayAhoCorasick::new(&all).map_err(BuildError::Automaton)?;
        let in_lines = !all.iter().any(|literal| literal.contains('\n'));
        Ok(Some(Self { automaton, all, in_lines, screen: OnceLock::new() }))
    }

    /// Appends the literals that stand in a text, each as often as it stands there.
    pub(super) fn find(&self, folded: &str, into: &mut Vec<u32>) {
        into.extend(self.automaton.find_overlapping_iter(folded).map(|found| found.value()));
    }

    /// Bytes of it in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.automaton.heap_bytes()
            + self.all.iter().map(|literal| literal.len() + ENTRY_BYTES).sum::<usize>()
    }

    /// Whether the lines of a text have the literals that the text has.
    pub(super) fn are_in_lines(&self) -> bool {
        self.in_lines
    }

    /// Whether it shows in an event as it was written that none stands in one of its values.
    pub(super) fn screens_out(&self, folded: &str) -> bool {
        let screen = self.screen.get_or_init(|| {
            let parts: Option<Vec<&str>> = self.all.iter().map(|literal| written_part(literal)).collect();
            AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(parts?).ok()
        });
        screen.as_ref().is_some_and(|screen| !screen.is_match(folded))
    }
}

/// The longest part of a literal that JSON writes as it is, and that is no part of a number.
fn written_part(literal: &str) -> Option<&str> {
    let changes = |character: char| matches!(character, '"' | '\\' | '/') || character.is_control();
    let in_numbers = |character: char| character.is_ascii_digit() || ".+-einfa".contains(character);
    literal
        .split(changes)
        .filter(|part| part.chars().count() >= 3 && !part.chars().all(in_numbers))
        .max_by_key(|part| part.len())
}
