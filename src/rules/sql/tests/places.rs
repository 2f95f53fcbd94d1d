//! Where a problem is shown: the part of the text that is at fault, also where the parser knows no place.

use super::{HEAD, load_sql};

/// The query (`{}` is a sound head with a condition), the code, and the text that is marked.
#[rustfmt::skip]
const PLACES: &[(&str, &str, &str)] = &[
    ("SELECT Image FROM '/etc/passwd' WHERE Image = 'a'", "Q007", "'/etc/passwd'"),
    ("SELECT Image FROM \"/etc/passwd\" WHERE Image = 'a'", "Q007", "\"/etc/passwd\""),
    ("SELECT Image FROM a.b WHERE Image = 'a'", "Q007", "a.b"),
    ("SELECT FROM process_activity WHERE Image = 'a'", "Q001", "SELECT"),
    ("FROM process_activity SELECT Image WHERE Image = 'a'", "Q012", "FROM"),
    ("SELECT * FROM process_activity PIVOT (sum(ProcessId) FOR Image IN ('a')) WHERE Image = 'a'", "Q012", "PIVOT"),
    ("SELECT * FROM process_activity UNPIVOT (a FOR b IN (c)) WHERE Image = 'a'", "Q012", "UNPIVOT"),
    ("SELECT Image FROM LATERAL (SELECT 1) AS t WHERE Image = 'a'", "Q018", "LATERAL"),
    ("SELECT x FROM UNNEST([1, 2]) AS x WHERE x = 1", "Q018", "UNNEST"),
    ("SELECT x FROM TABLE(range(1)) WHERE x = 1", "Q018", "TABLE"),
    ("SELECT Image FROM (process_activity JOIN file_activity ON true) WHERE Image = 'a'", "Q015", "JOIN"),
    ("SELECT /*+ HINT(x) */ Image FROM process_activity WHERE Image = 'a'", "Q012", "SELECT"),
    ("{} |> WHERE Image = 'b'", "Q012", "|>"),
    ("{} AND date_part('foo', event_time) = 1", "Q022", "'foo'"),
    ("{} AND date_part('century', event_time) = 1", "Q022", "'century'"),
    ("{} AND EXTRACT(century FROM event_time) = 1", "Q011", "century"),
    ("{} AND encode(Image, 'hexx') = 'a'", "Q022", "'hexx'"),
    ("{} AND encode(Image, 'HEX') = 'a'", "Q022", "'HEX'"),
    ("{} AND Image RLIKE 'a'", "Q011", "RLIKE"),
    ("{} AND Image REGEXP 'a'", "Q011", "REGEXP"),
    ("{} AND MATCH (Image) AGAINST ('a')", "Q011", "MATCH"),
    ("{} AND {'a': 1} IS NULL", "Q011", "{"),
    ("{} AND MAP {'a': 1} IS NULL", "Q011", "MAP"),
    ("{} AND STRUCT(1) IS NULL", "Q011", "STRUCT"),
    ("{} AND [1] IS NULL", "Q011", "["),
    ("{} AND ARRAY[1] IS NULL", "Q011", "ARRAY"),
    ("{} AND EXISTS (SELECT 1)", "Q019", "EXISTS"),
    ("{} AND concat() = 'a'", "Q022", "concat"),
    ("{} AND lower() = 'a'", "Q022", "lower"),
    ("{} AND CAST(Image AS INET) IS NULL", "Q011", "INET"),
    ("{} AND OVERLAY(Image PLACING 'x' FROM 1) = 'a'", "Q011", "OVERLAY"),
    ("{} AND CONVERT(Image USING utf8) = 'a'", "Q011", "CONVERT"),
    ("{} AND ceil(event_time TO DAY) = 1", "Q011", "ceil"),
    ("{} AND event_time > ingest_time - INTERVAL '1001 years'", "Q022", "'1001 years'"),
    ("{} AND event_time > ingest_time - INTERVAL '12001 months'", "Q022", "'12001 months'"),
    ("{} AND event_time > ingest_time - INTERVAL '-366001 days'", "Q022", "'-366001 days'"),
    ("{} AND event_time > ingest_time - INTERVAL '999999999999 years'", "Q022", "'999999999999 years'"),
    ("SELECT Image AS \"a\u{202e}b\" FROM process_activity WHERE Image = 'a'", "Q030", "\"a\u{202e}b\""),
    ("SELECT Image AS \"a\nb\" FROM process_activity WHERE Image = 'a'", "Q030", "\"a\nb\""),
    ("SELECT Image || '\u{7}' FROM process_activity WHERE Image = 'a'", "Q030", "Image || '\u{7}'"),
    ("SELECT Image AS org_id FROM process_activity WHERE Image = 'a'", "Q030", "org_id"),
    ("SELECT Image AS \"Org_ID\" FROM process_activity WHERE Image = 'a'", "Q030", "\"Org_ID\""),
    ("SELECT event_time AS ingest_time FROM process_activity WHERE Image = 'a'", "Q030", "ingest_time"),
    ("SELECT Image AS \" \" FROM process_activity WHERE Image = 'a'", "Q026", "\" \""),
];

#[test]
fn the_marked_text_is_what_is_at_fault() {
    let mut wrong = Vec::new();
    for (sql, code, marked) in PLACES {
        // A row of its own, with letters of several bytes before: columns count characters.
        let sql = sql.replacen("{}", &format!("{HEAD}\n /* 狼煙 */ User = '狼煙'"), 1);
        let loaded = load_sql(&sql);
        let found = loaded.diagnostics.first();
        let text = found.and_then(|found| {
            let location = found.location.as_ref()?;
            location.file.text.get(location.span.clone())
        });
        if found.map(|found| found.code.id) != Some(code) || text != Some(marked) {
            wrong.push(format!("{sql}\n   {:?} at {text:?}", found.map(ToString::to_string)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_looks_alike_is_sound() {
    for sql in [
        "SELECT ALL Image FROM process_activity WHERE Image = 'a'",
        "SELECT org_id, event_time AS event_time FROM process_activity WHERE Image = 'a'",
        "SELECT lower(Image) AS Image FROM process_activity WHERE Image = 'a'",
        "SELECT Image AS \"狼煙 or not\" FROM process_activity WHERE Image = 'a'",
        "SELECT Image FROM process_activity WHERE event_time > ingest_time - INTERVAL '1000 years'",
        "SELECT Image FROM process_activity WHERE event_time > ingest_time - INTERVAL '1 day 2 hours'",
        "SELECT Image FROM process_activity WHERE EXTRACT(quarter FROM event_time) = 1",
        "SELECT Image FROM process_activity WHERE date_part('ISODOW', event_time) = 1",
        "SELECT Image FROM process_activity WHERE encode(Image, 'hex') = 'a'",
    ] {
        let loaded = load_sql(sql);
        let found: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!((loaded.rules.len(), found.len()), (1, 0), "{sql}: {found:?}");
    }
}
