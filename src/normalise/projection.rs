//! Which columns of which tables are built at all: the union of what rules need.
//!
//! Owns the numbering of tables and columns that builders and bound rules share, and the names of path columns. Made once
//! a rule set by `pipeline::engine`; read by `normalise::layout` and `detect`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::schema::{Catalog, ColumnType, SystemColumn, Table};

/// A column that is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProjectedColumn {
    /// Index of a declared column.
    Declared(usize),
    /// A system column.
    System(SystemColumn),
    /// A field of the event by its path, as text.
    Path(String),
}

/// Characters of the path of a path column.
const PATH_CHARS_MAX: usize = 256;
/// Keys and indexes of the path of a path column.
const PATH_SEGMENTS_MAX: usize = 16;

/// The name of the column that holds a field of the event by its path, as rules write it: `field('user.roles.0')`. No
/// declared column has such a name.
pub fn path_column(path: &str) -> String {
    format!("field('{}')", path.replace('\'', "''"))
}

/// The path that a column's name stands for; none for the name of any other column.
pub fn column_path(name: &str) -> Option<String> {
    let path = name.strip_prefix("field('")?.strip_suffix("')")?.replace("''", "'");
    (path_column(&path) == name && path_fault(&path).is_none()).then_some(path)
}

/// Why a path cannot be that of a path column; none when it can.
pub fn path_fault(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("the path is empty".to_owned());
    }
    if path.chars().count() > PATH_CHARS_MAX || path.split('.').count() > PATH_SEGMENTS_MAX {
        return Some(format!(
            "the path has more than {PATH_CHARS_MAX} characters or {PATH_SEGMENTS_MAX} parts"
        ));
    }
    path.split('.').any(str::is_empty).then(|| "the path has an empty part".to_owned())
}

/// A table of which some columns are built.
#[derive(Debug, Clone)]
pub struct TableProjection {
    /// The table.
    pub table: Arc<Table>,
    /// What is built, in the order of `schema`.
    pub columns: Vec<(ProjectedColumn, ColumnType)>,
    /// Arrow schema of the batches.
    pub schema: SchemaRef,
}

/// The tables that are built.
#[derive(Debug, Clone, Default)]
pub struct Projection {
    tables: Vec<TableProjection>,
}

impl Projection {
    /// The projection for (table, columns) needs. Names that do not exist are left out: `rules` has refused
    /// them with a place long before.
    pub fn new<'a>(catalog: &Catalog, needs: impl IntoIterator<Item = (&'a str, &'a [String])>) -> Self {
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (table, columns) in needs {
            wanted.entry(table).or_default().extend(columns.iter().map(String::as_str));
        }
        let tables = wanted
            .into_iter()
            .filter_map(|(name, columns)| Some(project(catalog.table(name)?, &columns)))
            .collect();
        Self { tables }
    }

    /// All declared columns of all tables: what evidence shows.
    pub fn full(catalog: &Catalog) -> Self {
        let tables = catalog
            .tables()
            .iter()
            .map(|table| {
                let all = table.columns.iter().map(|column| column.name.as_str()).collect();
                project(table, &all)
            })
            .collect();
        Self { tables }
    }

    /// One table with these columns.
    pub fn of(table: &Arc<Table>, columns: &[String]) -> TableProjection {
        project(table, &columns.iter().map(String::as_str).collect())
    }

    /// The tables, in the order of their indices.
    pub fn tables(&self) -> &[TableProjection] {
        &self.tables
    }

    /// Index of a table.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.tables.iter().position(|table| table.table.name == name)
    }
}

fn project(table: &Arc<Table>, names: &BTreeSet<&str>) -> TableProjection {
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for name in names {
        let declared = table.column(name).map(|at| (ProjectedColumn::Declared(at), table.columns[at].kind));
        let system =
            || SystemColumn::named(name).map(|(system, kind)| (ProjectedColumn::System(system), kind));
        let path = || column_path(name).map(|path| (ProjectedColumn::Path(path), ColumnType::String));
        let Some((column, kind)) = declared.or_else(system).or_else(path) else { continue };
        columns.push((column, kind));
        fields.push(Field::new(*name, kind.arrow(), true));
    }
    TableProjection { table: Arc::clone(table), columns, schema: Arc::new(Schema::new(fields)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_column_are_one_to_one() {
        for path in ["a", "a.b.c", "a.0.b", "it's", "'", "a') = field('b", "狼煙.x", "$", "a b"] {
            assert_eq!(column_path(&path_column(path)).as_deref(), Some(path), "{path}");
        }
        for name in ["Image", "field", "field('')", "field('a", "field('a'b')", "field('a..b')", "FIELD('a')"]
        {
            assert_eq!(column_path(name), None, "{name}");
        }
    }

    #[test]
    fn a_path_is_bounded() {
        let (long, deep) = ("x".repeat(256), ["a"; 16].join("."));
        for (path, fits) in [
            (long.as_str(), true),
            (&format!("{long}x"), false),
            (&deep, true),
            (&format!("{deep}.a"), false),
            ("", false),
            (".a", false),
            ("a.", false),
        ] {
            assert_eq!(path_fault(path).is_none(), fits, "{path}");
        }
    }
}
