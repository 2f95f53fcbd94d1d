//! Which atoms hold of a value of a column.
//!
//! Owns the lookups of one column: maps for equalities, an automaton for the literals of patterns and regular expressions,
//! DataFusion for tests that have no form of their own. Each is asked once for a value; what it said is kept by `memory`.
//! Built and called by the parent.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, MatchKind};
use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use daachorse::DoubleArrayAhoCorasick;
use datafusion::common::DataFusionError;
use datafusion::common::cast::as_boolean_array;
use datafusion::physical_expr::PhysicalExpr;
use foldhash::quality::RandomState;
use regex::{Regex, RegexBuilder};

use super::formula::Test;
use super::literal::{Glob, required};
use crate::rules::{CompileError, like_regex, physical};

/// Bytes of one compiled pattern; those of DataFusion's own LIKE are as large.
const COMPILED_BYTES_MAX: usize = 10 << 20;

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
    /// Finds literals in the folded text.
    automaton: Option<DoubleArrayAhoCorasick<u32>>,
    /// Those literals.
    literals: Vec<String>,
    /// Finds in an event as it was written that none of them stands in its values, where that can be seen there.
    screen: OnceLock<Option<AhoCorasick>>,
    /// Of each literal, the checks that wait for it.
    waiting: Vec<Vec<u32>>,
    checks: Vec<(u32, Check)>,
    /// Checks that no literal decides.
    always: Vec<(u32, Check)>,
    /// Tests that DataFusion makes.
    expressions: Vec<(u32, Arc<dyn PhysicalExpr>)>,
    /// Of the column alone, for those.
    schema: SchemaRef,
    needs_folding: bool,
}

/// What is needed while values are looked up, and kept between them.
#[derive(Default)]
pub(super) struct Scratch {
    /// Atoms of one value.
    pub(super) atoms: Vec<u32>,
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
            automaton: None,
            literals: Vec::new(),
            screen: OnceLock::new(),
            waiting: Vec::new(),
            checks: Vec::new(),
            always: Vec::new(),
            expressions: Vec::new(),
            schema: alone,
            needs_folding: false,
        };
        let mut literals: HashMap<String, u32> = HashMap::new();
        for (atom, test) in atoms {
            index.add(*atom, test, &mut literals)?;
        }
        if !literals.is_empty() {
            let mut ordered: Vec<(String, u32)> = literals.into_iter().collect();
            ordered.sort_unstable_by_key(|(_, at)| *at);
            index.literals = ordered.into_iter().map(|(text, _)| text).collect();
            index.automaton =
                Some(DoubleArrayAhoCorasick::new(&index.literals).map_err(BuildError::Automaton)?);
        }
        index.needs_folding = index.automaton.is_some()
            || !index.folded.is_empty()
            || index.always.iter().any(|(_, check)| matches!(check, Check::Folded(_)));
        Ok(index)
    }

    fn add(&mut self, atom: u32, test: &Test, literals: &mut HashMap<String, u32>) -> Result<(), BuildError> {
        match test {
            Test::Present => self.present = Some(atom),
            Test::Equal(text) => self.exact.entry(text.clone()).or_default().push(atom),
            Test::EqualFolded(text) => self.folded.entry(text.clone()).or_default().push(atom),
            Test::Int(number) => self.ints.entry(*number).or_default().push(atom),
            Test::Like { pattern, cased } => match Glob::read(pattern) {
                Some(glob) => {
                    let wanted = glob.longest().map(crate::rules::casefold);
                    let whole = !cased && !glob.begins && !glob.ends && glob.parts.len() == 1;
                    let check = match (whole, cased) {
                        (true, _) => Check::Found,
                        (false, true) => Check::Glob(glob),
                        (false, false) => Check::Folded(glob),
                    };
                    self.wait(atom, check, wanted.map(|wanted| vec![wanted]), literals);
                }
                None => {
                    let text = like_regex(pattern);
                    let regex = RegexBuilder::new(&text)
                        .case_insensitive(!cased)
                        .dot_matches_new_line(true)
                        .size_limit(COMPILED_BYTES_MAX)
                        .build()?;
                    self.wait(atom, Check::Regex(regex), required(&text), literals);
                }
            },
            Test::Regex(pattern) => {
                let check = Check::Regex(Regex::new(pattern)?);
                self.wait(atom, check, required(pattern), literals);
            }
            Test::Expression(expr) => self.expressions.push((atom, physical(expr, &self.schema)?)),
        }
        Ok(())
    }

    fn wait(
        &mut self,
        atom: u32,
        check: Check,
        wanted: Option<Vec<String>>,
        literals: &mut HashMap<String, u32>,
    ) {
        let Some(wanted) = wanted else {
            self.always.push((atom, check));
            return;
        };
        let number = self.checks.len() as u32;
        self.checks.push((atom, check));
        for literal in wanted {
            let next = literals.len() as u32;
            let at = *literals.entry(literal).or_insert(next) as usize;
            if at == self.waiting.len() {
                self.waiting.push(Vec::new());
            }
            self.waiting[at].push(number);
        }
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

    /// The atoms that hold of a text, without those of DataFusion.
    pub(super) fn text(&self, text: &str, scratch: &mut Scratch, into: &mut Vec<u32>) {
        into.extend(self.present);
        if let Some(atoms) = self.exact.get(text) {
            into.extend(atoms);
        }
        if self.needs_folding {
            fold(text, &mut scratch.folded);
        }
        if let Some(atoms) = self.folded.get(&scratch.folded).filter(|_| self.needs_folding) {
            into.extend(atoms);
        }
        if let Some(automaton) = &self.automaton {
            scratch.value += 1;
            scratch.made.resize(self.checks.len().max(scratch.made.len()), 0);
            for found in automaton.find_overlapping_iter(&scratch.folded) {
                for check in &self.waiting[found.value() as usize] {
                    let made = &mut scratch.made[*check as usize];
                    if *made == scratch.value {
                        continue;
                    }
                    *made = scratch.value;
                    let (atom, check) = &self.checks[*check as usize];
                    if check.holds(text, &scratch.folded) {
                        into.push(*atom);
                    }
                }
            }
        }
        into.extend(
            self.always.iter().filter(|(_, check)| check.holds(text, &scratch.folded)).map(|(atom, _)| *atom),
        );
    }

    /// Whether it shows in an event as it was written that only [`Self::any`] holds of the text of all its values.
    pub(super) fn screens_out(&self, raw: &str, scratch: &mut Scratch) -> bool {
        let Some(screen) = self.screen.get_or_init(|| self.screen()) else { return false };
        fold(raw, &mut scratch.folded);
        !screen.is_match(&scratch.folded)
    }

    fn screen(&self) -> Option<AhoCorasick> {
        let only_literals = self.always.is_empty()
            && self.exact.is_empty()
            && self.folded.is_empty()
            && self.expressions.is_empty();
        if !only_literals {
            return None;
        }
        let parts: Option<Vec<&str>> = self.literals.iter().map(|literal| written_part(literal)).collect();
        AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(parts?).ok()
    }

    /// The atoms that hold of a whole number, without those of DataFusion.
    pub(super) fn int(&self, number: i64, into: &mut Vec<u32>) {
        into.extend(self.present);
        if let Some(atoms) = self.ints.get(&number) {
            into.extend(atoms);
        }
    }

    /// The atoms that hold of any value.
    pub(super) fn any(&self, into: &mut Vec<u32>) {
        into.extend(self.present);
    }
}

impl Check {
    fn holds(&self, text: &str, folded: &str) -> bool {
        match self {
            Self::Found => true,
            Self::Folded(glob) => glob.matches(folded),
            Self::Glob(glob) => glob.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
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

fn fold(text: &str, into: &mut String) {
    into.clear();
    crate::rules::casefold_into(text, into);
}
