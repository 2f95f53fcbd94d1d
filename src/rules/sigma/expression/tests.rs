//! Trees on rows: tables of single tests, and random trees against an interpreter that knows nothing of DataFusion.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use chrono::{DateTime, Datelike, Timelike};
use proptest::prelude::*;

use super::*;
use crate::diagnostic::SourceFile;
use crate::normalise::schema::Catalog;
use crate::rules::bind::bind;
use crate::rules::plan::{self, Planned, Tables};

/// A table with a column of each type.
const TABLE: &str = r#"
table = "t"
class_uid = 0
description = "All types."
[columns]
s = { type = "string", description = "s", category = "machine" }
User = { type = "string", description = "u", category = "machine" }
n = { type = "int", description = "n", category = "machine" }
d = { type = "double", description = "d", category = "machine" }
b = { type = "boolean", description = "b", category = "machine" }
w = { type = "timestamp", description = "w", category = "machine" }
"#;

pub(in crate::rules) static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::from_files([SourceFile::new("t.toml", TABLE)]).expect("table"));
pub(in crate::rules) static TABLES: LazyLock<Tables> =
    LazyLock::new(|| Tables::new(&CATALOG).expect("tables"));

/// A row of the table, with a field by its path and the text of the event.
#[derive(Debug, Clone, Default)]
pub(in crate::rules) struct Row {
    s: Option<String>,
    user: Option<String>,
    n: Option<i64>,
    d: Option<f64>,
    b: Option<bool>,
    w: Option<i64>,
    path: Option<String>,
    text: Option<String>,
}

pub(in crate::rules) const PATH: &str = "a.b'c";

pub(in crate::rules) fn batch(rows: &[Row]) -> RecordBatch {
    let text = |get: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(get).collect::<StringViewArray>())
    };
    let times: TimestampMicrosecondArray = rows.iter().map(|row| row.w).collect();
    let path = path_column(PATH);
    let columns: [(&str, ArrayRef); 8] = [
        ("s", text(|row| row.s.as_deref())),
        ("User", text(|row| row.user.as_deref())),
        ("n", Arc::new(rows.iter().map(|row| row.n).collect::<Int64Array>())),
        ("d", Arc::new(rows.iter().map(|row| row.d).collect::<Float64Array>())),
        ("b", Arc::new(rows.iter().map(|row| row.b).collect::<BooleanArray>())),
        ("w", Arc::new(times.with_timezone("+00:00"))),
        (&path, text(|row| row.path.as_deref())),
        (TEXT_COLUMN, text(|row| row.text.as_deref())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).expect("batch")
}

/// The condition through the second lock; the refusal's code when it is refused.
pub(in crate::rules) fn planned(condition: &Condition) -> Result<Planned, &'static str> {
    let table = TABLES.find("t").expect("table");
    let expr = expression(condition, table, &SqlLimits::default()).expect("an expression");
    let names: Vec<String> = expr.column_refs().iter().map(|column| column.name.clone()).collect();
    let layout = table.layout(names.iter().map(String::as_str)).expect("layout");
    plan::built(expr, Vec::new(), &layout).map_err(|refusal| refusal.0.id)
}

pub(in crate::rules) fn hits(planned: &Planned, batch: &RecordBatch) -> Vec<u32> {
    bind("t", planned, &batch.schema()).expect("binds").matches(batch).expect("runs")
}

fn named(name: &str) -> Column {
    Column::Named(name.to_owned())
}

fn literal(text: &str) -> Part {
    Part::Literal(text.to_owned())
}

fn like_of(parts: &[Part]) -> Test {
    Test::Like { pattern: Pattern(parts.to_vec()), cased: false }
}

fn regex_of(pattern: &str) -> Test {
    Test::Regex { pattern: pattern.to_owned() }
}

fn holds_on(test: Test, column: &Column, row: &Row) -> bool {
    let condition = Condition::Test(column.clone(), test);
    match planned(&condition) {
        Ok(planned) => !hits(&planned, &batch(std::slice::from_ref(row))).is_empty(),
        Err(code) => panic!("{condition:?}: {code}"),
    }
}

#[test]
fn patterns_are_taken_by_the_letter() {
    use Part::{Any, Dash, One};
    #[rustfmt::skip]
    let table: &[(&[Part], &str, bool)] = &[
        (&[Any, literal("\\cmd.exe")], "C:\\Windows\\CMD.exe", true),
        (&[Any, literal("\\cmd.exe")], "C:/Windows/cmd.exe", false),
        (&[literal("100%")], "100%", true),
        (&[literal("100%")], "100 and more", false),
        (&[literal("a_b")], "a_b", true),
        (&[literal("a_b")], "axb", false),
        (&[literal("a"), One, literal("b")], "axb", true),
        (&[literal("a"), One, literal("b")], "ab", false),
        (&[literal("\\"), Any, literal("\\")], "\\x\\", true),
        (&[literal("\\\\srv\\")], "\\\\SRV\\", true),
        (&[literal("a"), Any, Any, literal("b")], "a\nb", true),
        (&[Any], "", true),
        (&[Any, literal("İ"), Any], "xİx", true),
        (&[literal("省"), Any], "省庁", true),
        // Simple folding: the long s is an s, the Kelvin sign a k.
        (&[literal("k")], "\u{212a}", true),
        (&[literal("GROSS")], "groß", false),
        (&[], "", true),
        (&[], "a", false),
        (&[Any, literal(" "), Dash, literal("enc"), Any], "powershell –ENC x", true),
        (&[Any, literal(" "), Dash, literal("enc"), Any], "powershell /enc x", true),
        (&[Any, literal(" "), Dash, literal("enc"), Any], "powershell _enc x", false),
        (&[Dash, literal("a.")], "-a.", true),
        (&[Dash, literal("a.")], "-ab", false),
        (&[Dash, literal("a.")], "x-a.", false),
        (&[Dash, literal("a.")], "-a.x", false),
    ];
    for (parts, text, expect) in table {
        let row = Row { s: Some((*text).to_owned()), ..Row::default() };
        assert_eq!(holds_on(like_of(parts), &named("s"), &row), *expect, "{parts:?} {text:?}");
    }
}

#[test]
fn regular_expressions_keep_their_backslashes() {
    #[rustfmt::skip]
    let table = [
        (r"\\cmd\.exe$", r"C:\cmd.exe", true),
        (r"\\cmd\.exe$", "C:cmd.exe", false),
        (r"^C:\\", r"C:\x", true),
        (r"^C:\\", "C:x", false),
        (r"\\", r"a\b", true),
        (r"\x5cb", r"a\b", true),
        (r"\u005cb", r"a\b", true),
        (r"[\\]b", r"a\b", true),
        (r"^a\\b$", r"a\b", true),
        (r"^(a\\b|c)$", r"a\b", true),
        (r"a\\b|c", "xc", true),
        ("(?i)CMD", "cmd", true),
        ("(?x) a b # \\\\ comment", "ab", true),
        ("100%", "100%", true),
        ("100%", "1000", false),
        ("a.b", "a\nb", false),
        ("(?s)a.b", "a\nb", true),
        (".*", "", true),
        ("^$", "", true),
    ];
    for (pattern, text, expect) in table {
        assert_eq!(regex::Regex::new(pattern).expect(pattern).is_match(text), expect, "{pattern}: the table");
        let row = Row { s: Some(text.to_owned()), path: Some(text.to_owned()), ..Row::default() };
        for column in [named("s"), Column::Path(PATH.to_owned())] {
            assert_eq!(holds_on(regex_of(pattern), &column, &row), expect, "{column:?} {pattern} {text:?}");
        }
    }
}

#[test]
fn values_are_asked_by_the_type_of_their_column() {
    let noon = Some(1_764_072_930_000_000); // 2025-11-25T12:15:30Z
    let row = Row {
        s: Some("4625".into()),
        user: Some("True".into()),
        n: Some(4625),
        d: Some(0.5),
        b: Some(true),
        w: noon,
        path: Some(r#"["x",["10.0.0.1"],4625,true]"#.into()),
        text: Some("x\ny".into()),
    };
    let path = || Column::Path(PATH.to_owned());
    use Comparison::{Equal, Greater, GreaterOrEqual, Less};
    #[rustfmt::skip]
    let table = [
        (named("s"), Test::Number(Equal, 4625.0), true),
        (named("s"), Test::Number(Equal, 4625.5), false),
        (named("s"), Test::Number(Greater, 4624.5), true),
        (named("User"), Test::Number(Less, 1.0), false),
        (named("n"), Test::Number(Equal, 4625.0), true),
        (named("n"), Test::Number(Equal, 4625.5), false),
        (named("n"), Test::Number(Less, 4625.5), true),
        (named("N"), Test::Number(GreaterOrEqual, 4626.0), false),
        (named("d"), Test::Number(Equal, 0.5), true),
        (named("d"), Test::Number(Less, 1.0), true),
        (named("b"), Test::Number(Equal, 1.0), true),
        (named("w"), Test::Number(Equal, 1.0), false),
        (path(), Test::Number(Equal, 4625.0), true),
        (path(), Test::Number(Greater, 4624.5), true),
        (path(), Test::Number(Greater, 4625.0), false),
        (named("n"), like_of(&[literal("4625")]), true),
        (named("n"), like_of(&[literal("46"), Part::Any]), true),
        (named("n"), like_of(&[literal("04625")]), false),
        (named("b"), like_of(&[literal("TRUE")]), true),
        (named("w"), like_of(&[literal("2025-11-25"), Part::Any]), true),
        (named("b"), Test::Flag(true), true),
        (named("b"), Test::Flag(false), false),
        (named("User"), Test::Flag(true), true),
        (named("n"), Test::Flag(true), false),
        (path(), Test::Flag(true), true),
        (path(), Test::Cidr("10.0.0.0/8".into()), true),
        (named("s"), Test::Cidr("10.0.0.0/8".into()), false),
        (named("w"), Test::TimePart(TimePart::Hour, 12), true),
        (named("w"), Test::TimePart(TimePart::Minute, 15), true),
        (named("w"), Test::TimePart(TimePart::Week, 48), true),
        (named("w"), Test::TimePart(TimePart::Day, 24), false),
        (named("s"), Test::TimePart(TimePart::Hour, 12), false),
        (Column::Text, like_of(&[Part::Any, literal("Y"), Part::Any]), true),
        (path(), like_of(&[literal("X")]), true),
        (path(), Test::Like { pattern: Pattern(vec![literal("X")]), cased: true }, false),
    ];
    for (column, test, expect) in table {
        assert_eq!(holds_on(test.clone(), &column, &row), expect, "{column:?} {test:?}");
    }
}

#[test]
fn times_are_read_from_texts() {
    for (text, hour, expect) in [
        ("2026-11-23T10:15:00Z", 10, true),
        ("2026-11-23T10:15:00+09:00", 1, true),
        ("2026-11-23 10:15:00.123", 10, true),
        ("yesterday", 10, false),
        ("", 0, false),
    ] {
        let row = Row { s: Some(text.to_owned()), ..Row::default() };
        assert_eq!(holds_on(Test::TimePart(TimePart::Hour, hour), &named("s"), &row), expect, "{text}");
    }
}

#[test]
fn what_is_missing_suppresses_nothing() {
    let present = |name: &str| Condition::Test(named(name), Test::Present);
    let is_a = Condition::Test(named("s"), like_of(&[literal("a")]));
    let not = |inner: Condition| Condition::Not(Box::new(inner));
    let table = [
        (not(is_a.clone()), [false, true, true]),
        (not(not(is_a.clone())), [true, false, false]),
        (not(Condition::All(vec![is_a.clone(), present("User")])), [true, true, true]),
        (not(Condition::Any(vec![is_a.clone(), present("User")])), [false, true, true]),
        (not(Condition::Test(named("s"), Test::Null)), [true, true, false]),
        (Condition::AtLeast(2, vec![is_a.clone(), not(present("User")), present("n")]), [true, false, false]),
        (Condition::AtLeast(1, vec![is_a.clone(), present("User")]), [true, false, false]),
        (Condition::AtLeast(2, vec![is_a, not(present("User"))]), [true, false, false]),
    ];
    let text = |text: &str| Row { s: Some(text.to_owned()), ..Row::default() };
    let rows = batch(&[text("a"), text("b"), Row::default()]);
    for (condition, expect) in table {
        let planned = planned(&condition).expect("plans");
        let found = hits(&planned, &rows);
        let expect: Vec<u32> = (0u32..).zip(expect).filter(|(_, hit)| *hit).map(|(row, _)| row).collect();
        assert_eq!(found, expect, "{condition:?}");
    }
}

#[test]
fn long_lists_stay_shallow() {
    let tests = (0..1_500).map(|nth| {
        let pattern = [Part::Any, Part::Literal(format!("\\tool{nth}.exe"))];
        Condition::Test(named("s"), like_of(&pattern))
    });
    let numbers =
        (0..500).map(|nth| Condition::Test(named("n"), Test::Number(Comparison::Equal, f64::from(nth))));
    let not = Condition::Not(Box::new(Condition::Any(numbers.collect())));
    let planned = planned(&Condition::All(vec![Condition::Any(tests.collect()), not])).expect("plans");
    let row = |text: &str, n| Row { s: Some(text.to_owned()), n: Some(n), ..Row::default() };
    let rows = batch(&[row("C:\\TOOL1499.exe", 500), row("C:\\tool1499.exe", 499), row("C:\\tool.exe", 500)]);
    assert_eq!(hits(&planned, &rows), [0]);
}

#[test]
fn what_cannot_be_asked_is_a_fault() {
    let table = TABLES.find("t").expect("table");
    let test = |column: Column, test: Test| Condition::Test(column, test);
    let mut deep = test(named("s"), Test::Null);
    for _ in 0..100 {
        deep = Condition::Not(Box::new(Condition::All(vec![deep, test(named("n"), Test::Null)])));
    }
    let limits = SqlLimits::default();
    let many = (0..=limits.expressions_max).map(|_| test(named("s"), Test::Null)).collect();
    for (condition, expect) in [
        (test(named("x"), Test::Null), "no column `x`"),
        (test(named("s"), Test::Cidr("10.0.0.0/40".into())), "from 0 to 32"),
        (test(named("s"), like_of(&[literal(&"a".repeat(5_000))])), "5000 bytes"),
        (test(named("s"), regex_of(&"a".repeat(5_000))), "5000 bytes"),
        (test(Column::Path("a..b".to_owned()), Test::Null), "empty part"),
        (deep, "inside each other"),
        (Condition::Any(many), "more than 8192"),
    ] {
        let fault = expression(&condition, table, &limits).expect_err(expect);
        assert!(fault.to_string().contains(expect), "{fault}");
    }
}

#[test]
fn conditions_that_say_nothing_are_refused() {
    for condition in [Condition::All(Vec::new()), Condition::Any(Vec::new())] {
        assert_eq!(planned(&condition).expect_err("refused"), "Q027");
    }
}

// ---- random trees ----

fn texts() -> impl Strategy<Value = String> {
    let listed = [
        "7",
        "7.0",
        "-3",
        "true",
        "10.0.0.1",
        "192.0.2.7",
        "[7,\"A\"]",
        "[\"a\\\\b\",[\"10.9.9.9\"]]",
        "[7",
        "a\\b",
        "-a",
        "–a",
        "a\nb",
        "2026-11-23T10:15:00Z",
        "",
        "[]",
    ];
    prop_oneof![
        2 => r"[aAb\\%_*/ -]{0,4}",
        1 => prop::sample::select(listed.to_vec()).prop_map(str::to_owned),
    ]
}

fn column() -> impl Strategy<Value = Column> {
    prop_oneof![
        4 => prop::sample::select(vec!["s", "User"]).prop_map(named),
        3 => prop::sample::select(vec!["n", "d", "b", "w"]).prop_map(named),
        2 => Just(Column::Path(PATH.to_owned())),
        1 => Just(Column::Text),
    ]
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let part = prop_oneof![
        4 => r"[aAb\\%_/ -]{1,2}".prop_map(Part::Literal),
        2 => Just(Part::Any),
        1 => Just(Part::One),
        1 => Just(Part::Dash),
        1 => prop::sample::select(vec!["7", "true", "10.0.0.1"]).prop_map(literal),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| {
        let mut merged: Vec<Part> = Vec::new();
        for part in parts {
            match (merged.last_mut(), part) {
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => merged.push(part),
            }
        }
        Pattern(merged)
    })
}

fn test() -> impl Strategy<Value = Test> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
    let patterns = [
        "\\\\", "a\\\\b", "^a\\\\", "\\\\b$", "^-a$", "(?i)A", ".*", "^[aA]+$", "%", "_", "^$", "[^a]",
        "a|b", "^(a|b)$",
    ];
    let place = prop::sample::select(vec![Place::Whole, Place::Within, Place::Start, Place::End]);
    let comparison = prop::sample::select(vec![Equal, Less, LessOrEqual, Greater, GreaterOrEqual]);
    let part =
        [TimePart::Minute, TimePart::Hour, TimePart::Day, TimePart::Week, TimePart::Month, TimePart::Year];
    prop_oneof![
        1 => Just(Test::Null),
        1 => Just(Test::Present),
        6 => (pattern(), any::<bool>()).prop_map(|(pattern, cased)| Test::Like { pattern, cased }),
        2 => prop::sample::select(patterns.to_vec()).prop_map(regex_of),
        1 => prop::sample::select(vec!["10.0.0.0/8", "192.0.2.7"]).prop_map(|net| Test::Cidr(net.to_owned())),
        2 => (comparison, prop::sample::select(vec![7.0, -3.0, 0.0, 1.0, 6.5])).prop_map(|(c, n)| Test::Number(c, n)),
        1 => any::<bool>().prop_map(Test::Flag),
        1 => (column(), place, any::<bool>()).prop_map(|(other, place, cased)| Test::Same { other, place, cased }),
        1 => (prop::sample::select(part.to_vec()), prop::sample::select(vec![0, 10, 11, 15, 23, 48, 2026]))
            .prop_map(|(part, number)| Test::TimePart(part, number)),
    ]
}

pub(in crate::rules) fn condition() -> impl Strategy<Value = Condition> {
    let leaf = (column(), test()).prop_map(|(column, test)| Condition::Test(column, test));
    leaf.prop_recursive(4, 20, 4, |inner| {
        let many = prop::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            2 => many.clone().prop_map(Condition::All),
            2 => many.clone().prop_map(Condition::Any),
            1 => (0..4u64, many).prop_map(|(count, many)| Condition::AtLeast(count, many)),
            2 => inner.prop_map(|inner| Condition::Not(Box::new(inner))),
        ]
    })
}

pub(in crate::rules) fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = || prop::option::weighted(0.8, texts());
    let row = (
        (text(), text(), text(), text()),
        prop::option::of(prop::sample::select(vec![7, -3, 0, 1])),
        prop::option::of(prop::sample::select(vec![7.0, -3.0, 0.0, 6.5])),
        prop::option::of(any::<bool>()),
        prop::option::of(prop::sample::select(vec![0, 1_795_429_000_000_000, 1_700_000_000_000_000])),
    );
    let row = row.prop_map(|((s, user, path, text), n, d, b, w)| Row { s, user, n, d, b, w, path, text });
    prop::collection::vec(row, 0..12)
}

/// What the row has in a column, as text, and as a number where its column is one of numbers.
fn look(column: &Column, row: &Row) -> (Option<String>, Option<f64>) {
    match column {
        Column::Path(_) => (row.path.clone(), None),
        Column::Text => (row.text.clone(), None),
        Column::Named(name) => match name.as_str() {
            "s" => (row.s.clone(), None),
            "User" => (row.user.clone(), None),
            "n" => (row.n.map(|n| n.to_string()), row.n.map(|n| n as f64)),
            "d" => (row.d.map(|d| format!("{d:?}")), row.d),
            "b" => (row.b.map(|b| b.to_string()), row.b.map(|b| f64::from(u8::from(b)))),
            _ => {
                let time = row.w.and_then(DateTime::from_timestamp_micros);
                (time.map(|time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()), None)
            }
        },
    }
}

/// The tree by its words alone.
fn holds(condition: &Condition, row: &Row) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| holds(part, row)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, row)),
        Condition::AtLeast(count, parts) => {
            parts.iter().filter(|part| holds(part, row)).count() as u64 >= *count
        }
        Condition::Not(inner) => !holds(inner, row),
        Condition::Test(column, test) => passes(column, test, row),
    }
}

fn passes(column: &Column, test: &Test, row: &Row) -> bool {
    let (text, number) = look(column, row);
    let Some(text) = text else { return *test == Test::Null };
    let typed = matches!(column, Column::Named(name) if matches!(name.as_str(), "n" | "d" | "b" | "w"));
    let listed = match column {
        Column::Path(_) => serde_json::from_str::<Vec<serde_json::Value>>(&text).ok(),
        _ => None,
    };
    let one_of = |passes: &dyn Fn(&str) -> bool| match &listed {
        Some(list) => {
            let mut items = Vec::new();
            flat(list, &mut items);
            items.iter().any(|item| passes(item))
        }
        None => passes(&text),
    };
    match test {
        Test::Null => false,
        Test::Present => true,
        Test::Like { pattern, .. }
            if !pattern.0.is_empty() && pattern.0.iter().all(|part| *part == Part::Any) =>
        {
            true
        }
        Test::Like { pattern, cased } => {
            one_of(&|text| glob(&pattern.0, &text.chars().collect::<Vec<_>>(), *cased))
        }
        Test::Regex { pattern } => {
            let regex = regex::Regex::new(pattern).expect("valid");
            one_of(&|text| regex.is_match(text))
        }
        Test::Cidr(network) => one_of(&|text| match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if network.ends_with("/8") => address.octets()[0] == 10,
            Ok(address) => address.to_string() == *network,
            Err(_) => false,
        }),
        Test::Number(Comparison::Equal, wanted) if !typed && wanted.fract() == 0.0 => {
            one_of(&|text| text == wanted.to_string())
        }
        Test::Number(comparison, wanted) => {
            let compares = |number: f64| match comparison {
                Comparison::Equal => number == *wanted,
                Comparison::Less => number < *wanted,
                Comparison::LessOrEqual => number <= *wanted,
                Comparison::Greater => number > *wanted,
                Comparison::GreaterOrEqual => number >= *wanted,
            };
            match typed {
                true => number.is_some_and(compares),
                false => one_of(&|text| text.parse().is_ok_and(compares)),
            }
        }
        Test::Flag(flag) => match (column, row.n) {
            (Column::Named(name), Some(n)) if name == "n" => n == i64::from(*flag),
            _ => one_of(&|text| text.eq_ignore_ascii_case(if *flag { "true" } else { "false" })),
        },
        Test::Same { other, place, cased } => {
            let Some(others) = look(other, row).0 else { return false };
            let shown = |text: &str| if *cased { text.to_owned() } else { text.to_lowercase() };
            let is_list = |column: &Column| matches!(column, Column::Path(_));
            // Where one of the two can be a list, the other is read as one too.
            let items = |text: &str| match serde_json::from_str::<Vec<serde_json::Value>>(text) {
                Ok(list) if is_list(column) || is_list(other) => {
                    let mut items = Vec::new();
                    flat(&list, &mut items);
                    items
                }
                _ => vec![text.to_owned()],
            };
            let same = |text: &str, other: &str| {
                let (text, other) = (shown(text), shown(other));
                match place {
                    Place::Whole => text == other,
                    Place::Within => text.contains(&other),
                    Place::Start => text.starts_with(&other),
                    Place::End => text.ends_with(&other),
                }
            };
            items(&text).iter().any(|text| items(&others).iter().any(|other| same(text, other)))
        }
        Test::TimePart(part, wanted) => one_of(&|text| {
            let Ok(time) = DateTime::parse_from_rfc3339(text) else { return false };
            let number = match part {
                TimePart::Minute => time.minute(),
                TimePart::Hour => time.hour(),
                TimePart::Day => time.day(),
                TimePart::Week => time.iso_week().week(),
                TimePart::Month => time.month(),
                TimePart::Year => time.year() as u32,
            };
            i64::from(number) == *wanted
        }),
    }
}

fn flat(items: &[serde_json::Value], into: &mut Vec<String>) {
    for item in items {
        match item {
            serde_json::Value::Null => {}
            serde_json::Value::String(text) => into.push(text.clone()),
            serde_json::Value::Array(items) => flat(items, into),
            other => into.push(other.to_string()),
        }
    }
}

fn glob(parts: &[Part], text: &[char], cased: bool) -> bool {
    let Some((part, rest)) = parts.split_first() else { return text.is_empty() };
    match part {
        Part::Any => (0..=text.len()).any(|from| glob(rest, &text[from..], cased)),
        Part::One => !text.is_empty() && glob(rest, &text[1..], cased),
        Part::Dash => text.first().is_some_and(|c| "-/–—―".contains(*c)) && glob(rest, &text[1..], cased),
        Part::Literal(literal) => {
            let literal: Vec<char> = literal.chars().collect();
            let same = |(a, b): (&char, &char)| a == b || (!cased && a.eq_ignore_ascii_case(b));
            text.len() >= literal.len()
                && literal.iter().zip(text).all(same)
                && glob(rest, &text[literal.len()..], cased)
        }
    }
}

proptest! {
    #[test]
    fn trees_hit_the_rows_that_they_say(condition in condition(), rows in rows()) {
        let expect: Vec<u32> =
            (0u32..).zip(&rows).filter(|(_, row)| holds(&condition, row)).map(|(at, _)| at).collect();
        match planned(&condition) {
            Ok(planned) => prop_assert_eq!(hits(&planned, &batch(&rows)), expect),
            // Nothing but a constant may be refused.
            Err(code) => {
                prop_assert_eq!(code, "Q027");
                prop_assert!(expect.is_empty() || expect.len() == rows.len());
            }
        }
    }
}
