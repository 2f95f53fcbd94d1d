//! The whole way: random rules as YAML and random events as bytes, loaded, decoded and run as the program does it,
//! against the second reading of the specification.

use std::sync::{Arc, LazyLock};

use arrow::record_batch::RecordBatch;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value as Json, json};

use super::interpreter::Case;
use super::property::{detection, event, yaml};
use super::{TABLE, placeholders};
use crate::decode::{self, DecodeLimits};
use crate::detect::guard::parks::Parks;
use crate::detect::guard::turn::Guard;
use crate::detect::run::{Detector, Memory, Verdict};
use crate::diagnostic::SourceFile;
use crate::normalise::layout::{EventContext, Everything, Layout, RowCells, TableBuilder, Watch};
use crate::normalise::projection::Projection;
use crate::normalise::schema::Catalog;
use crate::normalise::time::ZoneOffset;
use crate::pipeline::engine::EngineLimits;
use crate::rules::bind::bind;
use crate::rules::plan::Tables;
use crate::rules::{Fate, Loaded, RuleLimits, RuleSet, Selection, load_here};

const VIEW: &str = "\n[[view]]\nformat = \"windows-json\"\nwhere = \"Channel = 'c'\"\n";
const SOURCE: &str = "
[[logsource]]
category = 'c'
[[logsource.route]]
table = 'sample'
fields = { Hash = ['md5', 'sha1'] }
";

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    let catalog =
        Catalog::from_files([SourceFile::new("sample.toml", format!("{TABLE}{VIEW}"))]).expect("a table");
    catalog.with_log_sources(&[SourceFile::new("s.toml", SOURCE)]).expect("a log source")
});
static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::new(&CATALOG).expect("tables"));

fn loaded(detection: &Json, selection: &Selection) -> Loaded {
    load_here(&[SourceFile::new("r.yml", yaml(detection))], &TABLES, &RuleLimits::default(), selection)
}

/// Whether a rule is refused because it finds all or nothing.
fn constant(why: &str) -> bool {
    ["the condition always holds", "the condition never holds", "the condition holds for each event"]
        .iter()
        .any(|constant| why.starts_with(constant))
}

/// Which of the events the rule hits; `None` when it is no rule, because it hits all or nothing. The index must
/// agree.
fn hits(detection: &Json, events: &[Json], selection: &Selection) -> Result<Option<Vec<bool>>, String> {
    let loaded = loaded(detection, selection);
    let document = loaded.sigma.first().ok_or("no document")?;
    let rule = match (&document.fate, loaded.rules.first()) {
        (Fate::Armed, Some(rule)) => rule,
        (Fate::NoField, _) => return Ok(None),
        (Fate::Faulty(why), _) if constant(why) => return Ok(None),
        (fate, _) => return Err(format!("{fate:?}: {:?}", loaded.diagnostics)),
    };
    let projection = Projection::new(&CATALOG, [("sample", rule.columns.as_slice())]);
    let (batch, _) = built(&projection, events, &mut Everything)?;
    let bound = bind("t", &rule.planned, &batch.schema()).map_err(|error| error.to_string())?;
    let found = bound.matches(&batch).map_err(|error| error.to_string())?;
    indexed(&RuleSet::new(loaded.rules), &projection, events, &found)?;
    Ok(Some((0u32..).zip(events).map(|(row, _)| found.contains(&row)).collect()))
}

/// The rows of the events that are wanted, and which event each is.
fn built(
    projection: &Projection,
    events: &[Json],
    watch: &mut impl Watch,
) -> Result<(RecordBatch, Vec<u32>), String> {
    let format = decode::format("windows-json").expect("a format");
    let mut layout = Layout::new(projection, format);
    let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
    let mut tables: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
    for (event, at) in events.iter().zip(0u32..) {
        let context = EventContext {
            org_id: "o",
            source: "s",
            event_time: 0,
            ingest_time: None,
            topic: "t",
            partition: 0,
            offset: i64::from(at),
            index: 0,
        };
        let decoded = decoder.decode(event.to_string().as_bytes(), &mut |slots| {
            let added = layout.add(slots, &context, at, ZoneOffset::UTC, &mut tables, watch);
            assert_eq!(added.rows, 1, "{event}");
        });
        decoded.map_err(|reject| format!("{reject:?}"))?;
    }
    let (batch, origins) = tables[0].finish().map_err(|error| error.to_string())?;
    Ok((batch, origins.iter().map(|origin| origin.event).collect()))
}

/// Judges rows before they are built, as the engine does.
struct Judge<'d>(&'d Detector, Memory, Vec<Verdict>);

impl Watch for Judge<'_> {
    fn wants(&mut self, table: usize, cells: &mut RowCells<'_>) -> bool {
        let verdict = self.0.judge(table, cells, &mut self.1);
        self.2.extend(verdict.clone());
        verdict.is_some()
    }
}

/// The index finds the same, with nothing remembered, and with all remembered that there is.
fn indexed(rules: &RuleSet, projection: &Projection, events: &[Json], expect: &[u32]) -> Result<(), String> {
    let detector = Detector::new(rules, projection).map_err(|error| error.to_string())?;
    let limits = EngineLimits::from(&crate::config::Limits::default()).guard;
    let mut guard = Guard::new(limits, Arc::new(Parks::new(rules.rules().len())));
    for bytes_max in [0, 1 << 20] {
        let mut judge = Judge(&detector, detector.memory(bytes_max), Vec::new());
        for _ in 0..2 {
            judge.2.clear();
            let (batch, rows) = built(projection, events, &mut judge)?;
            let hits = detector.hits(0, &batch, &judge.2, &mut guard, None);
            let found: Vec<u32> = hits.iter().map(|hit| rows[hit.row as usize]).collect();
            if found != expect {
                return Err(format!("the index finds {found:?}, not {expect:?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn rules_hit_the_events_on_which_the_specification_says_that_they_fire() {
    let values = tempfile::tempdir().expect("a folder");
    let placeholders = placeholders();
    for (name, values_of) in &placeholders.0 {
        std::fs::write(values.path().join(format!("{name}.txt")), values_of.join("\n")).expect("writes");
    }
    let selection = Selection { values: Some(values.path().to_owned()), ..Selection::default() };
    let mut runner = TestRunner::new(Config {
        cases: Config::default().cases.max(500),
        failure_persistence: None,
        ..Config::default()
    });
    let fired = std::cell::Cell::new(0u32);
    let events = prop::collection::vec(event(), 8);
    let ran = runner.run(&(detection(), events), |(detection, mut events)| {
        for event in &mut events {
            event["Channel"] = json!("c");
        }
        // The same values in a list of objects, where there were several.
        let spread = events.iter().map(|event| match &event["User"]["Name"] {
            Json::Array(names) if names.len() == 2 => {
                let users = names.iter().map(|name| json!({ "Name": name })).collect();
                let mut event = event.clone();
                event["User"] = Json::Array(users);
                event
            }
            _ => event.clone(),
        });
        let spread: Vec<Json> = spread.collect();
        let fires: Vec<bool> = events
            .iter()
            .map(|event| Case { detection: &detection, event, placeholders: &placeholders.0 }.fires())
            .collect();
        fired.set(fired.get() + u32::from(fires.contains(&true)));
        match hits(&detection, &spread, &selection).map_err(TestCaseError::fail)? {
            Some(hit) => prop_assert_eq!(hit, fires, "{:#?}", events),
            None => prop_assert!(fires.iter().all(|one| *one == fires[0]), "{:?} on {:#?}", fires, events),
        }
        Ok(())
    });
    if let Err(error) = ran {
        panic!("{error}");
    }
    assert!(fired.get() > 100, "only {} of 500 or more fire: too few to tell anything", fired.get());
}
