//! Sigma documents beside SQL rules: what becomes of each, and what is told.

use std::collections::BTreeMap;

use super::*;

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
    let reads = (&document.fate, document.tables.join(" "), document.by_path.join(" "));
    assert_eq!(reads, (&Fate::Armed, "one two".to_owned(), "Other".to_owned()));
    let set = RuleSet::new(loaded.rules);
    assert_eq!([set.first(0), set.first(1)], [0, 0]);
}

#[test]
fn every_document_has_a_fate_and_none_refuses_the_others() {
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
    let fates: BTreeMap<String, &str> = loaded
        .sigma
        .iter()
        .map(|document| {
            let (line, _) = document.place.file.line_column(document.place.span.start);
            let place = format!("{}:{line}", document.place.file.path.display());
            let fate = match &document.fate {
                Fate::Armed => "armed",
                Fate::NoField => "no field",
                Fate::NoSource(_) => "no source",
                Fate::Off(_) => "off",
                Fate::NoTable => "no table",
                Fate::Faulty(_) => "faulty",
                Fate::Waiting => "waiting",
                Fate::Applied { rules: 1 } => "applied once",
                Fate::Applied { .. } => "applied",
            };
            (place, fate)
        })
        .collect();
    let fates: Vec<String> = fates.iter().map(|(place, fate)| format!("{place} {fate}")).collect();
    assert_eq!(
        fates,
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
    assert!(matches!(loaded.sigma.as_slice(), [SigmaDocument { fate: Fate::Off(_), .. }]));
}

#[test]
fn files_of_sigma_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.yml", "b.yaml", "c.sql", "d.json", "e.yml.bak", ".f.yml", "g.YAML", "h.Sql"] {
        std::fs::write(folder.path().join(name), "").expect("writes");
    }
    let (found, faults) = files(&[folder.path().to_owned()], &RuleLimits::default());
    let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    assert_eq!((names, faults.len()), (vec!["a.yml", "b.yaml", "c.sql", "g.YAML", "h.Sql"], 0));
}

#[test]
fn log_sources_are_told_once_for_all_their_rules() {
    let loaded = loaded(&[("1.yml", &rule("r-1", "neither", "")), ("2.yml", &rule("r-2", "Neither", ""))]);
    let [told] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
    assert_eq!((told.code.id, told.place().as_str()), ("G017", "1.yml:6:5"));
    assert!(told.message.contains("2 rules"), "{}", told.message);
    assert!(told.message.contains("category `neither`:"), "{}", told.message);
    let category = |name: &str| rule("r-1", name, "");
    for (name, expect) in [
        ("bohth", "did you mean the category `both`? Or declare it in"),
        ("neither", "no category `neither` is declared; known here: both. Or declare it in"),
    ] {
        let loaded = super::sigma::loaded(&[("1.yml", &category(name))]);
        let help = loaded.diagnostics.first().and_then(|told| told.help.clone()).unwrap_or_default();
        assert!(help.starts_with(expect), "{help}");
    }
}

/// A rule on the stock tables; the selection begins in line 10, column 9.
fn stock_rule(id: &str, logsource: &str, selection: &str, condition: &str) -> String {
    format!(
        "title: Rule {id}\nid: {id}\nstatus: test\nlevel: high\ntags: []\nlogsource: {{{logsource}}}\nfields: []\n\
         detection:\n    s:\n        {selection}\n    condition: {condition}\n"
    )
}

const WINDOWS: &str = "product: windows, category: process_creation";
const ZEEK: &str = "product: zeek, service: http";

#[test]
fn what_nothing_fed_can_satisfy_is_left_out_and_told_at_its_place() {
    let catalog = Catalog::stock().expect("the stock tables");
    let many: Vec<String> = (0..9_000).map(|number| format!("v{number}")).collect();
    let (many, long) = (format!("Image: [{}]", many.join(", ")), format!("Image: a{}", "?b".repeat(3_000)));
    let (windows, suricata) = (Some("windows-json"), Some("suricata-eve"));
    for (logsource, selection, condition, format, fate, told) in [
        (ZEEK, "Unknown: a", "s", None, Fate::NoField, &["r.yml:10:9 G018"][..]),
        (ZEEK, "Unknown: a", "not s", None, Fate::NoField, &["r.yml:10:9 G018"]),
        (ZEEK, "unknown: a", "s", None, Fate::Armed, &[]),
        (ZEEK, "unknown: a", "not s", None, Fate::Armed, &["r.yml:10:9 G021"]),
        (ZEEK, "{Unknown: a, host: b}", "not s", None, Fate::NoField, &["r.yml:10:10 G018"]),
        (ZEEK, "[{Unknown: a}, {host: b}]", "s", None, Fate::Armed, &[]),
        (WINDOWS, "Image: a", "s", windows, Fate::Armed, &[]),
        (WINDOWS, "GrandImage: a", "not s", windows, Fate::Armed, &["r.yml:10:9 G021"]),
        (WINDOWS, "Image: a", "s", suricata, Fate::NoSource(String::new()), &["r.yml:1:8 G019"]),
        (WINDOWS, "ProcessId: abc", "s", None, Fate::Faulty(String::new()), &["r.yml:10:20 G008"]),
        (WINDOWS, "ProcessId: abc", "not s", None, Fate::Faulty(String::new()), &["r.yml:10:20 G008"]),
        (WINDOWS, "ProcessId: [1, abc]", "s", None, Fate::Armed, &["r.yml:10:24 G008"]),
        (WINDOWS, &many, "s", None, Fate::Faulty(String::new()), &["r.yml:10:9 G012"]),
        (WINDOWS, &long, "s", None, Fate::Faulty(String::new()), &["r.yml:10:16 G012"]),
    ] {
        let selection_of =
            Selection { formats: format.map(|format| [format].into()), ..Selection::default() };
        let file = SourceFile::new("r.yml", stock_rule("r-1", logsource, selection, condition));
        let loaded = load_files_with(&[file], &catalog, &RuleLimits::default(), &selection_of);
        let shown: String = selection.chars().take(60).collect();
        let case = format!("{logsource}: {shown}: {condition}");
        assert_eq!(lines(&loaded), told, "{case}: {:?}", loaded.diagnostics);
        assert!(!loaded.has_errors(), "{case}");
        let found = &loaded.sigma[0].fate;
        assert_eq!(std::mem::discriminant(found), std::mem::discriminant(&fate), "{case}: {found:?}");
        let runs = loaded.rules.iter().any(|rule| rule.enabled);
        assert_eq!(runs, fate == Fate::Armed, "{case}");
    }
}

#[test]
fn what_has_no_source_is_one_sum_and_what_is_disabled_need_not_be_sound() {
    let catalog = Catalog::stock().expect("the stock tables");
    let files = ["r-1", "r-2", "r-3"].map(|id| {
        let text = stock_rule(id, "product: linux, category: process_creation", "Image: a", "s");
        SourceFile::new(format!("{id}.yml"), text)
    });
    let loaded = load_files(&files, &catalog, &RuleLimits::default());
    let [told] = loaded.diagnostics.as_slice() else { panic!("{:?}", loaded.diagnostics) };
    assert_eq!((told.code.id, told.severity), ("G019", crate::diagnostic::Severity::Note));
    assert!(told.message.contains("3 Sigma rules"), "{}", told.message);

    let text = stock_rule("r-1", WINDOWS, "Image|expand: '%nobody%'", "s");
    let disabled = [("r-1".to_owned(), None)].into();
    let selection = Selection { disabled, ..Selection::default() };
    let file = [SourceFile::new("r.yml", text)];
    let loaded = load_files_with(&file, &catalog, &RuleLimits::default(), &selection);
    assert!(matches!(loaded.sigma[0].fate, Fate::Off(_)), "{:?}", loaded.sigma);
    assert!(loaded.rules.iter().all(|rule| !rule.enabled));
}

#[test]
fn a_rule_names_its_filters_and_a_filter_the_number_of_its_rules() {
    let second = FILTER.replace("title: Ours", "title: Theirs\nid: f-2").replace("- r-1", "- r-9");
    let loaded = loaded(&[("r.yml", &rule("r-1", "both", "")), ("f.yml", FILTER), ("g.yml", &second)]);
    let shown: Vec<_> = loaded
        .sigma
        .iter()
        .map(|document| format!("{:?} {}", document.fate, document.filters.join(" ")))
        .collect();
    assert_eq!(shown, ["Armed Ours", "Applied { rules: 1 } ", "Applied { rules: 0 } "]);
    assert_eq!(lines(&loaded), ["g.yml:7:11 G020"]);
}

#[test]
fn no_file_of_sigma_refuses_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.yml"), b"\xff\xfe").expect("writes");
    std::fs::write(folder.path().join("b.yml"), rule("r-1", "both", "")).expect("writes");
    std::os::unix::fs::symlink("nowhere", folder.path().join("c.yml")).expect("a link");
    let load = || super::load(&[folder.path().to_owned()], &catalog(), &RuleLimits::default());
    let loaded = load();
    assert!(!loaded.has_errors(), "{:?}", loaded.diagnostics);
    let told: Vec<_> = loaded.diagnostics.iter().map(|told| (told.code.id, told.to_json())).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, name) in told.iter().zip(["c.yml", "a.yml"]) {
        let file = told.1["file"].as_str().unwrap_or_default();
        assert!(told.0 == "D001" && file.ends_with(name), "{told:?}");
    }
    let fates: Vec<_> =
        loaded.sigma.iter().map(|document| matches!(document.fate, Fate::Faulty(_))).collect();
    assert_eq!((fates, loaded.sigma_files, loaded.files), (vec![false, true], 2, 2));
    std::os::unix::fs::symlink("nowhere", folder.path().join("d.sql")).expect("a link");
    assert!(load().has_errors(), "of ours one must not vanish");
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

/// One rule as it should be, and with one slip each: what is told, and whether it is armed.
#[test]
fn slips_are_told_where_they_are() {
    let sound = "title: T\nid: r-1\nstatus: test\nlogsource:\n    category: both\ndetection:\n    a:\n        Name: x\n    condition: a\n";
    for (from, to, expect, armed) in [
        ("", "", &[][..], true),
        ("category: both", "catgory: both\n    category: both", &["r.yml:5:5 G002"], false),
        ("category: both", "category: both\n    stage: x", &["r.yml:6:5 G003"], true),
        ("category: both", "category: both\n    definition: x", &[], true),
        ("Name: x", "Nmae: x", &["r.yml:8:9 G023"], true),
        ("Name: x", "Other.Name: x", &[], true),
        (
            "condition: a\n",
            "condition: a\ntests:\n  - nam: x\n  - name: y\n    given: nowhere.ndjson\n    format: windows-jsn\n    expect: 1\n",
            &["r.yml:11:5 G022", "r.yml:13:5 T001", "r.yml:14:5 T001"],
            true,
        ),
        (
            "condition: a\n",
            "condition: a\ntests:\n  - name: y\n    given:\n      - {Name: x}\n    expect:\n      - {Nme: x}\n",
            &["r.yml:12:5 T003", "r.yml:15:10 T002"],
            true,
        ),
    ] {
        let loaded = loaded(&[("r.yml", &sound.replace(from, to))]);
        assert_eq!(lines(&loaded), expect, "{to}");
        assert!(loaded.diagnostics.iter().all(|told| !told.is_error()), "{to}");
        assert_eq!(loaded.sigma[0].fate == Fate::Armed, armed, "{to}");
    }
}
