//! Tables as the planner sees them.
//!
//! Owns names without regard to case and the layout that expressions are planned over. Called by `rules::sql`, which
//! resolves names, and by the parent.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError};

use crate::normalise::projection::path_column;
use crate::normalise::schema::log_source::LogSources;
use crate::normalise::schema::{Catalog, ColumnType, SystemColumn, Table};

/// A table as rules see it.
#[derive(Debug)]
pub(in crate::rules) struct PlannedTable {
    pub(in crate::rules) table: Arc<Table>,
    /// Columns by their name in lower case.
    columns: HashMap<String, String>,
    /// The declared columns, then the system columns.
    pub(in crate::rules) schema: DFSchemaRef,
}

impl PlannedTable {
    fn new(table: &Arc<Table>) -> Result<Self, DataFusionError> {
        let declared = table.columns.iter().map(|column| (column.name.as_str(), column.kind));
        let system = SystemColumn::ALL.iter().map(|(_, name, kind, _)| (*name, *kind));
        let fields: Vec<Field> =
            declared.chain(system).map(|(name, kind)| Field::new(name, kind.arrow(), true)).collect();
        let columns =
            fields.iter().map(|field| (field.name().to_lowercase(), field.name().clone())).collect();
        let schema = DFSchema::try_from(Schema::new(fields))?;
        Ok(Self { table: Arc::clone(table), columns, schema: Arc::new(schema) })
    }

    /// The layout with a column for each of these paths of the event behind the others.
    pub(in crate::rules) fn with_paths(&self, paths: &[String]) -> Result<DFSchemaRef, DataFusionError> {
        if paths.is_empty() {
            return Ok(Arc::clone(&self.schema));
        }
        let names: BTreeSet<String> = paths.iter().map(|path| path_column(path)).collect();
        let columns = names.into_iter().map(|name| Field::new(name, ColumnType::String.arrow(), true));
        let fields = self.schema.fields().iter().map(|field| field.as_ref().clone()).chain(columns);
        Ok(Arc::new(DFSchema::try_from(Schema::new(fields.collect::<Vec<_>>()))?))
    }

    pub(in crate::rules) fn name(&self) -> &str {
        &self.table.name
    }

    /// The declared name of a column, whatever the case it is written in.
    pub(in crate::rules) fn column(&self, name: &str) -> Option<&str> {
        self.columns.get(&name.to_lowercase()).map(String::as_str)
    }

    /// The layout of these columns alone; what is not among the table's is a field by its path, a text.
    pub(in crate::rules) fn layout<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<DFSchemaRef, DataFusionError> {
        let field = |name: &str| match self.schema.field_with_unqualified_name(name) {
            Ok(field) => field.as_ref().clone(),
            Err(_) => Field::new(name, DataType::Utf8View, true),
        };
        let fields: Vec<Field> = names.into_iter().map(field).collect();
        Ok(Arc::new(DFSchema::try_from(Schema::new(fields))?))
    }

    /// True for a text column that may hold a JSON list, of which one item is enough.
    pub(in crate::rules) fn is_list(&self, name: &str) -> bool {
        let at = self.table.column(name);
        at.and_then(|at| self.table.columns.get(at)).is_some_and(|column| column.list)
    }

    pub(in crate::rules) fn column_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.values().map(String::as_str)
    }
}

/// All tables that rules may read.
#[derive(Debug)]
pub(in crate::rules) struct Tables {
    known: Vec<PlannedTable>,
    catalog: Catalog,
}

impl Tables {
    pub(in crate::rules) fn new(catalog: &Catalog) -> Result<Self, DataFusionError> {
        let known = catalog.tables().iter().map(PlannedTable::new).collect::<Result<_, _>>()?;
        Ok(Self { known, catalog: catalog.clone() })
    }

    pub(in crate::rules) fn find(&self, name: &str) -> Option<&PlannedTable> {
        self.known.iter().find(|table| table.name().eq_ignore_ascii_case(name))
    }

    /// True for a table whose own file is at fault that it is not known.
    pub(in crate::rules) fn is_unread(&self, name: &str) -> bool {
        self.catalog.is_unread(name)
    }

    /// Where the events of Sigma's log sources are.
    pub(in crate::rules) fn log_sources(&self) -> &LogSources {
        self.catalog.log_sources()
    }

    pub(in crate::rules) fn names(&self) -> Vec<&str> {
        self.known.iter().map(PlannedTable::name).collect()
    }
}
