//! The rules of a rule set, bound to the projected tables and run over batches.
//!
//! Owns which rules look at which table, and that a rule's failure stays its own (I-5): an error or a panic on
//! a batch is narrowed down to the rows that cause it, the other rows are still searched. Which rule takes too much, and is
//! parked, is `detect::guard`'s. The expressions are `rules`'; alerts are built by `detect::alert`. Called by
//! `pipeline::engine`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::logical_expr::Expr;
use serde_json::{Map, Value};

use super::guard::turn::{Guard, estimate};
use super::index::{self, Answer, Budget, TableIndex};
use super::profile::{LookupProfile, Profile, Stopwatch};
use crate::normalise::columns::Cells;
use crate::normalise::projection::Projection;
use crate::rules::{BindError, BoundRule, RuleSet};

/// A row that a rule selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Row of the batch.
    pub row: u32,
}

/// A row that a rule could not judge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFailure {
    /// Index of the rule in its set.
    pub rule: usize,
    /// Row of the batch.
    pub row: u32,
    /// Why.
    pub why: String,
}

/// The bound rules of each projected table, and their index.
pub struct Detector {
    tables: Vec<TableRules>,
}

#[derive(Default)]
struct TableRules {
    rules: Vec<(usize, BoundRule)>,
    /// None where it could not be built: then each rule looks at each row.
    index: Option<TableIndex>,
    /// That.
    unknown: Arc<Answer>,
}

/// What is known of a row before DataFusion has seen it.
#[derive(Debug, Clone)]
pub struct Verdict(Arc<Answer>);

/// What one lane remembers of the values that it has seen; without it the hits are the same.
pub struct Memory {
    tables: Vec<Option<index::Memory>>,
    budget: Budget,
}

impl Memory {
    /// Bytes remembered, about.
    pub fn bytes(&self) -> usize {
        self.budget.bytes()
    }

    /// How often something was forgotten for want of room, since this was last asked.
    pub fn take_forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.budget.forgotten)
    }
}

impl Detector {
    /// Binds each enabled rule to its table.
    pub fn new(rules: &RuleSet, projection: &Projection) -> Result<Self, BindError> {
        let mut tables: Vec<TableRules> = projection.tables().iter().map(|_| TableRules::default()).collect();
        let mut conditions: Vec<Vec<&Expr>> = projection.tables().iter().map(|_| Vec::new()).collect();
        for (at, rule) in rules.rules().iter().enumerate() {
            let Some(table) = projection.index(&rule.table.name) else { continue };
            if rule.enabled {
                tables[table].rules.push((at, rule.bind(&projection.tables()[table].schema)?));
                conditions[table].push(rule.condition());
            }
        }
        for ((table, conditions), projected) in tables.iter_mut().zip(conditions).zip(projection.tables()) {
            match TableIndex::new(&conditions, &projected.schema) {
                Ok(index) => table.index = Some(index),
                Err(error) => {
                    tracing::warn!(
                        table = projected.table.name,
                        %error,
                        "the rules of a table cannot be indexed: each looks at each row"
                    );
                    let open = (0u32..).zip(&table.rules).map(|(rule, _)| rule).collect();
                    table.unknown = Arc::new(Answer { open, ..Answer::default() });
                }
            }
        }
        Ok(Self { tables })
    }

    /// Bytes of what is looked up in, about: maps, automata, and what regular expressions may remember on one thread.
    pub fn index_bytes(&self) -> usize {
        self.tables.iter().filter_map(|table| table.index.as_ref()).map(TableIndex::bytes).sum()
    }

    /// An empty memory of at most about so many bytes.
    pub fn memory(&self, bytes_max: usize) -> Memory {
        let tables = self.tables.iter().map(|table| Some(table.index.as_ref()?.memory())).collect();
        Memory { tables, budget: Budget::new(bytes_max) }
    }

    /// From now on the memory counts what is looked up.
    pub fn begin_profile(&self, memory: &mut Memory) {
        for (table, known) in self.tables.iter().zip(&mut memory.tables) {
            if let Some((index, known)) = table.index.as_ref().zip(known.as_mut()) {
                index.begin_profile(known);
            }
        }
    }

    /// What was looked up since this was last asked: table, column of its batches, and how often.
    pub fn take_lookups(&self, memory: &mut Memory) -> Vec<(usize, usize, LookupProfile)> {
        let tables = self.tables.iter().zip(&mut memory.tables).enumerate();
        let each = tables.flat_map(|(at, (table, known))| {
            let counts =
                table.index.as_ref().zip(known.as_mut()).map(|(index, known)| index.take_profile(known));
            counts.unwrap_or_default().into_iter().map(move |(column, counts)| (at, column, counts))
        });
        each.collect()
    }

    /// What is known of a row of a table; `None` when no rule can hit it.
    pub fn judge(&self, table: usize, cells: &mut impl Cells, memory: &mut Memory) -> Option<Verdict> {
        let rules = self.tables.get(table)?;
        let Memory { tables, budget } = memory;
        let (Some(index), Some(Some(known))) = (&rules.index, tables.get_mut(table)) else {
            return (!rules.rules.is_empty()).then(|| Verdict(Arc::clone(&rules.unknown)));
        };
        let answer = index.judge(cells, known, budget);
        if budget.is_full() {
            index::make_room(budget, tables.iter_mut().flatten());
        }
        answer.map(Verdict)
    }

    /// Between two batches: what these verdicts left open for want of DataFusion's word on a value is known next time.
    pub fn settle(&self, table: usize, verdicts: &[Verdict], memory: &mut Memory) {
        let Memory { tables, budget } = memory;
        let index = self.tables.get(table).and_then(|table| table.index.as_ref());
        let known = tables.get_mut(table).and_then(Option::as_mut);
        if let Some((index, known)) = index.zip(known)
            && verdicts.iter().any(|Verdict(answer)| !answer.open.is_empty())
        {
            index.settle(known, budget);
        }
    }

    /// The rows of a batch that rules hit, in the order of rules, then of rows; of each row its verdict. What the rules
    /// say of them is left to [`Self::outputs`], as a batch can have many more hits than fit into memory with their outputs.
    pub fn hits(
        &self,
        table: usize,
        batch: &RecordBatch,
        verdicts: &[Verdict],
        guard: &mut Guard,
        mut profile: Option<&mut Profile>,
    ) -> Vec<Hit> {
        guard.next_batch();
        let Some(rules) = self.tables.get(table) else { return Vec::new() };
        let (mut hits, mut open) = (Vec::new(), Vec::new());
        let number = |rule: u32| rules.rules.get(rule as usize).map_or(usize::MAX, |(rule, _)| *rule);
        for (Verdict(answer), row) in verdicts.iter().zip(0u32..) {
            hits.extend(answer.hits.iter().map(|rule| Hit { rule: number(*rule), row }));
            open.extend(answer.open.iter().map(|rule| (*rule, row)));
        }
        open.sort_unstable();
        for rows in open.chunk_by(|a, b| a.0 == b.0) {
            let Some((rule, bound)) = rows.first().and_then(|(rule, _)| rules.rules.get(*rule as usize))
            else {
                continue;
            };
            let rows: Vec<u32> = rows.iter().map(|(_, row)| *row).collect();
            let watch = Stopwatch::when(profile.is_some());
            let mut turn = guard.turn(*rule, batch, rows.len(), bound.condition_weight());
            while let Some(piece) = turn.piece() {
                narrowed(piece, &mut |range| {
                    let part = &rows[range];
                    let found = turn.attempt(part, || bound.matches_among(batch, part));
                    found
                        .map(|found| hits.extend(found.into_iter().map(|row| Hit { rule: *rule, row })))
                        .is_some()
                });
            }
            if let Some(profile) = profile.as_deref_mut() {
                let (took, this) = (watch.read(), profile.rule(*rule));
                this.open += rows.len() as u64;
                this.judge += took;
                profile.stages.judge += took;
            }
        }
        hits.sort_unstable_by_key(|hit| (hit.rule, hit.row));
        guard.found(&mut hits);
        if let Some(profile) = profile {
            hits.iter().for_each(|hit| profile.rule(hit.rule).hits += 1);
        }
        hits
    }

    /// What [`Self::outputs`] of a row can take of memory, in bytes.
    pub fn output_bytes(&self, table: usize, rule: usize, batch: &RecordBatch, row: u32) -> u64 {
        let bound = self.bound(table, rule);
        bound.map_or(0, |bound| estimate(bound.output_weight(), batch, &[row]))
    }

    fn bound(&self, table: usize, rule: usize) -> Option<&BoundRule> {
        let rules = &self.tables.get(table)?.rules;
        let at = rules.binary_search_by_key(&rule, |(rule, _)| *rule).ok()?;
        rules.get(at).map(|(_, bound)| bound)
    }

    /// What a rule's SELECT returns for these rows of a batch, one for each; nothing for a row it fails on.
    pub fn outputs(
        &self,
        table: usize,
        rule: usize,
        batch: &RecordBatch,
        rows: &[u32],
        guard: &mut Guard,
    ) -> Vec<Option<Map<String, Value>>> {
        let mut outputs = Vec::with_capacity(rows.len());
        let Some(bound) = self.bound(table, rule) else { return vec![None; rows.len()] };
        let mut turn = guard.turn(rule, batch, rows.len(), bound.output_weight());
        while let Some(piece) = turn.piece() {
            narrowed(piece, &mut |range| {
                let part = &rows[range];
                match turn.attempt(part, || bound.output(batch, part)) {
                    Some(output) => {
                        outputs.extend((0..part.len()).map(|at| Some(object(&output, at))));
                        true
                    }
                    None => {
                        if part.len() == 1 {
                            outputs.push(None);
                        }
                        false
                    }
                }
            });
        }
        outputs.resize(rows.len(), None);
        outputs
    }
}

/// Tries a range, and where that fails its halves, in order.
fn narrowed(range: Range<usize>, attempt: &mut impl FnMut(Range<usize>) -> bool) {
    if range.is_empty() || attempt(range.clone()) || range.len() == 1 {
        return;
    }
    let middle = range.start + range.len() / 2;
    narrowed(range.start..middle, attempt);
    narrowed(middle..range.end, attempt);
}

/// A row of a batch as a JSON object; timestamps are milliseconds UTC, as everywhere in alerts.
pub fn object(batch: &RecordBatch, row: usize) -> Map<String, Value> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    columns.map(|(field, column)| (field.name().clone(), value(column, row))).collect()
}

fn value(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row).into(),
        DataType::Utf8 => column.as_string::<i32>().value(row).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(row).into(),
        DataType::Boolean => column.as_boolean().value(row).into(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            column.as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000).into()
        }
        kind => {
            let options = FormatOptions::default();
            let text = ArrayFormatter::try_new(column, &options)
                .map(|formatter| formatter.value(row).to_string())
                .unwrap_or_default();
            // The text of a number is a number.
            match serde_json::from_str::<serde_json::Number>(&text) {
                Ok(number) if kind.is_numeric() => Value::Number(number),
                _ => Value::String(text),
            }
        }
    }
}
