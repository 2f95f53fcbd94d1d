//! Documents: several in a file, what they say of themselves, and correlations.

use super::*;
use crate::diagnostic::Severity;
use crate::rules::meta::{RuleLevel, RuleStatus};
use crate::rules::sigma::correlation::{self, CorrelationKind, SigmaCorrelation, Threshold};

#[test]
fn what_a_rule_says_of_itself() {
    let text = "title: |
    A  title
    in two lines
id: 929a690e-bef0-4204-a928-ef5e620d6fcc
name: short
status: test
level: HIGH
description: 'What it is.'
author: [a, b]
date: 2024/01/02
modified: 2024-03-04
license: DRL-1.1
references: https://example.org
tags: [attack.t1059.001, 7]
falsepositives:
    - none
fields: [Image, User]
logsource: {product: Windows, service: ' security ', definition: x}
detection: {s: {a: 1}, condition: s}
";
    let (rules, _, found) = rules(text);
    assert!(found.is_empty(), "{found:?}");
    let rule = &rules[0];
    let meta = &rule.meta;
    assert_eq!(meta.title, "A title in two lines");
    assert_eq!(meta.id, "929a690e-bef0-4204-a928-ef5e620d6fcc");
    assert_eq!((meta.level, meta.status), (RuleLevel::High, RuleStatus::Test));
    assert_eq!(meta.author.as_deref(), Some("a, b"));
    assert_eq!((meta.date.as_deref(), meta.modified.as_deref()), (Some("2024-01-02"), Some("2024-03-04")));
    assert_eq!(meta.license.as_deref(), Some("DRL-1.1"));
    assert_eq!(meta.references, ["https://example.org"]);
    assert_eq!(meta.tags, ["attack.t1059.001", "7"]);
    assert_eq!(meta.version, None);
    assert_eq!(
        (rule.name.as_deref(), rule.fields.as_slice()),
        (Some("short"), &["Image".into(), "User".into()][..])
    );
    assert_eq!(rule.logsource.service.as_deref(), Some("security"));
    assert_eq!(rule.place.file.line_column(rule.place.span.start), (2, 5));
}

#[test]
fn an_id_that_is_missing_lasts_as_long_as_title_and_log_source() {
    let id = |text: &str| rules(text).0.remove(0).meta.id;
    let text = rule_with("Image: a").replace("id: t\n", "");
    let first = id(&text);
    assert_eq!(first.len(), 36);
    assert_eq!(id(&text.replace("Image: a", "Image: b")), first);
    assert_ne!(id(&text.replace("title: T", "title: U")), first);
    assert_ne!(id(&text.replace("category: c", "category: d")), first);
    assert_eq!(id(&rule_with("Image: a").replace("id: t\n", "id: '../x y'\n")).len(), 36);
}

#[test]
fn a_broken_document_takes_no_other_with_it() {
    let sound = rule_with("Image: a");
    let text =
        format!("{sound}---\na: 'b\n---\n{sound}---\n# nothing\n---\n{}", sound.replace("condition", "x"));
    let (rules, _, found) = rules(&text);
    assert_eq!(rules.len(), 2);
    let codes: Vec<&str> = found.iter().map(|found| found.code.id).collect();
    assert_eq!(codes, ["G001", "G002"]);
}

#[test]
fn actions_put_documents_over_others() {
    let text = "action: global
title: G
level: low
logsource: {product: windows, category: c}
detection:
    s: {a: 1, b: 2}
    condition: s
---
id: one
logsource: {category: d}
detection:
    s: {b: 3}
---
action: repeat
id: two
level: high
---
action: reset
---
id: three
detection: {s: {a: 1}, condition: s}
";
    let (rules, _, found) = rules(text);
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| {
            let tree = lower(rule, &route(), &[], &placeholders(), &mut Vec::new()).expect("lowers");
            let category = rule.logsource.category.as_deref().unwrap_or_default();
            format!("{} {} {category} {}", rule.meta.id, rule.meta.level.as_str(), show(&tree.condition))
        })
        .collect();
    assert_eq!(shown, ["one low d ($a=[1] & $b=[3])", "two high d ($a=[1] & $b=[3])"]);
    assert!(found.iter().any(|found| found.place() == "r.yml:20:1"), "{found:?}");
}

fn correlations(text: &str) -> (Vec<SigmaCorrelation>, Vec<Diagnostic>) {
    let (documents, mut found) = read(text);
    let (mut correlations, mut rules) = (Vec::new(), Vec::new());
    for document in documents {
        match document {
            Document::Correlation(correlation) => correlations.push(correlation),
            Document::Rule(rule) => rules.push(rule),
            Document::Filter(_) => {}
        }
    }
    correlation::check(
        &correlations.iter().collect::<Vec<_>>(),
        &rules.iter().collect::<Vec<_>>(),
        &mut found,
    );
    (correlations, found)
}

const BASE: &str = "title: B
id: base
name: the_base
logsource: {product: windows}
detection: {s: {a: 1}, condition: s}
---
";

#[test]
fn correlations_are_read_and_do_not_run() {
    let text = format!(
        "{BASE}title: C
id: c
name: many
generate: true
correlation:
    type: value_median
    rules: [the_base]
    group-by: [User, who]
    timespan: 90m
    condition: {{gt: 100, lte: 200.5, field: [a, b]}}
    aliases: {{who: {{the_base: user.name}}}}
---
title: D
id: d
correlation:
    type: temporal_ordered
    rules: [many, base]
    timeframe: 2d
---
title: E
id: e
correlation: {{type: temporal, rules: [many, base], group-by: [x], timespan: 1h, condition: many and not base}}
"
    );
    let (correlations, found) = correlations(&text);
    assert_eq!(correlations.len(), 3, "{found:?}");
    let first = &correlations[0];
    assert_eq!((first.kind, first.timespan, first.generate), (CorrelationKind::ValueMedian, 5_400, true));
    assert_eq!(first.thresholds, [(Threshold::Greater, 100.0), (Threshold::LessOrEqual, 200.5)]);
    assert_eq!(first.condition_fields, ["a", "b"]);
    assert_eq!(first.aliases["who"]["the_base"], "user.name");
    assert_eq!(correlations[1].timespan, 2 * 86_400);
    assert_eq!(correlations[2].expression.as_deref(), Some("many and not base"));
    assert!(
        found.iter().all(|found| found.severity == Severity::Note && found.code.id == "G014"),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn correlations_are_checked() {
    let sound = "{type: event_count, rules: [base], timespan: 1h, condition: {gte: 1}}";
    for (change, to, expect) in [
        ("base]", "bass]", "8:2 G015 not armed: there is no rule with the id or name `bass`"),
        ("base]", "c]", "8:2 G015 not armed: the correlation refers to itself"),
        ("event_count", "event_cont", "`event_cont` is no type"),
        ("event_count", "value_count", "the condition names no `field`"),
        ("timespan: 1h, ", "", "the correlation has no `timespan`"),
        ("1h", "soon", "`soon` is no span of time"),
        (", condition: {gte: 1}", "", "the correlation has no `condition`"),
        ("{gte: 1}", "{gte: x}", "the value of `gte` is no number"),
        ("{gte: 1}", "{gt3: 1}", "`gt3` is not known"),
        ("{gte: 1}", "{field: x}", "the condition compares with nothing"),
        ("{gte: 1}", "a and b", "only temporal correlations"),
        ("rules: [base], ", "", "the correlation has no `rules`"),
        ("timespan", "aliases: {a: b}, timespan", "the alias `a` does not say"),
    ] {
        let text = format!("{BASE}title: C\nid: c\ncorrelation: {}\n", sound.replace(change, to));
        let (_, found) = correlations(&text);
        let told: Vec<String> =
            found.iter().map(|found| format!("{} {}", found.place(), found.message)).collect();
        let message = expect.rsplit_once("armed: ").map_or(expect, |(_, message)| message);
        assert!(told.iter().any(|told| told.contains(message)), "{told:?} for {expect}");
        assert!(!told.iter().any(|told| told.contains("do not run")), "{told:?} for {expect}");
    }
}
