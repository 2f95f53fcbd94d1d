//! Verdicts on rules of a small world: what is fed, and what it fills.

use std::sync::Arc;

use super::*;
use crate::decode;
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Catalog;
use crate::rules::{RuleLimits, load_files};

const TABLE: &str = r#"table = "t"
class_uid = 1
description = "d"
[columns]
platform = { type = "string", category = "machine", description = "d" }
Image = { type = "string", category = "machine", description = "d" }
Company = { type = "string", category = "machine", description = "d" }
host = { type = "string", category = "machine", description = "d" }
[[view]]
format = "windows-json"
where = "EventID = 1"
[view.fill]
platform = { value = "windows" }
host = []
[[view]]
format = "suricata-eve"
where = "event_type = 'flow'"
[view.fill]
platform = { value = "network" }
"#;

/// The verdict on a rule with this condition, on the routes with these conditions, and what is missing.
fn verdict(condition: &str, routes: &[&str], formats: &[&str]) -> (Verdict, Vec<String>) {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("sound");
    let table = &catalog.tables()[0];
    let sql = format!("/*---\nid: r-1\ntitle: t\n---*/\nSELECT source FROM t WHERE {condition}");
    let loaded = load_files(&[SourceFile::new("r.sql", sql)], &catalog, &RuleLimits::default());
    let rule = loaded.rules.first().unwrap_or_else(|| panic!("{condition}: {:#?}", loaded.diagnostics));
    let formats: Vec<&dyn Format> =
        formats.iter().map(|name| decode::format(name).expect("a format")).collect();
    let route = |condition: &&str| Route {
        table: Arc::clone(table),
        condition: Some((*condition).to_owned()),
        fields: [].into(),
        outputs: Vec::new(),
    };
    let reached: Vec<Reach> = routes
        .iter()
        .map(|condition| Fed::new(&route(condition), &formats).reach(rule.condition()))
        .collect();
    let (verdict, missing) = best(&reached);
    (verdict, missing.into_iter().collect())
}

#[test]
fn what_is_fed_decides() {
    use Verdict::{Armed, ArmedWithout, NoField, NoSource};
    let (both, windows, network) =
        (&["windows-json", "suricata-eve"][..], &["windows-json"][..], &["suricata-eve"][..]);
    let any = &["platform IN ('windows', 'network')"][..];
    let on_windows = &["platform = 'windows'"][..];
    let split = &["platform = 'windows'", "platform = 'network'"][..];
    for (condition, routes, formats, expect, missing) in [
        ("Image = 'a'", on_windows, both, Armed, &[][..]),
        ("Image = 'a'", on_windows, network, NoSource, &[]),
        ("Image = 'a'", &["platform = 'linux'"][..], both, NoSource, &[]),
        // Suricata has no key with a capital.
        ("Image = 'a'", any, network, NoField, &["Image"]),
        ("Image = 'a'", any, both, Armed, &[]),
        ("Image = 'a' OR host = 'a'", any, network, ArmedWithout, &["Image"]),
        ("Image = 'a' AND (host = 'b') IS NOT TRUE", on_windows, windows, ArmedWithout, &["host"]),
        ("(host = 'b') IS NOT TRUE", on_windows, windows, NoField, &["host"]),
        ("source = 'b'", on_windows, windows, Armed, &[]),
        ("field('A.b') = 'b'", any, network, NoField, &["A.b"]),
        ("field('a.b') = 'b'", any, network, Armed, &[]),
        // Some names below Suricata's own are others'.
        ("field('a.B') = 'b'", any, network, Armed, &[]),
        ("field('A.b') = 'b' OR host = 'b'", any, network, ArmedWithout, &["A.b"]),
        // The best of its routes counts.
        ("host = 'b' AND Image = 'a'", split, both, NoField, &[]),
        ("host = 'b'", split, both, Armed, &[]),
        ("host = 'b'", split, windows, NoField, &["host"]),
    ] {
        let found = verdict(condition, routes, formats);
        assert_eq!(found, (expect, strings(missing)), "{condition} {formats:?}");
    }
}

#[test]
fn what_finds_all_that_lacks_a_field_is_seen() {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("sound");
    let table = Arc::clone(&catalog.tables()[0]);
    let route = Route { table, condition: None, fields: [].into(), outputs: Vec::new() };
    let fed = Fed::new(&route, decode::FORMATS);
    for (condition, expect) in [
        ("(field('a.b') = 'x') IS NOT TRUE", true),
        ("field('a.b') IS NULL", true),
        ("field('a.b') = 'x'", false),
        ("Image = 'x' AND (field('a.b') = 'x') IS NOT TRUE", false),
        ("(Image = 'x' OR field('a.b') = 'x') IS NOT TRUE", false),
        ("(Image = 'x') IS NOT TRUE", false),
    ] {
        let sql = format!("/*---\nid: r-1\ntitle: t\n---*/\nSELECT source FROM t WHERE {condition}");
        let loaded = load_files(&[SourceFile::new("r.sql", sql)], &catalog, &RuleLimits::default());
        let rule = loaded.rules.first().unwrap_or_else(|| panic!("{condition}: {:#?}", loaded.diagnostics));
        assert_eq!(fed.reach(rule.condition()).finds_the_rest, expect, "{condition}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
