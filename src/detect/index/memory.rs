//! What a lane remembers of the values and rows that it has seen.
//!
//! Owns which set of atoms holds of a value, what the rules say of rows with the same sets, and what all of it costs in
//! bytes. Values are kept in two generations: what has not come up since the last change of generations is forgotten at
//! the next. Without any memory the answers are the same. Filled by `lookup` and the parent.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

use super::classes::Class;
use super::column::Scratch;
use super::formula::Truth;
use crate::detect::profile::LookupProfile;

/// Values longer than this are looked up each time: they seldom come again.
const VALUE_BYTES_MAX: usize = 4 << 10;
/// The same for a line of a text.
const LINE_BYTES_MAX: usize = 32 << 10;
/// What an entry of a map costs beside its key.
pub(super) const ENTRY_BYTES: usize = 48;
/// Values of a column that DataFusion is asked of together,
const TOGETHER: usize = 256;
/// or fewer, when they are as long as this.
const TOGETHER_BYTES: usize = 64 << 10;
/// Values of a column after which it is asked whether remembering them is worth it,
const WINDOW_VALUES: u32 = 4_096;
/// the share of them, one in so many, that must have been known,
const KNOWN_SHARE: u32 = 10;
/// and for how many values nothing is remembered when it is not.
const PASSED_VALUES: u32 = 4 * WINDOW_VALUES;

/// Of an item of a set of atoms: what DataFusion says of the value is not known; the rest is the column.
pub(super) const UNKNOWN: u32 = 1 << 31;

pub(super) type Map<K, V> = HashMap<K, V, RandomState>;

/// What the rules of a table say of a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::detect) struct Answer {
    /// Rules that hit, by their number in the table.
    pub(in crate::detect) hits: Box<[u32]>,
    /// Rules that DataFusion has to judge.
    pub(in crate::detect) open: Box<[u32]>,
}

/// Bytes of all tables' memories, and what became of them.
#[derive(Debug, Default)]
pub(in crate::detect) struct Budget {
    bytes_max: usize,
    young: usize,
    old: usize,
    /// Sets of atoms, classes and answers: they have no generations.
    pub(super) rest: usize,
    /// Changes of generation in which something was forgotten, since this was last asked.
    pub(in crate::detect) forgotten: u64,
}

impl Budget {
    pub(in crate::detect) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// Bytes remembered, about.
    pub(in crate::detect) fn bytes(&self) -> usize {
        self.young + self.old + self.rest
    }

    /// Whether there is too much of it: [`make_room`] is due, between two rows.
    pub(in crate::detect) fn is_full(&self) -> bool {
        // Two generations of values have three quarters.
        self.young > self.bytes_max / 8 * 3 || self.rest > self.bytes_max / 4
    }
}

/// Forgets the values that have not come up for a while, or everything when that does not help.
pub(in crate::detect) fn make_room<'m>(budget: &mut Budget, tables: impl Iterator<Item = &'m mut Memory>) {
    let all = budget.rest > budget.bytes_max / 4;
    budget.forgotten += 1;
    budget.old = if all { 0 } else { std::mem::take(&mut budget.young) };
    if all {
        (budget.young, budget.rest) = (0, 0);
    }
    for table in tables {
        if all {
            let profile = table.profile.take();
            let fresh = Memory::new(table.columns.len(), table.held.len(), table.seen.len());
            *table = Memory { profile, ..fresh };
            continue;
        }
        for column in table.columns.iter_mut().chain(&mut table.lines) {
            column.texts.age();
            column.escaped.age();
            column.numbers.age();
        }
    }
}

/// Values and the numbers of their sets, in two generations.
pub(super) struct Generations<K> {
    young: Map<K, u32>,
    old: Map<K, u32>,
}

impl<K> Default for Generations<K> {
    fn default() -> Self {
        Self { young: Map::default(), old: Map::default() }
    }
}

impl<K: Eq + Hash> Generations<K> {
    fn get<Q>(&mut self, value: &Q, bytes: usize, budget: &mut Budget) -> Option<u32>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(set) = self.young.get(value) {
            return Some(*set);
        }
        let (value, set) = self.old.remove_entry(value)?;
        self.young.insert(value, set);
        budget.old = budget.old.saturating_sub(bytes);
        budget.young += bytes;
        Some(set)
    }

    fn correct<Q>(&mut self, value: &Q, set: u32)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let known = self.young.get_mut(value).or_else(|| self.old.get_mut(value));
        known.into_iter().for_each(|known| *known = set);
    }

    fn age(&mut self) {
        self.old = std::mem::take(&mut self.young);
    }
}

/// Of a column: which set of atoms holds of a value.
#[derive(Default)]
pub(super) struct Values {
    texts: Generations<Box<str>>,
    /// Texts with the escapes of JSON.
    escaped: Generations<Box<str>>,
    numbers: Generations<u64>,
    pub(super) missing: Option<u32>,
    /// Remembered texts of which DataFusion has not been asked yet, and whether they have escapes.
    fresh_texts: Vec<(Box<str>, bool)>,
    fresh_bytes: usize,
    /// The same of other values.
    fresh_numbers: Vec<u64>,
    asked: u32,
    known: u32,
    passed: u32,
}

impl Values {
    /// Whether values are remembered for now; they are not while hardly any comes up again.
    fn counts(&mut self) -> bool {
        if self.passed > 0 {
            self.passed -= 1;
            return false;
        }
        self.asked += 1;
        if self.asked == WINDOW_VALUES {
            if self.known < WINDOW_VALUES / KNOWN_SHARE {
                self.passed = PASSED_VALUES;
            }
            (self.asked, self.known) = (0, 0);
        }
        true
    }

    pub(super) fn text(&mut self, text: &str, escaped: bool, budget: &mut Budget) -> Option<u32> {
        if !self.counts() {
            return None;
        }
        let texts = if escaped { &mut self.escaped } else { &mut self.texts };
        let set = texts.get(text, text.len() + ENTRY_BYTES, budget)?;
        self.known += 1;
        Some(set)
    }

    pub(super) fn number(&mut self, bits: u64, budget: &mut Budget) -> Option<u32> {
        if !self.counts() {
            return None;
        }
        let set = self.numbers.get(&bits, ENTRY_BYTES, budget)?;
        self.known += 1;
        Some(set)
    }

    /// Remembers a text; false when it is not worth it.
    pub(super) fn keep_text(&mut self, text: &str, escaped: bool, set: u32, budget: &mut Budget) -> bool {
        text.len() <= VALUE_BYTES_MAX && self.keep(text, escaped, set, budget)
    }

    /// The same for a line, which comes again more often.
    pub(super) fn keep_line(&mut self, line: &str, set: u32, budget: &mut Budget) {
        if line.len() <= LINE_BYTES_MAX {
            self.keep(line, false, set, budget);
        }
    }

    fn keep(&mut self, text: &str, escaped: bool, set: u32, budget: &mut Budget) -> bool {
        let worth = self.passed == 0;
        let texts = if escaped { &mut self.escaped } else { &mut self.texts };
        if worth && texts.young.insert(text.into(), set).is_none() {
            budget.young += text.len() + ENTRY_BYTES;
        }
        worth
    }

    /// The same for any other value.
    pub(super) fn keep_number(&mut self, bits: u64, set: u32, budget: &mut Budget) -> bool {
        let worth = self.passed == 0;
        if worth && self.numbers.young.insert(bits, set).is_none() {
            budget.young += ENTRY_BYTES;
        }
        worth
    }

    /// DataFusion is to be asked of a remembered text; true when there is enough to ask of together.
    pub(super) fn ask_of_text(&mut self, text: &str, escaped: bool) -> bool {
        self.fresh_texts.push((text.into(), escaped));
        self.fresh_bytes += text.len();
        self.fresh_texts.len() >= TOGETHER || self.fresh_bytes >= TOGETHER_BYTES
    }

    /// The same of any other value.
    pub(super) fn ask_of_number(&mut self, bits: u64) -> bool {
        self.fresh_numbers.push(bits);
        self.fresh_numbers.len() >= TOGETHER
    }

    /// The texts and other values that it is to be asked of.
    pub(super) fn take_fresh(&mut self) -> (Vec<(Box<str>, bool)>, Vec<u64>) {
        self.fresh_bytes = 0;
        (std::mem::take(&mut self.fresh_texts), std::mem::take(&mut self.fresh_numbers))
    }

    /// Corrects what is remembered of a text, if it still is.
    pub(super) fn complete_text(&mut self, text: &str, escaped: bool, set: u32) {
        let texts = if escaped { &mut self.escaped } else { &mut self.texts };
        texts.correct(text, set);
    }

    /// The same for any other value.
    pub(super) fn complete_number(&mut self, bits: u64, set: u32) {
        self.numbers.correct(&bits, set);
    }
}

/// Sets of atoms, each once, by their numbers.
#[derive(Default)]
pub(super) struct Sets {
    numbers: Map<Box<[u32]>, u32>,
    all: Vec<Box<[u32]>>,
}

impl Sets {
    /// The number of a set, which is sorted.
    pub(super) fn number(&mut self, atoms: &[u32], budget: &mut Budget) -> u32 {
        if let Some(number) = self.numbers.get(atoms) {
            return *number;
        }
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.insert(atoms.into(), number);
        self.all.push(atoms.into());
        budget.rest += 2 * (size_of_val(atoms) + ENTRY_BYTES);
        number
    }

    pub(super) fn atoms(&self, number: u32) -> &[u32] {
        self.all.get(number as usize).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// What is remembered for one table.
pub(in crate::detect) struct Memory {
    pub(super) columns: Vec<Values>,
    /// Of each column, which set of literals stands in a line of a long text.
    pub(super) lines: Vec<Values>,
    pub(super) sets: Sets,
    pub(super) class_numbers: Map<Box<[u32]>, usize>,
    pub(super) classes: Vec<Class>,
    /// Of each atom, the row for which it was marked last, and how.
    pub(super) held: Vec<u64>,
    /// Of each rule, the row for which it was looked at last.
    pub(super) seen: Vec<u64>,
    pub(super) row: u64,
    pub(super) scratch: Scratch,
    /// The sets of the row that is being judged.
    pub(super) key: Vec<u32>,
    /// Of each column, what was looked up, when somebody wants to know.
    pub(super) profile: Option<Vec<LookupProfile>>,
}

impl Memory {
    /// What is known of an atom on the row whose sets were marked last.
    pub(super) fn truth(&self, atom: u32) -> Truth {
        match self.held.get(atom as usize).and_then(|mark| mark.checked_sub(self.row * 2)) {
            Some(0) => Truth::Maybe,
            Some(1) => Truth::Yes,
            _ => Truth::No,
        }
    }

    pub(super) fn new(columns: usize, atoms: usize, rules: usize) -> Self {
        Self {
            columns: (0..columns).map(|_| Values::default()).collect(),
            lines: (0..columns).map(|_| Values::default()).collect(),
            sets: Sets::default(),
            class_numbers: Map::default(),
            classes: Vec::new(),
            held: vec![0; atoms],
            seen: vec![0; rules],
            row: 0,
            scratch: Scratch::default(),
            key: Vec::new(),
            profile: None,
        }
    }
}
