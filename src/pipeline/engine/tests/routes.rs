//! Rules on several tables.

use super::*;
use crate::normalise::schema::Catalog;

/// A Sigma rule runs on each table of its log source; an event that is a row of two of them is one finding.
#[test]
fn an_event_in_two_tables_of_a_rule_is_one_alert() {
    let table = |name: &str| {
        let text = format!(
            "table = '{name}'\nclass_uid = 0\ndescription = 'T.'\n[columns]\n\
             Name = {{ type = 'string', description = 'n', category = 'machine' }}\n\
             [[view]]\nformat = 'windows-json'\nwhere = \"Channel = 'c'\"\n"
        );
        SourceFile::new(format!("{name}.toml"), text)
    };
    let routes =
        "[[logsource]]\ncategory = 'x'\n[[logsource.route]]\ntable = 'a'\n[[logsource.route]]\ntable = 'b'\n";
    let catalog = Catalog::from_files([table("a"), table("b")]).expect("tables");
    let catalog = catalog.with_log_sources(&[SourceFile::new("s.toml", routes)]).expect("log sources");
    let rule = |id: &str, value: &str| {
        let text = format!(
            "title: {id}\nid: {id}\nlogsource:\n    category: x\ndetection:\n    s:\n        Name: {value}\n    \
             condition: s\n"
        );
        SourceFile::new(format!("{id}.yml"), text)
    };
    let files = [rule("r-1", "x*"), rule("r-2", "xy")];
    let loaded = rules::load_files(&files, &catalog, &RuleLimits::default());
    assert_eq!((loaded.rules.len(), loaded.diagnostics.len()), (4, 0), "{:?}", loaded.diagnostics);
    let format = crate::decode::format("windows-json").expect("a format");
    let zone = crate::normalise::time::ZoneOffset::UTC;
    let pipeline =
        Pipeline::of_one_source(format, "o", zone, Vec::new(), Arc::new(catalog)).expect("a pipeline");
    let compiled = Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(loaded.rules))).expect("compiles");
    let mut engine = Engine::new(Arc::new(compiled), EngineLimits::from(&Config::default().limits));
    let topic: Arc<str> = Arc::from("t");
    for (offset, name) in (0i64..).zip(["x", "xy", "y"]) {
        let payload = format!(r#"{{"Channel":"c","EventID":1,"Name":"{name}"}}"#);
        engine.push(&RecordRef {
            source: 0,
            slot: 0,
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: Some(1_790_000_000_000),
            payload: Some(payload.as_bytes()),
            envelope: &NoEnvelope,
        });
    }
    let findings = engine.search_all(0);
    let rules = engine.compiled().rules.rules().to_vec();
    let shown: Vec<_> = findings
        .iter()
        .map(|finding| {
            (finding.position.offset, rules[finding.rule].meta.id.as_str(), finding.output["Name"].clone())
        })
        .collect();
    assert_eq!(shown, [(0, "r-1", "x".into()), (1, "r-1", "xy".into()), (1, "r-2", "xy".into())]);
}
