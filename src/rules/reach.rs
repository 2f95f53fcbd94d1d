//! What a condition can still find where some columns never have a value.
//!
//! Owns the reckoning with conditions whose values are not known: which truth values are left. It errs on the side of
//! "may find something". Called by `rules::sigma::coverage`.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, Operator};

/// What a condition can find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing, ever.
    Never,
    /// Every row of its table, whatever is in it.
    Always,
    /// That depends on the row.
    Open,
}

/// What a condition can find when no row has a value in the columns that are absent.
pub fn outlook(condition: &Expr, absent: &dyn Fn(&str) -> bool) -> Outlook {
    match truths(condition, absent) {
        left if left & TRUE == 0 => Outlook::Never,
        TRUE => Outlook::Always,
        _ => Outlook::Open,
    }
}

/// A set of truth values.
type Truths = u8;
const TRUE: Truths = 1;
const FALSE: Truths = 2;
const UNKNOWN: Truths = 4;
const ANY: Truths = TRUE | FALSE | UNKNOWN;
const EACH: [Truths; 3] = [TRUE, FALSE, UNKNOWN];

/// Functions that have a value without one of their arguments.
const LENIENT: &[&str] = &["coalesce", "concat", "concat_ws", "ifnull", "nullif", "nvl", "nvl2"];

/// The truth values that an expression can have.
fn truths(expr: &Expr, absent: &dyn Fn(&str) -> bool) -> Truths {
    let of = |expr: &Expr| truths(expr, absent);
    let mapped = |expr: &Expr, to: fn(Truths) -> Truths| {
        let left = of(expr);
        EACH.iter().filter(|truth| left & **truth != 0).fold(0, |all, truth| all | to(*truth))
    };
    match expr {
        Expr::Literal(ScalarValue::Boolean(Some(value)), _) => {
            if *value {
                TRUE
            } else {
                FALSE
            }
        }
        Expr::Alias(alias) => of(&alias.expr),
        Expr::BinaryExpr(binary) => match binary.op {
            Operator::And | Operator::Or => {
                let (left, right) = (of(&binary.left), of(&binary.right));
                let joined = if binary.op == Operator::And { and } else { or };
                let pairs = EACH.iter().flat_map(|a| EACH.iter().map(move |b| (*a, *b)));
                let pairs = pairs.filter(|(a, b)| left & a != 0 && right & b != 0);
                pairs.fold(0, |all, (a, b)| all | joined(a, b))
            }
            Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => ANY,
            _ if is_missing(&binary.left, absent) || is_missing(&binary.right, absent) => UNKNOWN,
            _ => ANY,
        },
        Expr::Not(inner) => mapped(inner, not),
        Expr::IsTrue(inner) => mapped(inner, |truth| if truth == TRUE { TRUE } else { FALSE }),
        Expr::IsNotTrue(inner) => mapped(inner, |truth| if truth == TRUE { FALSE } else { TRUE }),
        Expr::IsFalse(inner) => mapped(inner, |truth| if truth == FALSE { TRUE } else { FALSE }),
        Expr::IsNotFalse(inner) => mapped(inner, |truth| if truth == FALSE { FALSE } else { TRUE }),
        Expr::IsNull(inner) if is_missing(inner, absent) => TRUE,
        Expr::IsNotNull(inner) if is_missing(inner, absent) => FALSE,
        Expr::IsNull(_) | Expr::IsNotNull(_) => TRUE | FALSE,
        Expr::Like(like) | Expr::SimilarTo(like) if is_missing(&like.expr, absent) => UNKNOWN,
        Expr::Between(between) if is_missing(&between.expr, absent) => UNKNOWN,
        Expr::InList(InList { expr, .. }) if is_missing(expr, absent) => UNKNOWN,
        // A function may say false of nothing.
        Expr::ScalarFunction(_) if is_missing(expr, absent) => FALSE | UNKNOWN,
        _ if is_missing(expr, absent) => UNKNOWN,
        _ => ANY,
    }
}

fn and(a: Truths, b: Truths) -> Truths {
    if a == FALSE || b == FALSE {
        FALSE
    } else if a == UNKNOWN || b == UNKNOWN {
        UNKNOWN
    } else {
        TRUE
    }
}

fn or(a: Truths, b: Truths) -> Truths {
    not(and(not(a), not(b)))
}

fn not(truth: Truths) -> Truths {
    match truth {
        TRUE => FALSE,
        FALSE => TRUE,
        other => other,
    }
}

/// Whether the value is missing in every row.
fn is_missing(expr: &Expr, absent: &dyn Fn(&str) -> bool) -> bool {
    match expr {
        Expr::Column(column) => absent(&column.name),
        Expr::Literal(value, _) => value.is_null(),
        Expr::Alias(alias) => is_missing(&alias.expr, absent),
        Expr::Cast(cast) => is_missing(&cast.expr, absent),
        Expr::TryCast(cast) => is_missing(&cast.expr, absent),
        Expr::Negative(inner) => is_missing(inner, absent),
        Expr::ScalarFunction(call) if !LENIENT.contains(&call.func.name()) => {
            call.args.iter().any(|argument| is_missing(argument, absent))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;
    use crate::normalise::schema::Catalog;
    use crate::rules::{RuleLimits, load_files};

    #[test]
    fn what_is_left_without_a_column() {
        use Outlook::{Always, Never, Open};
        let catalog = Catalog::stock().expect("the stock tables");
        for (condition, expect) in [
            ("Image = 'a'", Open),
            ("Company = 'a'", Never),
            ("Company = 'a' OR Image = 'a'", Open),
            ("Company = 'a' AND Image = 'a'", Never),
            ("Company LIKE '%a' OR Product IN ('a', 'b')", Never),
            // A filter that cannot apply suppresses nothing, when it is written so.
            ("Image = 'a' AND (Company = 'a') IS NOT TRUE", Open),
            ("(Company = 'a') IS NOT TRUE", Always),
            ("Image = 'a' AND NOT Company = 'a'", Never),
            ("Company IS NULL", Always),
            ("Company IS NULL AND Image = 'a'", Open),
            ("Company IS NOT NULL AND Image = 'a'", Never),
            ("(Image = 'a' AND Company = 'a') IS NOT TRUE", Always),
            ("(Image = 'a' OR Company = 'a') IS NOT TRUE", Open),
            ("coalesce(Company, Image) = 'a'", Open),
            ("lower(Company) = 'a'", Never),
            ("regexp_like(Company, 'a')", Never),
            ("(Company IS DISTINCT FROM 'a') AND Image = 'a'", Open),
        ] {
            let sql = format!(
                "/*---\nid: r-1\ntitle: t\n---*/\nSELECT Computer FROM process_activity WHERE {condition}"
            );
            let loaded = load_files(&[SourceFile::new("r.sql", sql)], &catalog, &RuleLimits::default());
            let rule =
                loaded.rules.first().unwrap_or_else(|| panic!("{condition}: {:#?}", loaded.diagnostics));
            let absent = |name: &str| matches!(name, "Company" | "Product");
            assert_eq!(outlook(rule.condition(), &absent), expect, "{condition}");
        }
    }
}
