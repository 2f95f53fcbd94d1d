//! The declared views of one format, compiled: slots instead of paths, rows instead of promises.
//!
//! Owns which views an event matches; how one column is filled is `fill`'s. Bytes are `decode`'s; what a column
//! type takes is `columns`'; where rows collect is [`TableBuilder`]'s. Called by `pipeline::engine` for every
//! event, and once more with all columns for the few events that become evidence.

mod fill;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use self::fill::{CompiledFill, compile, fill_cell};
use super::columns::{Cell, Cells, ColumnBuilder};
use super::condition::{Condition, with_text};
use super::projection::{ProjectedColumn, Projection, TableProjection};
use super::schema::{ColumnType, SystemColumn};
use super::time::{self, ZoneOffset};
use crate::decode::{FieldSet, Format, Hint, Marks, Slot, Value, unescaped};
use crate::record::TimeMicros;

/// Distinct discriminator values whose views are remembered; beyond, conditions are evaluated each time.
const MEMO_ENTRIES_MAX: usize = 4_096;
/// Discriminator values longer than this are not remembered.
const MEMO_KEY_BYTES_MAX: usize = 256;

/// What is known of an event besides its fields.
#[derive(Debug, Clone, Copy)]
pub struct EventContext<'a> {
    /// Organisation, from the source declaration.
    pub org_id: &'a str,
    /// The source.
    pub source: &'a str,
    /// When it happened.
    pub event_time: TimeMicros,
    /// When Kafka received it.
    pub ingest_time: Option<TimeMicros>,
    /// Topic, partition, offset and index within the record.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Index within the record.
    pub index: u32,
}

/// Which event and view a row came from: the way back to the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowOrigin {
    /// Index of the event in the engine's batch.
    pub event: u32,
    /// Index of the view in the layout of its format.
    pub view: u16,
}

/// Collects the rows of one table.
#[derive(Debug)]
pub struct TableBuilder {
    projection: TableProjection,
    columns: Vec<ColumnBuilder>,
    rows: Vec<RowOrigin>,
}

impl TableBuilder {
    /// A builder for a table's projected columns.
    pub fn new(projection: &TableProjection) -> Self {
        let columns = projection.columns.iter().map(|(_, kind)| ColumnBuilder::new(*kind)).collect();
        Self { projection: projection.clone(), columns, rows: Vec::new() }
    }

    /// Rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Keeps the first so many rows, also when the columns of later ones have different lengths: a record may have
    /// panicked in the middle of a row.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    /// The rows as an Arrow batch, with where each came from; the builder is empty again.
    pub fn finish(&mut self) -> Result<(RecordBatch, Vec<RowOrigin>), arrow::error::ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let schema = Arc::clone(&self.projection.schema);
        Ok((RecordBatch::try_new_with_options(schema, columns, &options)?, rows))
    }
}

/// Decides which rows are worth building.
pub trait Watch {
    /// Whether a row of the table with this index in the projection is kept.
    fn wants(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool;
}

/// Keeps every row.
pub struct Everything;

impl Watch for Everything {
    fn wants(&mut self, _: usize, _: &mut RowCells<'_>) -> bool {
        true
    }
}

/// The cells of a row that is not built yet.
pub struct RowCells<'r> {
    fills: &'r [CompiledFill],
    kinds: &'r [ColumnType],
    slots: &'r [Value<'r>],
    context: &'r EventContext<'r>,
    zone: ZoneOffset,
    scratch: &'r mut String,
}

impl Cells for RowCells<'_> {
    fn cell<R>(&mut self, column: usize, take: impl FnOnce(&Cell<'_>) -> R) -> R {
        match (self.fills.get(column), self.kinds.get(column)) {
            (Some(fill), Some(kind)) => {
                fill_cell(fill, *kind, self.slots, Some(self.context), self.zone, self.scratch, take)
            }
            _ => take(&Cell::Null),
        }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Rows of all tables that it is.
    pub rows: u32,
    /// Those of them that were kept.
    pub kept: u32,
    /// Values that did not fit their column's type.
    pub unfit: u32,
}

/// How an event was read as a row of one table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReadRow {
    /// Index of the table in the projection.
    pub table: usize,
    /// One value for each projected column, as in evidence: timestamps are milliseconds.
    pub values: Vec<serde_json::Value>,
    /// Indices of the columns whose value did not fit their type: they are null.
    pub unfit: Vec<usize>,
}

#[derive(Debug)]
struct CompiledView {
    table: usize,
    condition: Condition<Slot>,
    /// Aligned with the table's projected columns.
    fills: Vec<CompiledFill>,
    /// Columns whose values may not fit.
    typed: Vec<usize>,
}

/// A part of the event that some condition looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Discriminator {
    Value(Slot),
    Presence(Slot),
}

/// The views of one format over one projection.
#[derive(Debug)]
pub struct Layout {
    fields: FieldSet,
    times: Vec<(Slot, bool)>,
    kinds: Vec<Vec<ColumnType>>,
    views: Vec<CompiledView>,
    discriminators: Vec<Discriminator>,
    marks: Marks,
    memo: HashMap<Vec<u8>, Arc<[u16]>, foldhash::fast::RandomState>,
    key: Vec<u8>,
    scratch: String,
}

impl Layout {
    /// Compiles the views of `format`. View indices depend only on the catalogue and the set of tables, so
    /// they agree between the rules' projection and the full one over the same tables.
    pub fn new(projection: &Projection, format: &dyn Format) -> Self {
        let mut fields = FieldSet::of(format);
        let times = format.time_fields().iter().map(|time| (fields.add(time.path), time.utc)).collect();
        let mut views = Vec::new();
        let mut discriminators = Vec::new();
        for (table, projected) in projection.tables().iter().enumerate() {
            for view in projected.table.views.iter().filter(|view| view.format == format.name()) {
                let condition = view.condition.map(&mut |path: &String| fields.add(path));
                discriminate(&condition, &mut discriminators);
                let fills: Vec<CompiledFill> = projected
                    .columns
                    .iter()
                    .map(|(column, _)| match column {
                        ProjectedColumn::System(SystemColumn::EventText) => {
                            CompiledFill::field(FieldSet::TEXT, &mut fields)
                        }
                        ProjectedColumn::System(system) => CompiledFill::System(*system),
                        ProjectedColumn::Declared(at) => compile(&view.fills[*at], &mut fields),
                        ProjectedColumn::Path(path) => CompiledFill::field(path, &mut fields),
                    })
                    .collect();
                let typed =
                    |(at, (fill, (_, kind))): (usize, (&CompiledFill, &(ProjectedColumn, ColumnType)))| {
                        (*kind != ColumnType::String && !matches!(fill, CompiledFill::System(_)))
                            .then_some(at)
                    };
                let typed = fills.iter().zip(&projected.columns).enumerate().filter_map(typed).collect();
                views.push(CompiledView { table, condition, fills, typed });
            }
        }
        let kinds = projection
            .tables()
            .iter()
            .map(|table| table.columns.iter().map(|(_, kind)| *kind).collect())
            .collect();
        let marks = Marks::new(format, &mut fields);
        Self {
            fields,
            times,
            kinds,
            views,
            discriminators,
            marks,
            memo: HashMap::default(),
            key: Vec::new(),
            scratch: String::new(),
        }
    }

    /// The fields that the decoder must fill.
    pub fn fields(&self) -> &FieldSet {
        &self.fields
    }

    /// The table that a view makes rows of.
    pub fn table_of(&self, view: u16) -> Option<usize> {
        self.views.get(usize::from(view)).map(|view| view.table)
    }

    /// The event's own time, from the first field that holds one.
    pub fn event_time(&self, slots: &[Value<'_>], zone: ZoneOffset) -> Option<TimeMicros> {
        self.times
            .iter()
            .find_map(|(slot, utc)| time::parse(slots.get(*slot)?, if *utc { ZoneOffset::UTC } else { zone }))
    }

    /// Adds the event to each table that it is a row of, where the watch wants it.
    pub fn add(
        &mut self,
        slots: &[Value<'_>],
        context: &EventContext<'_>,
        event: u32,
        zone: ZoneOffset,
        tables: &mut [TableBuilder],
        watch: &mut impl Watch,
    ) -> Added {
        let mut added = Added::default();
        for view in self.matching(slots).iter() {
            let compiled = &self.views[usize::from(*view)];
            let kinds = &self.kinds[compiled.table];
            let (fills, scratch) = (&compiled.fills, &mut self.scratch);
            let mut cells = RowCells { fills, kinds, slots, context, zone, scratch };
            added.rows += 1;
            if !watch.wants(compiled.table, &mut cells) {
                // A value that does not fit is told wherever it stands.
                for at in &compiled.typed {
                    added.unfit += cells.cell(*at, |cell| u32::from(*cell == Cell::Unfit));
                }
                continue;
            }
            let builder = &mut tables[compiled.table];
            for (at, column) in builder.columns.iter_mut().enumerate() {
                added.unfit += cells.cell(at, |cell| {
                    column.push(cell);
                    u32::from(*cell == Cell::Unfit)
                });
            }
            builder.rows.push(RowOrigin { event, view: *view });
            added.kept += 1;
        }
        added
    }

    /// The row that a view makes of an event, as JSON values: for evidence. Timestamps are milliseconds.
    pub fn row(&mut self, view: u16, slots: &[Value<'_>], zone: ZoneOffset) -> Vec<serde_json::Value> {
        self.read_as(view, slots, zone).values
    }

    /// All rows that an event makes, for somebody who asks how it was read; system columns are null.
    pub fn read(&mut self, slots: &[Value<'_>], zone: ZoneOffset) -> Vec<ReadRow> {
        self.matching(slots).iter().map(|view| self.read_as(*view, slots, zone)).collect()
    }

    /// The fields that decide which tables an event is a row of, with what it has there.
    pub fn decisive(&self, slots: &[Value<'_>]) -> BTreeMap<&str, serde_json::Value> {
        let slot_of = |discriminator: &Discriminator| match discriminator {
            Discriminator::Value(slot) | Discriminator::Presence(slot) => *slot,
        };
        let deciding = self.discriminators.iter().map(slot_of);
        deciding.filter_map(|slot| Some((self.path(slot)?, shown(slots.get(slot)?)))).collect()
    }

    /// Of these fields, the values by which tables are chosen, in order.
    pub fn accepted(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut accepted: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for view in &self.views {
            view.condition.wanted(&mut |slot, literals| {
                let Some(path) = self.path(*slot) else { return };
                accepted.entry(path).or_default().extend(literals.iter().map(String::as_str));
            });
        }
        for values in accepted.values_mut() {
            // Numbers by their size, before words.
            values.sort_by_key(|value| (value.parse::<i64>().unwrap_or(i64::MAX), *value));
            values.dedup();
        }
        accepted
    }

    /// The fields that could hold the event's time, with what they hold; those that it does not have are left out.
    pub fn times(&self, slots: &[Value<'_>]) -> BTreeMap<&str, serde_json::Value> {
        let there = self.times.iter().filter_map(|(slot, _)| Some((*slot, slots.get(*slot)?)));
        let there = there.filter(|(_, value)| value.is_present());
        there.filter_map(|(slot, value)| Some((self.path(slot)?, shown(value)))).collect()
    }

    fn path(&self, slot: Slot) -> Option<&str> {
        self.fields.paths().get(slot).map(String::as_str)
    }

    /// What an event that is in no table looks like, when it does not look like its format.
    pub fn hint(&self, slots: &[Value<'_>]) -> Option<Hint> {
        self.marks.hint(slots)
    }

    fn read_as(&mut self, view: u16, slots: &[Value<'_>], zone: ZoneOffset) -> ReadRow {
        let Some(compiled) = self.views.get(usize::from(view)) else { return ReadRow::default() };
        let mut row = ReadRow { table: compiled.table, ..ReadRow::default() };
        for (at, (fill, kind)) in compiled.fills.iter().zip(&self.kinds[compiled.table]).enumerate() {
            let value = fill_cell(fill, *kind, slots, None, zone, &mut self.scratch, |cell| {
                if *cell == Cell::Unfit {
                    row.unfit.push(at);
                }
                json(cell)
            });
            row.values.push(value);
        }
        row
    }

    fn matching(&mut self, slots: &[Value<'_>]) -> Arc<[u16]> {
        self.key.clear();
        for discriminator in &self.discriminators {
            match discriminator {
                Discriminator::Presence(slot) => self.key.push(u8::from(slots[*slot].is_present())),
                Discriminator::Value(slot) => {
                    // 0xff and 0xfe never occur in UTF-8: values cannot run into each other.
                    let key = &mut self.key;
                    let present = with_text(&slots[*slot], |text| {
                        key.extend(text.bytes().map(|byte| byte.to_ascii_lowercase()));
                    });
                    self.key.push(if present.is_some() { 0xff } else { 0xfe });
                }
            }
        }
        if let Some(views) = self.memo.get(&self.key) {
            return Arc::clone(views);
        }
        let views: Arc<[u16]> = (0u16..)
            .zip(&self.views)
            .filter(|(_, view)| view.condition.holds(slots))
            .map(|(at, _)| at)
            .collect();
        if self.memo.len() < MEMO_ENTRIES_MAX && self.key.len() <= MEMO_KEY_BYTES_MAX {
            self.memo.insert(self.key.clone(), Arc::clone(&views));
        }
        views
    }
}

/// A value for somebody who asks what the event has.
fn shown(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Missing | Value::Null => serde_json::Value::Null,
        Value::Int(number) => (*number).into(),
        value => with_text(value, |text| text.into()).unwrap_or_default(),
    }
}

fn discriminate(condition: &Condition<Slot>, found: &mut Vec<Discriminator>) {
    let mut note = |discriminator| {
        if !found.contains(&discriminator) {
            found.push(discriminator);
        }
    };
    match condition {
        Condition::True => {}
        Condition::In(slot, _) => note(Discriminator::Value(*slot)),
        Condition::Present(slot) => note(Discriminator::Presence(*slot)),
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                discriminate(part, found);
            }
        }
        Condition::Not(inner) => discriminate(inner, found),
    }
}

fn json(cell: &Cell<'_>) -> serde_json::Value {
    match cell {
        Cell::Null | Cell::Unfit => serde_json::Value::Null,
        Cell::Text(text) => (*text).into(),
        Cell::Escaped(raw) => unescaped(raw).into(),
        Cell::Lines(lines) => lines.text().into(),
        Cell::Int(number) => (*number).into(),
        Cell::Double(number) => (*number).into(),
        Cell::Bool(flag) => (*flag).into(),
        Cell::Time(micros) => micros.div_euclid(1_000).into(),
    }
}

#[cfg(test)]
#[path = "layout/tests.rs"]
mod tests;
