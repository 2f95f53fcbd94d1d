//! Sigma rules as SQL rules, for people and for tests.
//!
//! Owns asking `sigma::load` for the texts. What a text is made of is `sigma::rule_files`'. Called by `cli::sigma::sql`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::plan::Tables;
use super::{
    Fate, Files, RuleLimits, Selection, SigmaDocument, SigmaKind, SigmaText, file, on_large_stack, read,
    sigma, unplanned,
};
use crate::diagnostic::{self, Diagnostic, SourceFile};
use crate::normalise::schema::Catalog;

/// Sigma rules as SQL rules.
#[derive(Debug, Default)]
pub struct SigmaQueries {
    /// One for each rule and table, or more.
    pub texts: Vec<SigmaText>,
    /// Whether all rules are among them.
    pub complete: bool,
    /// All that is wrong with all files, by file and place.
    pub diagnostics: Vec<Diagnostic>,
}

/// The SQL of the Sigma rules among these files, those that are left out included.
pub fn sigma_sql(
    paths: &[PathBuf],
    catalog: &Catalog,
    limits: &RuleLimits,
    selection: &Selection,
) -> SigmaQueries {
    let Files { files, unreadable, found, .. } = read(paths, limits);
    let mut made = sigma_sql_files(&files, catalog, limits, selection);
    made.complete &= unreadable.is_empty();
    made.diagnostics.extend(found);
    diagnostic::sort(&mut made.diagnostics);
    made
}

/// [`sigma_sql`] for texts that are already in memory.
pub fn sigma_sql_files(
    files: &[Arc<SourceFile>],
    catalog: &Catalog,
    limits: &RuleLimits,
    selection: &Selection,
) -> SigmaQueries {
    let loaded = on_large_stack(|| {
        let files: Vec<_> = files.iter().filter(|file| file::is_sigma(&file.path)).cloned().collect();
        let tables = Tables::new(catalog).map_err(unplanned)?;
        let input = sigma::load::Input { tables: &tables, limits, selection, texts: true };
        Ok(sigma::load::load(&files, &input, &mut HashMap::new()))
    });
    let mut found = Vec::new();
    let outcome = loaded.unwrap_or_else(|diagnostic| {
        found.push(*diagnostic);
        sigma::load::Outcome::default()
    });
    let is_told = |document: &SigmaDocument| {
        document.kind != SigmaKind::Rule || !matches!(document.fate, Fate::Faulty(_) | Fate::NoTable)
    };
    let complete = outcome.documents.iter().all(is_told) && !outcome.unprinted && !outcome.texts.is_empty();
    found.extend(outcome.found);
    diagnostic::sort(&mut found);
    SigmaQueries { texts: outcome.texts, complete, diagnostics: found }
}
