//! What costs the parser or the planner more than its length: refused with a code, most of it before the parser runs.

use super::{HEAD, codes_of, load_sql};

/// Texts that go on and on; the part of the message says which bound refused it.
#[test]
fn what_goes_on_and_on_is_refused_before_the_parser_runs() {
    let (row, deep, many) = ("parts in a row", "nested deeper", "more than 2500 conditions");
    let parts = "parts, more than 32768";
    for (before, part, after, expect) in [
        ("Image", " IS NULL", "", row),
        ("Image", "::text", "", row),
        ("Image", " COLLATE a", "", row),
        ("Image", " AT TIME ZONE 'a'", "", row),
        ("Image", " BETWEEN 1 AND 2", "", row),
        ("Image", " IS NOT TRUE", "", row),
        ("Image", " = 1", "", row),
        ("Image", " || 'a'", "", row),
        ("ProcessId", " + 1", "", row),
        ("Image", " -> 'a'", "", row),
        ("Image = 'a'", " UNION SELECT 1", "", row),
        ("Image = 'a'", " ORDER BY Image", "", row),
        ("Image = 'a'", " OR Image = 'a'", "", many),
        ("Image = 'a'", " AND Image = 'a'", "", many),
        ("Image = 'a'", " AND NOT Image LIKE 'a'", "", many),
        ("Image = 'a'", " OR a BETWEEN 1 AND 2", "", many),
        ("", "a + (", "", deep),
        ("", "CAST(a AS ARRAY<", "", deep),
        ("CAST(a AS ", "ARRAY<", "INT", deep),
        ("CAST(a AS ", "STRUCT<a ", "INT", deep),
        ("CAST(a AS ", "MAP<INT, ", "INT", deep),
        ("CAST(a AS ", "array /* */ <", "INT", deep),
        ("", "ARRAY<", "INT", deep),
        ("a::", "ARRAY<", "INT", deep),
        ("", "CASE WHEN ", "", deep),
        ("", "NOT ", "Image", deep),
        ("", "- ", "1", deep),
        ("", "EXISTS (", "", deep),
        ("", "INTERVAL ", "", deep),
        ("", "[", "", deep),
        ("Image", "[1]", "", parts),
        ("Image", ".a", "", parts),
        ("Image IN ('a'", ",'a'", ")", parts),
    ] {
        // More than the bound asked for, and less than the others.
        let count = if expect == parts { 30_000 } else { 2_600 };
        let sql = format!("{HEAD} {before}{}{after}", part.repeat(count));
        let loaded = load_sql(&sql);
        let found: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(codes_of(&loaded), ["Q005"], "{before}{part}: {found:?}");
        assert!(found[0].contains(expect), "{before}{part}: {found:?}");
    }
    for (part, expect) in [(" JOIN a", "Q005"), (" NATURAL JOIN a", "Q005"), (" CROSS JOIN a", "Q005")] {
        let sql = format!("SELECT Image FROM process_activity{} WHERE Image = 'a'", part.repeat(2_600));
        assert_eq!(codes_of(&load_sql(&sql)), [expect], "{part}");
    }
    let name = "a".repeat(257);
    for sql in
        [format!("{HEAD} {name} = 'a'"), format!("{HEAD} \"{name}\" = 'a'"), format!("{HEAD} {name}()")]
    {
        assert_eq!(codes_of(&load_sql(&sql)), ["Q026"], "{sql}");
    }
}

/// Other statements have a parser of their own, which never runs.
#[test]
fn what_is_no_query_is_not_parsed() {
    for sql in [
        format!("CREATE TABLE a (b {}INT)", "ARRAY<".repeat(9_000)),
        format!("EXPLAIN {}", "EXPLAIN ".repeat(7_000)),
        "CREATE TABLE".to_owned(),
        "TABLE".to_owned(),
    ] {
        assert_eq!(codes_of(&load_sql(&sql)), ["Q003"], "{}", &sql[..12]);
    }
}

/// Two and more copies at each level: what stands in fifty levels would never be planned.
#[test]
fn what_the_planner_would_repeat_is_counted() {
    let nested = |open: &str, inner: &str, close: &str, levels: usize| {
        format!("{HEAD} {}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let ladder = |count: usize, then: &str, after: &str| {
        let whens: String = (0..count).map(|n| format!(" WHEN ProcessId > {n} THEN {then}")).collect();
        format!("{HEAD} CASE{whens} END{after}")
    };
    let output = |count: usize| {
        let whens: String = (0..count).map(|n| format!(" WHEN ProcessId > {n} THEN 'level {n}'")).collect();
        format!("SELECT CASE{whens} ELSE Image END AS level FROM process_activity WHERE Image = 'a'")
    };
    for (name, sql, expect) in [
        ("BETWEEN", nested("(", "ProcessId", " BETWEEN 1 AND 2)::bigint", 40) + " = 1", Some("Q005")),
        ("coalesce", nested("coalesce(", "Image", ", User)", 40) + " = 'a'", Some("Q005")),
        ("nvl", nested("nvl(", "Image", ", User)", 40) + " = 'a'", Some("Q005")),
        ("WHEN", nested("CASE WHEN ", "Image = 'a'", " THEN User = 'a' END", 40), Some("Q005")),
        ("a ladder of truth", ladder(1_500, "true", ""), Some("Q005")),
        ("a ladder of numbers", ladder(1_500, "1", " = 1"), Some("Q005")),
        ("a short ladder", ladder(60, "true", ""), None),
        ("some coalesce", nested("coalesce(", "Image", ", User)", 4) + " = 'a'", None),
        ("else", nested("CASE WHEN Image = 'a' THEN User ELSE ", "Image", " END", 40) + " = 'a'", None),
        ("an output", output(1_000), None),
    ] {
        let loaded = load_sql(&sql);
        assert_eq!(codes_of(&loaded).first().copied(), expect, "{name}: {:?}", loaded.diagnostics.first());
    }
}

#[test]
fn long_rules_of_one_kind_of_condition_are_sound() {
    let chain = |term: &str, count: usize, op: &str| {
        let terms: Vec<String> = (0..count).map(|n| term.replace("{}", &n.to_string())).collect();
        format!("{HEAD} {}", terms.join(op))
    };
    for (term, count) in [
        ("Image ILIKE '%\\\\a{}.exe'", 2_000),
        ("ProcessId={}", 2_500),
        ("ProcessId = {} AND User = 'a'", 800),
        ("Image ~ 'a{}|b'", 1_500),
        ("(Image = 'a{}' AND User = 'b')", 1_000),
    ] {
        let loaded = load_sql(&chain(term, count, " OR "));
        assert_eq!((loaded.rules.len(), codes_of(&loaded)), (1, vec![]), "{term}");
    }
    let over = load_sql(&chain("ProcessId={}", 2_501, " OR "));
    let said = over.diagnostics[0].to_string();
    assert!(said.contains("[Q005]") && said.contains("use IN"), "{said}");
}

#[test]
fn regular_expressions_are_bounded_together() {
    let many = |count: usize| {
        let terms: Vec<String> = (0..count).map(|n| format!("Image ~ '\\w{{3}}{n}'")).collect();
        format!("{HEAD} {}", terms.join(" OR "))
    };
    assert_eq!(codes_of(&load_sql(&many(20))), [""; 0]);
    assert_eq!(codes_of(&load_sql(&many(1_500))), ["Q021"]);
}

#[test]
fn a_rule_with_thousands_of_problems_shows_the_first() {
    let unknown: Vec<String> = (0..500).map(|n| format!("nothing{n} = 1")).collect();
    let types: Vec<String> = (0..500).map(|n| format!("lower(ProcessId) = '{n}'")).collect();
    for (code, conditions) in [("Q008", unknown), ("Q022", types)] {
        let loaded = load_sql(&format!("{HEAD} {}", conditions.join(" OR ")));
        let codes: Vec<&str> = loaded.diagnostics.iter().map(|d| d.code.id).collect();
        assert_eq!((codes.len(), codes.last()), (51, Some(&"R010")), "{code}");
        assert!(codes[..50].iter().all(|found| *found == code), "{codes:?}");
        assert!(loaded.has_errors() && loaded.rules.is_empty());
    }
}
