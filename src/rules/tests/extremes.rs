//! No value of an event makes a listed function fail: whoever can write a log line could stop a rule.

use super::*;

/// One output for each function, over columns that hold the extremes of their types.
#[rustfmt::skip]
const CALLS: &[(&str, &str)] = &[
    ("any_cidr_match", "any_cidr_match(Image, '::/0')"),
    ("any_compare", "any_compare(Image, '>=', 7)"),
    ("any_date_part", "any_date_part('week', Image, 1)"),
    ("any_ilike", "any_ilike(Image, '%a_')"),
    ("any_like", "any_like(Image, '%a_')"),
    ("any_match", "any_match(Image, User, 'contains')"),
    ("any_regexp_like", "any_regexp_like(Image, '(?i)^a+$')"),
    ("ascii", "ascii(Image)"),
    ("bit_length", "bit_length(Image)"),
    ("btrim", "btrim(Image, 'aB')"),
    ("casefold", "casefold(Image)"),
    ("ceil", "ceil(ProcessId) + ceil(ProcessId * 1.5)"),
    ("char_length", "char_length(Image)"),
    ("character_length", "character_length(Image)"),
    ("cidr_match", "cidr_match(Image, '::/0')"),
    ("coalesce", "coalesce(Image, User, 'x')"),
    ("concat", "concat(Image, ProcessId, event_time)"),
    ("concat_ws", "concat_ws(',', Image, User)"),
    ("contains", "contains(Image, User)"),
    ("date_part", "date_part('epoch', event_time) + date_part('dow', event_time) + date_part('week', event_time)"),
    ("encode", "encode(Image, 'base64')"),
    ("ends_with", "ends_with(Image, User)"),
    ("find_in_set", "find_in_set(User, Image)"),
    ("floor", "floor(ProcessId) + floor(ProcessId * 1.5)"),
    ("greatest", "greatest(ProcessId, 1)"),
    ("ifnull", "ifnull(Image, User)"),
    ("initcap", "initcap(Image)"),
    ("instr", "instr(Image, User)"),
    ("isnan", "isnan(ln(ProcessId))"),
    ("json_get", "json_get(Image, 'a.0')"),
    ("least", "least(ProcessId, 1)"),
    ("left", "left(Image, -2)"),
    ("length", "length(Image)"),
    ("levenshtein", "levenshtein(Image, 'a')"),
    ("ln", "ln(ProcessId)"),
    ("log10", "log10(ProcessId)"),
    ("log2", "log2(ProcessId)"),
    ("lower", "lower(Image)"),
    ("ltrim", "ltrim(Image, 'aB')"),
    ("nullif", "nullif(Image, User)"),
    ("nvl", "nvl(Image, User)"),
    ("nvl2", "nvl2(Image, 1, 2)"),
    ("octet_length", "octet_length(Image)"),
    ("position", "POSITION(User IN Image)"),
    ("regexp_count", "regexp_count(Image, 'a', 2, 'i')"),
    ("regexp_like", "regexp_like(Image, 'a.*b', 'is')"),
    ("regexp_replace", "regexp_replace(Image, '(a*)', '<\\1>', 'g')"),
    ("replace", "replace(Image, '', 'x')"),
    ("reverse", "reverse(Image)"),
    ("right", "right(Image, -2)"),
    ("round", "round(ProcessId * 1.5, 2)"),
    ("rtrim", "rtrim(Image, 'aB')"),
    ("signum", "signum(ProcessId)"),
    ("split_part", "split_part(Image, User, 4294967295)"),
    ("starts_with", "starts_with(Image, User)"),
    ("strpos", "strpos(Image, User)"),
    ("substr", "substr(Image, -4294967295, 4294967295)"),
    ("substr_index", "substr_index(Image, 'a', -9223372036854775807)"),
    ("substring", "SUBSTRING(Image FROM 2 FOR 3)"),
    ("test_stumble", "test_stumble(Image)"),
    ("to_hex", "to_hex(ProcessId)"),
    ("translate", "translate(Image, 'abc', 'x')"),
    ("trim", "TRIM(LEADING 'a' FROM Image)"),
    ("trunc", "trunc(ProcessId * 1.5)"),
    ("upper", "upper(Image)"),
    ("arithmetic", "ProcessId * 9223372036854775807 + ProcessId - 9223372036854775807"),
    ("division", "1 / NULLIF(ProcessId, 0) + ProcessId / 7 + ProcessId % 7"),
    ("real division", "ProcessId / 0.0"),
    ("bits", "(ProcessId & 255) | 1"),
    ("casts", "concat(CAST(ProcessId AS VARCHAR), CAST(event_time AS VARCHAR), CAST(event_time AS DATE))"),
    ("lenient casts", "concat(TRY_CAST(Image AS BIGINT), TRY_CAST(Image AS TIMESTAMP), CAST(TRY_CAST(Image AS TIMESTAMP) AS DATE), TRY_CAST(Image AS BOOLEAN))"),
    ("intervals", "concat(event_time + INTERVAL '1000 years', event_time - INTERVAL '1000 years')"),
    ("intervals of lenient casts", "concat(TRY_CAST(Image AS TIMESTAMP) + INTERVAL '1000 years', TRY_CAST(Image AS TIMESTAMP) - INTERVAL '1000 years')"),
    ("dates", "concat(CAST(TRY_CAST(Image AS TIMESTAMP) AS DATE) + INTERVAL '1000 years', CAST(event_time AS DATE) - INTERVAL '1000 years')"),
    ("extract", "EXTRACT(SECOND FROM event_time)"),
    ("comparison", "event_time > TIMESTAMP '2024-01-01' OR event_time BETWEEN '2023-01-01' AND '2025-01-01'"),
];

fn extremes() -> RecordBatch {
    let long = "aB1.".repeat(20_000);
    let images = [
        Some(""),
        Some("a"),
        Some("狼煙\u{0}\u{200d}\u{301}ß"),
        Some("[[{\"a\":"),
        Some(long.as_str()),
        None,
        // The first and the last of what types of times hold, and of what a calendar names.
        Some("-5877641-06-23"),
        Some("5881580-07-11"),
        Some("1677-09-21T00:12:43.145224193"),
        Some("2262-04-11T23:47:16.854775807"),
        Some("-262143-01-01T00:00:00"),
        Some("+262142-12-31T23:59:59"),
    ];
    let users = ["", "a", "煙", "\\", "aB", "x"].map(Some);
    let users =
        [users, images.split_at(6).1.iter().rev().copied().collect::<Vec<_>>().try_into().expect("six")]
            .concat();
    let numbers = [i64::MIN, i64::MAX, -1, 0, 1, i64::MIN + 1].repeat(2);
    // `normalise` keeps times between the years 1 and 9999.
    let times = [-62_135_596_800_000_000, 253_402_300_799_999_999, 0, -1, 1_700_000_000_000_001, 1].repeat(2);
    batch(
        "process_activity",
        images.len(),
        &[
            ("Image", texts(&images)),
            ("User", texts(&users)),
            ("ProcessId", Arc::new(Int64Array::from(numbers))),
            ("event_time", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00"))),
        ],
    )
}

#[test]
fn no_value_makes_a_function_fail() {
    let batch = extremes();
    let mut failed = Vec::new();
    for (name, call) in CALLS {
        let sql = format!("SELECT {call} AS x FROM process_activity WHERE org_id IS NULL");
        let loaded = load_sql(&sql);
        let Some(rule) = loaded.rules.first() else {
            failed.push(format!("{name}: {}", loaded.diagnostics[0]));
            continue;
        };
        let bound = rule.bind(&batch.schema()).expect("binds");
        // Row by row as well: a failure may hide behind another one.
        for row in 0..batch.num_rows() {
            let ran = catch_unwind(AssertUnwindSafe(|| bound.evaluate(&batch.slice(row, 1))));
            match ran {
                Ok(Ok(Some(hits))) => assert_eq!(hits.output.num_rows(), 1),
                Ok(other) => failed.push(format!("{name}, row {row}: {other:?}")),
                Err(_) => failed.push(format!("{name}, row {row}: panicked")),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn each_function_is_tried() {
    let missing: Vec<&&str> =
        functions::names().iter().filter(|name| !CALLS.iter().any(|(tried, _)| tried == *name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
