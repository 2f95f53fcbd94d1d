//! Sigma documents beside SQL rules: what becomes of each, and what is told.

use std::collections::BTreeMap;

use super::*;
use crate::normalise::schema::log_source::LogSource;

const TABLES: [&str; 2] = [
    "table = 'one'\nclass_uid = 0\ndescription = 'One.'\n[columns]\n\
     Name = { type = 'string', description = 'n', category = 'machine' }\n\
     kind = { type = 'string', description = 'k', category = 'machine' }\n\
     [[view]]\nformat = 'windows-json'\nwhere = \"Channel = 'c'\"\n",
    "table = 'two'\nclass_uid = 0\ndescription = 'Two.'\n[columns]\n\
     Label = { type = 'string', description = 'l', category = 'machine' }\n\
     [[view]]\nformat = 'windows-json'\nwhere = \"Channel = 'c'\"\nfill.Label = 'Name'\n",
];

const SOURCES: &str = "
[[logsource]]
category = 'both'
[[logsource.route]]
table = 'one'
where = \"kind = 'a' OR kind IS NULL\"
outputs = ['kind']
[[logsource.route]]
table = 'two'
fields = { Name = 'Label' }
";

fn catalog() -> Catalog {
    let catalog = Catalog::from_files(TABLES.map(|table| SourceFile::new("t.toml", table))).expect("tables");
    catalog.with_log_sources(&[SourceFile::new("s.toml", SOURCES)]).expect("log sources")
}

fn loaded_with(files: &[(&str, &str)], selection: &Selection) -> Loaded {
    let files: Vec<_> = files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
    load_files_with(&files, &catalog(), &RuleLimits::default(), selection)
}

fn loaded(files: &[(&str, &str)]) -> Loaded {
    loaded_with(files, &Selection::default())
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(|d| format!("{} {}", d.place(), d.code.id)).collect()
}

fn rule(id: &str, category: &str, more: &str) -> String {
    format!(
        "title: Rule {id}\nid: {id}\nstatus: test\nlevel: high\nlogsource:\n    category: {category}\n{more}\
         detection:\n    a:\n        Name|endswith: x\n        Other: y\n    condition: a\n"
    )
}

const FILTER: &str = "title: Ours\nlogsource:\n    category: both\nfilter:\n    rules:\n        - r-1\n    selection:\n        \
                      Name: fax\n    condition: not selection\n";

#[test]
fn a_rule_is_one_for_each_route_of_its_log_source() {
    let loaded = loaded(&[("r.yml", &rule("r-1", "both", "fields:\n    - Extra\n"))]);
    assert_eq!(lines(&loaded), Vec::<String>::new());
    let shown: Vec<_> = loaded
        .rules
        .iter()
        .map(|rule| (rule.meta.id.as_str(), rule.table.name.as_str(), rule.outputs.join(" "), rule.origin))
        .collect();
    assert_eq!(
        shown,
        [
            ("r-1", "one", "Extra Name Other kind".to_owned(), Origin::Sigma),
            ("r-1", "two", "Extra Label Other".to_owned(), Origin::Sigma),
        ]
    );
    let columns: Vec<_> = loaded.rules.iter().map(|rule| rule.columns.join(" ")).collect();
    assert_eq!(
        columns,
        ["Name field('Extra') field('Other') kind", "Label field('Extra') field('Other')"].map(str::to_owned)
    );
    let [document] = loaded.sigma.as_slice() else { panic!("{:?}", loaded.sigma) };
    let tables = ["one", "two"].map(str::to_owned).to_vec();
    assert_eq!(document.verdict, Verdict::Armed { tables, by_path: vec!["Other".to_owned()] });
    let set = RuleSet::new(loaded.rules);
    assert_eq!([set.first(0), set.first(1)], [0, 0]);
}

#[test]
fn every_document_has_a_verdict_and_none_refuses_the_others() {
    let two = format!("{}---\n{}", rule("r-2", "both", ""), rule("r-2", "both", ""));
    let loaded = loaded(&[
        ("sql.sql", "/*---\nid: r-5\ntitle: t\n---*/\nSELECT Name FROM one WHERE Name = 'a'\n"),
        ("1.yml", &rule("r-1", "both", "")),
        ("2.yml", &two),
        ("3.yml", &rule("r-3", "neither", "")),
        ("4.yml", "title: [\n"),
        ("5.yml", &rule("r-5", "both", "")),
        ("6.yaml", &rule("r-6", "both", "").replace("status: test", "status: deprecated")),
        ("7.yml", &rule("r-7", "both", "").replace("|endswith", "|endwith")),
        ("8.yml", FILTER),
        (
            "9.yml",
            "title: Many\nid: c-9\ncorrelation:\n    type: event_count\n    rules: r-1\n    group-by:\n        - Name\n    \
             timespan: 5m\n    condition:\n        gte: 10\n",
        ),
    ]);
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let verdicts: BTreeMap<String, &str> = loaded
        .sigma
        .iter()
        .map(|document| {
            let (line, _) = document.place.file.line_column(document.place.span.start);
            let place = format!("{}:{line}", document.place.file.path.display());
            let verdict = match &document.verdict {
                Verdict::Armed { .. } => "armed",
                Verdict::Off(_) => "off",
                Verdict::NoTable => "no table",
                Verdict::Faulty(_) => "faulty",
                Verdict::Waiting => "waiting",
                Verdict::Applied { rules: 1 } => "applied once",
                Verdict::Applied { .. } => "applied",
            };
            (place, verdict)
        })
        .collect();
    let verdicts: Vec<String> =
        verdicts.iter().map(|(place, verdict)| format!("{place} {verdict}")).collect();
    assert_eq!(
        verdicts,
        [
            "1.yml:1 armed",
            "2.yml:1 armed",
            "2.yml:13 faulty",
            "3.yml:1 no table",
            "4.yml:2 faulty",
            "5.yml:1 faulty",
            "6.yaml:1 off",
            "7.yml:9 faulty",
            "8.yml:1 applied once",
            "9.yml:1 waiting",
        ]
    );
    let enabled = loaded.rules.iter().filter(|rule| rule.enabled).map(|rule| rule.meta.id.as_str());
    assert_eq!(enabled.collect::<Vec<_>>(), ["r-5", "r-1", "r-1", "r-2", "r-2"]);
    let told: Vec<&str> = loaded.diagnostics.iter().map(|told| told.code.id).collect();
    for code in ["R002", "G001", "G006", "G014", "G017"] {
        assert!(told.contains(&code), "{code}: {told:?}");
    }
}

#[test]
fn the_version_is_that_of_all_that_the_rule_consists_of() {
    let text = rule("r-1", "both", "");
    let version = |files: &[(&str, &str)]| {
        let loaded = loaded(files);
        loaded.rules.first().expect("a rule").version.clone()
    };
    let alone = version(&[("r.yml", &text)]);
    assert_eq!(version(&[("elsewhere.yml", &text)]), alone);
    assert_ne!(version(&[("r.yml", &text.replace("high", "low"))]), alone);
    let filtered = version(&[("r.yml", &text), ("f.yml", FILTER)]);
    assert_ne!(filtered, alone);
    assert_ne!(version(&[("r.yml", &text), ("f.yml", &FILTER.replace("fax", "tax"))]), filtered);
    // A filter for others is not part of it.
    assert_eq!(version(&[("r.yml", &text), ("f.yml", &FILTER.replace("r-1", "r-2"))]), alone);
}

#[test]
fn the_selection_is_that_of_all_rules() {
    let disabled = [("r-1".to_owned(), None)].into();
    let selection = Selection { disabled, ..Selection::default() };
    let loaded = loaded_with(&[("r.yml", &rule("r-1", "both", ""))], &selection);
    assert!(loaded.rules.iter().all(|rule| !rule.enabled && rule.off.is_some()), "{:?}", loaded.rules);
    assert!(matches!(loaded.sigma.as_slice(), [SigmaDocument { verdict: Verdict::Off(_), .. }]));
}

#[test]
fn files_of_sigma_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.yml", "b.yaml", "c.sql", "d.json", "e.yml.bak", ".f.yml"] {
        std::fs::write(folder.path().join(name), "").expect("writes");
    }
    let (found, faults) = files(&[folder.path().to_owned()], &RuleLimits::default());
    let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!((names, faults.len()), (vec!["a.yml", "b.yaml", "c.sql"], 0));
}

#[test]
fn log_sources_are_told_once_for_all_their_rules() {
    let loaded = loaded(&[("1.yml", &rule("r-1", "neither", "")), ("2.yml", &rule("r-2", "Neither", ""))]);
    let [told] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
    assert_eq!((told.code.id, told.place().as_str()), ("G017", "1.yml:1:8"));
    assert!(told.message.contains("2 rules"), "{}", told.message);
    let source = LogSource { category: Some("neither".to_owned()), ..LogSource::default() };
    assert!(told.message.contains(&source.to_string()), "{}", told.message);
}

#[test]
fn alerts_are_about_a_host_and_where_sensors_see_many_also_about_an_address() {
    let catalog = Catalog::stock().expect("the stock tables");
    let of = |logsource: &str| {
        let text =
            format!("title: T\nid: t\nlogsource: {logsource}\ndetection: {{s: {{a: 1}}, condition: s}}\n");
        let loaded = load_files(&[SourceFile::new("r.yml", text)], &catalog, &RuleLimits::default());
        loaded.rules.iter().map(|rule| rule.meta.entity.join(" ")).collect::<Vec<_>>()
    };
    for (logsource, expect) in [
        ("{product: windows, category: process_creation}", "Computer"),
        ("{product: windows, service: security}", "Computer"),
        ("{product: windows, category: network_connection}", "Computer SourceIp"),
        ("{product: zeek, service: http}", "sensor SourceIp"),
        ("{product: aws, service: cloudtrail}", "user"),
    ] {
        assert_eq!(of(logsource), [expect], "{logsource}");
    }
}
