//! A rule on record batches: which rows hit, and what the alert says about them.
//!
//! Owns the compiled form of a rule for one batch layout. The condition runs on the whole batch, the output
//! columns on the rows that hit alone. Called by `detect`, which also catches panics and parks rules (I-5).

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::plan::{Planned, options};
use super::{Rule, Weight};

/// Why a rule cannot run on batches of a layout.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The batches lack a column that the rule reads.
    #[error("rule {rule} reads the column `{column}`, which the batches of `{table}` do not carry")]
    MissingColumn {
        /// Id of the rule.
        rule: String,
        /// Its table.
        table: String,
        /// The column.
        column: String,
    },
    /// DataFusion could not compile an expression.
    #[error("rule {rule} cannot be compiled for these batches: {source}")]
    Compile {
        /// Id of the rule.
        rule: String,
        /// DataFusion's reason.
        source: DataFusionError,
    },
}

/// A rule failed on a batch; the same batch would fail again.
#[derive(Debug, thiserror::Error)]
#[error("rule {rule} failed on a batch of {rows} rows: {source}")]
pub struct EvaluateError {
    /// Id of the rule.
    pub rule: String,
    /// Rows of the batch.
    pub rows: usize,
    /// The reason.
    pub source: DataFusionError,
}

/// The rows that hit.
#[derive(Debug, Clone)]
pub struct Hits {
    /// Indexes into the batch, ascending.
    pub rows: Vec<u32>,
    /// One row for each of them: the output columns of the rule, in the order of its SELECT.
    pub output: RecordBatch,
}

/// A rule, compiled for one batch layout.
#[derive(Debug)]
pub struct BoundRule {
    rule: String,
    condition: Arc<dyn PhysicalExpr>,
    /// The batch columns that the outputs read.
    taken: Vec<usize>,
    /// The layout of the batch of hit rows that the outputs run on.
    taken_schema: SchemaRef,
    outputs: Vec<Arc<dyn PhysicalExpr>>,
    output_schema: SchemaRef,
    condition_weight: Weight,
    output_weight: Weight,
}

/// One for all rules: it holds options and no variables.
static PROPERTIES: LazyLock<ExecutionProps> = LazyLock::new(|| {
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(Arc::clone(options()));
    properties
});

/// An expression that DataFusion does not compile.
pub(crate) type CompileError = DataFusionError;

/// An expression over batches of a schema, compiled.
pub(crate) fn physical(expr: &Expr, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, CompileError> {
    let layout = DFSchema::try_from(Arc::clone(schema))?;
    create_physical_expr(expr, &layout, &PROPERTIES, &PhysicalPlanningContext::default())
}

impl Rule {
    /// Compiles the rule for batches of its table with these columns, in any order.
    pub fn bind(&self, schema: &SchemaRef) -> Result<BoundRule, BindError> {
        if let Some(column) = self.columns.iter().find(|name| schema.column_with_name(name).is_none()) {
            return Err(BindError::MissingColumn {
                rule: self.meta.id.clone(),
                table: self.table.name.clone(),
                column: column.clone(),
            });
        }
        bind(&self.meta.id, &self.planned, schema)
            .map_err(|source| BindError::Compile { rule: self.meta.id.clone(), source })
    }
}

pub(super) fn bind(rule: &str, planned: &Planned, schema: &SchemaRef) -> Result<BoundRule, DataFusionError> {
    let layout = DFSchema::try_from(Arc::clone(schema))?;
    let compile = |expr: &Expr, layout: &DFSchema| {
        create_physical_expr(expr, layout, &PROPERTIES, &PhysicalPlanningContext::default())
    };
    let condition = compile(&planned.condition, &layout)?;

    let mut taken: Vec<usize> = Vec::new();
    for (_, expr) in &planned.outputs {
        taken.extend(collect_columns(&compile(expr, &layout)?).iter().map(|column| column.index()));
    }
    taken.sort_unstable();
    taken.dedup();
    let taken_schema = Arc::new(schema.project(&taken)?);
    let taken_layout = DFSchema::try_from(Arc::clone(&taken_schema))?;

    let mut outputs = Vec::with_capacity(planned.outputs.len());
    let mut fields = Vec::with_capacity(planned.outputs.len());
    for (name, expr) in &planned.outputs {
        let output = compile(expr, &taken_layout)?;
        fields.push(Field::new(name, output.data_type(&taken_schema)?, true));
        outputs.push(output);
    }
    let output_schema = Arc::new(Schema::new(fields));
    let condition_weight = Weight::of([&planned.condition]);
    let output_weight = Weight::of(planned.outputs.iter().map(|(_, expr)| expr));
    let rule = rule.to_owned();
    Ok(BoundRule {
        rule,
        condition,
        taken,
        taken_schema,
        outputs,
        output_schema,
        condition_weight,
        output_weight,
    })
}

impl BoundRule {
    /// The id of the rule.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// What the condition takes of memory.
    pub fn condition_weight(&self) -> Weight {
        self.condition_weight
    }

    /// What the SELECT takes of memory.
    pub fn output_weight(&self) -> Weight {
        self.output_weight
    }

    /// Names and types of the output columns.
    pub fn output_schema(&self) -> &SchemaRef {
        &self.output_schema
    }

    /// The rows of a batch that hit, with their output; `None` when there are none.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Option<Hits>, EvaluateError> {
        let rows = self.matches(batch)?;
        if rows.is_empty() {
            return Ok(None);
        }
        Ok(Some(Hits { output: self.output(batch, &rows)?, rows }))
    }

    /// The rows of a batch that hit, ascending. A condition that is NULL is no hit.
    pub fn matches(&self, batch: &RecordBatch) -> Result<Vec<u32>, EvaluateError> {
        self.condition(batch).map_err(|source| self.failed(batch.num_rows(), source))
    }

    /// Those of these rows of a batch that hit.
    pub fn matches_among(&self, batch: &RecordBatch, rows: &[u32]) -> Result<Vec<u32>, EvaluateError> {
        let indexes = UInt32Array::from(rows.to_vec());
        let taken = take_record_batch(batch, &indexes);
        let found = taken.map_err(DataFusionError::from).and_then(|taken| self.condition(&taken));
        let found = found.map_err(|source| self.failed(rows.len(), source))?;
        Ok(found.into_iter().filter_map(|at| rows.get(at as usize).copied()).collect())
    }

    /// What the rule's SELECT says of these rows of a batch, in their order.
    pub fn output(&self, batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch, EvaluateError> {
        self.project(batch, rows).map_err(|source| self.failed(rows.len(), source))
    }

    fn failed(&self, rows: usize, source: DataFusionError) -> EvaluateError {
        EvaluateError { rule: self.rule.clone(), rows, source }
    }

    fn condition(&self, batch: &RecordBatch) -> Result<Vec<u32>, DataFusionError> {
        let condition = self.condition.evaluate(batch)?.into_array(batch.num_rows())?;
        match as_boolean_array(&condition) {
            Ok(holds) => hit_rows(holds),
            // A condition that folded to NULL has no type.
            Err(_) if condition.null_count() == condition.len() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The output columns for some rows of a batch.
    pub(super) fn project(&self, batch: &RecordBatch, rows: &[u32]) -> Result<RecordBatch, DataFusionError> {
        let indexes = UInt32Array::from(rows.to_vec());
        let columns: Vec<ArrayRef> = self
            .taken
            .iter()
            .map(|at| take(batch.columns().get(*at).ok_or_else(moved)?, &indexes, None))
            .collect::<Result<_, _>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let taken = RecordBatch::try_new_with_options(Arc::clone(&self.taken_schema), columns, &options)?;
        let outputs: Vec<ArrayRef> = self
            .outputs
            .iter()
            .map(|output| output.evaluate(&taken)?.into_array(rows.len()))
            .collect::<Result<_, _>>()?;
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.output_schema), outputs, &options)?)
    }
}

fn moved() -> ArrowError {
    ArrowError::SchemaError("the batch has fewer columns than the layout that the rule was bound to".into())
}

fn hit_rows(holds: &BooleanArray) -> Result<Vec<u32>, DataFusionError> {
    let set = match holds.nulls() {
        Some(nulls) => holds.values() & nulls.inner(),
        None => holds.values().clone(),
    };
    set.set_indices()
        .map(|row| u32::try_from(row).map_err(|_| DataFusionError::Execution("a batch too large".into())))
        .collect()
}
