//! `noroshi sigma sql`: Sigma rules as SQL rules.
//!
//! Owns reading the rules for it, the names of the files, and writing them; the text is `rules::sigma`'s.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Scope, World};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Terminal, plural};
use crate::printable;
use crate::rules::{self, SigmaText};

/// Files in the way that are named.
const NAMED_MAX: usize = 3;
/// Columns of a file's name on standard output.
const NAME_COLUMNS_MAX: usize = 256;

/// Print Sigma rules as SQL rules.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The SQL finds what the rule finds, and `check` accepts it; filters among the paths are part of
it. A SQL rule is on one table, so a rule whose log source is in several becomes one for each,
and a rule that is longer than a SQL rule may be becomes several. These have ids of their own,
which last; a comment names the rule's. --write makes a file of each. Without it they are
printed one after the other, each behind a line with its file's name.

Examples:
  noroshi sigma sql sigma/rules/windows/process_creation/proc_creation_win_whoami_all_execution.yml
  noroshi sigma sql rule.yml our_filter.yml --pipeline pipelines/demo
  noroshi sigma sql sigma/rules/windows --write rules/from_sigma")]
pub struct SqlArgs {
    /// Sigma rules: files and folders.
    #[arg(required = true, value_name = "RULE")]
    paths: Vec<PathBuf>,
    /// A folder to write a file of each SQL rule to; it is made if it is not there.
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Replace files that are there already; without, nothing is written when there is one.
    #[arg(long, requires = "write")]
    overwrite: bool,
    #[command(flatten)]
    scope: Scope,
}

/// Prints; `Problems` when a rule is among the files that cannot be told in SQL.
pub fn main(args: &SqlArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let World { limits, catalog, selection, .. } = args.scope.world()?;
    let made = rules::sigma_sql(&args.paths, &catalog, &limits, &selection);
    terminal.warn(&made.diagnostics);
    if made.texts.is_empty() && made.diagnostics.is_empty() {
        return Err(super::no_rule());
    }
    let names = names(&made.texts);
    match &args.write {
        Some(folder) => {
            write(folder, &made.texts, &names, args.overwrite)?;
            let count = plural(made.texts.len(), "file");
            let mut err = std::io::stderr().lock();
            let _ =
                writeln!(err, "{count} written to {}", printable::line(&folder.display().to_string(), 256));
        }
        None => print(&made.texts, &names)?,
    }
    Ok(if made.complete { Outcome::Done } else { Outcome::Problems })
}

/// One as it is; several behind a line with the name of the file each.
fn print(texts: &[SigmaText], names: &[String]) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    for (nth, (text, name)) in texts.iter().zip(names).enumerate() {
        if nth > 0 {
            writeln!(out)?;
        }
        if texts.len() > 1 {
            writeln!(out, "-- {}", printable::line(name, NAME_COLUMNS_MAX))?;
        }
        write!(out, "{}", text.sql)?;
    }
    if texts.len() > 1 {
        let count = plural(texts.len(), "SQL rule");
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{count}; `check` reads one a file, which --write DIR makes");
    }
    Ok(())
}

/// The files' names, each once, whatever the case: that of the Sigma file, with the table, with the number of the part,
/// then with the id, where the shorter is that of several.
fn names(texts: &[SigmaText]) -> Vec<String> {
    let stem = |text: &SigmaText| {
        let stem = text.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        // A name that begins with a dot is not read as a rule.
        match stem.trim_start_matches('.') {
            "" => "rule".to_owned(),
            stem => stem.to_owned(),
        }
    };
    let forms: Vec<[String; 4]> = texts
        .iter()
        .map(|text| {
            let (stem, SigmaText { table, part, id, .. }) = (stem(text), text);
            let by_table = format!("{stem}.{table}");
            [
                format!("{stem}.sql"),
                format!("{by_table}.sql"),
                format!("{by_table}.{part}.sql"),
                format!("{by_table}.{id}.sql"),
            ]
        })
        .collect();
    let mut times: HashMap<String, usize> = HashMap::new();
    for form in forms.iter().flatten() {
        *times.entry(form.to_lowercase()).or_default() += 1;
    }
    let once = |form: &&String| times.get(&form.to_lowercase()) == Some(&1);
    forms.iter().map(|forms| forms.iter().find(once).or(forms.last()).cloned().unwrap_or_default()).collect()
}

/// Writes all, or nothing when a file is in the way.
fn write(folder: &Path, texts: &[SigmaText], names: &[String], overwrite: bool) -> Result<(), CliError> {
    let cannot = |path: &Path, error: &std::io::Error| CliError::Plain {
        message: format!("cannot write {}: {error}", path.display()),
        outcome: Outcome::Output,
    };
    let paths: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    if !overwrite {
        let there: Vec<String> = paths
            .iter()
            .filter(|path| path.symlink_metadata().is_ok())
            .map(|path| path.display().to_string())
            .collect();
        if !there.is_empty() {
            let more = there.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let first = there.get(..NAMED_MAX).unwrap_or(&there).join(", ");
            let verb = if there.len() == 1 { "is" } else { "are" };
            return Err(CliError::usage(format!(
                "{first}{more} {verb} there already, and nothing was written: name another folder, or add --overwrite"
            )));
        }
    }
    fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    for (path, text) in paths.iter().zip(texts) {
        let mut options = OpenOptions::new();
        options.write(true);
        // What came to be there since is not overwritten either.
        let options = if overwrite { options.create(true).truncate(true) } else { options.create_new(true) };
        let written = options.open(path).and_then(|mut file| file.write_all(text.sql.as_bytes()));
        written.map_err(|error| cannot(path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_name_that_no_other_has() {
        let text = |path: &str, table: &str, part: usize, id: &str| SigmaText {
            id: id.to_owned(),
            rule: "r".to_owned(),
            path: PathBuf::from(path),
            table: table.to_owned(),
            part,
            sql: String::new(),
        };
        let made = [
            text("x/alone.yml", "t", 1, "1"),
            text("x/both.yml", "t", 1, "2"),
            text("x/both.yml", "u", 1, "3"),
            text("x/long.yml", "t", 1, "4"),
            text("x/long.yml", "t", 2, "5"),
            text("x/same.yml", "t", 1, "6"),
            text("y/SAME.yml", "t", 1, "7"),
            text("x/.hidden.yml", "t", 1, "8"),
        ];
        let expect = [
            "alone.sql",
            "both.t.sql",
            "both.u.sql",
            "long.t.1.sql",
            "long.t.2.sql",
            "same.t.6.sql",
            "SAME.t.7.sql",
            "hidden.sql",
        ];
        assert_eq!(names(&made), expect);
    }
}
