//! From a pipeline folder to what runs: read, checked, compiled.
//!
//! Owns the one way that `run` and a reload share, so that both refuse the same; `check` looks with the same parts.
//! Called by `cli::run` and `pipeline::reload`.

use std::path::Path;
use std::sync::Arc;

use super::definition::Pipeline;
use super::engine::Compiled;
use crate::diagnostic::{self, Diagnostic, Location, codes};
use crate::rules::{self, Origin, Rule, RuleLimits, RuleSet};

/// A pipeline that may run.
pub struct Sound {
    /// What runs.
    pub compiled: Compiled,
    /// What works, but probably not as meant.
    pub warnings: Vec<Diagnostic>,
    /// Rules that can never alert: warnings as well.
    pub unfed: Vec<Diagnostic>,
}

/// Reads and compiles a pipeline folder (or its `pipeline.toml`); all that is wrong with all of its files at once.
pub fn load(path: &Path, limits: &RuleLimits) -> Result<Sound, Vec<Diagnostic>> {
    let mut found = Vec::new();
    let Some(pipeline) = Pipeline::look_at(path, &mut found) else { return Err(found) };
    let loaded = rules::load_with(&pipeline.rules, &pipeline.catalog, limits, &pipeline.selection);
    found.extend(rules::check_log_sources(&pipeline.catalog, limits));
    found.extend(loaded.diagnostics);
    diagnostic::sort(&mut found);
    found.dedup_by(|a, b| a.to_string() == b.to_string());
    if loaded.rules.is_empty() && !found.iter().any(Diagnostic::is_error) {
        found.push(Diagnostic::new(codes::P006, format!("the pipeline `{}` has no rule", pipeline.name)));
    }
    if found.iter().any(Diagnostic::is_error) {
        return Err(found);
    }
    let unfed = unfed(&pipeline, &loaded.rules);
    let compiled = Compiled::new(Arc::new(pipeline), Arc::new(RuleSet::new(loaded.rules)));
    let compiled = compiled.map_err(|error| {
        vec![Diagnostic::new(codes::Q025, format!("the rules cannot be compiled: {error}"))]
    })?;
    Ok(Sound { compiled, warnings: found, unfed })
}

/// SQL rules whose table no source of the pipeline feeds: they can never alert. Sigma's, which come by the thousand and for
/// all sorts of machines, are left out when they are loaded.
pub fn unfed(pipeline: &Pipeline, rules: &[Arc<Rule>]) -> Vec<Diagnostic> {
    let formats = pipeline.formats();
    let is_fed = |rule: &Rule| formats.iter().any(|format| rule.table.is_fed_by(format));
    let unfed = rules.iter().filter(|rule| rule.origin == Origin::Sql && !is_fed(rule));
    let told = unfed.map(|rule| {
        let message = format!(
            "no source of the pipeline `{}` feeds the table `{}`: the rule can never alert",
            pipeline.name, rule.table.name
        );
        Diagnostic::new(codes::R007, message).at(Location::new(&rule.file, 0..0)).warning()
    });
    told.collect()
}
