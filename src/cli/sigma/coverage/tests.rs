//! The report on a few rules, for people and for machines.

use super::*;
use crate::normalise::schema::Catalog;
use crate::rules::meta::{RuleLevel, RuleStatus};
use crate::rules::sigma::documents::Headline;
use crate::rules::{RuleLimits, Selection};

fn rule(title: &str, verdict: Verdict, category: &str, tags: &[&str], why: Option<&str>) -> Coverage {
    Coverage {
        headline: Headline {
            id: Some(format!("id-{title}")),
            title: Some(title.to_owned()),
            level: Some(RuleLevel::High),
            status: Some(RuleStatus::Test),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        },
        place: "r.yml:1:1".to_owned(),
        log_source: LogSource {
            product: Some("windows".to_owned()),
            category: Some(category.to_owned()),
            service: None,
        },
        tables: vec!["process_activity".to_owned()],
        verdict,
        by_path: Vec::new(),
        missing: if verdict == Verdict::NoField { vec!["Company".to_owned()] } else { Vec::new() },
        filters: vec!["the filter".to_owned()],
        why: why.map(str::to_owned),
    }
}

fn some() -> Report {
    summed(
        vec![
            rule("a", Verdict::Armed, "process_creation", &["attack.execution", "attack.t1059.001"], None),
            rule(
                "b\u{1b}[31m",
                Verdict::NoField,
                "process_creation",
                &["attack.t1059.001", "attack.T1059"],
                None,
            ),
            rule(
                "c",
                Verdict::Off,
                "Process_Creation",
                &["attack.defense_evasion"],
                Some("its level is low"),
            ),
            rule("d", Verdict::NoSource, "ps_script", &["cve.2024-1"], Some("nothing feeds `t`")),
        ],
        vec!["windows-json"],
    )
}

#[test]
fn people_read_sums_and_reasons_in_the_width_they_have() {
    for width in [60, 80, 120] {
        let shown = page::Shown { rules: true, techniques: true, width };
        let text = page::page(&some(), &shown);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        for expect in [
            "4 rules: 1 (25 %) armed, with windows-json",
            "missing: Company",
            "with the filters: the filter",
            "its level is low",
            "nothing feeds `t`",
            "T1059.001",
            "Defense Evasion",
        ] {
            assert!(text.contains(expect), "{expect}:\n{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let shown = page::Shown { rules: false, techniques: false, width: 100 };
    let text = page::page(&some(), &shown);
    assert!(text.contains("1 of 2 ATT&CK techniques have a rule that is armed"), "{text}");
    assert!(!text.contains("missing:"), "{text}");
}

#[test]
fn machines_read_all_of_it() {
    let json = some().json();
    for (pointer, expect) in [
        ("/totals/rules", json!(4)),
        ("/totals/armed", json!(1)),
        ("/totals/verdicts/no_field", json!(1)),
        ("/totals/verdicts/armed_by_path", json!(0)),
        ("/log_sources/0/log_source/category", json!("process_creation")),
        ("/log_sources/0/rules", json!(3)),
        ("/techniques/0/technique", json!("T1059")),
        ("/techniques/1/armed", json!(1)),
        ("/techniques/1/rules", json!(2)),
        ("/tactics/0/tactic", json!("execution")),
        ("/tactics/1/tactic", json!("defense-evasion")),
        ("/rules/1/verdict", json!("no_field")),
        ("/rules/1/missing/0", json!("Company")),
        ("/rules/2/why", json!("its level is low")),
        ("/rules/0/level", json!("high")),
        ("/rules/0/armed", json!(true)),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expect), "{pointer}\n{json:#}");
    }
}

#[test]
fn rules_that_are_loaded_get_their_verdicts() {
    let document = |name: &str, more: &str, logsource: &str, detection: &str| {
        let text = format!(
            "title: {name}\nid: {name}\n{more}logsource:\n    {logsource}\ndetection:\n    s:\n        {detection}\n    condition: s\n"
        );
        crate::diagnostic::SourceFile::new(format!("{name}.yml"), text)
    };
    let windows = "{product: windows, category: process_creation}";
    let files = [
        document("armed", "", windows, "Image|endswith: '\\a.exe'"),
        document("by-path", "", windows, "GrandParentImage: a"),
        document("linux", "", "{product: linux, category: process_creation}", "Image: /bin/a"),
        document("cloud", "", "{product: aws, service: cloudtrail}", "eventName: a"),
        document("zeek", "", "{product: zeek, service: http}", "Unknown: a"),
        document("nowhere", "", "{product: cobol}", "a: b"),
        document("old", "status: deprecated\n", windows, "Image: a"),
        document("faulty", "", windows, "Image|nonsense: a"),
    ];
    let catalog = Catalog::stock().expect("the stock tables");
    let formats = ["windows-json", "suricata-eve"];
    let selection = Selection { formats: Some(formats.into()), ..Selection::default() };
    let loaded = rules::load_files_with(&files, &catalog, &RuleLimits::default(), &selection);
    let report = report(&loaded, formats.into());
    let mut found: Vec<(&str, &str)> =
        report.rules.iter().map(|rule| (title(rule), rule.verdict.as_str())).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            ("armed", "armed"),
            ("by-path", "armed_by_path"),
            ("cloud", "no_source"),
            ("faulty", "not_supported"),
            ("linux", "no_source"),
            ("nowhere", "no_table"),
            ("old", "off"),
            ("zeek", "no_field"),
        ]
    );
    let why = |title: &str| report.rules.iter().find(|rule| self::title(rule) == title)?.why.clone();
    assert_eq!(
        why("linux").as_deref(),
        Some("nothing feeds `process_activity` where activity = 'launch' AND platform = 'linux'")
    );
    assert_eq!(why("old").as_deref(), Some("its status is deprecated"));
}
