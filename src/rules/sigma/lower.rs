//! From a rule to a tree of conditions on the columns of one table.
//!
//! Owns what columns a field is and where the placeholders' values go; what a value means for a column's type is
//! `fit`'s. Trees are run by `expression`. Called by `rules::load`, once for each route of a rule's log source.

mod fit;

use std::collections::HashSet;
use std::ops::Range;

use super::ask::{self, Ask, Piece, Template};
use super::fault::{Fault, Faults};
use super::filter::SigmaFilter;
use super::landmarks::Landmarks;
use super::modifiers::Kind;
use super::parse::{Detection, Expression, Item, Search, SigmaRule, Values};
use super::placeholders::Placeholders;
use super::tree::{Column, Comparison, Condition, Pattern, Test};
use crate::diagnostic::{Diagnostic, Location, codes};
use crate::normalise::schema::log_source::Route;
use crate::normalise::schema::{ColumnType, SystemColumn};

/// Tests of one rule: a condition may name a selection many times, and placeholders stand for many values.
pub(super) const TESTS_MAX: usize = 20_000;
/// Bytes of all its texts.
pub(super) const BYTES_MAX: usize = 2 << 20;
/// A rule on one route.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// What it asks of a row, filters included; the route's own condition is not in it.
    pub condition: Condition,
    /// All columns that are tested, in the order of first mention.
    pub columns: Vec<Column>,
    /// Fields that have no column on this route, and are read by their path.
    pub by_path: Vec<String>,
    /// The filters that are part of it.
    pub filters: Vec<String>,
    /// Where it stands.
    pub(super) landmarks: Landmarks,
}

/// Lowers a rule on a route, with the conditions of filters beside its own. `None` with what is wrong in `found` when it
/// cannot be armed; a filter that is faulty is left out, and told.
pub fn lower(
    rule: &SigmaRule,
    route: &Route,
    filters: &[&SigmaFilter],
    values: &Placeholders,
    found: &mut Vec<Diagnostic>,
) -> Option<Lowered> {
    let mut lowering = Lowering::new(route, values, Faults::new(&rule.place.file, found));
    let condition = lowering.search(&rule.search);
    if lowering.is_too_large() {
        let message =
            format!("the rule asks for more than {TESTS_MAX} values or {} MiB of text", BYTES_MAX >> 20);
        let place = lowering.landmarks.largest().map_or(&rule.place, |place| place).span.clone();
        lowering.faults.refuse(codes::G012, message, place, "split it into several rules");
    }
    if lowering.faults.any() {
        return None;
    }
    let mut lowered = lowering.finish(condition);
    for filter in filters {
        let mut lowering = Lowering::new(route, values, Faults::new(&filter.place.file, found));
        let condition = lowering.search(&filter.search);
        if lowering.is_too_large() {
            let message = format!("the filter asks for more than {TESTS_MAX} values");
            lowering.faults.refuse(
                codes::G012,
                message,
                filter.place.span.clone(),
                "split it into several filters",
            );
        }
        if !lowering.faults.any() {
            lowered.restrict(lowering.finish(condition));
            lowered.filters.push(filter.name().to_owned());
        }
    }
    Some(lowered)
}

impl Lowered {
    /// Both must hold.
    fn restrict(&mut self, other: Lowered) {
        let condition = std::mem::replace(&mut self.condition, Condition::All(Vec::new()));
        self.condition = all(vec![condition, other.condition]);
        let known: HashSet<Column> = self.columns.iter().cloned().collect();
        let is_new = |column: &Column| !known.contains(column);
        self.by_path.extend(other.by_path.into_iter().filter(|field| is_new(&Column::Path(field.clone()))));
        self.columns.extend(other.columns.into_iter().filter(is_new));
        self.landmarks.extend(other.landmarks);
    }
}

/// All of them; those in All are put beside the others.
fn all(conditions: Vec<Condition>) -> Condition {
    let mut flat = Vec::with_capacity(conditions.len());
    for condition in conditions {
        match condition {
            Condition::All(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    single(flat).unwrap_or_else(Condition::All)
}

/// One of them; those in Any are put beside the others.
fn any(conditions: Vec<Condition>) -> Condition {
    let mut flat = Vec::with_capacity(conditions.len());
    for condition in conditions {
        match condition {
            Condition::Any(inner) => flat.extend(inner),
            other => flat.push(other),
        }
    }
    single(flat).unwrap_or_else(Condition::Any)
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn single(mut conditions: Vec<Condition>) -> Result<Condition, Vec<Condition>> {
    if conditions.len() > 1 {
        return Err(conditions);
    }
    conditions.pop().ok_or(conditions)
}

/// What can never hold.
const NEVER: Condition = Condition::Any(Vec::new());

struct Lowering<'a> {
    route: &'a Route,
    values: &'a Placeholders,
    faults: Faults<'a>,
    tests: usize,
    bytes: usize,
    columns: Vec<Column>,
    seen: HashSet<Column>,
    by_path: Vec<String>,
    landmarks: Landmarks,
}

impl<'a> Lowering<'a> {
    fn new(route: &'a Route, values: &'a Placeholders, faults: Faults<'a>) -> Self {
        let (columns, seen, by_path) = (Vec::new(), HashSet::new(), Vec::new());
        let landmarks = Landmarks::default();
        Self { route, values, faults, tests: 0, bytes: 0, columns, seen, by_path, landmarks }
    }

    fn is_too_large(&self) -> bool {
        self.tests > TESTS_MAX || self.bytes > BYTES_MAX
    }

    fn finish(self, condition: Condition) -> Lowered {
        let (filters, landmarks) = (Vec::new(), self.landmarks);
        Lowered { condition, columns: self.columns, by_path: self.by_path, filters, landmarks }
    }

    fn search(&mut self, search: &Search) -> Condition {
        any(search.conditions.iter().map(|condition| self.expression(condition, search)).collect())
    }

    fn expression(&mut self, expression: &Expression, search: &Search) -> Condition {
        match expression {
            Expression::All(parts) => all(parts.iter().map(|part| self.expression(part, search)).collect()),
            Expression::Any(parts) => any(parts.iter().map(|part| self.expression(part, search)).collect()),
            Expression::Not(part) => not(self.expression(part, search)),
            Expression::Selection(at) => self.selection(*at, search),
            Expression::AtLeast(count, of) => {
                let parts: Vec<Condition> = of.iter().map(|at| self.selection(*at, search)).collect();
                match *count {
                    1 => any(parts),
                    count if count == parts.len() as u64 => all(parts),
                    count => Condition::AtLeast(count, parts),
                }
            }
        }
    }

    fn selection(&mut self, at: usize, search: &Search) -> Condition {
        search.detections.get(at).map_or(NEVER, |detection| self.detection(detection))
    }

    fn detection(&mut self, detection: &Detection) -> Condition {
        if self.is_too_large() {
            return NEVER;
        }
        match detection {
            Detection::All(parts) => all(parts.iter().map(|part| self.detection(part)).collect()),
            Detection::Any(parts) => any(parts.iter().map(|part| self.detection(part)).collect()),
            Detection::Item(item) => self.item(item),
        }
    }

    fn item(&mut self, item: &Item) -> Condition {
        let columns = match &item.field {
            Some(field) => self.columns_of(field),
            None => vec![(Column::Text, ColumnType::String)],
        };
        let (place, before) = (self.place(&item.place), self.tests);
        for (column, _) in &columns {
            self.landmarks.field(column, &place);
        }
        let mut values = Vec::with_capacity(item.values.len());
        for value in &item.values {
            if self.is_too_large() {
                break;
            }
            let bytes = self.bytes;
            let (made, span) = match value {
                Values::Ready(asks, span) => (Ok(vec![self.one_of(asks, &columns, item.chain.neq)]), span),
                Values::Open(template, span) => (self.expand(item, template, &columns), span),
            };
            match made {
                Ok(conditions) => {
                    let place = self.place(span);
                    self.landmarks.value(self.bytes - bytes, &place);
                    if let (Some(field), true) = (&item.field, conditions.iter().all(|made| *made == NEVER)) {
                        self.landmarks.unfit(field, columns.iter().map(|(_, kind)| *kind), &place);
                    }
                    values.extend(conditions);
                }
                Err(fault) => self.faults.add(fault, span.clone()),
            }
        }
        self.landmarks.item(self.tests - before, &place);
        // Of two fields, `neq` has been carried out value by value: they must both be there to be different.
        let of_fields = item.chain.kind == Kind::FieldRef;
        match (item.chain.neq, of_fields, item.chain.all) {
            (false, _, true) | (true, true, false) => all(values),
            (false, _, false) | (true, true, true) => any(values),
            (true, false, true) => not(all(values)),
            (true, false, false) => not(any(values)),
        }
    }

    /// What a value with placeholders asks for, for each of the texts that it may be.
    fn expand(
        &mut self,
        item: &Item,
        template: &Template,
        columns: &[(Column, ColumnType)],
    ) -> Result<Vec<Condition>, Fault> {
        let mut texts = vec![(Pattern::default(), String::new())];
        for piece in &template.0 {
            let written;
            let values: &[String] = match piece {
                Piece::Text(text) => {
                    written = [text.clone()];
                    &written
                }
                Piece::Placeholder(name) => {
                    let values = self.values.0.get(name).filter(|values| !values.is_empty());
                    values.ok_or_else(|| {
                        let help =
                            format!("put its values into {name}.txt, in the folder of `values` or --values");
                        Fault::new(
                            codes::G011,
                            format!("there is no value for the placeholder `%{name}%`"),
                            help,
                        )
                    })?
                }
            };
            let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum::<usize>() * values.len()
                + values.iter().map(String::len).sum::<usize>() * texts.len();
            if texts.len().saturating_mul(values.len()) > TESTS_MAX || bytes > BYTES_MAX {
                let message = format!("the placeholders stand for more than {TESTS_MAX} texts together");
                return Err(Fault::new(codes::G012, message, "use one placeholder in a value"));
            }
            texts = texts
                .iter()
                .flat_map(|(pattern, text)| {
                    values.iter().map(move |value| {
                        let mut longer = pattern.clone();
                        longer.extend(Pattern::read(value));
                        (longer, format!("{text}{value}"))
                    })
                })
                .collect();
        }
        let mut conditions = Vec::with_capacity(texts.len());
        let chain = super::parse::within(item.chain, item.field.is_none());
        for (pattern, text) in texts {
            let asks =
                ask::expanded(&chain, pattern, &text).map_err(|fault| template.blamed(fault, &text))?;
            conditions.push(self.one_of(&asks, columns, false));
            if self.is_too_large() {
                break;
            }
        }
        Ok(conditions)
    }

    fn place(&self, span: &Range<usize>) -> Location {
        Location::new(self.faults.file(), span.clone())
    }

    /// The columns of a field with their types.
    fn columns_of(&mut self, field: &str) -> Vec<(Column, ColumnType)> {
        let table = &self.route.table;
        let kind = |name: &str| {
            let declared = table.column(name).and_then(|at| table.columns.get(at)).map(|column| column.kind);
            declared.or_else(|| SystemColumn::named(name).map(|(_, kind)| kind)).unwrap_or(ColumnType::String)
        };
        let columns: Vec<(Column, ColumnType)> = self
            .route
            .columns(field)
            .into_iter()
            .map(|name| (Column::Named(name.to_owned()), kind(name)))
            .collect();
        if !columns.is_empty() {
            return columns;
        }
        let column = Column::Path(field.to_owned());
        if self.mention(&column) {
            self.by_path.push(field.to_owned());
        }
        vec![(column, ColumnType::String)]
    }

    /// One of what a value asks for, of one of the columns.
    fn one_of(&mut self, asks: &[Ask], columns: &[(Column, ColumnType)], neq: bool) -> Condition {
        let asked: Vec<Condition> = asks.iter().map(|ask| self.ask(ask, columns, neq)).collect();
        any(asked)
    }

    fn ask(&mut self, ask: &Ask, columns: &[(Column, ColumnType)], neq: bool) -> Condition {
        match ask {
            // A field is missing when all of its columns are.
            Ask::Null | Ask::Exists(false) => all(self.each(columns, |_| Some(Test::Null))),
            Ask::Exists(true) => any(self.each(columns, |_| Some(Test::Present))),
            Ask::Text { pattern, cased } => any(self.each(columns, |kind| fit::text(pattern, *cased, kind))),
            Ask::Number(written, number) => {
                let mut tests = self.each(columns, |kind| fit::equal(written, *number, kind));
                let canonical = number.to_string();
                #[expect(clippy::cast_precision_loss, reason = "a power of two")]
                let exact = number.abs() < fit::SAFE_INTEGER as f64;
                if exact && canonical != *written {
                    // `0x17` may be written as 23 in the event.
                    let text = |kind| (kind == ColumnType::String).then(|| fit::literal(&canonical));
                    tests.extend(self.each(columns, text));
                }
                any(tests)
            }
            Ask::Flag(flag) => any(self.each(columns, |kind| {
                Some(match kind {
                    ColumnType::Boolean => Test::Flag(*flag),
                    ColumnType::Int => Test::Number(Comparison::Equal, f64::from(u8::from(*flag))),
                    ColumnType::String => fit::literal(&flag.to_string()),
                    ColumnType::Double | ColumnType::Timestamp => return None,
                })
            })),
            Ask::Regex(pattern) => {
                any(self.each(columns, |_| Some(Test::Regex { pattern: pattern.clone() })))
            }
            Ask::Cidr(network) => {
                any(self
                    .each(columns, |kind| (kind == ColumnType::String).then(|| Test::Cidr(network.clone()))))
            }
            Ask::Compare(comparison, number) => any(self.each(columns, |kind| {
                let fits = !matches!(kind, ColumnType::Boolean | ColumnType::Timestamp);
                fits.then_some(Test::Number(*comparison, *number))
            })),
            Ask::TimePart(part, number) => any(self.each(columns, |kind| {
                let fits = matches!(kind, ColumnType::String | ColumnType::Timestamp);
                fits.then_some(Test::TimePart(*part, *number))
            })),
            Ask::FieldRef { field, place, cased } => {
                let others = self.columns_of(field);
                let mut same = Vec::new();
                for (other, _) in &others {
                    self.mention(other);
                    let test = Test::Same { other: other.clone(), place: *place, cased: *cased };
                    same.extend(self.each(columns, |_| Some(test.clone())));
                }
                if !neq {
                    return any(same);
                }
                let here = any(self.each(columns, |_| Some(Test::Present)));
                let there = any(self.each(&others, |_| Some(Test::Present)));
                all(vec![here, there, not(any(same))])
            }
        }
    }

    /// A test of each column; none where its type can never pass.
    fn each(
        &mut self,
        columns: &[(Column, ColumnType)],
        test: impl Fn(ColumnType) -> Option<Test>,
    ) -> Vec<Condition> {
        let mut conditions = Vec::with_capacity(columns.len());
        for (column, kind) in columns {
            self.mention(column);
            let Some(test) = test(*kind) else { continue };
            self.tests += 1;
            self.bytes += match &test {
                Test::Like { pattern, .. } => pattern.bytes(),
                Test::Regex { pattern } => pattern.len(),
                _ => 0,
            };
            conditions.push(Condition::Test(column.clone(), test));
        }
        conditions
    }

    /// True when it is the first time.
    fn mention(&mut self, column: &Column) -> bool {
        let first = self.seen.insert(column.clone());
        if first {
            self.columns.push(column.clone());
        }
        first
    }
}
