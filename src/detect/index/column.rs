//! Which atoms hold of a value of a column.
//!
//! Owns the lookups of one column: maps for equalities, the literals of patterns and regular expressions and what is tried
//! once they are found, DataFusion for tests that have no form of their own. How an atom is looked up `cost` says. Each is
//! asked once for a value; what it said is kept by `memory`. Built by the parent, called by `lookup`.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::DataFusionError;
use datafusion::common::cast::as_boolean_array;
use datafusion::physical_expr::PhysicalExpr;
use foldhash::quality::RandomState;
use regex::{Regex, RegexBuilder};

use super::cost::Lookup;
use super::formula::Test;
use super::literal::Glob;
use super::literals::Literals;
use super::memory::ENTRY_BYTES;
use crate::rules::{CompileError, Network, address, like_regex, physical};

/// Bytes of one compiled pattern; those of DataFusion's own LIKE are as large.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// What a regular expression remembers of a thread's texts.
const STATES_BYTES_MAX: usize = 256 << 10;
/// By how many times a text can be longer than without its case: a character has one to four bytes.
const FOLDED_SHARE: usize = 4;

/// What decides once a literal has been found.
enum Check {
    /// The literal is all that is asked.
    Found,
    /// The folded text.
    Folded(Glob),
    /// The text as it is.
    Glob(Glob),
    /// The text as it is.
    Regex(Regex),
}

/// The lookups of a column.
pub(super) struct ColumnIndex {
    /// Where the column stands among the projected ones.
    pub(super) at: usize,
    kind: DataType,
    present: Option<u32>,
    exact: HashMap<String, Vec<u32>, RandomState>,
    folded: HashMap<String, Vec<u32>, RandomState>,
    ints: HashMap<i64, Vec<u32>, RandomState>,
    ranges: Vec<(RangeInclusive<i64>, u32)>,
    set: Option<u32>,
    /// Holds of every address; then the networks.
    address: Option<u32>,
    networks: Vec<(Network, u32)>,
    /// A longer text folds to none of them.
    folded_bytes_max: usize,
    literals: Option<Literals>,
    /// Of each literal, the checks that wait for it.
    waiting: Vec<Vec<u32>>,
    checks: Vec<(u32, Check)>,
    /// Checks that no literal decides.
    always: Vec<(u32, Check)>,
    /// Tests that DataFusion makes.
    expressions: Vec<(u32, Arc<dyn PhysicalExpr>)>,
    /// Of the column alone, for those.
    schema: SchemaRef,
}

/// What is needed while values are looked up, and kept between them.
#[derive(Default)]
pub(super) struct Scratch {
    /// Atoms of one value.
    pub(super) atoms: Vec<u32>,
    /// Literals that stand in it.
    pub(super) found: Vec<u32>,
    /// Values that were not remembered.
    pub(super) new: u64,
    folded: String,
    /// Of each check, the number of the value for which it was made last.
    made: Vec<u64>,
    value: u64,
}

/// A pattern that the automaton or the regex crate does not take.
#[derive(Debug, thiserror::Error)]
pub(in crate::detect) enum BuildError {
    #[error("a pattern cannot be compiled: {0}")]
    Regex(#[from] regex::Error),
    #[error("the literals of a column cannot be indexed: {0}")]
    Automaton(daachorse::errors::DaachorseError),
    #[error(transparent)]
    Compile(#[from] CompileError),
}

impl ColumnIndex {
    /// The lookups for these atoms of a column.
    pub(super) fn new(at: usize, schema: &Schema, atoms: &[(u32, &Test)]) -> Result<Self, BuildError> {
        let field = schema.field(at).clone();
        let kind = field.data_type().clone();
        let alone = Arc::new(Schema::new(vec![field.with_nullable(true)]));
        let mut index = Self {
            at,
            kind,
            present: None,
            exact: HashMap::default(),
            folded: HashMap::default(),
            ints: HashMap::default(),
            ranges: Vec::new(),
            set: None,
            address: None,
            networks: Vec::new(),
            folded_bytes_max: 0,
            literals: None,
            waiting: Vec::new(),
            checks: Vec::new(),
            always: Vec::new(),
            expressions: Vec::new(),
            schema: alone,
        };
        let mut literals: HashMap<String, u32> = HashMap::new();
        for (atom, test) in atoms {
            index.add(*atom, test, &mut literals)?;
        }
        let mut ordered: Vec<(String, u32)> = literals.into_iter().collect();
        ordered.sort_unstable_by_key(|(_, at)| *at);
        index.literals = Literals::new(ordered.into_iter().map(|(text, _)| text).collect())?;
        index.folded_bytes_max = FOLDED_SHARE * index.folded.keys().map(String::len).max().unwrap_or(0);
        Ok(index)
    }

    fn add(&mut self, atom: u32, test: &Test, literals: &mut HashMap<String, u32>) -> Result<(), BuildError> {
        let lookup = Lookup::of(test);
        match test {
            Test::Present => self.present = Some(atom),
            Test::Equal(text) => self.exact.entry(text.clone()).or_default().push(atom),
            Test::EqualFolded(text) => self.folded.entry(text.clone()).or_default().push(atom),
            Test::Int(number) => self.ints.entry(*number).or_default().push(atom),
            Test::Range(least, most) => self.ranges.push((*least..=*most, atom)),
            Test::Set => self.set = Some(atom),
            Test::Address => self.address = Some(atom),
            Test::Network(network) => self.networks.push((*network, atom)),
            Test::Expression(expr) => self.expressions.push((atom, physical(expr, &self.schema)?)),
            Test::Like { pattern, cased } => {
                let check = match Glob::read(pattern) {
                    _ if matches!(lookup, Lookup::Literal(_)) => Check::Found,
                    Some(glob) if *cased => Check::Glob(glob),
                    Some(glob) => Check::Folded(glob),
                    None => Check::Regex(
                        RegexBuilder::new(&like_regex(pattern))
                            .case_insensitive(!cased)
                            .dot_matches_new_line(true)
                            .size_limit(COMPILED_BYTES_MAX)
                            .dfa_size_limit(STATES_BYTES_MAX)
                            .build()?,
                    ),
                };
                self.wait(atom, check, lookup.literals(), literals);
            }
            Test::Regex(pattern) => {
                let regex = RegexBuilder::new(pattern).dfa_size_limit(STATES_BYTES_MAX).build()?;
                self.wait(atom, Check::Regex(regex), lookup.literals(), literals);
            }
        }
        Ok(())
    }

    fn wait(&mut self, atom: u32, check: Check, wanted: &[String], literals: &mut HashMap<String, u32>) {
        if wanted.is_empty() {
            self.always.push((atom, check));
            return;
        }
        let number = self.checks.len() as u32;
        self.checks.push((atom, check));
        for literal in wanted {
            let next = literals.len() as u32;
            let at = *literals.entry(literal.clone()).or_insert(next) as usize;
            if at == self.waiting.len() {
                self.waiting.push(Vec::new());
            }
            self.waiting[at].push(number);
        }
    }

    /// Bytes of it in memory, about; of regular expressions what a thread may remember of its texts.
    pub(super) fn bytes(&self) -> usize {
        let maps = self.exact.keys().chain(self.folded.keys()).map(|text| text.len() + ENTRY_BYTES);
        let checks = self.checks.iter().chain(&self.always).map(|(_, check)| match check {
            Check::Regex(_) => STATES_BYTES_MAX,
            Check::Found | Check::Folded(_) | Check::Glob(_) => ENTRY_BYTES,
        });
        let entries = self.ints.len() + self.ranges.len() + self.networks.len() + self.expressions.len();
        let literals = self.literals.as_ref().map_or(0, Literals::bytes);
        literals + maps.sum::<usize>() + checks.sum::<usize>() + entries * ENTRY_BYTES
    }

    /// Whether DataFusion has to be asked about new values.
    pub(super) fn asks_datafusion(&self) -> bool {
        !self.expressions.is_empty()
    }

    /// The atoms that it has to be asked about.
    pub(super) fn asked(&self) -> impl Iterator<Item = u32> {
        self.expressions.iter().map(|(atom, _)| *atom)
    }

    /// The type of its values.
    pub(super) fn kind(&self) -> &DataType {
        &self.kind
    }

    /// What DataFusion says of these values: for each expression, its atom and where it is true.
    pub(super) fn expressions(&self, values: &ArrayRef) -> Result<Vec<(u32, BooleanArray)>, DataFusionError> {
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), vec![Arc::clone(values)])?;
        let answer = |(atom, expr): &(u32, Arc<dyn PhysicalExpr>)| {
            let answer = expr.evaluate(&batch)?.into_array(values.len())?;
            match as_boolean_array(&answer) {
                Ok(answer) => Ok((*atom, answer.clone())),
                // What folded to NULL has no type, and is true nowhere.
                Err(_) if answer.null_count() == answer.len() => {
                    Ok((*atom, BooleanArray::from(vec![false; values.len()])))
                }
                Err(error) => Err(error),
            }
        };
        self.expressions.iter().map(answer).collect()
    }

    /// Appends to what was found the literals that stand in a text.
    pub(super) fn find(&self, text: &str, scratch: &mut Scratch) {
        if let Some(literals) = &self.literals {
            fold(text, &mut scratch.folded);
            literals.find(&scratch.folded, &mut scratch.found);
        }
    }

    /// Whether the literals of a text are those of its lines.
    pub(super) fn looks_at_lines(&self) -> bool {
        self.literals.as_ref().is_some_and(Literals::are_in_lines)
    }

    /// The atoms that hold of a text in which these literals were found, without those of DataFusion.
    pub(super) fn text(&self, text: &str, scratch: &mut Scratch, into: &mut Vec<u32>) {
        into.extend(self.present);
        if let Some(atoms) = self.exact.get(text) {
            into.extend(atoms);
        }
        if let Some(address) = Some(text).filter(|_| self.asks_addresses()).and_then(address) {
            into.extend(self.address);
            let around = self.networks.iter().filter(|(network, _)| network.contains(address));
            into.extend(around.map(|(_, atom)| *atom));
        }
        let Scratch { found, folded, made, value, .. } = scratch;
        let mut folded = Folded { text, buffer: folded, done: false };
        if text.len() <= self.folded_bytes_max
            && let Some(atoms) = self.folded.get(folded.get())
        {
            into.extend(atoms);
        }
        *value += 1;
        made.resize(self.checks.len().max(made.len()), 0);
        for check in found.iter().flat_map(|literal| &self.waiting[*literal as usize]) {
            let made = &mut made[*check as usize];
            if *made != *value {
                *made = *value;
                let (atom, check) = &self.checks[*check as usize];
                into.extend(check.holds(text, &mut folded).then_some(*atom));
            }
        }
        for (atom, check) in &self.always {
            into.extend(check.holds(text, &mut folded).then_some(*atom));
        }
    }

    fn asks_addresses(&self) -> bool {
        self.address.is_some() || !self.networks.is_empty()
    }

    /// Whether it shows in an event as it was written that only [`Self::any`] holds of the text of all its values.
    pub(super) fn screens_out(&self, raw: &str, scratch: &mut Scratch) -> bool {
        let only_literals = self.always.is_empty()
            && self.exact.is_empty()
            && self.folded.is_empty()
            && !self.asks_addresses()
            && self.expressions.is_empty();
        let Some(literals) = self.literals.as_ref().filter(|_| only_literals) else { return false };
        fold(raw, &mut scratch.folded);
        literals.screens_out(&scratch.folded)
    }

    /// The atoms that hold of a whole number, without those of DataFusion.
    pub(super) fn int(&self, number: i64, into: &mut Vec<u32>) {
        into.extend(self.present);
        if let Some(atoms) = self.ints.get(&number) {
            into.extend(atoms);
        }
        into.extend(self.ranges.iter().filter(|(range, _)| range.contains(&number)).map(|(_, atom)| *atom));
    }

    /// The atoms that hold of a flag, without those of DataFusion.
    pub(super) fn flag(&self, set: bool, into: &mut Vec<u32>) {
        into.extend(self.present);
        into.extend(self.set.filter(|_| set));
    }

    /// The atoms that hold of any value.
    pub(super) fn any(&self, into: &mut Vec<u32>) {
        into.extend(self.present);
    }
}

impl Check {
    fn holds(&self, text: &str, folded: &mut Folded<'_>) -> bool {
        match self {
            Self::Found => true,
            Self::Folded(glob) => glob.matches(folded.get()),
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A text without its case, once somebody asks for it.
struct Folded<'s> {
    text: &'s str,
    buffer: &'s mut String,
    done: bool,
}

impl Folded<'_> {
    fn get(&mut self) -> &str {
        if !self.done {
            fold(self.text, self.buffer);
            self.done = true;
        }
        self.buffer
    }
}

fn fold(text: &str, into: &mut String) {
    into.clear();
    crate::rules::casefold_into(text, into);
}
