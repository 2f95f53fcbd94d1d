//! Goldens of formats and tables: `tests/formats/<format>/<case>/input.ndjson` and the rows that come of it.
//!
//! A new case is a folder with an `input.ndjson`, no code; `NOROSHI_BLESS=1` writes its `rows.json`. Each line is
//! a record. Times without a zone are read as +09:00. Columns that are null are left out of the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use noroshi::decode::{self, DecodeLimits, Format};
use noroshi::detect::run::object;
use noroshi::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::{Catalog, SystemColumn};
use noroshi::normalise::time::ZoneOffset;
use serde_json::{Value, json};

use crate::committed::assert_committed;

/// The system columns that the goldens show; the others are the same in each row.
const SHOWN: &[&str] = &["event_time", "record_offset", "event_index"];

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Tables with their rows, and what became of events and records that are in none.
fn rows(format: &dyn Format, projection: &Projection, input: &str, seen: &mut BTreeSet<u16>) -> Value {
    let mut layout = Layout::new(projection, format);
    let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
    let mut tables: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
    let (mut unmatched, mut unfit, mut rejects) = (Vec::new(), Vec::new(), Vec::new());
    let zone = ZoneOffset { minutes: 9 * 60 };
    for (offset, record) in (0i64..).zip(input.lines()) {
        let mut index = 0;
        let decoded = decoder.decode(record.as_bytes(), &mut |slots| {
            let context = EventContext {
                org_id: "power",
                source: "golden",
                event_time: layout.event_time(slots, zone).unwrap_or(0),
                ingest_time: None,
                topic: "golden",
                partition: 0,
                offset,
                index,
            };
            let added = layout.add(slots, &context, 0, zone, &mut tables, &mut Everything);
            if added.rows == 0 {
                let mut event = json!({"record": offset, "index": index});
                if let Some(hint) = layout.hint(slots) {
                    event["hint"] = hint.to_string().into();
                }
                unmatched.push(event);
            }
            if added.unfit > 0 {
                unfit.push(json!({"record": offset, "index": index, "values": added.unfit}));
            }
            index += 1;
        });
        if let Err(reject) = decoded {
            rejects.push(json!({"record": offset, "code": reject.code.as_str(), "detail": reject.detail}));
        }
    }
    let mut shown: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (projected, builder) in projection.tables().iter().zip(&mut tables) {
        let (batch, origins) = builder.finish().expect("a batch");
        seen.extend(origins.iter().map(|origin| origin.view));
        for row in 0..batch.num_rows() {
            let mut values = object(&batch, row);
            values.retain(|_, value| !value.is_null());
            shown.entry(&projected.table.name).or_default().push(Value::Object(values));
        }
    }
    json!({"tables": shown, "in_no_table": unmatched, "values_unfit": unfit, "rejects": rejects})
}

#[test]
fn each_case_gives_its_rows_and_each_view_has_a_case() {
    let catalog = Catalog::stock().expect("stock");
    let needs: Vec<(String, Vec<String>)> = catalog
        .tables()
        .iter()
        .map(|table| {
            let declared = table.columns.iter().map(|column| column.name.clone());
            let system = SystemColumn::ALL.iter().map(|entry| entry.1).filter(|name| SHOWN.contains(name));
            (table.name.clone(), declared.chain(system.map(str::to_owned)).collect())
        })
        .collect();
    let projection =
        Projection::new(&catalog, needs.iter().map(|(table, columns)| (table.as_str(), columns.as_slice())));
    let mut bare = Vec::new();
    for format in decode::FORMATS {
        let folder = Path::new("tests/formats").join(format.name());
        let mut seen = BTreeSet::new();
        for case in folders(&Path::new(env!("CARGO_MANIFEST_DIR")).join(&folder)) {
            let input = fs::read_to_string(case.join("input.ndjson")).expect("input.ndjson");
            let rows = rows(*format, &projection, &input, &mut seen);
            let name = folder.join(case.file_name().expect("a name")).join("rows.json");
            assert_committed(&name.to_string_lossy(), &format!("{rows:#}\n"));
        }
        let layout = Layout::new(&projection, *format);
        for (view, table) in (0u16..).map_while(|view| Some((view, layout.table_of(view)?))) {
            if !seen.contains(&view) {
                let table = &projection.tables()[table].table.name;
                bare.push(format!("no case makes a row by view {view} of {} ({table})", format.name()));
            }
        }
    }
    assert!(bare.is_empty(), "{}", bare.join("\n"));
}
