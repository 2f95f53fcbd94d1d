//! Verdicts on rules of a small world: what is fed, and what it fills.

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

/// The verdict on a rule with this condition, on the routes with these conditions.
fn verdict(condition: &str, routes: &[&str], by_path: &[&str], formats: &[&str]) -> Coverage {
    let catalog = Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("sound");
    let table = &catalog.tables()[0];
    let sql = format!("/*---\nid: r-1\ntitle: t\n---*/\nSELECT source FROM t WHERE {condition}");
    let loaded = load_files(&[SourceFile::new("r.sql", sql)], &catalog, &RuleLimits::default());
    let rule = loaded.rules.first().unwrap_or_else(|| panic!("{condition}: {:#?}", loaded.diagnostics));
    let route = |condition: &&str| Route {
        table: Arc::clone(table),
        condition: Some((*condition).to_owned()),
        fields: [].into(),
        outputs: Vec::new(),
    };
    let routes = routes.iter().map(|condition| (route(condition), Arc::clone(rule))).collect();
    let by_path = by_path.iter().map(|path| (*path).to_owned()).collect();
    let subject = Subject {
        headline: Headline::from(&rule.meta),
        place: "r.yml:1:1".to_owned(),
        log_source: LogSource::default(),
        fate: Fate::Armed(routes, by_path),
    };
    let formats: Vec<&dyn Format> =
        formats.iter().map(|name| decode::format(name).expect("a format")).collect();
    cover(subject, &formats)
}

#[test]
fn what_is_fed_decides() {
    use Verdict::{Armed, ArmedByPath, ArmedWithout, NoField, NoSource};
    let (both, windows, network) =
        (&["windows-json", "suricata-eve"][..], &["windows-json"][..], &["suricata-eve"][..]);
    let any = &["platform IN ('windows', 'network')"][..];
    let on_windows = &["platform = 'windows'"][..];
    let split = &["platform = 'windows'", "platform = 'network'"][..];
    for (condition, routes, by_path, formats, expect, missing) in [
        ("Image = 'a'", on_windows, &[][..], both, Armed, &[][..]),
        ("Image = 'a'", on_windows, &["x.y"][..], both, ArmedByPath, &[]),
        ("Image = 'a'", on_windows, &[], network, NoSource, &[]),
        ("Image = 'a'", &["platform = 'linux'"][..], &[], both, NoSource, &[]),
        // Suricata has no key with a capital.
        ("Image = 'a'", any, &[], network, NoField, &["Image"]),
        ("Image = 'a'", any, &[], both, Armed, &[]),
        ("Image = 'a' OR host = 'a'", any, &[], network, ArmedWithout, &["Image"]),
        ("Image = 'a' AND (host = 'b') IS NOT TRUE", on_windows, &[], windows, ArmedWithout, &["host"]),
        ("(host = 'b') IS NOT TRUE", on_windows, &[], windows, NoField, &["host"]),
        ("source = 'b'", on_windows, &[], windows, Armed, &[]),
        ("field('a.B') = 'b'", any, &["a.B"], network, NoField, &["a.B"]),
        ("field('a.b') = 'b'", any, &["a.b"], network, ArmedByPath, &[]),
        ("field('a.B') = 'b' OR host = 'b'", any, &["a.B"], network, ArmedWithout, &["a.B"]),
        // The best of its routes counts.
        ("host = 'b' AND Image = 'a'", split, &[], both, NoField, &[]),
        ("host = 'b'", split, &[], both, Armed, &[]),
        ("host = 'b'", split, &[], windows, NoField, &["host"]),
    ] {
        let found = verdict(condition, routes, by_path, formats);
        assert_eq!((found.verdict, &*found.missing), (expect, &*strings(missing)), "{condition} {formats:?}");
        assert_eq!(found.why.is_some(), expect == NoSource, "{condition}");
        assert_eq!(found.tables, ["t"], "{condition}");
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn what_does_not_run_says_why() {
    for (fate, verdict, why) in [
        (Fate::Off("its level is low".into()), Verdict::Off, Some("its level is low")),
        (Fate::NoTable, Verdict::NoTable, None),
        (Fate::Faulty("no".into()), Verdict::NotSupported, Some("no")),
        (Fate::Armed(Vec::new(), Vec::new()), Verdict::NoTable, None),
    ] {
        let headline = Headline::default();
        let subject = Subject { headline, place: String::new(), log_source: LogSource::default(), fate };
        let found = cover(subject, &[]);
        assert_eq!((found.verdict, found.why.as_deref()), (verdict, why));
        assert!(!found.verdict.is_armed());
    }
}
