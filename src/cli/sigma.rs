//! `noroshi sigma`: what becomes of Sigma rules.
//!
//! Owns the subcommands' names; each is a file. Rules are read by `rules::load`, as everywhere.

mod coverage;
mod sql;

use super::exit::{CliError, Outcome};
use super::output::Terminal;

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
