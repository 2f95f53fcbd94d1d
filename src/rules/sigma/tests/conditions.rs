//! Conditions: operators, selectors and lists; and filters, which are put beside them.

use super::*;

/// Selections that are fields of the same name.
const SELECTIONS: &str =
    "sel_a: {a: 1}\nsel_b: {b: 1}\nsel_main_c: {c: 1}\nfilter: {f: 1}\n_hidden: {h: 1}\n";

#[test]
fn operators_and_selectors() {
    for (condition, expect) in [
        ("sel_a", "$a=[1]"),
        ("sel_a and sel_b", "($a=[1] & $b=[1])"),
        ("sel_a or not sel_b and filter", "($a=[1] | (!$b=[1] & $f=[1]))"),
        ("not (sel_a or sel_b)", "!($a=[1] | $b=[1])"),
        ("not not sel_a", "!!$a=[1]"),
        ("( sel_a )", "$a=[1]"),
        ("1 of sel_*", "($a=[1] | $b=[1] | $c=[1])"),
        ("any of sel_*", "($a=[1] | $b=[1] | $c=[1])"),
        ("all of sel_*", "($a=[1] & $b=[1] & $c=[1])"),
        ("2 of sel_*", "2 of ($a=[1], $b=[1], $c=[1])"),
        ("3 of sel_*", "($a=[1] & $b=[1] & $c=[1])"),
        ("1 of them", "($a=[1] | $b=[1] | $c=[1] | $f=[1])"),
        ("all of them", "($a=[1] & $b=[1] & $c=[1] & $f=[1])"),
        ("1 of *", "($a=[1] | $b=[1] | $c=[1] | $f=[1])"),
        ("1 of _*", "$h=[1]"),
        ("_hidden", "$h=[1]"),
        ("1 of *_*_*", "$c=[1]"),
        ("1 of sel_a", "$a=[1]"),
        ("all of sel_* and not 1 of filter*", "($a=[1] & $b=[1] & $c=[1] & !$f=[1])"),
        ("[sel_a, sel_b and filter]", "($a=[1] | ($b=[1] & $f=[1]))"),
        ("|\n  sel_a\n  and sel_b", "($a=[1] & $b=[1])"),
    ] {
        let lowered = lowered(&rule_of(&format!("{SELECTIONS}condition: {condition}")));
        assert_eq!(lowered.map(|lowered| show(&lowered.condition)), Ok(expect.to_owned()), "{condition}");
    }
    let text = rule_of(&format!("{SELECTIONS}condition: sel_a and\r\n  sel_b")).replace('\n', "\r\n");
    assert_eq!(lowered(&text).map(|lowered| show(&lowered.condition)), Ok("($a=[1] & $b=[1])".to_owned()));
}

const RULE: &str = "title: T
id: 929a690e-bef0-4204-a928-ef5e620d6fcc
name: the_rule
logsource: {category: process_creation, product: windows}
detection:
    selection: {a: 1}
    filter_x: {b: 1}
    condition: selection and not 1 of filter_*
---
";

/// A filter with these rules and this log source.
fn filter_for(rules: &str, logsource: &str) -> String {
    format!(
        "title: F\nlogsource: {logsource}\nfilter:\n    rules: {rules}\n    filter_x: {{c: 1}}\n    \
         selection: {{d: 1}}\n    condition: not 1 of filter_* and not selection\n"
    )
}

#[test]
fn filters_are_put_beside_rules() {
    let without = "($a=[1] & !$b=[1])";
    let with = "($a=[1] & !$b=[1] & !$c=[1] & !$d=[1])";
    for (rules, logsource, expect) in [
        ("any", "{product: windows}", with),
        ("ANY", "{category: process_creation, product: Windows}", with),
        ("[929A690E-bef0-4204-a928-ef5e620d6fcc]", "{product: windows}", with),
        ("[other, the_rule]", "{product: windows}", with),
        ("the_rule", "{product: windows}", with),
        ("[other]", "{product: windows}", without),
        ("any", "{product: linux}", without),
        ("any", "{product: windows, service: security}", without),
    ] {
        let lowered = lowered(&format!("{RULE}{}", filter_for(rules, logsource))).expect("lowers");
        assert_eq!(show(&lowered.condition), expect, "{rules} {logsource}");
        let fields: &[&str] = if expect == with { &["a", "b", "c", "d"] } else { &["a", "b"] };
        assert_eq!(lowered.by_path, fields);
    }
}

#[test]
fn a_filter_that_cannot_be_armed_leaves_the_rule() {
    let filter = "title: F\nlogsource: {product: windows}\nfilter:\n    rules: any\n    s:\n        x|expand: '%nobody%'\n    condition: not s\n";
    let (rules, filters, mut found) = rules(&format!("{RULE}{filter}"));
    let filters: Vec<&SigmaFilter> = filters.iter().collect();
    let lowered = lower(&rules[0], &route(), &filters, &placeholders(), &mut found).expect("the rule");
    assert_eq!(show(&lowered.condition), "($a=[1] & !$b=[1])");
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("%nobody%"), "{}", found[0]);
}
