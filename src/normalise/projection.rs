//! Which columns of which tables are built at all: the union of what rules need.
//!
//! Owns the numbering of tables and columns that builders and bound rules share. Made once a rule set by
//! `pipeline::engine`; read by `normalise::layout` and `detect`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};

use super::schema::{Catalog, ColumnType, SystemColumn, Table};

/// A column that is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectedColumn {
    /// Index of a declared column.
    Declared(usize),
    /// A system column.
    System(SystemColumn),
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
        let found = match table.column(name) {
            Some(at) => (ProjectedColumn::Declared(at), table.columns[at].kind),
            None => match SystemColumn::named(name) {
                Some((system, kind)) => (ProjectedColumn::System(system), kind),
                None => continue,
            },
        };
        columns.push(found);
        fields.push(Field::new(*name, found.1.arrow(), true));
    }
    TableProjection { table: Arc::clone(table), columns, schema: Arc::new(Schema::new(fields)) }
}
