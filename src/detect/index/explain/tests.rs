//! What is said of conditions, and that it is true of them.

use std::path::PathBuf;

use super::*;
use crate::detect::index::trace::{Leaf, Trace};
use crate::detect::sample;
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Catalog;
use crate::rules::meta::Given;
use crate::rules::{RuleLimits, load, load_files};

fn rule(condition: &str) -> Arc<Rule> {
    let text =
        format!("/*---\nid: r\ntitle: t\n---*/\nSELECT Image FROM process_activity WHERE {condition}\n");
    let file = SourceFile::new("r.sql", text);
    let catalog = Catalog::stock().expect("tables");
    let loaded = load_files(&[file], &catalog, &RuleLimits::default());
    loaded.rules.first().cloned().unwrap_or_else(|| panic!("{condition}: {:?}", loaded.diagnostics))
}

fn explained(condition: &str) -> Explained {
    let rule = rule(condition);
    Explained::new(&rule, &Shares::new(std::slice::from_ref(&rule)))
}

fn own_rules() -> Vec<Arc<Rule>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let paths = [root.join("rules"), root.join("pipelines/demo/rules")];
    let rules = load(&paths, &Catalog::stock().expect("tables"), &RuleLimits::default()).rules;
    assert!(rules.len() > 60, "{} rules", rules.len());
    rules
}

/// A row of texts.
fn trace(explained: &Explained, row: &[(&str, &str)]) -> Trace {
    let row = row.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    let batch = sample::batch(&explained.rule, &[row]).expect("a batch");
    explained.trace(&batch).expect("runs")
}

#[test]
fn the_condition_in_words_with_its_cost() {
    #[rustfmt::skip]
    let table: &[(&str, &str, CostClass)] = &[
        ("Image = 'x'", "Image = 'x'", CostClass::Indexed),
        ("Image ILIKE 'It''s'", "Image = 'it''s', without case", CostClass::Indexed),
        (r"Image ILIKE '%\\CMD.exe' AND CommandLine LIKE 'a%b'",
         r"Image ends with '\cmd.exe', without case and CommandLine begins with 'a' and ends with 'b'", CostClass::Indexed),
        (r"Image ILIKE 'C:\\A\_B\%'", r"Image = 'c:\a_b%', without case", CostClass::Indexed),
        ("Image IN ('a', 'b') OR ProcessId = 4", "Image = 'a' or Image = 'b' or ProcessId = 4", CostClass::Indexed),
        ("Image = 'x' AND NOT CommandLine ILIKE '%y%'",
         "Image = 'x' and CommandLine has a value and not CommandLine contains 'y', without case", CostClass::Indexed),
        ("Image ILIKE 'a%b%c'", "Image is like 'a%b%c', without case", CostClass::Indexed),
        ("CommandLine ~ 'whoami [0-9]+'", "CommandLine ~ 'whoami [0-9]+'", CostClass::Indexed),
        ("CommandLine ~* ' -e(nc|ncodedcommand)? '", "CommandLine ~* ' -e(nc|ncodedcommand)? '", CostClass::Indexed),
        ("CommandLine ~ '^[0-9]+$'", "CommandLine ~ '^[0-9]+$'", CostClass::Scanned),
        ("Image = 'x' AND ProcessId > 4", "Image = 'x' and ProcessId >= 5", CostClass::Indexed),
        ("length(Image) > 4", "character_length(Image) > 4", CostClass::Scanned),
        ("length(event_text) > 4", "character_length(event_text) > 4", CostClass::EveryRow),
        ("CommandLine ~ '[01]*1[01]{400}2'", "CommandLine ~ '[01]*1[01]{400}2'", CostClass::EveryRow),
        ("CommandLine ~ 'whoami[01]{400}'", "CommandLine contains 'whoami', without case and CommandLine ~ 'whoami[01]{400}'", CostClass::Residual),
        ("cidr_match(Image, '10.0.0.0/8')", "Image is in 10.0.0.0/8", CostClass::Indexed),
        ("NOT cidr_match(Image, '10.0.0.0/8')", "Image is an address and not Image is in 10.0.0.0/8", CostClass::EveryRow),
        ("Image = 'x' AND ParentImage = CommandLine", "Image = 'x' and ParentImage = CommandLine", CostClass::Residual),
        ("ParentImage = Image", "ParentImage = Image", CostClass::EveryRow),
        ("Image = 'x' OR ParentImage = CommandLine", "Image = 'x' or ParentImage = CommandLine", CostClass::EveryRow),
        ("Image <> 'x'", "Image has a value and not Image = 'x'", CostClass::EveryRow),
        ("(Image = 'x') IS NOT TRUE AND CommandLine IS NULL", "not Image = 'x' and not CommandLine has a value", CostClass::EveryRow),
    ];
    for (condition, text, class) in table {
        let explained = explained(condition);
        assert_eq!(
            (explained.line(&explained.condition).as_str(), explained.class),
            (*text, *class),
            "{condition}"
        );
        assert_eq!(explained.because.is_empty(), *class == CostClass::Indexed, "{:?}", explained.because);
    }
}

#[test]
fn what_makes_a_rule_expensive_is_named() {
    for (condition, expect) in [
        (
            "Image = 'x' OR ParentImage = CommandLine",
            "the alternative `ParentImage = CommandLine` needs nothing",
        ),
        (
            "Image = 'x' OR CommandLine <> 'y'",
            "the alternative `CommandLine has a value and not CommandLine = 'y'` only says",
        ),
        ("ParentImage = Image", "it needs nothing that can be looked up: DataFusion judges each row"),
        ("CommandLine IS NULL", "it only says what a row must not have"),
        ("CommandLine ~ '^[0-9]+$'", "`CommandLine ~ '^[0-9]+$'` has no literal"),
        ("length(CommandLine) > 10", "is evaluated by DataFusion on each new value"),
        ("Image = 'x' AND ParentImage = CommandLine", "`ParentImage = CommandLine` looks at several columns"),
    ] {
        let because = explained(condition).because;
        assert!(because.first().is_some_and(|first| first.what.contains(expect)), "{condition}: {because:?}");
    }
}

#[test]
fn a_test_that_may_hold_for_each_row_is_named_where_nothing_else_keeps_rows_out() {
    for (condition, expect) in [
        ("ProcessId >= 0", Some("where `ProcessId >= 0` holds")),
        ("ProcessId >= 0 AND ParentImage = CommandLine", Some("where `ProcessId >= 0` holds")),
        (
            "ProcessId >= 0 OR CommandLine ~ '^[0-9]+$'",
            Some("where `ProcessId >= 0` or `CommandLine ~ '^[0-9]+$'` holds"),
        ),
        ("ProcessId >= 0 AND Image = 'x'", None),
        // With one that can be looked up it is no less, and that one is not what costs.
        ("ProcessId >= 0 OR Image = 'x'", Some("where `ProcessId >= 0` holds")),
        ("Image = 'x'", None),
        ("CommandLine IS NULL", None),
    ] {
        let because = explained(condition).because;
        let told = because.iter().find(|because| because.what.starts_with("nothing else keeps rows out"));
        assert_eq!(told.is_some(), expect.is_some(), "{condition}: {because:?}");
        let is_named = told.zip(expect).is_none_or(|(told, expect)| told.what.contains(expect));
        assert!(is_named, "{condition}: {because:?}");
    }
}

#[test]
fn atoms_are_shared_and_one_that_is_needed_is_rare() {
    let rules = [rule("Image ILIKE '%\\\\cmd.exe' AND ProcessId = 4"), rule("Image ILIKE '%\\\\CMD.EXE'")];
    let shares = Shares::new(&rules);
    let first = Explained::new(&rules[0], &shares);
    let told: Vec<(usize, bool)> = first.atoms.iter().map(|atom| (atom.shared, atom.needed)).collect();
    assert_eq!((told, shares.rules()), (vec![(1, true), (0, false)], 2));
}

/// A row, whether the rule fires on it, and what decides.
type Decided = (&'static [(&'static str, &'static str)], bool, &'static [&'static str]);

#[test]
fn the_fewest_parts_that_decide() {
    let explained = explained(
        "(Image = 'a' OR (Image = 'b' AND User = 'u')) AND NOT (CommandLine = 'c') AND ParentImage = CurrentDirectory",
    );
    let name = |leaf: &Leaf| match leaf {
        Leaf::Atom(at) => explained.atoms[*at].text.clone(),
        Leaf::Residual(at) => explained.residuals[*at].text.clone(),
    };
    #[rustfmt::skip]
    let table: &[Decided] = &[
        (&[("Image", "a"), ("CommandLine", "x"), ("ParentImage", "p"), ("CurrentDirectory", "p")], true,
         &["Image = 'a'", "CommandLine has a value", "CommandLine = 'c'", "ParentImage = CurrentDirectory"]),
        (&[("Image", "z"), ("CommandLine", "x"), ("ParentImage", "p"), ("CurrentDirectory", "p")], false, &["Image = 'a'"]),
        (&[("Image", "b"), ("CommandLine", "x"), ("ParentImage", "p"), ("CurrentDirectory", "p")], false, &["Image = 'a'"]),
        (&[("Image", "a"), ("CommandLine", "c"), ("ParentImage", "p"), ("CurrentDirectory", "p")], false, &["CommandLine = 'c'"]),
        (&[("Image", "a"), ("ParentImage", "p")], false, &["CommandLine has a value", "ParentImage = CurrentDirectory"]),
    ];
    for (row, fired, decisive) in table {
        let trace = trace(&explained, row);
        let told: Vec<String> = trace.decisive.iter().map(name).collect();
        assert_eq!(
            (trace.fired, told.iter().map(String::as_str).collect::<Vec<_>>()),
            (*fired, decisive.to_vec()),
            "{row:?}"
        );
        assert_eq!(trace.truth(&explained.condition), *fired, "{row:?}");
    }
    let folded = self::explained(r"Image ILIKE 'C:\\A\_B\%'");
    for (image, expect) in [(r"c:\A_b%", true), (r"c:\Axb%", false), (r"c:\A_b%c", false)] {
        assert_eq!(trace(&folded, &[("Image", image)]).atoms, [expect], "{image}");
    }
    let open = trace(&explained, table[0].0);
    assert_eq!((open.known(&explained.condition), open.residuals.as_slice()), (None, &[Some(true)][..]));
    let lacking = trace(&explained, table[4].0);
    assert_eq!(
        (lacking.known(&explained.condition), lacking.residuals.as_slice()),
        (Some(false), &[None][..])
    );
}

#[test]
fn what_is_shown_of_our_rules_is_what_the_index_runs() {
    let rules = own_rules();
    let shares = Shares::new(&rules);
    for rule in &rules {
        let schema = Projection::of(&rule.table, &rule.columns).schema;
        let mut atoms = Atoms::default();
        let formula = atoms.formula(rule.condition(), &schema);
        let explained = Explained::new(rule, &shares);
        assert_eq!(explained.condition.formula(), formula, "{}", rule.meta.id);
        let tests: Vec<&Test> = explained.atoms.iter().map(|atom| &atom.test).collect();
        assert_eq!(tests, atoms.all.iter().map(|(_, test)| test).collect::<Vec<_>>(), "{}", rule.meta.id);
        assert_eq!(
            explained.atoms.iter().any(|atom| atom.needed),
            explained.class != CostClass::EveryRow,
            "{}",
            rule.meta.id
        );
    }
}

#[test]
fn the_tests_inside_our_rules_are_judged_alike() {
    let rules = own_rules();
    let shares = Shares::new(&rules);
    let (mut fired, mut rows) = (0, 0);
    for rule in &rules {
        let explained = Explained::new(rule, &shares);
        for test in &rule.meta.tests {
            let Given::Rows(given) = &test.given else { continue };
            for row in given {
                let batch = sample::batch(rule, std::slice::from_ref(row)).expect("a batch");
                let trace = explained.trace(&batch).expect("runs");
                let expect = !sample::run(rule, std::slice::from_ref(row)).expect("runs").is_empty();
                assert_eq!(
                    (trace.fired, trace.truth(&explained.condition)),
                    (expect, expect),
                    "{}: {row:?}",
                    rule.meta.id
                );
                let known = trace.known(&explained.condition);
                assert!(known.is_none_or(|known| known == expect), "{}: {row:?}", rule.meta.id);
                assert!(!trace.decisive.is_empty(), "{}: {row:?}", rule.meta.id);
                fired += usize::from(expect);
                rows += 1;
            }
        }
    }
    assert!(fired > 60 && rows - fired > 60, "{fired} of {rows} rows fired");
}
