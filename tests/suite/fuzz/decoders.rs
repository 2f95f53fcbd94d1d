//! Decoders: any bytes become events or one reject, and the events are those of a naive reading by serde_json.
//!
//! What is decoded also goes into rows of all stock tables.

use std::cell::RefCell;
use std::sync::LazyLock;

use noroshi::decode::{self, DecodeLimits, Decoder, FieldSet, Reject, Value};
use noroshi::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::time::ZoneOffset;

use super::naive::{self, Reading};

/// Small, so that inputs get to them.
const LIMITS: DecodeLimits = DecodeLimits { record_bytes_max: 4096, depth_max: 12, events_per_record_max: 6 };

/// Paths beside those that the stock tables read: short ones, and into lists.
const PATHS: &[&str] = &["a", "b.c", "b.d.e", "l.0", "l.1.x", "l", FieldSet::WHOLE];

/// A record that is good in every format, and what its first slot says.
const GOOD: &[u8] = br#"{"a":"good"}"#;

static PROJECTION: LazyLock<Projection> =
    LazyLock::new(|| Projection::full(&Catalog::stock().expect("the stock tables")));

struct Bench {
    layout: Layout,
    paths: Vec<String>,
    decoder: Box<dyn Decoder>,
}

impl Bench {
    fn new(format: &str) -> Self {
        let format = decode::format(format).expect("a format");
        let layout = Layout::new(&PROJECTION, format);
        let mut fields = layout.fields().clone();
        for path in PATHS {
            fields.add(path);
        }
        Self { layout, paths: fields.paths().to_vec(), decoder: format.decoder(&fields, LIMITS) }
    }
}

pub fn windows_json(data: &[u8]) {
    thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new("windows-json")));
    BENCH.with_borrow_mut(|bench| check(bench, data));
}

pub fn suricata_eve(data: &[u8]) {
    thread_local!(static BENCH: RefCell<Bench> = RefCell::new(Bench::new("suricata-eve")));
    BENCH.with_borrow_mut(|bench| check(bench, data));
}

fn check(bench: &mut Bench, data: &[u8]) {
    let mut events: Vec<Vec<Value<'static>>> = Vec::new();
    let decoded = bench.decoder.decode(data, &mut |slots| events.push(slots.iter().map(owned).collect()));
    match (&decoded, naive::read(data, &LIMITS)) {
        (Ok(count), Reading::Events(expect)) => {
            assert_eq!((*count as usize, events.len()), (expect.len(), expect.len()), "how many events");
            for (slots, (event, text)) in events.iter().zip(&expect) {
                agree(bench, slots, event, text.as_deref());
            }
            parts(bench, data, &expect);
        }
        (Err(reject), Reading::Refused(codes)) => {
            assert!(codes.contains(&reject.code), "{reject}: not one of {codes:?}");
            whole_or_not_at_all(reject, events.len());
        }
        (Err(reject), Reading::Events(_)) => panic!("rejected, but serde_json reads it: {reject}"),
        (Ok(_), Reading::Refused(codes)) => panic!("{events:?}, but serde_json: {codes:?}"),
    }
    rows(bench, &events);
    let mut good = Vec::new();
    let decoded =
        bench.decoder.decode(GOOD, &mut |slots| good.push(slots.iter().map(owned).collect::<Vec<_>>()));
    assert_eq!(decoded, Ok(1), "the decoder is not as good as new");
    let at = bench.paths.iter().position(|path| path == "a").expect("the path");
    let others =
        good[0].iter().zip(&bench.paths).filter(|(_, path)| !matches!(path.as_str(), "a" | FieldSet::WHOLE));
    assert_eq!(good[0][at], Value::Text("good".into()));
    assert!(others.into_iter().all(|(slot, _)| *slot == Value::Missing), "{good:?}");
}

fn owned(value: &Value<'_>) -> Value<'static> {
    match value.clone().plain() {
        Value::Text(text) => Value::Text(text.into_owned().into()),
        Value::Missing => Value::Missing,
        Value::Null => Value::Null,
        Value::Bool(flag) => Value::Bool(flag),
        Value::Int(number) => Value::Int(number),
        Value::Double(number) => Value::Double(number),
        Value::Escaped(_) | Value::Lines(_) => unreachable!("it is plain"),
    }
}

fn whole_or_not_at_all(reject: &Reject, emitted: usize) {
    assert_eq!(emitted, 0, "events of a record that was rejected: {reject}");
    let plain = reject.detail.len() <= 256 && reject.detail.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
    assert!(plain, "{reject:?}");
}

fn agree(bench: &Bench, slots: &[Value<'_>], event: &serde_json::Value, text: Option<&str>) {
    for (slot, path) in slots.iter().zip(&bench.paths) {
        if path == FieldSet::WHOLE {
            let Value::Text(whole) = slot else { panic!("no text of the event: {slot:?}") };
            assert!(
                text.is_none_or(|text| text == whole) && naive::same_text(whole, event),
                "{whole} is not {event}"
            );
            continue;
        }
        assert!(!matches!(slot, Value::Double(number) if !number.is_finite()), "{path}: {slot:?}");
        let found = naive::found(event, path);
        let slot = &slot.clone().plain();
        assert!(found.iter().any(|found| naive::agrees(slot, *found)), "{path}: {slot:?}, not {found:?}");
    }
}

/// Where an event stands in its record: there, its own JSON stands.
fn parts(bench: &Bench, data: &[u8], expect: &[(serde_json::Value, Option<String>)]) {
    let parts = bench.decoder.parts(data);
    assert_eq!(parts.len(), expect.len(), "parts of {}", data.escape_ascii());
    for (part, (event, _)) in parts.into_iter().zip(expect) {
        let text = data.get(part).and_then(|part| std::str::from_utf8(part).ok());
        assert!(text.is_some_and(|text| naive::same_text(text, event)), "{text:?} is not {event}");
    }
}

fn rows(bench: &mut Bench, events: &[Vec<Value<'static>>]) {
    let zone = ZoneOffset { minutes: 9 * 60 };
    let layout = &mut bench.layout;
    let mut tables: Vec<TableBuilder> = PROJECTION.tables().iter().map(TableBuilder::new).collect();
    let mut made = 0;
    for (index, slots) in (0u32..).zip(events) {
        let event_time = layout.event_time(slots, zone);
        assert!(
            event_time.is_none_or(|time| (0..=253_402_300_799_999_999).contains(&time)),
            "{event_time:?}"
        );
        let context = EventContext {
            org_id: "power",
            source: "fuzz",
            event_time: event_time.unwrap_or(0),
            ingest_time: None,
            topic: "fuzz",
            partition: 0,
            offset: 0,
            index,
        };
        let added = layout.add(slots, &context, 0, zone, &mut tables, &mut Everything);
        let read = layout.read(slots, zone);
        // What `scan --output rows` shows is what the engine searches.
        assert_eq!(read.len(), added.rows as usize);
        let _ = (layout.decisive(slots).len(), layout.hint(slots).map(|hint| hint.to_string()));
        made += read.len();
    }
    let mut there = 0;
    for table in &mut tables {
        let (batch, origins) = table.finish().expect("a batch");
        assert_eq!(batch.num_rows(), origins.len());
        there += origins.len();
    }
    assert_eq!(there, made);
}
