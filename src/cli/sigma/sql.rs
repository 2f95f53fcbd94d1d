//! `noroshi sigma sql`: Sigma rules as SQL rules.
//!
//! Owns reading the rules for it; the text is `rules::sigma`'s.

use std::io::Write;
use std::path::PathBuf;

use super::{Scope, World};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::Terminal;
use crate::rules;

/// Print Sigma rules as SQL rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A rule whose log source is in several tables is printed once for each. The SQL finds what the rule
finds, and `check` accepts it: save it as a .sql file to go on from there. Filters among the paths
are part of it.

Examples:
  noroshi sigma sql sigma/rules/windows/process_creation/proc_creation_win_whoami_execution.yml
  noroshi sigma sql rule.yml our_filter.yml --pipeline pipelines/demo")]
pub struct SqlArgs {
    /// Sigma rules: files and folders.
    #[arg(required = true, value_name = "RULE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    scope: Scope,
}

/// Prints; `Problems` when a rule is among the files that cannot be told in SQL.
pub fn main(args: &SqlArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let World { limits, catalog, selection, .. } = args.scope.world()?;
    let made = rules::sigma_sql(&args.paths, &catalog, &limits, &selection);
    terminal.warn(&made.diagnostics);
    let mut out = std::io::stdout().lock();
    for (nth, text) in made.texts.iter().enumerate() {
        if nth > 0 {
            writeln!(out)?;
        }
        write!(out, "{}", text.sql)?;
    }
    Ok(if made.complete { Outcome::Done } else { Outcome::Problems })
}
