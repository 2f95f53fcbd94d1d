//! Tables, pipelines and metadata: any text is read, or refused with places inside it; what was read can be used.

use noroshi::decode::{self, DecodeLimits};
use noroshi::diagnostic::SourceFile;
use noroshi::document;
use noroshi::normalise::layout::{EventContext, Everything, Layout, TableBuilder};
use noroshi::normalise::projection::Projection;
use noroshi::normalise::schema::Catalog;
use noroshi::normalise::time::ZoneOffset;
use noroshi::pipeline::definition::Pipeline;
use noroshi::rules::meta::RuleMeta;
use noroshi::rules::{RuleLimits, load_files};

use super::said;

/// Events that a table may take.
const EVENTS: &[&str] = &[
    "<Event><System><EventID>1</EventID><Channel>Security</Channel></System><EventData><Data Name='Image'>a</Data></EventData></Event>",
    r#"{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\a.exe","UtcTime":"2026-10-03 01:02:03.456"}"#,
    r#"{"event_type":"alert","timestamp":"2026-10-03T01:02:03.456789+0000","src_ip":"10.0.0.1","src_port":"x","a":{"b":[1]}}"#,
    r#"{"a":-9223372036854775808,"b":9223372036854775807,"c":"9223372036854775807","d":1e308,"e":true,"f":null}"#,
];

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Each kind has a word of its own; reading a text as all of them takes long.
    let (a_table, a_pipeline) = (text.contains("table"), text.contains("source"));
    if a_table {
        tables(text);
    }
    if a_pipeline {
        pipeline(text);
    }
    if !a_table && !a_pipeline {
        metadata(text);
    }
}

fn metadata(text: &str) {
    let file = SourceFile::new("meta.yaml", text);
    if let Err(found) = document::read_yaml::<RuleMeta>(&file, 0..text.len()) {
        assert!(!found.is_empty(), "refused without a word");
        said::sound(&found, true);
    }
}

fn pipeline(text: &str) {
    let file = SourceFile::new("pipeline.toml", text);
    match Pipeline::from_text(&file) {
        Ok(pipeline) => {
            for topic in pipeline.output_topics().iter().map(String::as_str).chain(["", "in.power", "狼煙"])
            {
                if let Some(source) = pipeline.source_of(topic) {
                    assert!(!pipeline.organisation_of(source).id.as_str().is_empty());
                }
            }
            assert!(!pipeline.formats().is_empty(), "a pipeline without a source");
        }
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            said::sound(&found, false);
        }
    }
}

fn tables(text: &str) {
    // Beside a sound one, as two may clash.
    let sound = include_str!("../../../schemas/tables/registry_activity.toml");
    let files = [("registry_activity.toml", sound), ("table.toml", text)];
    match Catalog::from_files(files.map(|(name, text)| SourceFile::new(name, text))) {
        Ok(catalog) => used(&catalog),
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            said::sound(&found, true);
        }
    }
}

/// Rows can be made of events, and rules planned on the tables.
fn used(catalog: &Catalog) {
    let projection = Projection::full(catalog);
    for format in decode::FORMATS {
        let mut layout = Layout::new(&projection, *format);
        let mut decoder = format.decoder(layout.fields(), DecodeLimits::default());
        let mut builders: Vec<TableBuilder> = projection.tables().iter().map(TableBuilder::new).collect();
        for event in EVENTS {
            let context = EventContext {
                org_id: "power",
                source: "fuzz",
                event_time: 0,
                ingest_time: None,
                topic: "fuzz",
                partition: 0,
                offset: 0,
                index: 0,
            };
            let decoded = decoder.decode(event.as_bytes(), &mut |slots| {
                layout.add(slots, &context, 0, ZoneOffset::UTC, &mut builders, &mut Everything);
            });
            let is_of_it = event.starts_with('{') == format.reader().is_none();
            assert_eq!(decoded.ok(), is_of_it.then_some(1), "{}", format.name());
        }
        for builder in &mut builders {
            builder.finish().expect("a batch");
        }
    }
    let sql = "/*---\nid: a\ntitle: t\n---*/\nSELECT org_id FROM registry_activity WHERE org_id = 'power'";
    let loaded = load_files(&[SourceFile::new("rule.sql", sql)], catalog, &RuleLimits::default());
    assert_eq!(loaded.rules.len(), 1, "{:?}", loaded.diagnostics);
}
