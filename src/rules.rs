//! Detection rules: SQL files with metadata, and Sigma's YAML, verified before they may run.
//!
//! Owns reading rule files, refusing what a rule may not do (I-6), and compiling the rest. Which rows go
//! through a rule, and what becomes of its hits, is `detect`'s. Called by `cli` and `pipeline`.
//!
//! ```text
//! load ── file:  find, front matter; metadata: what it says; selection: which of them run
//!      ── sql:   lock 1, the syntax tree: one SELECT over one table, names resolved
//!      ── sigma: documents of others, as expressions on the columns of tables
//!      ── plan:  lock 2, typed expressions: only known kinds, none that data could make fail
//!      ── bind:  compiled for a batch layout, evaluated
//! ```

pub mod bind;
mod file;
pub mod functions;
mod log_source;
pub mod meta;
mod metadata;
mod plan;
mod queries;
pub mod reach;
pub mod selection;
mod set;
pub mod sigma;
mod sql;
pub mod tactics;
mod weight;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::logical_expr::Expr;

pub use bind::{BindError, BoundRule, EvaluateError, Hits};
pub(crate) use bind::{CompileError, physical};
pub use functions::{FunctionDoc, documented};
pub(crate) use functions::{Network, address, casefold, casefold_into, cidr_match, like_regex};
pub use log_source::check_log_sources;
use meta::RuleMeta;
use plan::{Planned, Tables};
pub use queries::{SigmaQueries, sigma_sql, sigma_sql_files};
pub use selection::Selection;
pub use set::RuleSet;
pub use sigma::documents::{Fate, SigmaDocument, SigmaKind, to_declare};
pub(crate) use sigma::expression::TEXT_COLUMN;
pub use sigma::rule_files::SigmaText;
pub use weight::Weight;
pub(crate) use weight::is_heavy;

use crate::config::Limits;
use crate::diagnostic::{self, Diagnostic, Location, SourceFile, codes};
use crate::normalise::projection::column_path;
use crate::normalise::schema::{Catalog, Table};

/// Stack of the thread that reads rules: hostile SQL nests as deep as the caps let it, and the parser, the
/// planner and the destructors all recurse over it.
const STACK_BYTES: usize = 64 << 20;

/// Problems of one rule that are shown: a hostile or generated one may have thousands, and nobody reads them.
const PROBLEMS_MAX: usize = 50;

/// Bounds on rule files.
#[derive(Debug, Clone)]
pub struct RuleLimits {
    /// Files in one rule set.
    pub files_max: usize,
    /// Bytes of one file.
    pub file_bytes_max: u64,
    /// Folders inside folders.
    pub folder_depth_max: usize,
    /// Bounds on the SQL.
    pub sql: SqlLimits,
}

/// Bounds on the SQL of one rule.
#[derive(Debug, Clone)]
pub struct SqlLimits {
    /// Bytes of the SQL.
    pub bytes_max: usize,
    /// Tokens, blanks and comments included.
    pub tokens_max: usize,
    /// Levels of parentheses, calls and CASE that the parser follows.
    pub nesting_max: usize,
    /// Levels of NOT, CAST, SUBSTRING and the like inside each other: the parser's time doubles with each.
    pub retries_max: usize,
    /// Parts in a row (operators, names, values) without AND, OR or a comma.
    pub row_max: usize,
    /// Conditions: one more than there are ANDs and ORs.
    pub conditions_max: usize,
    /// Types with types in angle brackets: rules have none, and the parser follows them without a bound.
    pub angles_max: usize,
    /// Characters of a name.
    pub word_chars_max: usize,
    /// Levels of the expression tree; a chain of AND or of OR counts as one.
    pub depth_max: usize,
    /// Nodes of all expressions of the rule.
    pub expressions_max: usize,
    /// Nodes that the planner may make of them, as it repeats parts of CASE, BETWEEN and coalesce.
    pub planned_max: usize,
    /// Bytes of one text literal.
    pub literal_bytes_max: usize,
    /// Digits of one number.
    pub digits_max: usize,
    /// Bytes of one regular expression.
    pub regex_bytes_max: usize,
    /// Bytes of one compiled regular expression.
    pub regex_compiled_bytes_max: usize,
    /// Bytes of all compiled regular expressions of the rule, as far as the compiler says.
    pub regex_total_bytes_max: usize,
    /// Groups inside groups of one regular expression.
    pub regex_nesting_max: u32,
    /// Characters of a literal whose cost is multiplied by the length of a text.
    pub short_literal_chars_max: usize,
    /// How many times longer than the event's a text may become by replacing.
    pub growth_max: usize,
    /// Characters of an output column's name.
    pub name_chars_max: usize,
    /// Output columns.
    pub outputs_max: usize,
    /// Different fields that are read by their paths: each is a column of the table's batches.
    pub fields_max: usize,
}

impl Default for RuleLimits {
    fn default() -> Self {
        Self { files_max: 20_000, file_bytes_max: 1 << 20, folder_depth_max: 16, sql: SqlLimits::default() }
    }
}

impl From<&Limits> for RuleLimits {
    fn from(limits: &Limits) -> Self {
        let bytes_max = usize::try_from(limits.rule_sql_bytes_max).unwrap_or(usize::MAX);
        let sql = SqlLimits { bytes_max, ..SqlLimits::default() };
        Self { files_max: limits.rules_max as usize, sql, ..Self::default() }
    }
}

impl SqlLimits {
    /// Of the conditions in declarations of log sources: the bound on the length is that of rules, which declarations are
    /// not.
    pub(crate) fn of_declarations(&self) -> Self {
        Self { bytes_max: self.bytes_max.max(Self::default().bytes_max), ..self.clone() }
    }
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            bytes_max: 256 << 10,
            tokens_max: 32_768,
            nesting_max: 50,
            retries_max: 6,
            row_max: 1_024,
            conditions_max: 2_500,
            angles_max: 4,
            word_chars_max: 256,
            depth_max: 64,
            expressions_max: 8_192,
            planned_max: 16_384,
            literal_bytes_max: 4_096,
            digits_max: 40,
            regex_bytes_max: 4_096,
            regex_compiled_bytes_max: 1 << 20,
            regex_total_bytes_max: 32 << 20,
            regex_nesting_max: 32,
            short_literal_chars_max: 64,
            growth_max: 64,
            name_chars_max: 64,
            outputs_max: 256,
            fields_max: 256,
        }
    }
}

/// What a rule was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Our SQL.
    Sql,
    /// Sigma's YAML.
    Sigma,
}

/// A rule that was found sound. A Sigma rule is one for each table that its log source is in.
#[derive(Debug)]
pub struct Rule {
    /// Its metadata.
    pub meta: RuleMeta,
    /// `version` of the metadata, or the first 16 hexadecimal digits of the file's SHA-256; of a Sigma rule those of its
    /// text and of the filters that apply to it.
    pub version: String,
    /// Where it was read from.
    pub file: Arc<SourceFile>,
    /// The table that it reads.
    pub table: Arc<Table>,
    /// The columns that it reads, declared ones, system ones and paths, by name: what a batch must carry.
    pub columns: Vec<String>,
    /// The output columns, in the order of SELECT.
    pub outputs: Vec<String>,
    /// False for rules that are left out, on purpose or as they can find nothing: they are checked, and not run.
    pub enabled: bool,
    /// Why it is left out.
    pub off: Option<String>,
    /// What it was written in.
    pub origin: Origin,
    planned: Planned,
}

impl Rule {
    /// The condition, coerced and simplified; its columns have no qualifier.
    pub fn condition(&self) -> &Expr {
        &self.planned.condition
    }
}

/// What came of loading.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The sound rules, in the order of their files.
    pub rules: Vec<Arc<Rule>>,
    /// How many files there were, sound or not.
    pub files: usize,
    /// How many of them are Sigma's.
    pub sigma_files: usize,
    /// Their documents, and what became of each.
    pub sigma: Vec<SigmaDocument>,
    /// All that is wrong with all files, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Loaded {
    /// True when something must be corrected before a start.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads rule files, and the `.sql` and Sigma files in and below folders. Never stops at the first problem.
pub fn load(paths: &[PathBuf], catalog: &Catalog, limits: &RuleLimits) -> Loaded {
    load_with(paths, catalog, limits, &Selection::default())
}

/// The same with a choice of what runs.
pub fn load_with(paths: &[PathBuf], catalog: &Catalog, limits: &RuleLimits, selection: &Selection) -> Loaded {
    let Files { files, count, unreadable, found } = read(paths, limits);
    let mut loaded = load_files_with(&files, catalog, limits, selection);
    loaded.files = count;
    loaded.sigma_files += unreadable.len();
    loaded.sigma.extend(unreadable);
    loaded.diagnostics.extend(found);
    diagnostic::sort(&mut loaded.diagnostics);
    loaded
}

/// Rule files that were read.
struct Files {
    files: Vec<Arc<SourceFile>>,
    /// How many there are, readable or not.
    count: usize,
    /// Sigma's that are not: they take no rule with them.
    unreadable: Vec<SigmaDocument>,
    found: Vec<Diagnostic>,
}

fn read(paths: &[PathBuf], limits: &RuleLimits) -> Files {
    let mut read = Files { files: Vec::new(), count: 0, unreadable: Vec::new(), found: Vec::new() };
    let paths = file::find(paths, limits, &mut read.found);
    read.count = paths.len();
    for path in &paths {
        match SourceFile::read(path, limits.file_bytes_max) {
            Ok(file) => read.files.push(file),
            Err(diagnostic) if file::is_sigma(path) => {
                read.unreadable.push(SigmaDocument::unreadable(path, &diagnostic));
                read.found.push(diagnostic.warning());
            }
            Err(diagnostic) => read.found.push(diagnostic),
        }
    }
    read
}

/// The files that [`load`] reads, and what keeps it from finding more.
pub fn files(paths: &[PathBuf], limits: &RuleLimits) -> (Vec<PathBuf>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let files = file::find(paths, limits, &mut found);
    (files, found)
}

/// [`load`] for texts that are already in memory.
pub fn load_files(files: &[Arc<SourceFile>], catalog: &Catalog, limits: &RuleLimits) -> Loaded {
    load_files_with(files, catalog, limits, &Selection::default())
}

/// The same with a choice of what runs.
pub fn load_files_with(
    files: &[Arc<SourceFile>],
    catalog: &Catalog,
    limits: &RuleLimits,
    selection: &Selection,
) -> Loaded {
    let loaded = on_large_stack(|| {
        let tables = Tables::new(catalog).map_err(unplanned)?;
        Ok(load_here(files, &tables, limits, selection))
    });
    loaded.unwrap_or_else(|diagnostic| Loaded {
        files: files.len(),
        diagnostics: vec![*diagnostic],
        ..Loaded::default()
    })
}

fn unplanned(error: datafusion::common::DataFusionError) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(codes::Q025, format!("the tables cannot be planned: {error}")))
}

/// Runs it on a thread of its own.
fn on_large_stack<T: Send>(
    run: impl FnOnce() -> Result<T, Box<Diagnostic>> + Send,
) -> Result<T, Box<Diagnostic>> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rules".into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .map(std::thread::ScopedJoinHandle::join);
        match thread {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => {
                Err(Box::new(Diagnostic::new(codes::Q025, "reading the rules failed unexpectedly")))
            }
            Err(error) => {
                let message = format!("no thread to read the rules on: {error}");
                Err(Box::new(Diagnostic::new(codes::D001, message)))
            }
        }
    })
}

fn load_here(
    files: &[Arc<SourceFile>],
    tables: &Tables,
    limits: &RuleLimits,
    selection: &Selection,
) -> Loaded {
    let mut loaded = Loaded { files: files.len(), ..Loaded::default() };
    let mut ids: HashMap<String, Location> = HashMap::new();
    let (sigma, sql): (Vec<_>, Vec<_>) = files.iter().cloned().partition(|file| file::is_sigma(&file.path));
    for file in &sql {
        let mut found = Vec::new();
        // A planner that panics on one rule must not take the others with it (I-5).
        let rule = catch_unwind(AssertUnwindSafe(|| {
            let read = file::read(file, &mut found)?;
            if let Some(document) = read.document.as_ref().filter(|document| !document.spans.is_lost("/id")) {
                found.extend(claim(&mut ids, &document.value.id, document.spans.value("/id")));
            }
            compile(read, tables, limits, selection, &mut found)
        }));
        let rule = rule.unwrap_or_else(|_| {
            let message = "the planner failed on this rule";
            found.push(Diagnostic::new(codes::Q025, message).at(Location::new(file, 0..0)));
            None
        });
        if let Some(rule) = rule
            && !found.iter().any(Diagnostic::is_error)
        {
            loaded.rules.push(Arc::new(rule));
        }
        loaded.diagnostics.extend(first_problems(file, found));
    }
    let input = sigma::load::Input { tables, limits, selection, texts: false };
    let outcome = sigma::load::load(&sigma, &input, &mut ids);
    loaded.rules.extend(outcome.rules.into_iter().map(Arc::new));
    loaded.diagnostics.extend(selection.strangers(ids.keys().map(String::as_str)));
    loaded.diagnostics.extend(selection.leaves_none(loaded.rules.iter().map(|rule| &rule.meta)));
    loaded.sigma_files = sigma.len();
    loaded.sigma = outcome.documents;
    loaded.diagnostics.extend(outcome.found);
    diagnostic::sort(&mut loaded.diagnostics);
    loaded
}

/// As many problems as are shown, errors before warnings, and then that there are more.
fn first_problems(file: &Arc<SourceFile>, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    if found.len() > PROBLEMS_MAX {
        diagnostic::sort(&mut found);
        found.sort_by_key(|diagnostic| !diagnostic.is_error());
        found.truncate(PROBLEMS_MAX);
        let message = format!("the rule has more problems; these are the first {PROBLEMS_MAX}");
        let end = Location::new(file, file.text.len()..file.text.len());
        found.push(Diagnostic::new(codes::R010, message).at(end).help("correct these first").warning());
    }
    found
}

/// Takes an id; the diagnostic when another rule has it.
fn claim(ids: &mut HashMap<String, Location>, id: &str, place: Location) -> Option<Diagnostic> {
    let Some(first) = ids.get(id) else {
        ids.insert(id.to_owned(), place);
        return None;
    };
    let (line, _) = first.file.line_column(first.span.start);
    let message = format!("the id `{id}` is already that of {}:{line}", first.file.path.display());
    let help = "give each rule an id of its own, such as a new UUID";
    Some(Diagnostic::new(codes::R002, message).at(place).help(help))
}

fn compile(
    read: file::RuleFile,
    tables: &Tables,
    limits: &RuleLimits,
    selection: &Selection,
    found: &mut Vec<Diagnostic>,
) -> Option<Rule> {
    let start = Location::new(&read.file, read.sql.start..read.sql.start);
    let query = sql::check(&read.file, read.sql.clone(), tables, &limits.sql, found);
    let outputs: Option<Vec<String>> =
        query.as_ref().map(|query| query.outputs.iter().map(|output| output.0.clone()).collect());
    // Types may be missing: what the planner would say of them says nothing about the rule.
    let table = query.as_ref().and_then(|query| tables.find(&query.table));
    let table = table.filter(|table| !table.table.incomplete);
    metadata::check(&read, outputs.as_deref(), table.map(|table| &*table.table), found);
    let (query, outputs, table) = (query?, outputs?, table?);
    let columns: Vec<String> = query.columns.iter().cloned().collect();
    let paths: Vec<String> = columns.iter().filter_map(|column| column_path(column)).collect();
    let schema = match table.with_paths(&paths) {
        Ok(schema) => schema,
        Err(error) => {
            let message = format!("the fields cannot be planned: {}", plan::plain_message(&error));
            found.push(Diagnostic::new(codes::Q025, message).at(start));
            return None;
        }
    };
    let condition_place = Location::new(&read.file, query.condition.1.clone());
    let planned = plan::plan(&read.file, query, &schema, found)?;

    // A trial on no rows finds what only the compiler of expressions knows, before the stream does.
    let layout = schema.inner();
    let trial = bind::bind("trial", &planned, layout).and_then(|bound| {
        let batch = RecordBatch::new_empty(Arc::clone(layout));
        bound.evaluate(&batch).map_err(|error| error.source)?;
        bound.project(&batch, &[])
    });
    if let Err(error) = trial {
        let place = if condition_place.span.is_empty() { start } else { condition_place };
        let message = format!("the query cannot run: {}", plan::plain_message(&error));
        found.push(Diagnostic::new(codes::Q025, message).at(place));
        return None;
    }
    let meta = read.document?.value;
    let off = selection.off(&meta);
    Some(Rule {
        enabled: off.is_none(),
        off,
        origin: Origin::Sql,
        meta,
        version: read.version,
        file: read.file,
        table: Arc::clone(&table.table),
        columns,
        outputs,
        planned,
    })
}

#[cfg(test)]
mod tests;
