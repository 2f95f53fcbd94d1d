//! The hostile queries: one row each, and the code that refuses it.

mod bounds;
mod places;

use std::sync::LazyLock;

use crate::diagnostic::{Diagnostic, SourceFile};
use crate::normalise::schema::Catalog;
use crate::rules::{Loaded, RuleLimits, load_files};

pub(in crate::rules) static CATALOG: LazyLock<Catalog> =
    LazyLock::new(|| Catalog::stock().expect("stock tables"));

pub(in crate::rules) fn load_sql(sql: &str) -> Loaded {
    let text = format!("/*---\nid: a\ntitle: t\n---*/\n{sql}");
    load_files(&[SourceFile::new("a.sql", text)], &CATALOG, &RuleLimits::default())
}

fn codes_of(loaded: &Loaded) -> Vec<&'static str> {
    loaded.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code.id).collect()
}

/// `{}` in these stands for a sound query's head.
const HEAD: &str = "SELECT Image FROM process_activity WHERE";

#[rustfmt::skip]
const HOSTILE: &[(&str, &str)] = &[
    // Not one query.
    ("", "R003"),
    ("  -- nothing\n /* here */ ;;", "R003"),
    ("SELEC Image FROM process_activity", "Q003"),
    ("SELECT Image FROM", "Q001"),
    ("SELECT Image FROM process_activity WHERE Image = 'open", "Q001"),
    ("SELECT Image FROM process_activity WHERE Image = ‘x’", "Q001"),
    ("SELECT Image FROM process_activity WHERE Image = 'a' /* open", "Q001"),
    ("{} Image = 'a'; DROP TABLE process_activity", "Q002"),
    ("{} Image = 'a'; {} Image = 'b'", "Q002"),
    ("{} Image = 'a' --x\n; COPY x TO '/tmp/x'", "Q002"),
    ("INSERT INTO process_activity VALUES (1)", "Q003"),
    ("UPDATE process_activity SET Image = 'a'", "Q003"),
    ("DELETE FROM process_activity", "Q003"),
    ("COPY process_activity TO '/tmp/x.csv'", "Q003"),
    ("SET datafusion.execution.batch_size = 1", "Q003"),
    ("EXPLAIN ANALYZE SELECT 1", "Q003"),
    ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "Q003"),
    ("CREATE TABLE t AS SELECT * FROM process_activity", "Q003"),
    ("SHOW TABLES", "Q003"),
    ("DROP TABLE process_activity", "Q003"),
    ("PREPARE p AS SELECT 1", "Q003"),
    ("BEGIN", "Q003"),
    ("CALL f()", "Q003"),
    ("TABLE process_activity", "Q003"),
    ("FROM process_activity", "Q012"),
    ("FROM process_activity SELECT Image WHERE Image = 'a'", "Q012"),
    ("(SELECT Image FROM process_activity WHERE Image = 'a')", "Q012"),
    ("VALUES (1, 2)", "Q018"),
    ("WITH x AS (INSERT INTO t VALUES (1)) {} Image = 'a'", "Q017"),
    // Tables.
    ("SELECT 1 WHERE 1 = 2", "Q006"),
    ("SELECT Image FROM nowhere WHERE Image = 'a'", "Q007"),
    ("SELECT Image FROM 'file.csv' WHERE Image = 'a'", "Q007"),
    ("SELECT Image FROM 'process_activity' WHERE Image = 'a'", "Q007"),
    ("SELECT Image FROM \"/etc/passwd\" WHERE Image = 'a'", "Q007"),
    ("SELECT table_name FROM information_schema.tables WHERE table_name = 'a'", "Q007"),
    ("SELECT Image FROM public.process_activity WHERE Image = 'a'", "Q007"),
    ("SELECT Image FROM process_activity", "Q023"),
    ("SELECT Image FROM process_activity, file_activity WHERE Image = 'a'", "Q015"),
    ("SELECT Image FROM process_activity JOIN file_activity ON 1 = 1 WHERE Image = 'a'", "Q015"),
    ("SELECT Image FROM process_activity CROSS JOIN file_activity WHERE Image = 'a'", "Q015"),
    ("SELECT Image FROM (process_activity JOIN file_activity ON true) WHERE Image = 'a'", "Q015"),
    ("SELECT Image FROM (SELECT * FROM process_activity) WHERE Image = 'a'", "Q019"),
    ("SELECT x FROM generate_series(1, 1000000000) AS t(x) WHERE x = 1", "Q018"),
    ("SELECT x FROM UNNEST([1, 2]) AS x WHERE x = 1", "Q018"),
    ("SELECT x FROM TABLE(range(1)) WHERE x = 1", "Q018"),
    ("SELECT Image FROM read_csv('/etc/passwd') WHERE Image = 'a'", "Q018"),
    ("SELECT Image FROM LATERAL (SELECT 1) AS t WHERE Image = 'a'", "Q018"),
    ("SELECT Image FROM (VALUES ('a')) AS t(Image) WHERE Image = 'a'", "Q019"),
    ("SELECT Image FROM process_activity TABLESAMPLE BERNOULLI (10) WHERE Image = 'a'", "Q012"),
    ("SELECT Image FROM process_activity AS e(a, b) WHERE Image = 'a'", "Q012"),
    ("SELECT * FROM process_activity PIVOT (sum(ProcessId) FOR Image IN ('a')) WHERE Image = 'a'", "Q012"),
    ("SELECT * FROM process_activity MATCH_RECOGNIZE (PATTERN (A) DEFINE A AS true) WHERE Image = 'a'", "Q012"),
    // Clauses.
    ("WITH x AS (SELECT 1) {} Image = 'a'", "Q017"),
    ("WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) {} Image = 'a'", "Q017"),
    ("{} Image = 'a' UNION ALL {} Image = 'b'", "Q020"),
    ("{} Image = 'a' EXCEPT {} Image = 'b'", "Q020"),
    ("{} Image = 'a' INTERSECT {} Image = 'b'", "Q020"),
    ("{} Image = 'a' GROUP BY Image", "Q013"),
    ("{} Image = 'a' GROUP BY ALL", "Q013"),
    ("{} Image = 'a' HAVING Image = 'b'", "Q013"),
    ("SELECT count(*) AS n FROM process_activity WHERE Image = 'a'", "Q013"),
    ("SELECT max(ProcessId) FILTER (WHERE ProcessId > 1) AS n FROM process_activity WHERE Image = 'a'", "Q013"),
    ("SELECT row_number() OVER () AS n FROM process_activity WHERE Image = 'a'", "Q014"),
    ("SELECT lower(Image) OVER (PARTITION BY User) AS n FROM process_activity WHERE Image = 'a'", "Q014"),
    ("{} Image = 'a' WINDOW w AS (PARTITION BY Image)", "Q014"),
    ("{} Image = 'a' ORDER BY Image", "Q016"),
    ("{} Image = 'a' LIMIT 10", "Q016"),
    ("{} Image = 'a' OFFSET 10", "Q016"),
    ("{} Image = 'a' FETCH FIRST 5 ROWS ONLY", "Q016"),
    ("SELECT DISTINCT Image FROM process_activity WHERE Image = 'a'", "Q016"),
    ("SELECT TOP 5 Image FROM process_activity WHERE Image = 'a'", "Q016"),
    ("{} Image = 'a' QUALIFY Image = 'b'", "Q016"),
    ("SELECT Image INTO t FROM process_activity WHERE Image = 'a'", "Q012"),
    ("{} Image = 'a' FOR UPDATE", "Q012"),
    ("SELECT /*+ HINT(x) */ Image FROM process_activity WHERE Image = 'a'", "Q012"),
    ("SELECT Image FROM process_activity PREWHERE Image = 'a' WHERE Image = 'b'", "Q012"),
    ("{} Image = 'a' SETTINGS max_threads = 1", "Q012"),
    ("{} Image = 'a' FORMAT JSON", "Q012"),
    ("SELECT Image FROM process_activity LATERAL VIEW explode(Image) t AS x WHERE Image = 'a'", "Q012"),
    ("{} Image = 'a' CLUSTER BY Image", "Q012"),
    ("{} Image = 'a' CONNECT BY Image = Image", "Q012"),
    ("SELECT * EXCLUDE (Image) FROM process_activity WHERE Image = 'a'", "Q012"),
    ("SELECT * REPLACE (1 AS Image) FROM process_activity WHERE Image = 'a'", "Q012"),
    // Columns and outputs.
    ("{} Imagee = 'a'", "Q008"),
    ("{} \"whoami\" = Image", "Q008"),
    ("{} `rm` = Image", "Q008"),
    ("{} other.Image = 'a'", "Q008"),
    ("{} Image.x.y = 'a'", "Q008"),
    ("{} Imаge = 'a'", "Q008"),
    ("{} @@version = 'a'", "Q008"),
    ("SELECT file_activity.* FROM process_activity WHERE Image = 'a'", "Q008"),
    ("SELECT Image, lower(Image) AS image FROM process_activity WHERE Image = 'a'", "Q024"),
    ("SELECT *, lower(Image) AS CommandLine FROM process_activity WHERE Image = 'a'", "Q024"),
    ("SELECT Image AS \"\" FROM process_activity WHERE Image = 'a'", "Q026"),
    // Functions.
    ("{} lowr(Image) = 'a'", "Q009"),
    ("{} pg_catalog.lower(Image) = 'a'", "Q009"),
    ("{} repeat(Image, 1000000000) = 'a'", "Q009"),
    ("{} lpad(Image, 1000000000) = 'a'", "Q009"),
    ("{} rpad(Image, 1000000000, 'x') = 'a'", "Q009"),
    ("{} arrow_cast(Image, 'Int64') = 1", "Q009"),
    ("{} regexp_match(Image, 'a') IS NOT NULL", "Q009"),
    ("{} to_timestamp(Image) > event_time", "Q009"),
    ("{} event_time > now()", "Q010"),
    ("{} event_time > now() - INTERVAL '1 day'", "Q010"),
    ("{} event_time > current_timestamp", "Q010"),
    ("{} event_time > CURRENT_DATE", "Q010"),
    ("{} random() > 0.5", "Q010"),
    ("{} uuid() = Image", "Q010"),
    ("{} version() = Image", "Q010"),
    ("{} pg_sleep(10) IS NULL", "Q010"),
    ("{} read_csv('/etc/passwd') = Image", "Q010"),
    ("{} current_user = Image", "Q010"),
    ("{} generate_series(1, 10) = 1", "Q018"),
    ("{} unnest([1]) = 1", "Q018"),
    ("{} lower(DISTINCT Image) = 'a'", "Q011"),
    ("{} lower(x => Image) = 'a'", "Q011"),
    ("{} concat(*) = 'a'", "Q011"),
    // Kinds of expressions.
    ("{} Image IN (SELECT Image FROM file_activity)", "Q019"),
    ("{} EXISTS (SELECT 1)", "Q019"),
    ("{} Image = (SELECT 'a')", "Q019"),
    ("{} Image = ANY (SELECT 'a')", "Q019"),
    ("SELECT (SELECT 1) AS x FROM process_activity WHERE Image = 'a'", "Q019"),
    ("{} lower((SELECT 'a')) = 'a'", "Q019"),
    ("{} Image IN UNNEST(['a'])", "Q018"),
    ("{} Image = $1", "Q011"),
    ("{} Image = ?", "Q011"),
    ("{} Image = :name", "Q011"),
    ("{} Image = X'6162'", "Q011"),
    ("{} Image = E'\\x41'", "Q011"),
    ("{} Image = N'a'", "Q011"),
    ("{} Image = $$a$$", "Q011"),
    ("{} Image IS DISTINCT FROM 'a' AND User = 'b'", "Q011"),
    ("{} Image COLLATE \"de_DE\" = 'a'", "Q011"),
    ("{} event_time AT TIME ZONE 'Asia/Tokyo' > event_time", "Q011"),
    ("{} Image SIMILAR TO 'a'", "Q011"),
    ("{} Image RLIKE 'a'", "Q011"),
    ("{} Image LIKE ANY ('a', 'b')", "Q011"),
    ("{} Image LIKE 'a!%' ESCAPE '!'", "Q011"),
    ("{} [1, 2][1] = 1", "Q011"),
    ("{} ARRAY[1] = ARRAY[1]", "Q011"),
    ("{} {'a': 1} IS NULL", "Q011"),
    ("{} MAP {'a': 1} IS NULL", "Q011"),
    ("{} STRUCT(1) IS NULL", "Q011"),
    ("{} (Image, CommandLine) = ('a', 'b')", "Q011"),
    ("{} CAST(Image AS INET) IS NULL", "Q011"),
    ("{} CAST(Image AS weird) IS NULL", "Q011"),
    ("{} CAST(ProcessId AS DECIMAL(38, 10)) > 1", "Q011"),
    ("{} CAST(Image AS BYTEA) IS NULL", "Q011"),
    ("{} CONVERT(Image USING utf8) = 'a'", "Q011"),
    ("{} OVERLAY(Image PLACING 'x' FROM 1) = 'a'", "Q011"),
    ("{} Image ->> 'a' = 'b'", "Q011"),
    ("{} Image @> 'a'", "Q011"),
    ("{} ProcessId << 100 = 1", "Q011"),
    ("{} substr(Image, 1, ProcessId) = 'a'", "Q011"),
    ("{} substr(Image, ProcessId) = 'a'", "Q011"),
    ("{} sqrt(ProcessId) = 1", "Q009"),
    ("{} date_trunc('day', event_time) = event_time", "Q009"),
    ("{} substring(Image FROM 1 FOR -1) = 'a'", "Q011"),
    ("{} split_part(Image, 'a', 0) = 'a'", "Q011"),
    ("{} event_time > event_time - INTERVAL (ProcessId) MINUTE", "Q011"),
    // Regular expressions and patterns.
    ("{} Image ~ CommandLine", "Q021"),
    ("{} Image ~ '('", "Q021"),
    ("{} Image ~* '(a{1000}){1000}'", "Q021"),
    ("{} Image !~ '(?=look)'", "Q021"),
    ("{} Image !~* '(a)\\1'", "Q021"),
    ("{} regexp_like(Image, '[')", "Q021"),
    ("{} regexp_like(Image, CommandLine)", "Q021"),
    ("{} regexp_like(Image, 'a', 'q')", "Q021"),
    ("{} regexp_replace(Image, '((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))', '') = 'a'", "Q021"),
    ("{} regexp_count(Image, CommandLine) > 1", "Q021"),
    ("{} Image LIKE CommandLine", "Q021"),
    ("{} Image ILIKE '%' || CommandLine", "Q021"),
    // Growth.
    ("{} replace(Image, 'a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa') = 'a'", "Q026"),
    ("{} replace(replace(Image, 'a', 'aaaaaaaaaaaa'), 'a', 'aaaaaaaaaaaa') = 'a'", "Q026"),
    ("{} encode(encode(encode(encode(encode(encode(encode(Image,'hex'),'hex'),'hex'),'hex'),'hex'),'hex'),'hex') = 'a'", "Q026"),
    ("{} replace(Image, 'a', CommandLine) = 'a'", "Q011"),
    ("{} regexp_replace(Image, 'a', CommandLine, 'g') = 'a'", "Q011"),
    ("{} levenshtein(Image, CommandLine) < 3", "Q011"),
    ("{} btrim(Image, CommandLine) = 'a'", "Q011"),
    ("{} TRIM(LEADING CommandLine FROM Image) = 'a'", "Q011"),
    // Types, and what a value of an event could make fail.
    ("{} Image", "Q022"),
    ("{} 7", "Q022"),
    ("{} Image AND ProcessId = 1", "Q022"),
    ("{} Image = ProcessId", "Q022"),
    ("{} ProcessId = 'four'", "Q022"),
    ("{} CAST(Image AS BIGINT) = 4", "Q022"),
    ("{} Image::bigint = 4", "Q022"),
    ("{} TRY_CAST(Image AS DATE) > DATE '2026-01-01'", "Q022"),
    ("{} ProcessId / ProcessId = 1", "Q022"),
    ("{} ProcessId % 0 = 1", "Q022"),
    ("{} -ProcessId = 1", "Q022"),
    ("{} event_time > 'yesterday'", "Q022"),
    ("{} event_time > TIMESTAMP 'yesterday'", "Q022"),
    ("{} lower(Image, Image) = 'a'", "Q022"),
    ("{} cidr_match(Image, '10.0.0.0/33')", "Q022"),
    ("{} cidr_match(Image, '10.0.0.1/8')", "Q022"),
    ("{} cidr_match(Image, CommandLine)", "Q011"),
    ("{} json_get(Image, '') = 'a'", "Q022"),
    ("{} field() = 'a'", "Q022"),
    ("{} field('') = 'a'", "Q022"),
    ("{} field('a..b') = 'a'", "Q022"),
    ("{} field('a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q') = 'a'", "Q022"),
    ("{} field('a', 'b') = 'a'", "Q022"),
    ("{} field(DISTINCT 'a') = 'a'", "Q022"),
    ("{} field(*) = 'a'", "Q022"),
    ("{} field('a') IGNORE NULLS = 'a'", "Q022"),
    ("{} field(Image) = 'a'", "Q011"),
    ("{} field(\"a\") = 'a'", "Q011"),
    ("{} field(5) = 'a'", "Q011"),
    ("{} field(NULL) = 'a'", "Q011"),
    ("{} field('a' || 'b') = 'a'", "Q011"),
    ("{} field('a') = 1 + event_time", "Q022"),
    ("{} \"field('a')\" = 'a'", "Q008"),
    ("{} feild('a') = 'a'", "Q009"),
    ("{} json_get(Image, CommandLine) = 'a'", "Q011"),
    ("{} ProcessId LIKE event_time", "Q021"),
    ("SELECT NULL AS x FROM process_activity WHERE Image = 'a'", "Q022"),
    ("SELECT INTERVAL '1 day' AS x FROM process_activity WHERE Image = 'a'", "Q022"),
    ("{} true", "Q027"),
    ("{} 1 = 1 OR Image = 'a'", "Q027"),
];

#[test]
fn each_hostile_query_is_refused_with_its_code() {
    let mut wrong = Vec::new();
    for (sql, expect) in HOSTILE {
        let sql = sql.replace("{}", HEAD);
        let loaded = load_sql(&sql);
        let codes = codes_of(&loaded);
        if codes.first() != Some(expect) || !loaded.rules.is_empty() {
            let shown: Vec<String> = loaded.diagnostics.iter().map(Diagnostic::to_string).collect();
            wrong.push(format!("{sql}\n   expected {expect}, got {shown:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_does_not_fit_says_what_to_write() {
    let number = "TRY_CAST(x AS BIGINT) a number";
    for (condition, message, help) in [
        ("Image", "the condition is no truth value, but a text", "compare it"),
        ("NOT Image", "requires a boolean expression, got string", "compare it"),
        ("Image AND ProcessId = 1", "logical boolean operation string AND boolean", "compare it"),
        ("CAST(Image AS BIGINT) = 4", "a text is converted to a whole number", "write TRY_CAST(x AS …)"),
        ("Image::bigint = 4", "a text is converted to a whole number", "write TRY_CAST(x AS …)"),
        (
            "TRY_CAST(Image AS DATE) > DATE '2026-01-01'",
            "millions of years away",
            "CAST(TRY_CAST(x AS TIMESTAMP) AS DATE)",
        ),
        ("Image = ProcessId", "a text is converted to a whole number", "write TRY_CAST(x AS …)"),
        ("ProcessId = 'four'", "cannot cast string 'four' to value of int type", "CAST(x AS VARCHAR)"),
        ("ProcessId LIKE '4%'", "int and string in LIKE", "CAST(x AS VARCHAR)"),
        ("ProcessId + Image = 4", "arithmetic expression int + string", number),
        ("Image = true", "comparison operation string = boolean", number),
        ("event_time > 'yesterday'", "error parsing timestamp from 'yesterday'", "TIMESTAMP '2026-"),
        ("event_time = 4", "comparison operation timestamp = int", "TIMESTAMP '2026-"),
        ("event_time + 4 > event_time", "arithmetic expression timestamp + int", "INTERVAL '5 minutes'"),
        ("event_time - event_time > 5", "comparison operation interval > int", "INTERVAL '5 minutes'"),
        ("event_time - event_time > INTERVAL '1 hour'", "an interval is converted", "INTERVAL '5 minutes'"),
        ("lower(Image, Image) = 'a'", "function 'lower' expects 1 arguments", "docs/functions.md"),
        ("lower(ProcessId) = 'a'", "function 'lower' requires string", "docs/functions.md"),
    ] {
        let loaded = load_sql(&format!("{HEAD} {condition}"));
        let found = loaded.diagnostics.first().unwrap_or_else(|| panic!("{condition} is accepted"));
        assert_eq!(found.code.id, "Q022", "{condition}: {found}");
        assert!(found.message.to_lowercase().contains(&message.to_lowercase()), "{condition}: {found}");
        assert!(found.help.as_deref().is_some_and(|said| said.contains(help)), "{condition}: {found}");
    }
    // What the helps say is accepted.
    for condition in [
        "TRY_CAST(Image AS BIGINT) = 4",
        "CAST(TRY_CAST(Image AS TIMESTAMP) AS DATE) > DATE '2026-01-01'",
        "CAST(ProcessId AS VARCHAR) LIKE '4%'",
        "event_time > TIMESTAMP '2026-10-03T01:00:00Z'",
        "ingest_time > event_time + INTERVAL '5 minutes'",
    ] {
        let loaded = load_sql(&format!("{HEAD} {condition}"));
        assert_eq!(
            (loaded.rules.len(), codes_of(&loaded)),
            (1, vec![]),
            "{condition}: {:?}",
            loaded.diagnostics
        );
    }
}

#[test]
fn size_and_depth_are_bounded() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("{HEAD} {}Image = 'a'{}", open.repeat(times), close.repeat(times))
    };
    let chain = |op: &str, count: usize| {
        let parts: Vec<String> = (0..count).map(|n| format!("ProcessId = {n}")).collect();
        format!("{HEAD} {}", parts.join(op))
    };
    let list = |count: usize| {
        let items: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        format!("{HEAD} ProcessId IN ({})", items.join(","))
    };
    for (name, sql, expect) in [
        ("10 MB", format!("{HEAD} Image = '{}'", "a".repeat(10 << 20)), Some("Q004")),
        ("a comment of 1 MB", format!("{HEAD} Image = 'a' /* {} */", "x".repeat(1 << 20)), Some("Q004")),
        (
            "300 output columns",
            format!(
                "SELECT {} FROM process_activity WHERE Image = 'a'",
                (0..300).map(|n| format!("Image AS a{n}")).collect::<Vec<_>>().join(", ")
            ),
            Some("Q005"),
        ),
        ("10,000 parentheses", nested("(", ")", 10_000), Some("Q005")),
        ("10,000 NOT", nested("NOT ", "", 10_000), Some("Q005")),
        ("7 NOT (", nested("NOT (", ")", 7), Some("Q005")),
        ("6 NOT (", nested("NOT (", ")", 6), None),
        ("7 casts", nested("CAST(", " AS VARCHAR)", 7), Some("Q005")),
        ("8 mixed", nested("SUBSTRING(TRIM(", "", 4), Some("Q005")),
        ("10,000 NOT (", nested("NOT (", ")", 10_000), Some("Q005")),
        ("10,000 minus", format!("{HEAD} {}1 = ProcessId", "- ".repeat(10_000)), Some("Q005")),
        ("3,000 CASE", nested("CASE WHEN ", " THEN true END", 3_000), Some("Q005")),
        ("45 parentheses not closed", nested("(", "", 45), Some("Q001")),
        ("45 brackets", nested("[", "]", 45), Some("Q011")),
        ("45 calls not closed", nested("lower(", "", 45), Some("Q001")),
        ("45 CASE not closed", nested("CASE WHEN ", "", 45), Some("Q001")),
        ("45 casts not closed", nested("CAST(", "", 45), Some("Q005")),
        ("45 rows not closed", nested("(1, (", "", 22), Some("Q001")),
        ("3,000 concatenations", format!("{HEAD} Image = 'a'{}", " || 'b'".repeat(3_000)), Some("Q005")),
        ("3,000 additions", format!("{HEAD} ProcessId = 1{}", " + 1".repeat(3_000)), Some("Q005")),
        ("a long text", format!("{HEAD} Image = '{}'", "a".repeat(5_000)), Some("Q026")),
        ("a long number", format!("{HEAD} ProcessId = {}", "1".repeat(50)), Some("Q026")),
        ("an endless number", format!("{HEAD} ProcessId = 1e999"), Some("Q011")),
        ("a long pattern", format!("{HEAD} Image ~ '{}'", "a".repeat(4_097)), Some("Q021")),
        ("a list of 20,000", list(20_000), Some("Q005")),
        ("a chain of 20,000", chain(" OR ", 20_000), Some("Q004")),
        ("a list of 4,000", list(4_000), None),
        ("2,000 ANDs", chain(" AND ", 2_000), None),
        ("2,000 ORs", chain(" OR ", 2_000), None),
        ("20 parentheses", nested("(", ")", 20), None),
    ] {
        let loaded = load_sql(&sql);
        let codes = codes_of(&loaded);
        assert_eq!(
            codes.first().copied(),
            expect,
            "{name}: {:?}",
            loaded.diagnostics.first().map(ToString::to_string)
        );
    }
}

#[test]
fn a_backslash_that_like_drops_is_a_warning_at_the_pattern() {
    for (condition, expect) in [
        (r"Image LIKE '%\\cmd.exe'", None),
        (r"Image LIKE '100\%'", None),
        (r"Image LIKE 'a\_b'", None),
        // At the end a backslash stands for itself.
        (r"Image LIKE 'C:\'", None),
        (r"Image LIKE '%cmd.exe'", None),
        (r"Image = 'C:\cmd.exe'", None),
        (r"Image ~ '\d'", None),
        (r"Image LIKE '%\cmd.exe'", Some((r"`c`", r"'%\\cmd.exe'"))),
        (r"Image NOT LIKE '%\cmd.exe'", Some((r"`c`", r"'%\\cmd.exe'"))),
        (r"Image ILIKE '%\a\\b\c\%'", Some((r"`a`", r"'%\\a\\b\\c\%'"))),
        (r"Image LIKE '\狼''s%'", Some((r"`狼`", r"'\\狼''s%'"))),
    ] {
        let loaded = load_sql(&format!("{HEAD} {condition}"));
        assert_eq!(loaded.rules.len(), 1, "{condition}: {:?}", loaded.diagnostics);
        let found: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        let expect: Vec<String> = expect
            .map(|(lost, fixed)| {
                let column = HEAD.len() + 1 + condition.find('\'').unwrap_or(0) + 1;
                format!(
                    "a.sql:5:{column}: LIKE takes the backslash before {lost} as an escape, and drops it [Q028]; \
                     write it twice: {fixed}"
                )
            })
            .into_iter()
            .collect();
        assert_eq!(found, expect, "{condition}");
    }
}
