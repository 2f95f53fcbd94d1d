//! `noroshi check`: everything that is wrong with rules, pipelines, schemas and configuration, at once.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::cases;
use super::costs::Costs;
use super::exit::{CliError, Outcome};
use super::output::{Format, Terminal, count, plural};
use super::values::ValuesArg;
use crate::config::{Config, LoadOptions, kafka};
use crate::diagnostic::{self, Diagnostic, codes};
use crate::normalise::schema::Catalog;
use crate::pipeline::definition::Pipeline;
use crate::pipeline::load::unfed;
use crate::printable;
use crate::record::wall_clock;
use crate::rules::{self, Fate, Loaded, Origin, RuleLimits, Selection};

/// Find all problems in rules, pipelines, schemas and configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a path or --pipeline: every folder in ./pipelines, and ./rules; also with --config,
which names the configuration to check (else ./noroshi.toml, if it is there) and replaces
nothing. A path may be a rule file, a folder of rules, a pipeline folder (with pipeline.toml),
or a schemas folder (with tables/). Each problem has a stable code; docs/diagnostics.md explains
them. The exit code is 1 when there is an error, a folder without any rule among them.

Examples:
  noroshi check
  noroshi check rules/windows/access_lsass_memory.sql
  noroshi check --config noroshi.toml
  noroshi check --pipeline pipelines/demo --format json | jq -r '.diagnostics[] | .code'")]
pub struct CheckArgs {
    /// Rules, folders, pipelines or schemas.
    paths: Vec<PathBuf>,
    /// A pipeline folder.
    #[arg(long)]
    pipeline: Vec<PathBuf>,
    /// A folder with tables/ to check rules against, instead of the built-in tables.
    #[arg(long)]
    schemas: Option<PathBuf>,
    #[command(flatten)]
    values: ValuesArg,
    /// A configuration file; the rest is checked with its bounds.
    #[arg(long)]
    config: Option<PathBuf>,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Default)]
struct Seen {
    /// SQL rule files, and those of them that are sound.
    files: usize,
    rules: usize,
    /// Sigma documents.
    sigma: SigmaSeen,
    pipelines: usize,
    tables: usize,
    /// What those that run cost.
    costs: Costs,
    found: Vec<Diagnostic>,
}

/// Sigma documents by what became of them.
#[derive(Debug, Default, Clone, Copy)]
struct SigmaSeen {
    documents: usize,
    armed: usize,
    filters: usize,
    off: usize,
    without_field: usize,
    without_source: usize,
    without_table: usize,
    waiting: usize,
    faulty: usize,
}

impl Seen {
    fn count(&mut self, loaded: &Loaded) {
        self.found.extend(self.costs.add(loaded));
        self.files += loaded.files.saturating_sub(loaded.sigma_files);
        self.rules += loaded.rules.iter().filter(|rule| rule.origin == Origin::Sql).count();
        for document in &loaded.sigma {
            let counted = match document.fate {
                Fate::Armed => &mut self.sigma.armed,
                Fate::Applied { .. } => &mut self.sigma.filters,
                Fate::Off(_) => &mut self.sigma.off,
                Fate::NoField => &mut self.sigma.without_field,
                Fate::NoSource(_) => &mut self.sigma.without_source,
                Fate::NoTable => &mut self.sigma.without_table,
                Fate::Waiting => &mut self.sigma.waiting,
                Fate::Faulty(_) => &mut self.sigma.faulty,
            };
            *counted += 1;
            self.sigma.documents += 1;
        }
    }
}

/// Checks and prints; `Problems` when there is an error.
pub fn main(args: &CheckArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let mut seen = Seen::default();
    let (mut pipelines, mut rules) = (args.pipeline.clone(), Vec::new());
    let mut schemas = args.schemas.clone();
    if args.paths.is_empty() && pipelines.is_empty() {
        pipelines.extend(folders(Path::new("pipelines")));
        rules.extend(Some(PathBuf::from("rules")).filter(|path| path.is_dir()));
        if pipelines.is_empty() && rules.is_empty() && args.config.is_none() && schemas.is_none() {
            return Err(CliError::usage(
                "nothing to check here: there is neither ./pipelines nor ./rules; name a path",
            ));
        }
    }
    for path in &args.paths {
        if path.join("pipeline.toml").is_file() || path.ends_with("pipeline.toml") {
            pipelines.push(path.clone());
        } else if path.join("tables").is_dir() && schemas.is_none() {
            schemas = Some(path.clone());
        } else {
            rules.push(path.clone());
        }
    }
    // With a configuration that is wrong the rest is checked with the default bounds.
    let config = Config::load(&LoadOptions::from_process(args.config.clone(), Vec::new()));
    let config = match config {
        Ok(config) => {
            seen.found.extend(config.warnings());
            // Here may be another machine than where it runs: what is missing here may be there.
            let missing = kafka::unreadable(&config, wall_clock() / 1_000);
            seen.found.extend(missing.into_iter().map(Diagnostic::warning));
            config
        }
        Err(found) => {
            seen.found.extend(found);
            Config::default()
        }
    };
    let limits = RuleLimits::from(&config.limits);
    let catalog = match &schemas {
        Some(folder) => Catalog::look_at(folder, &mut seen.found),
        None => Catalog::stock().unwrap_or_else(|found| {
            seen.found.extend(found);
            Catalog::default()
        }),
    };
    seen.tables = catalog.tables().len();
    seen.found.extend(rules::check_log_sources(&catalog, &limits));
    seen.found.extend(args.values.put_into(&mut Selection::default()).err());
    if !rules.is_empty() {
        let mut selection = Selection::default();
        // A folder that is missing has been told.
        let _ = args.values.put_into(&mut selection);
        let loaded = rules::load_with(&rules, &catalog, &limits, &selection);
        seen.count(&loaded);
        seen.found.extend(loaded.diagnostics);
    }
    for path in &pipelines {
        pipeline(path, &args.values, &limits, &mut seen);
    }
    diagnostic::sort(&mut seen.found);
    seen.found.dedup_by(|a, b| a.to_string() == b.to_string());
    let failed = seen.found.iter().any(Diagnostic::is_error);
    let found = if failed { Outcome::Problems } else { Outcome::Done };
    super::read_or_not(print(args, terminal, &seen), found)
}

fn pipeline(path: &Path, values: &ValuesArg, limits: &RuleLimits, seen: &mut Seen) {
    seen.pipelines += 1;
    let before = seen.found.len();
    // What is wrong with the pipeline must not hide what is wrong with its rules.
    let Some(mut pipeline) = Pipeline::look_at(path, &mut seen.found) else { return };
    let _ = values.put_into(&mut pipeline.selection);
    let faulty = seen.found[before..].iter().any(Diagnostic::is_error);
    let loaded = rules::load_with(&pipeline.rules, &pipeline.catalog, limits, &pipeline.selection);
    seen.found.extend(rules::check_log_sources(&pipeline.catalog, limits));
    seen.count(&loaded);
    seen.found.extend(loaded.diagnostics);
    if !faulty {
        seen.found.extend(no_rule(&pipeline));
        for folder in cases::folders(&pipeline) {
            seen.found.extend(cases::faults(&pipeline, &folder));
        }
        seen.found.extend(unfed(&pipeline, &loaded.rules));
    }
}

/// The fault of a pipeline that names no place where rules are; a place without any is `rules::load`'s to tell.
pub fn no_rule(pipeline: &Pipeline) -> Option<Diagnostic> {
    let message = || format!("the pipeline `{}` has no rule", pipeline.name);
    let none = pipeline.rules.is_empty();
    none.then(|| Diagnostic::new(codes::P006, message()).help("name files or folders in `rules`"))
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("pipeline.toml").is_file())
        .collect();
    folders.sort();
    folders
}

fn print(args: &CheckArgs, terminal: &Terminal, seen: &Seen) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    if args.format == Format::Json {
        let document = serde_json::json!({
            "rule_files": seen.files,
            "rules": seen.rules,
            "sigma": {
                "documents": seen.sigma.documents,
                "armed": seen.sigma.armed,
                "filters": seen.sigma.filters,
                "off": seen.sigma.off,
                "without_field": seen.sigma.without_field,
                "without_source": seen.sigma.without_source,
                "without_table": seen.sigma.without_table,
                "waiting": seen.sigma.waiting,
                "faulty": seen.sigma.faulty,
            },
            "pipelines": seen.pipelines,
            "tables": seen.tables,
            "costs": seen.costs.sums(),
            "rule_costs": seen.costs.each(),
            "diagnostics": seen.found.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        });
        writeln!(out, "{}", printable::json(&format!("{document:#}")))?;
        return Ok(());
    }
    for diagnostic in &seen.found {
        writeln!(out, "{}\n", diagnostic.render(terminal.colour_out))?;
    }
    let rules = if seen.files == seen.rules {
        plural(seen.rules, "rule")
    } else {
        format!("{}, {} sound", plural(seen.files, "rule file"), seen.rules)
    };
    let sigma = match seen.sigma {
        SigmaSeen { documents: 0, .. } => None,
        sigma => {
            let not = [
                (sigma.filters, if sigma.filters == 1 { "filter" } else { "filters" }),
                (sigma.off, "left out"),
                (sigma.without_field, "without its fields"),
                (sigma.without_source, "without a source"),
                (sigma.without_table, "without a table"),
                (sigma.waiting, "waiting for correlations"),
                (sigma.faulty, "that cannot be armed"),
            ];
            let not = not.iter().filter(|(count, _)| *count > 0);
            let not: Vec<String> = not.map(|(count, what)| format!(", {count} {what}")).collect();
            let documents = plural(sigma.documents, "Sigma document");
            Some(format!("{documents} ({} armed{})", sigma.armed, not.concat()))
        }
    };
    let rules = match sigma {
        // Nobody looked for SQL rules.
        Some(sigma) if seen.files == 0 => sigma,
        Some(sigma) => format!("{rules}, {sigma}"),
        None => rules,
    };
    if let Some(costs) = seen.costs.line() {
        writeln!(out, "{costs}")?;
    }
    let what = [(seen.pipelines, "pipeline"), (seen.tables, "table")];
    let what = what.map(|(count, what)| plural(count, what)).join(", ");
    writeln!(out, "{rules}, {what}: {}", count(&seen.found))?;
    Ok(())
}
