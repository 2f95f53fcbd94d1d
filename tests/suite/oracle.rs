//! The oracle: each rule's SQL, run by plain DataFusion over all rows of its table.
//!
//! Owns nothing of the engine but the rows: they come from the same views with all columns, and
//! `SessionContext::sql` does the rest, without our planner, binding, batches or epochs.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};
use noroshi::decode::{self, DecodeLimits};
use noroshi::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::{Catalog, SystemColumn};
use noroshi::normalise::time::ZoneOffset;
use noroshi::rules::{self, RuleLimits, functions};

/// (rule id, topic, partition, offset, index)
pub type Pair = (String, String, i64, i64, i64);

/// A record of the oracle's input.
pub struct Input<'a> {
    /// Organisation.
    pub org_id: &'a str,
    /// Where it stands.
    pub topic: &'a str,
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// What plain DataFusion finds.
pub fn pairs<'a>(rules: &Path, format: &str, records: impl Iterator<Item = Input<'a>>) -> BTreeSet<Pair> {
    let catalog = Catalog::stock().expect("the stock tables");
    let loaded = rules::load(&[rules.to_owned()], &catalog, &RuleLimits::default());
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let names: Vec<(String, Vec<String>)> = catalog
        .tables()
        .iter()
        .map(|table| {
            let declared = table.columns.iter().map(|column| column.name.clone());
            let system = SystemColumn::ALL.iter().map(|entry| entry.1.to_owned());
            (table.name.clone(), declared.chain(system).collect())
        })
        .collect();
    let needs = names.iter().map(|(table, columns)| (table.as_str(), columns.as_slice()));
    let projection = Projection::new(&catalog, needs);
    let batches = rows(&projection, format, records);
    let mut found = BTreeSet::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let context = SessionContext::new_with_config(config);
        for function in functions::own() {
            context.register_udf((*function).clone());
        }
        for (projected, batch) in projection.tables().iter().zip(batches) {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).expect("a table");
            context.register_table(projected.table.name.as_str(), Arc::new(table)).expect("registers");
        }
        for rule in loaded.rules.iter().filter(|rule| rule.enabled) {
            let body = rule.file.text.split("---*/").nth(1).expect("SQL after the metadata");
            let from = body.find("\nFROM ").expect("FROM on a line of its own");
            let sql = format!(
                "SELECT record_topic, record_partition, record_offset, event_index {}",
                &body[from..]
            );
            let frame =
                context.sql(&sql).await.unwrap_or_else(|error| panic!("{}: {error}", rule.meta.title));
            for batch in frame.collect().await.unwrap_or_else(|error| panic!("{}: {error}", rule.meta.title))
            {
                for row in 0..batch.num_rows() {
                    let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(row);
                    let topic = batch.column(0).as_string_view().value(row).to_owned();
                    found.insert((rule.meta.id.clone(), topic, number(1), number(2), number(3)));
                }
            }
        }
    });
    found
}

fn rows<'a>(
    projection: &Projection,
    format: &str,
    records: impl Iterator<Item = Input<'a>>,
) -> Vec<RecordBatch> {
    let format = decode::format(format).expect("a format");
    let mut layout = Layout::new(projection, format);
    let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
    let mut tables: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
    for record in records {
        let mut index = 0;
        let decoded = decoder.decode(record.payload, &mut |slots| {
            let context = EventContext {
                org_id: record.org_id,
                source: "oracle",
                event_time: layout.event_time(slots, ZoneOffset::UTC).unwrap_or(0),
                ingest_time: None,
                topic: record.topic,
                partition: record.partition,
                offset: record.offset,
                index,
            };
            layout.add(slots, &context, 0, ZoneOffset::UTC, &mut tables, &mut Everything);
            index += 1;
        });
        decoded.expect("the test data is good");
    }
    tables.iter_mut().map(|table| table.finish().expect("a batch").0).collect()
}
