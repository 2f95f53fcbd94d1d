//! Which rule is meant, among which others, and what keeps it from running.
//!
//! Owns reading the set of rules and looking for one in it, by its id or its file. Called by the parent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::exit::CliError;
use crate::diagnostic::{Diagnostic, suggest};
use crate::normalise::schema::Catalog;
use crate::rules::sigma::coverage::{Coverage, Verdict, cover};
use crate::rules::{self, Loaded, Rule, RuleLimits, Selection, SigmaDocument, SigmaKind};

/// Ids that are shown when several begin as somebody wrote.
const IDS_SHOWN_MAX: usize = 5;

/// A rule, as far as it could be read.
pub struct Found {
    /// One for each of its tables; none when it could not be compiled.
    pub rules: Vec<Arc<Rule>>,
    /// What became of it, when it is Sigma's.
    pub sigma: Option<Coverage>,
}

/// What is explained, and the set that it is in.
pub struct Search {
    /// The rules that are meant: one, or those of a file.
    pub found: Vec<Found>,
    /// The set.
    pub set: Vec<Arc<Rule>>,
    /// Errors in other rules of the set.
    pub faulty: usize,
}

/// Looks for a rule by its id or its file among the rules at these paths.
pub fn find(
    wanted: &str,
    mut paths: Vec<PathBuf>,
    catalog: &Catalog,
    limits: &RuleLimits,
    selection: &Selection,
) -> Result<Search, CliError> {
    let file = Some(Path::new(wanted)).filter(|path| path.is_file()).map(whole);
    if let Some(file) = &file {
        let (files, _) = rules::files(&paths, limits);
        if !files.iter().any(|path| whole(path) == *file) {
            paths.push(PathBuf::from(wanted));
        }
    } else if paths.is_empty() {
        paths.extend(Some(PathBuf::from("rules")).filter(|path| path.is_dir()));
    }
    if paths.is_empty() {
        no_folder(wanted)?;
        return Err(CliError::usage(format!(
            "`{wanted}` is no file: name the rules that it is among with --rules, or a pipeline with --pipeline"
        )));
    }
    let loaded = rules::load_with(&paths, catalog, limits, selection);
    let is_meant = |path: &Path, id: Option<&str>| match &file {
        Some(file) => whole(path) == *file,
        None => id.is_some_and(|id| id.eq_ignore_ascii_case(wanted)),
    };
    let found = found(&loaded, catalog, &is_meant);
    if found.is_empty() {
        return Err(not_found(wanted, &loaded, file.as_deref()));
    }
    let faulty = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    Ok(Search { found, set: loaded.rules, faulty })
}

fn found(loaded: &Loaded, catalog: &Catalog, is_meant: &dyn Fn(&Path, Option<&str>) -> bool) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    // Those of one rule stand together.
    for rules in loaded.rules.chunk_by(|a, b| a.meta.id == b.meta.id) {
        if rules.first().is_some_and(|rule| is_meant(&rule.file.path, Some(&rule.meta.id))) {
            found.push(Found { rules: rules.to_vec(), sigma: None });
        }
    }
    for document in &loaded.sigma {
        let id = document.headline.id.as_deref();
        if !is_meant(&document.place.file.path, id) {
            continue;
        }
        let of_it = |found: &&mut Found| {
            document.kind == SigmaKind::Rule
                && found.rules.first().is_some_and(|rule| id == Some(rule.meta.id.as_str()))
        };
        match found.iter_mut().find(of_it) {
            Some(found) => found.sigma = Some(covered(document, catalog)),
            None => found.push(Found { rules: Vec::new(), sigma: Some(covered(document, catalog)) }),
        }
    }
    found
}

/// What can be said of a document; that its log source is that of no table with what was probably meant, as `check` tells.
fn covered(document: &SigmaDocument, catalog: &Catalog) -> Coverage {
    let mut coverage = cover(document);
    if coverage.verdict == Verdict::NoTable {
        let source = &document.log_source;
        let help = rules::to_declare(source, catalog.log_sources());
        coverage.why = Some(format!("none is declared for the log source {}; {help}", source.described()));
    }
    coverage
}

/// Why there is nothing to explain: what is wrong with the file that it is in, or that there is no such rule.
fn not_found(wanted: &str, loaded: &Loaded, file: Option<&Path>) -> CliError {
    let about = |diagnostic: &&Diagnostic| {
        let path = diagnostic.location.as_ref().map(|place| place.file.path.as_path());
        let path = path.or(diagnostic.path.as_deref().map(PathBuf::as_path));
        match (file, &diagnostic.location) {
            (Some(file), _) => path.is_some_and(|path| whole(path) == file),
            // A faulty rule has no id yet, but its text may say it.
            (None, Some(place)) => diagnostic.is_error() && says_id(&place.file.text, wanted),
            (None, None) => false,
        }
    };
    let told: Vec<Diagnostic> = loaded.diagnostics.iter().filter(about).cloned().collect();
    // What a rule lacks is no news of a file that has nothing at all.
    let has_text =
        |told: &Diagnostic| told.location.as_ref().is_none_or(|place| !place.file.text.trim().is_empty());
    if told.iter().any(has_text) {
        return told.into();
    }
    if file.is_some() {
        return CliError::usage(format!("there is no rule in `{wanted}`"));
    }
    if let Err(error) = no_folder(wanted) {
        return error;
    }
    // A Sigma rule is in both lists, and may be on several tables.
    let ids = loaded.rules.iter().map(|rule| rule.meta.id.as_str());
    let ids = ids.chain(loaded.sigma.iter().filter_map(|document| document.headline.id.as_deref()));
    let ids: BTreeSet<&str> = ids.collect();
    if ids.is_empty() {
        let errors: Vec<Diagnostic> =
            loaded.diagnostics.iter().filter(|told| told.is_error()).cloned().collect();
        if !errors.is_empty() {
            return errors.into();
        }
    }
    let meant = begun(wanted, &ids).unwrap_or_else(|| suggest(wanted, ids));
    CliError::usage(format!("there is no rule `{wanted}`, neither by id nor as a file; {meant}"))
}

/// The ids that begin so, as people copy the beginning of one; none when there are none.
fn begun(wanted: &str, ids: &BTreeSet<&str>) -> Option<String> {
    let begins = |id: &&&str| {
        id.get(..wanted.len()).is_some_and(|begin| !begin.is_empty() && begin.eq_ignore_ascii_case(wanted))
    };
    let begun: Vec<String> = ids.iter().filter(begins).map(|id| format!("`{id}`")).collect();
    match begun.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        several => {
            let shown = several.get(..IDS_SHOWN_MAX).unwrap_or(several).join(", ");
            let more = several.len().saturating_sub(IDS_SHOWN_MAX);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            Some(format!("it is the beginning of {} ids: {shown}{more}", several.len()))
        }
    }
}

/// Folders have many rules, and one is explained.
fn no_folder(wanted: &str) -> Result<(), CliError> {
    if Path::new(wanted).is_dir() {
        return Err(CliError::usage(format!(
            "`{wanted}` is a folder: name one rule, by its file, or by its id with the folder behind --rules"
        )));
    }
    Ok(())
}

fn says_id(text: &str, id: &str) -> bool {
    text.lines()
        .any(|line| line.trim().strip_prefix("id:").is_some_and(|said| said.trim().eq_ignore_ascii_case(id)))
}

/// The path without links and dots, as far as it is there.
fn whole(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
