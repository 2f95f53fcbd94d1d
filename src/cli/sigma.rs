//! `noroshi sigma`: what becomes of Sigma rules.
//!
//! Owns the subcommands' names; each is a file. Rules are read by `rules::load`, as everywhere.

mod coverage;
mod sql;

use std::path::PathBuf;
use std::sync::Arc;

use super::exit::{CliError, Outcome};
use super::output::Terminal;
use super::values::ValuesArg;
use crate::config::{Config, LoadOptions};
use crate::normalise::schema::Catalog;
use crate::pipeline::definition::Pipeline;
use crate::rules::{RuleLimits, Selection};

/// Look at Sigma rules: which of them can find anything, and what they are in SQL.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  noroshi sigma coverage sigma/rules
  noroshi sigma coverage sigma/rules --pipeline pipelines/demo --rules
  noroshi sigma coverage sigma/rules --format json | jq '.techniques[] | select(.armed == 0)'")]
pub struct SigmaArgs {
    #[command(subcommand)]
    command: SigmaCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SigmaCommand {
    /// List what is armed and why the rest is not, by rule, log source and ATT&CK technique.
    Coverage(coverage::CoverageArgs),
    /// Print rules as SQL rules.
    Sql(sql::SqlArgs),
}

/// Runs the subcommand.
pub fn main(args: &SigmaArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    match &args.command {
        SigmaCommand::Coverage(args) => coverage::main(args, terminal),
        SigmaCommand::Sql(args) => sql::main(args, terminal),
    }
}

/// Why nothing can be said.
fn no_rule() -> CliError {
    CliError::usage("no Sigma rule is there: those are files whose names end in .yml or .yaml")
}

/// What rules are read with.
#[derive(Debug, clap::Args)]
struct Scope {
    /// A pipeline folder: its formats, tables, log sources, choice of rules and values of placeholders.
    #[arg(long)]
    pipeline: Option<PathBuf>,
    /// A folder with tables/ and sigma/, instead of the built-in ones.
    #[arg(long, conflicts_with = "pipeline")]
    schemas: Option<PathBuf>,
    #[command(flatten)]
    values: ValuesArg,
}

/// The same, read.
struct World {
    limits: RuleLimits,
    catalog: Arc<Catalog>,
    selection: Selection,
    pipeline: Option<Pipeline>,
}

impl Scope {
    fn world(&self) -> Result<World, CliError> {
        let config = Config::load(&LoadOptions::from_process(None, Vec::new())).unwrap_or_default();
        let limits = RuleLimits::from(&config.limits);
        let pipeline = self.pipeline.as_deref().map(Pipeline::load).transpose()?;
        let catalog = match (&pipeline, &self.schemas) {
            (Some(pipeline), _) => Arc::clone(&pipeline.catalog),
            (None, Some(folder)) => Arc::new(Catalog::load(folder)?),
            (None, None) => Arc::new(Catalog::stock()?),
        };
        let mut selection = pipeline.as_ref().map(|pipeline| pipeline.selection.clone()).unwrap_or_default();
        self.values.put_into(&mut selection)?;
        Ok(World { limits, catalog, selection, pipeline })
    }
}
