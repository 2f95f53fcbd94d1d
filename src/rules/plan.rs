//! The second lock on rule SQL (I-6): typed expressions, and nothing but expressions.
//!
//! Owns the tables as the planner sees them, the planner's environment (which knows our functions and
//! nothing else), coercion and simplification, and the allow-list of planned expressions. No statement ever
//! reaches DataFusion: the condition and each output column are planned on their own, so there is no plan
//! node that could read a file, a variable or another table. Called by `rules::load`; `rules::bind` runs the
//! result.

mod backslash;
mod misfit;
mod tables;
mod types;
mod verify;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchemaRef, DataFusionError, ScalarValue, TableReference, plan_err};
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    AggregateUDF, Expr, ExprSchemable, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use sqlparser::ast;

use backslash::loses_backslash;
pub(super) use misfit::plain_message;
use types::{is_plain, type_name};
use verify::{depth, verify};

pub(super) use tables::{PlannedTable, Tables};

use super::PROBLEMS_MAX;
use super::SqlLimits;
use super::functions;
use super::sql::{self, CheckedQuery};
use crate::diagnostic::{Code, Diagnostic, Location, SourceFile, codes};

/// The planner's whole world: our functions, no tables, no variables.
struct World {
    functions: HashMap<&'static str, Arc<ScalarUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    options: Arc<ConfigOptions>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    functions: functions::names()
        .iter()
        .filter_map(|name| Some((*name, functions::named(name)?.udf())))
        .collect(),
    planners: vec![Arc::new(DatetimeFunctionPlanner), Arc::new(UnicodeFunctionPlanner)],
    options: Arc::new(ConfigOptions::new()),
});

/// The options that expressions are planned and run with: DataFusion's defaults, shared by all rules.
pub(super) fn options() -> &'static Arc<ConfigOptions> {
    &WORLD.options
}

impl ContextProvider for World {
    fn get_table_source(&self, name: TableReference) -> datafusion::common::Result<Arc<dyn TableSource>> {
        plan_err!("no table {name} here")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        functions::names().iter().map(ToString::to_string).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Levels of a planned expression. Evaluation recurses over them on a lane's ordinary stack, and the
/// simplifier may undo the balance that `sql::expression` gave to chains.
const PLANNED_DEPTH_MAX: usize = 128;

/// What a rule evaluates: typed, simplified, verified.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) condition: Expr,
    /// Output columns: name and expression.
    pub(super) outputs: Vec<(String, Expr)>,
}

/// Plans a checked query over a layout with all columns that it reads; nothing comes back when there is an error.
pub(super) fn plan(
    file: &Arc<SourceFile>,
    query: CheckedQuery,
    schema: &DFSchemaRef,
    found: &mut Vec<Diagnostic>,
) -> Option<Planned> {
    let before = found.len();
    let mut planning = Planning { file, schema, found };
    let mut outputs = Vec::with_capacity(query.outputs.len());
    for (name, expr, place) in query.outputs {
        if let Some(expr) = planning.expression(expr, &place)
            && planning.is_plain(&expr, &place)
        {
            outputs.push((name, expr));
        }
    }
    let (condition, place) = query.condition;
    let condition = planning.expression(condition, &place);
    let condition = condition.filter(|condition| planning.is_condition(condition, &place));
    if found[before..].iter().any(Diagnostic::is_error) {
        return None;
    }
    Some(Planned { condition: condition?, outputs })
}

/// The same for a condition and outputs that were built as expressions; the columns are those of `schema`.
pub(super) fn built(
    condition: Expr,
    outputs: Vec<(String, Expr)>,
    schema: &DFSchemaRef,
) -> Result<Planned, Refusal> {
    let condition = settled(condition, schema)?;
    match (condition.get_type(schema), &condition) {
        (Ok(DataType::Boolean | DataType::Null), Expr::Literal(ScalarValue::Boolean(Some(true)), _)) => {
            let help = "the rule would alert on each event; say what is suspicious";
            return Err(Refusal(codes::Q027, "the condition always holds".into(), help));
        }
        (Ok(DataType::Boolean | DataType::Null), Expr::Literal(..)) => {
            return Err(Refusal(codes::Q027, "the condition never holds".into(), ""));
        }
        (Ok(DataType::Boolean | DataType::Null), _) => {}
        (Ok(kind), _) => {
            let message = format!("the condition is no truth value, but {}", type_name(&kind));
            return Err(Refusal(codes::Q022, message, "compare it with something"));
        }
        (Err(error), _) => return Err(Refusal::misfit(error)),
    }
    let mut planned = Vec::with_capacity(outputs.len());
    for (name, expr) in outputs {
        let expr = if matches!(expr, Expr::Column(_)) { expr } else { settled(expr, schema)? };
        match expr.get_type(schema) {
            Ok(kind) if is_plain(&kind) => planned.push((name, expr)),
            Ok(_) => {
                let message = format!("an alert cannot show the type of `{name}`");
                return Err(Refusal(codes::Q022, message, ""));
            }
            Err(error) => return Err(Refusal::misfit(error)),
        }
    }
    Ok(Planned { condition, outputs: planned })
}

/// The condition that a declaration of ours puts on a table's rows, in the SQL of rules; why it is none when it is none.
pub(super) fn condition(
    sql: &str,
    tables: &Tables,
    table: &PlannedTable,
    limits: &SqlLimits,
) -> Result<Expr, String> {
    let text = format!("SELECT event_time FROM {} WHERE {sql}", table.name());
    let file = SourceFile::new("a log source", text);
    let mut found = Vec::new();
    let query = sql::check(&file, 0..file.text.len(), tables, limits, &mut found);
    let refused = || found.first().map_or_else(String::new, |first| first.message.clone());
    let query = query.ok_or_else(refused)?;
    let layout = table.layout(query.columns.iter().map(String::as_str));
    let layout = layout.map_err(|error| plain_message(&error))?;
    typed(query.condition.0, &layout).map_err(|refusal| refusal.1)
}

struct Planning<'a> {
    file: &'a Arc<SourceFile>,
    schema: &'a DFSchemaRef,
    found: &'a mut Vec<Diagnostic>,
}

/// Why an expression was refused: the code, what is wrong, and what to do or nothing.
pub(super) struct Refusal(pub(super) Code, pub(super) String, pub(super) &'static str);

impl Refusal {
    /// Types that do not fit, as the planner says it.
    #[expect(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
    fn misfit(error: DataFusionError) -> Self {
        let message = plain_message(&error);
        let help = misfit::help(&message);
        Self(codes::Q022, message, help)
    }
}

impl Planning<'_> {
    fn refuse(&mut self, refusal: Refusal, at: &Range<usize>) {
        let Refusal(code, message, help) = refusal;
        let diagnostic = Diagnostic::new(code, message).at(Location::new(self.file, at.clone()));
        self.found.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Plans one expression. When that fails, the same is tried on its parts, so that the message points
    /// at the smallest part that fails by itself.
    fn expression(&mut self, expr: ast::Expr, place: &Range<usize>) -> Option<Expr> {
        match typed(expr.clone(), self.schema) {
            Ok(planned) => {
                if loses_backslash(&expr, &planned) {
                    let message = "DataFusion runs this regular expression as LIKE, where its backslash is lost: it will not match what it says";
                    let help = "write LIKE or ILIKE, with each backslash doubled, or ends_with, starts_with, contains";
                    let at = Location::new(self.file, place.clone());
                    self.found.push(Diagnostic::new(codes::Q029, message).at(at).help(help).warning());
                }
                Some(planned)
            }
            Err(refusal) => {
                let failing = self.failing(&expr, refusal, place);
                for (refusal, at) in failing {
                    self.refuse(refusal, &at);
                }
                None
            }
        }
    }

    fn failing(
        &self,
        expr: &ast::Expr,
        refusal: Refusal,
        place: &Range<usize>,
    ) -> Vec<(Refusal, Range<usize>)> {
        let mut below = Vec::new();
        for part in parts(expr) {
            if below.len() > PROBLEMS_MAX {
                break;
            }
            if let Err(refusal) = typed(part.clone(), self.schema) {
                below.extend(self.failing(part, refusal, place));
            }
        }
        if below.is_empty() {
            below.push((refusal, span(self.file, expr).unwrap_or_else(|| place.clone())));
        }
        below
    }

    /// An alert can show texts, numbers, truth values and times.
    fn is_plain(&mut self, expr: &Expr, place: &Range<usize>) -> bool {
        let plain = match expr.get_type(self.schema) {
            Ok(DataType::Null) => {
                let help = "return a column or a value";
                self.refuse(Refusal(codes::Q022, "this output is always NULL".into(), help), place);
                return false;
            }
            Ok(kind) => is_plain(&kind),
            Err(_) => false,
        };
        if !plain {
            let help = "return a text, a number, a boolean or a time; CAST(… AS VARCHAR) makes a text";
            self.refuse(Refusal(codes::Q022, "an alert cannot show this type".into(), help), place);
        }
        plain
    }

    fn is_condition(&mut self, condition: &Expr, place: &Range<usize>) -> bool {
        match condition.get_type(self.schema) {
            Ok(DataType::Boolean | DataType::Null) => {}
            Ok(kind) => {
                let message = format!("the condition is no truth value, but {}", type_name(&kind));
                self.refuse(Refusal(codes::Q022, message, "compare it with something"), place);
                return false;
            }
            Err(error) => {
                self.refuse(Refusal::misfit(error), place);
                return false;
            }
        }
        match condition {
            Expr::Literal(ScalarValue::Boolean(Some(true)), _) => {
                let help = "the rule would alert on each event; say what is suspicious";
                self.refuse(Refusal(codes::Q027, "the condition always holds".into(), help), place);
                false
            }
            Expr::Literal(..) => {
                self.found.push(
                    Diagnostic::new(codes::Q027, "the condition never holds")
                        .at(Location::new(self.file, place.clone()))
                        .help("comparisons with NULL are never true; write IS NULL")
                        .warning(),
                );
                true
            }
            _ => true,
        }
    }
}

/// From the syntax tree to a typed, simplified and verified expression.
fn typed(expr: ast::Expr, schema: &DFSchemaRef) -> Result<Expr, Refusal> {
    let options = ParserOptions::new().with_enable_ident_normalization(false);
    let planner = SqlToRel::new_with_options(&*WORLD, options);
    let expr = planner.sql_to_expr(expr, schema, &mut PlannerContext::new()).map_err(Refusal::misfit)?;
    settled(expr, schema)
}

/// The second half of the lock, which every expression passes however it was made: typed, simplified, verified.
fn settled(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, Refusal> {
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(schema))
        .with_config_options(Arc::clone(&WORLD.options))
        .build();
    let simplifier = ExprSimplifier::new(context);
    let expr = simplifier.coerce(expr, schema).map_err(Refusal::misfit)?;
    // Rewrites keep the old name as an alias; here names come from the query, not from expressions.
    let expr = simplifier.simplify(expr).map_err(Refusal::misfit)?.unalias_nested().data;
    verify(&expr, schema)?;
    if depth(&expr) > PLANNED_DEPTH_MAX {
        let message = format!("the planned expression has more than {PLANNED_DEPTH_MAX} levels");
        let help = "use IN with a list, or put what the alternatives have in common first";
        return Err(Refusal(codes::Q005, message, help));
    }
    Ok(expr)
}

fn span(file: &Arc<SourceFile>, expr: &ast::Expr) -> Option<Range<usize>> {
    use ast::Spanned;
    let span = expr.span();
    if span == sqlparser::tokenizer::Span::empty() {
        return None;
    }
    let offset = |at: sqlparser::tokenizer::Location| {
        Some(file.offset(usize::try_from(at.line).ok()?, usize::try_from(at.column).ok()?))
    };
    let start = offset(span.start)?;
    Some(start..offset(span.end)?.max(start))
}

/// The parts of an expression that can be planned by themselves.
fn parts(expr: &ast::Expr) -> Vec<&ast::Expr> {
    use ast::Expr as E;
    match expr {
        E::BinaryOp { left, right, .. } => vec![left, right],
        E::UnaryOp { expr, .. }
        | E::IsTrue(expr)
        | E::IsNotTrue(expr)
        | E::IsFalse(expr)
        | E::IsNotFalse(expr)
        | E::IsNull(expr)
        | E::IsNotNull(expr)
        | E::Cast { expr, .. }
        | E::Like { expr, .. }
        | E::ILike { expr, .. }
        | E::Substring { expr, .. }
        | E::Trim { expr, .. } => vec![expr],
        E::Between { expr, low, high, .. } => vec![expr, low, high],
        E::InList { expr, .. } => vec![expr],
        E::Case { conditions, else_result, .. } => conditions
            .iter()
            .flat_map(|when| [&when.condition, &when.result])
            .chain(else_result.iter().map(|e| &**e))
            .collect(),
        E::Function(function) => match &function.args {
            ast::FunctionArguments::List(list) => list
                .args
                .iter()
                .filter_map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}
