//! `noroshi test`: the tests inside rules, and the case folders of pipelines.
//!
//! A case is a folder `cases/<name>/` with one `<source id>.ndjson` for each source that takes part, and
//! `expect.json`: the alerts (rule_id, source, record, index) and the rejects (source, record, code) that must
//! come out, no more and no fewer.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::cases;
use super::check::no_rule;
use super::exit::{CliError, Outcome};
use super::output::{MESSAGE_COLUMNS_MAX, Terminal, plural};
use super::scan::parked;
use super::values::ValuesArg;
use crate::config::{Config, Limits, LoadOptions};
use crate::detect::sample;
use crate::diagnostic::codes;
use crate::normalise::schema::Catalog;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::engine::{Compiled, Engine, EngineLimits, Finding, Pushed};
use crate::printable;
use crate::rules::meta::{Expect, Given, RuleTest};
use crate::rules::{self, Fate, Origin, Rule, RuleLimits, RuleSet, Selection};
use crate::source::files::{FileRecords, Framing};
use crate::source::{NoEnvelope, RecordRef};

/// Run the tests inside rules and the case folders of pipelines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rule's own tests stand in its metadata (`tests:`): rows of its table, or a file of records, and the alerts that
must come. A case folder holds <source id>.ndjson files and expect.json; --bless writes expect.json.
The exit code is 1 when a test fails, and 2 when rules cannot be tested: faulty ones, Sigma's among them, or none at
all. A faulty Sigma rule keeps no other from being tested.

Examples:
  noroshi test rules/
  noroshi test --pipeline pipelines/demo")]
pub struct TestArgs {
    /// Rules: files and folders; pipeline folders.
    paths: Vec<PathBuf>,
    /// A pipeline folder: its rules' tests and its cases.
    #[arg(long)]
    pipeline: Vec<PathBuf>,
    /// A folder with tables/, instead of the built-in ones.
    #[arg(long)]
    schemas: Option<PathBuf>,
    #[command(flatten)]
    values: ValuesArg,
    /// Write what came out as what is expected.
    #[arg(long)]
    bless: bool,
    /// Print each test, not only those that fail.
    #[arg(long, short)]
    verbose: bool,
}

#[derive(Default)]
struct Report {
    passed: usize,
    failed: Vec<String>,
    without: usize,
    lines: Vec<String>,
    /// Documents of Sigma that cannot be used.
    faulty: usize,
    /// What is wrong with their tests.
    unread: usize,
}

/// Runs tests and prints; `Problems` when one fails.
pub fn main(args: &TestArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let mut report = Report::default();
    let limits = Config::load(&LoadOptions::from_process(None, Vec::new()))?.limits;
    if args.paths.is_empty() && args.pipeline.is_empty() {
        return Err(CliError::usage("name rules to test, or --pipeline FOLDER"));
    }
    // A path may be a pipeline, as for `check`.
    let is_pipeline =
        |path: &&PathBuf| path.join("pipeline.toml").is_file() || path.ends_with("pipeline.toml");
    let pipelines: Vec<&PathBuf> =
        args.pipeline.iter().chain(args.paths.iter().filter(|path| is_pipeline(path))).collect();
    let paths: Vec<PathBuf> = args.paths.iter().filter(|path| !is_pipeline(path)).cloned().collect();
    if !paths.is_empty() {
        let catalog = match &args.schemas {
            Some(folder) => Catalog::load(folder)?,
            None => Catalog::stock()?,
        };
        let mut selection = Selection::default();
        args.values.put_into(&mut selection)?;
        rule_tests(&paths, &Arc::new(catalog), &selection, &limits, terminal, &mut report)?;
    }
    for folder in pipelines {
        let mut pipeline = Pipeline::load(folder)?;
        args.values.put_into(&mut pipeline.selection)?;
        if let Some(problem) = no_rule(&pipeline) {
            return Err(problem.into());
        }
        let selection = &pipeline.selection;
        let rules =
            rule_tests(&pipeline.rules, &pipeline.catalog, selection, &limits, terminal, &mut report)?;
        run_cases(&pipeline, &rules, &limits, args.bless, &mut report);
    }
    let found = match (report.failed.is_empty(), report.faulty + report.unread) {
        (false, _) => Outcome::Problems,
        (true, 0) => Outcome::Done,
        (true, _) => Outcome::Usage,
    };
    super::read_or_not(print(args, &report), found)
}

fn print(args: &TestArgs, report: &Report) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    if args.verbose {
        for line in &report.lines {
            writeln!(out, "{line}")?;
        }
    }
    for failure in &report.failed {
        writeln!(out, "{failure}\n")?;
    }
    let without = match report.without {
        0 => String::new(),
        1 => " (1 rule has no test)".into(),
        count => format!(" ({count} rules have no test)"),
    };
    writeln!(out, "{} passed, {} failed{without}", report.passed, report.failed.len())?;
    if report.unread > 0 {
        writeln!(out, "{} in tests of Sigma rules", plural(report.unread, "fault"))?;
    }
    if report.faulty > 0 {
        writeln!(out, "{} cannot be used", plural(report.faulty, "Sigma document"))?;
    }
    Ok(())
}

fn rule_tests(
    paths: &[PathBuf],
    catalog: &Arc<Catalog>,
    selection: &Selection,
    limits: &Limits,
    terminal: &Terminal,
    report: &mut Report,
) -> Result<Vec<Arc<Rule>>, CliError> {
    let loaded = rules::load_with(paths, catalog, &RuleLimits::from(limits), selection);
    if loaded.has_errors() {
        return Err(loaded.diagnostics.into());
    }
    terminal.warn(&loaded.diagnostics);
    let faulty = loaded.sigma.iter().filter(|document| matches!(document.fate, Fate::Faulty(_)));
    report.faulty += faulty.count();
    // Of Sigma rules nothing is an error; but a test that cannot be read, or can never pass, is not run or does not pass.
    let unread = [codes::T001, codes::T002, codes::T003, codes::G022];
    report.unread += loaded.diagnostics.iter().filter(|told| unread.contains(&told.code)).count();
    // A Sigma rule is one for each of its tables; they stand together.
    for rules in loaded.rules.chunk_by(|a, b| a.meta.id == b.meta.id) {
        let [rule, others @ ..] = rules else { continue };
        // Those of others have none.
        report.without += usize::from(rule.origin == Origin::Sql && rule.meta.tests.is_empty());
        for test in &rule.meta.tests {
            let name = format!("{}: {}", rule.file.path.display(), test.name);
            let name = printable::line(&name, MESSAGE_COLUMNS_MAX);
            let result = match &test.given {
                Given::Rows(_) if !others.is_empty() => {
                    Err("the rule is on several tables: give a file of records instead of rows".to_owned())
                }
                Given::Rows(rows) => sample::run(rule, rows).map_err(|error| error.to_string()),
                Given::File(file) => of_file(rules, test, file, catalog, limits),
            };
            report.note(&name, result.and_then(|got| compare(&test.expect, &got)));
        }
    }
    Ok(loaded.rules)
}

impl Report {
    fn note(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                self.lines.push(format!("ok    {name}"));
            }
            Err(why) => {
                self.failed.push(format!("FAIL  {name}\n{}", indent(&printable::json(&why))));
            }
        }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}

fn of_file(
    rules: &[Arc<Rule>],
    test: &RuleTest,
    file: &str,
    catalog: &Arc<Catalog>,
    limits: &Limits,
) -> Result<Vec<Map<String, Value>>, String> {
    let format = test.format.as_deref().ok_or("a test on a file needs `format:`")?;
    let format = crate::decode::format(format).ok_or_else(|| format!("there is no format `{format}`"))?;
    let zone = crate::normalise::time::ZoneOffset::UTC;
    let pipeline = Pipeline::of_one_source(format, "test", zone, Vec::new(), Arc::clone(catalog))
        .map_err(|error| error.to_string())?;
    let folder = rules.first().and_then(|rule| rule.file.path.parent()).unwrap_or(Path::new(""));
    let path = folder.join(file);
    let mut engine = engine(pipeline, rules.to_vec(), limits)?;
    let mut got = Vec::new();
    read(&mut engine, 0, &path, limits, &mut |_, _| {})?;
    for finding in searched(&mut engine)? {
        got.push(finding.output);
    }
    Ok(got)
}

fn engine(pipeline: Pipeline, rules: Vec<Arc<Rule>>, limits: &Limits) -> Result<Engine, String> {
    let compiled = Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(rules)))
        .map_err(|error| error.to_string())?;
    let mut limits = EngineLimits::from(limits);
    // A test's records are all searched at once.
    limits.batch_rows_max = usize::MAX;
    limits.batch_bytes_max = usize::MAX;
    // Nobody is flooded by what is compared, and a batch of any size takes any time.
    limits.guard.rows_max = None;
    limits.guard.batch_time_max = Duration::MAX;
    Ok(Engine::new(Arc::new(compiled), limits))
}

/// All findings; a record that a stage panics on is no test's business, and neither is a rule that was parked.
fn searched(engine: &mut Engine) -> Result<Vec<Finding>, String> {
    let searched = engine.search(0, usize::MAX);
    if let Some(spoilt) = searched.spoilt.first() {
        return Err(format!("{}: record {}: {}", spoilt.topic, spoilt.offset, spoilt.reject));
    }
    let tally = engine.take_tally();
    let parked = parked(engine.compiled(), &tally.rows_unjudged);
    if parked.is_empty() { Ok(searched.findings) } else { Err(parked.join("\n")) }
}

fn read(
    engine: &mut Engine,
    source: usize,
    path: &Path,
    limits: &Limits,
    rejected: &mut dyn FnMut(i64, &'static str),
) -> Result<(), String> {
    let bytes_max = limits.decode().record_bytes_max;
    let mut records = FileRecords::open(path, Framing::Auto, bytes_max).map_err(|error| error.to_string())?;
    let topic: Arc<str> = Arc::from(path.to_string_lossy().as_ref());
    let mut offset = 0;
    while let Some(payload) = records.next_record().map_err(|error| error.to_string())? {
        let record = RecordRef {
            source,
            slot: source,
            topic: &topic,
            partition: 0,
            offset,
            timestamp_ms: None,
            payload: Some(payload),
            envelope: &NoEnvelope,
        };
        if let Pushed::Rejected(reject) = engine.push(&record) {
            rejected(offset, reject.code.as_str());
        }
        offset += 1;
    }
    Ok(())
}

/// Whether the alerts are those expected; else a readable difference.
fn compare(expect: &Expect, got: &[Map<String, Value>]) -> Result<(), String> {
    let show = |rows: &[Map<String, Value>]| {
        let lines: Vec<String> = rows.iter().map(|row| format!("  {}", json!(row))).collect();
        if lines.is_empty() { "  (none)".to_owned() } else { lines.join("\n") }
    };
    match expect {
        Expect::Count(count) if *count == got.len() as u64 => Ok(()),
        Expect::Count(count) => Err(format!("expected {count} alerts, got {}:\n{}", got.len(), show(got))),
        Expect::Alerts(alerts) => {
            let mut differences = Vec::new();
            for at in 0..alerts.len().max(got.len()) {
                match (alerts.get(at), got.get(at)) {
                    (Some(expect), Some(got)) => {
                        for (name, value) in expect {
                            let found = got.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                            let found = found.map_or(&Value::Null, |(_, value)| value);
                            if !same(value, found) {
                                differences
                                    .push(format!("alert {at}, {name}: expected {value}, got {found}"));
                            }
                        }
                    }
                    (Some(expect), None) => {
                        differences.push(format!("alert {at} is missing: {}", json!(expect)))
                    }
                    (None, Some(got)) => {
                        differences.push(format!("alert {at} was not expected: {}", json!(got)))
                    }
                    (None, None) => {}
                }
            }
            if differences.is_empty() { Ok(()) } else { Err(differences.join("\n")) }
        }
    }
}

/// Numbers are equal by value, whatever their JSON form.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= f64::EPSILON * a.abs(),
        _ => a == b,
    }
}

/// What a case must yield.
fn run_cases(pipeline: &Pipeline, rules: &[Arc<Rule>], limits: &Limits, bless: bool, report: &mut Report) {
    for folder in cases::folders(pipeline) {
        let result = case(pipeline, rules, limits, &folder, bless);
        report.note(&folder.display().to_string(), result);
    }
}

fn case(
    pipeline: &Pipeline,
    rules: &[Arc<Rule>],
    limits: &Limits,
    folder: &Path,
    bless: bool,
) -> Result<(), String> {
    let faults = cases::faults(pipeline, folder);
    if !faults.is_empty() {
        return Err(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    let mut engine = engine(pipeline.clone(), rules.to_vec(), limits)?;
    let mut rejects = Vec::new();
    for (at, source) in pipeline.sources.iter().enumerate() {
        let path = cases::input(folder, &source.id);
        if path.is_file() {
            read(&mut engine, at, &path, limits, &mut |record, code| {
                rejects.push(json!({ "source": &*source.id, "record": record, "code": code }));
            })?;
        }
    }
    let alerts: Vec<Value> = searched(&mut engine)?
        .iter()
        .map(|finding| {
            json!({
                "rule_id": rules[finding.rule].meta.id,
                "title": rules[finding.rule].meta.title,
                "source": &*pipeline.sources[finding.source].id,
                "record": finding.position.offset,
                "index": finding.position.index,
            })
        })
        .collect();
    let got = json!({ "alerts": alerts, "rejects": rejects });
    let path = folder.join(cases::EXPECT);
    if bless {
        return std::fs::write(&path, format!("{got:#}\n")).map_err(|error| error.to_string());
    }
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}; --bless writes it", path.display()))?;
    let expect: Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    difference(&expect, &got)
}

/// Lines that are only in one of them, each once for each time it is too many.
fn difference(expect: &Value, got: &Value) -> Result<(), String> {
    let mut counts: BTreeMap<String, i64> = BTreeMap::new();
    for (document, weight) in [(expect, -1), (got, 1)] {
        for kind in ["alerts", "rejects"] {
            for item in document[kind].as_array().into_iter().flatten() {
                *counts.entry(format!("{} {item}", kind.trim_end_matches('s'))).or_default() += weight;
            }
        }
    }
    let lines: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count != 0)
        .map(
            |(line, count)| {
                if count < 0 { format!("missing:      {line}") } else { format!("not expected: {line}") }
            },
        )
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(lines.join("\n")) }
}
