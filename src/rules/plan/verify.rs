//! Which planned expressions may run.
//!
//! Owns the allow-list of planned expressions, and the refusal of those that a value of an event could make fail.
//! Called by `rules::plan` for every expression, however it was made.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{BinaryExpr, Cast, ScalarFunction, TryCast};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator, ScalarUDF};

use super::misfit::{self, plain_message};
use super::types::{cast_never_fails, type_name};
use super::{Refusal, WORLD};
use crate::diagnostic::codes;

/// Months of an interval, a thousand years: a sum of a time and a few of them stays inside of the calendar.
const INTERVAL_MONTHS_MAX: u32 = 12_000;
/// Days of an interval, as many.
const INTERVAL_DAYS_MAX: u32 = 366_000;

/// Levels of an expression.
pub(super) fn depth(expr: &Expr) -> usize {
    let mut deepest = 0;
    // The closure never fails.
    let _ = expr.apply_children(|child| {
        deepest = deepest.max(depth(child));
        Ok(TreeNodeRecursion::Continue)
    });
    deepest + 1
}

/// The allow-list of planned expressions, and the refusal of those that a value of an event could make fail.
pub(super) fn verify(expr: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    let mut refusal = None;
    let walked = expr.apply(|node| {
        refusal = verify_node(node, schema).err();
        Ok(if refusal.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (refusal, walked) {
        (Some(refusal), _) => Err(refusal),
        (None, Err(error)) => Err(Refusal(codes::Q025, plain_message(&error), "")),
        (None, Ok(_)) => Ok(()),
    }
}

fn verify_node(node: &Expr, schema: &DFSchema) -> Result<(), Refusal> {
    let kind = |expr: &Expr| expr.get_type(schema).map_err(Refusal::misfit);
    match node {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _)
            if length.months.unsigned_abs() > INTERVAL_MONTHS_MAX
                || length.days.unsigned_abs() > INTERVAL_DAYS_MAX =>
        {
            let help = "write INTERVAL '5 minutes', or compare with a TIMESTAMP";
            Err(Refusal(codes::Q022, "an interval of more than 1000 years".into(), help))
        }
        Expr::Column(_) | Expr::Literal(..) | Expr::Like(_) | Expr::Between(_) | Expr::InList(_) => Ok(()),
        Expr::Not(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_) => Ok(()),
        Expr::Alias(_) | Expr::Case(_) => Ok(()),
        Expr::TryCast(TryCast { expr, field }) => {
            let is_date = |kind: &DataType| matches!(kind, DataType::Date32 | DataType::Date64);
            let from = kind(expr)?;
            if is_date(field.data_type()) && !is_date(&from) && !matches!(from, DataType::Timestamp(..)) {
                // Neither its text nor an interval added to it is within any calendar.
                let message = format!(
                    "{} may name a day millions of years away, which would stop the rule",
                    type_name(&from)
                );
                return Err(Refusal(codes::Q022, message, "write CAST(TRY_CAST(x AS TIMESTAMP) AS DATE)"));
            }
            Ok(())
        }
        Expr::Negative(inner) => match kind(inner)? {
            // The smallest integer has no positive counterpart.
            DataType::Int64 | DataType::Int32 => {
                Err(Refusal(codes::Q022, "negation fails on the smallest number".into(), "write 0 - x"))
            }
            _ => Ok(()),
        },
        Expr::BinaryExpr(BinaryExpr { left: _, op: Operator::Divide | Operator::Modulo, right }) => {
            if kind(right)?.is_integer() && !never_zero(right) {
                let help = "divide by NULLIF(x, 0), or by a number";
                return Err(Refusal(codes::Q022, "a division by zero would stop the rule".into(), help));
            }
            Ok(())
        }
        Expr::BinaryExpr(_) => Ok(()),
        Expr::Cast(Cast { expr, field }) => {
            let (from, to) = (kind(expr)?, field.data_type());
            if let Expr::Literal(value, _) = expr.as_ref() {
                let message = format!("{value} cannot be read as {}", type_name(to));
                return Err(Refusal(codes::Q022, message, "write a literal of the column's type"));
            }
            if cast_never_fails(&from, to) {
                return Ok(());
            }
            let message = format!(
                "{} is converted to {}, and would stop the rule at the first value that is none",
                type_name(&from),
                type_name(to)
            );
            let help = match from {
                DataType::Duration(_) | DataType::Interval(_) => misfit::INTERVALS,
                _ => "compare with a literal of the same type, or write TRY_CAST(x AS …), which gives NULL",
            };
            Err(Refusal(codes::Q022, message, help))
        }
        Expr::ScalarFunction(ScalarFunction { func, .. }) => {
            let same = |known: &Arc<ScalarUDF>| Arc::ptr_eq(known, func) || known == func;
            // Nearly always it is the one of its name; some stand under several names.
            let ours =
                WORLD.functions.get(func.name()).is_some_and(same) || WORLD.functions.values().any(same);
            if ours {
                Ok(())
            } else {
                let message = format!("the planner brought in the function {}", func.name());
                Err(Refusal(codes::Q025, message, ""))
            }
        }
        other => Err(Refusal(codes::Q025, format!("the planner made {} of it", other.variant_name()), "")),
    }
}

fn never_zero(divisor: &Expr) -> bool {
    match divisor {
        Expr::Literal(value, _) => {
            // -1 as well: the smallest integer divided by it does not fit.
            let unfit = |number: i64| value == &ScalarValue::Int64(Some(number));
            !value.is_null() && !unfit(0) && !unfit(-1)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let zero = |expr: &Expr| matches!(expr, Expr::Literal(ScalarValue::Int64(Some(0)), _));
            func.name() == "nullif" && args.get(1).is_some_and(zero)
        }
        _ => false,
    }
}
