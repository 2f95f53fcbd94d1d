//! Table files: which there are, and their shape, with the documentation that editors show.
//!
//! Owns finding them and their types; `normalise::schema` reads them and checks what the values mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Category, ColumnType, Observable};
use crate::diagnostic::{Diagnostic, codes};

/// The `.toml` files of a folder, by name; hidden ones are an editor's.
pub(super) fn find(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let entries = std::fs::read_dir(folder).map_err(|error| {
        Diagnostic::new(codes::D001, format!("cannot read {}: {error}", folder.display()))
    })?;
    let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml") && !hidden(path))
        .collect();
    paths.sort();
    Ok(paths)
}

/// A table file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TableFile {
    /// The name that rules use after FROM: lower case letters, digits and underscores.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9_]{0,63}$"))]
    pub(super) table: String,
    /// OCSF class of its rows.
    #[schemars(range(min = 0, max = 999_999_999))]
    pub(super) class_uid: i64,
    /// What a row is, in one or two sentences.
    pub(super) description: String,
    /// The columns, by name.
    pub(super) columns: BTreeMap<String, ColumnFile>,
    /// From which events of which format rows are made. An event makes one row for each view that matches it.
    #[serde(default)]
    pub(super) view: Vec<ViewFile>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnFile {
    /// string, int, double, boolean or timestamp.
    pub(super) r#type: ColumnType,
    /// What it holds, with its unit.
    pub(super) description: String,
    /// machine, identifier, content or secret.
    pub(super) category: Category,
    /// Path below an OCSF `evidences[]` object where an alert shows the value.
    #[serde(default)]
    pub(super) ocsf: Option<String>,
    /// The OCSF observable that the value is.
    #[serde(default)]
    pub(super) observable: Option<Observable>,
    /// Its values may be lists, as JSON text: a Sigma rule asks whether one of the items passes.
    #[serde(default)]
    pub(super) list: bool,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ViewFile {
    /// A source format, or several whose events have the same fields.
    pub(super) format: FormatsFile,
    /// Condition over the event's fields: `=`, `<>`, `IN`, `IS [NOT] NULL`, `AND`, `OR`, `NOT`. Text is compared
    /// without regard to ASCII case, numbers also with their text.
    pub(super) r#where: String,
    /// How columns are filled; a column that is not named takes the field of its own name.
    #[serde(default)]
    pub(super) fill: BTreeMap<String, FillFile>,
}

/// The formats of a view.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum FormatsFile {
    /// Name of a source format.
    One(String),
    /// Names of source formats.
    Several(Vec<String>),
}

/// How a column is filled.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum FillFile {
    /// A field, by its path (`alert.signature`); a number in it is an item of a list, from 0 (`dns.queries.0.rrname`).
    Field(String),
    /// The first of these fields that has a value.
    First(Vec<String>),
    /// Something made from fields.
    Made(MadeFile),
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MadeFile {
    /// A constant.
    #[serde(default)]
    pub(super) value: Option<serde_json::Value>,
    /// The first of these fields that has a value.
    #[serde(default)]
    pub(super) first: Vec<String>,
    /// Replaces the value found: from its text to another. A text that is not here stays as it is, unless
    /// there is an `otherwise`.
    #[serde(default)]
    pub(super) map: BTreeMap<String, String>,
    /// The value when `map` does not have the text, or no field has a value.
    #[serde(default)]
    pub(super) otherwise: Option<String>,
    /// Joins the texts of these fields; nothing when all are missing.
    #[serde(default)]
    pub(super) join: Vec<String>,
    /// Between joined texts.
    #[serde(default)]
    pub(super) separator: String,
    /// Adds up the whole numbers of these fields; nothing when all are missing, or one is no number.
    #[serde(default)]
    pub(super) sum: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{committed::assert_committed, document::schema_of};

    #[test]
    fn the_schema_for_editors_is_current() {
        assert_committed("schemas/table.schema.json", &schema_of::<TableFile>().page("Noroshi table"));
    }
}
