//! `[select]` and `values`: which rules run, and what their placeholders stand for.
//!
//! Owns what can be wrong with them in the file; ids that no rule has are found once rules are loaded. Called by the
//! parent.

use std::path::Path;

use super::PipelineFile;
use crate::diagnostic::{Diagnostic, codes};
use crate::document::Document;
use crate::rules::Selection;
use crate::rules::meta::RuleLevel;

/// The choice, as far as it is sound.
pub(super) fn selection(
    document: &Document<PipelineFile>,
    folder: &Path,
    found: &mut Vec<Diagnostic>,
) -> Selection {
    let (file, spans) = (&document.value.select, &document.spans);
    if file.level_min.is_some() && file.levels.is_some() {
        let message = "`level_min` and `levels` are both given";
        found.push(
            Diagnostic::new(codes::P014, message)
                .at(spans.key("/select/levels"))
                .help("give one of them: the levels by name, or the lowest"),
        );
    }
    let mut none = |key: &str, empty: bool| {
        let pointer = format!("/select/{key}");
        if empty && !spans.is_lost(&pointer) {
            let message = format!("with no `{key}` no rule runs");
            let told = Diagnostic::new(codes::P014, message).at(spans.value(&pointer));
            found.push(told.help("leave the key out to have all"));
        }
    };
    none("levels", file.levels.as_ref().is_some_and(Vec::is_empty));
    none("statuses", file.statuses.as_ref().is_some_and(Vec::is_empty));
    let mut selection =
        Selection { statuses: file.statuses.clone(), deprecated: file.deprecated, ..Selection::default() };
    selection.levels = match (&file.levels, file.level_min) {
        (Some(levels), _) => Some(levels.iter().copied().collect()),
        (None, Some(least)) => {
            let levels = RuleLevel::ALL.iter().copied();
            Some(levels.filter(|level| *level >= least).collect())
        }
        (None, None) => None,
    };
    let key = if file.statuses.is_some() {
        "statuses"
    } else if file.levels.is_some() {
        "levels"
    } else {
        "level_min"
    };
    selection.place = Some(spans.value(&format!("/select/{key}")));
    for (at, id) in file.disabled.iter().enumerate() {
        let place = spans.value(&format!("/select/disabled/{at}"));
        if selection.disabled.insert(id.to_lowercase(), Some(place.clone())).is_some() {
            let message = format!("the rule `{id}` is disabled twice");
            found.push(Diagnostic::new(codes::P002, message).at(place));
        }
    }
    selection.values = document.value.values.as_ref().map(|path| folder.join(path));
    if let Some(values) = selection.values.as_ref().filter(|values| !values.is_dir()) {
        found.push(
            Diagnostic::new(codes::P001, format!("{} is no folder", values.display()))
                .at(spans.value("/values"))
                .help("make it, with a file NAME.txt for each placeholder %NAME%"),
        );
    }
    selection
}
