//! How much memory the evaluation of an expression can take, told before it is evaluated.
//!
//! Owns the estimate: for each planned expression how many copies of a row's longest text are alive at once, at most.
//! Texts can be joined thousands of times in one rule, and DataFusion makes the result of a whole batch in one go; whoever
//! knows this number makes smaller batches. Called by `rules::bind` and `detect::index`.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{BinaryExpr, Case, Expr, Operator};

/// Bytes of a value that is no text, and of a view of one.
const VALUE_BYTES: u64 = 16;
/// Functions whose result is a text: it is at most all their arguments together, times this.
const TEXTS: &[(&str, u64)] = &[
    ("btrim", 1),
    // Letters of four bytes for such of one: nothing that changes the case is worse.
    ("casefold", 4),
    ("coalesce", 1),
    ("concat", 1),
    ("concat_ws", 1),
    ("encode", 2),
    ("greatest", 1),
    ("initcap", 4),
    ("json_get", 1),
    ("least", 1),
    ("left", 1),
    ("lower", 4),
    ("ltrim", 1),
    ("nullif", 1),
    ("nvl", 1),
    ("nvl2", 1),
    ("reverse", 1),
    ("right", 1),
    ("rtrim", 1),
    ("split_part", 1),
    ("substr", 1),
    ("substr_index", 1),
    ("substring", 1),
    ("to_hex", 1),
    ("translate", 4),
    ("upper", 4),
];
/// An expression of one column that takes more copies than this is no test that many rules share.
const SHARED_COPIES_MAX: u64 = 16;
/// Functions whose time grows faster than the text.
const SLOW: &[&str] = &["levenshtein"];

/// What the evaluation of a row takes: at most `copies` times the longest text of the row, and `fixed_bytes`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Weight {
    /// Copies of the longest text.
    pub copies: u64,
    /// Bytes that do not depend on the row.
    pub fixed_bytes: u64,
}

impl Weight {
    /// Of these expressions, whose results are kept together.
    pub(super) fn of<'e>(exprs: impl IntoIterator<Item = &'e Expr>) -> Self {
        let (mut kept, mut peak) = (Self::default(), Self::default());
        for expr in exprs {
            let (result, most) = weigh(expr);
            peak = peak.max(kept.and(most));
            kept = kept.and(result);
        }
        peak.max(kept)
    }

    /// Bytes that a row takes whose longest text has so many.
    pub fn bytes(self, longest: u64) -> u64 {
        self.copies.saturating_mul(longest).saturating_add(self.fixed_bytes)
    }

    fn and(self, other: Self) -> Self {
        Self {
            copies: self.copies.saturating_add(other.copies),
            fixed_bytes: self.fixed_bytes.saturating_add(other.fixed_bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self { copies: self.copies.max(other.copies), fixed_bytes: self.fixed_bytes.max(other.fixed_bytes) }
    }

    fn times(self, factor: u64) -> Self {
        Self {
            copies: self.copies.saturating_mul(factor),
            fixed_bytes: self.fixed_bytes.saturating_mul(factor),
        }
    }
}

/// Whether a test of one column is so heavy that no other rule should bear it.
pub(crate) fn is_heavy(expr: &Expr) -> bool {
    Weight::of([expr]).copies > SHARED_COPIES_MAX
        || expr
            .exists(|node| Ok(matches!(node, Expr::ScalarFunction(call) if SLOW.contains(&call.func.name()))))
            .unwrap_or(true)
}

/// What the result of an expression takes, and what is alive at once while it is made.
fn weigh(expr: &Expr) -> (Weight, Weight) {
    let plain = Weight { copies: 0, fixed_bytes: VALUE_BYTES };
    let (mut kept, mut peak, mut largest) = (Weight::default(), Weight::default(), Weight::default());
    let mut child = |child: &Expr| {
        let (result, most) = weigh(child);
        peak = peak.max(kept.and(most));
        kept = kept.and(result);
        largest = largest.max(result);
        Ok(TreeNodeRecursion::Continue)
    };
    // Neither fails. A chain of one operator is one level, as it can be thousands long.
    let _ = match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: op @ (Operator::And | Operator::Or | Operator::StringConcat),
            ..
        }) => split_binary(expr, *op)
            .into_iter()
            .try_for_each(|part| child(part).map(drop))
            .map(|()| TreeNodeRecursion::Continue),
        _ => expr.apply_children(child),
    };
    let result = match expr {
        Expr::Column(_) => Weight { copies: 1, fixed_bytes: VALUE_BYTES },
        Expr::Literal(value, _) => Weight { copies: 0, fixed_bytes: VALUE_BYTES + literal_bytes(value) },
        Expr::Alias(_) | Expr::Cast(_) | Expr::TryCast(_) => kept.and(plain),
        Expr::Case(Case { .. }) => largest,
        Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. }) => kept,
        Expr::ScalarFunction(ScalarFunction { func, args }) => match func.name() {
            "replace" => kept.times(growth(args, false)),
            "regexp_replace" => kept.times(growth(args, true)),
            name => {
                let texts = TEXTS.iter().find(|(known, _)| *known == name);
                texts.map_or(plain, |(_, factor)| kept.times(*factor).and(plain))
            }
        },
        _ => plain,
    };
    (result, peak.max(kept.and(result)))
}

fn literal_bytes(value: &ScalarValue) -> u64 {
    value.try_as_str().flatten().map_or(0, |text| text.len() as u64)
}

/// How many times longer than its first argument the result of replacing can be.
fn growth(args: &[Expr], regex: bool) -> u64 {
    let bytes = |at: usize| match args.get(at) {
        Some(Expr::Literal(value, _)) => literal_bytes(value),
        _ => 0,
    };
    let (from, to) = (bytes(1), bytes(2));
    if regex || from == 0 { 1 + to } else { to.div_ceil(from).max(1) }
}

#[cfg(test)]
mod tests {
    use datafusion::functions::{string, unicode};
    use datafusion::logical_expr::{col, lit};

    use super::*;

    #[test]
    fn texts_are_weighed_and_truths_are_not() {
        let x = || col("x");
        let concat = |args: Vec<Expr>| string::concat().call(args);
        let replace =
            |text: Expr, from: &str, to: &str| string::replace().call(vec![text, lit(from), lit(to)]);
        for (what, expr, copies) in [
            ("a column", x(), 1),
            ("a literal", lit("abc"), 0),
            ("a comparison", x().eq(lit("a")), 1),
            ("many comparisons, one after the other", x().eq(lit("a")).or(x().eq(lit("b"))), 1),
            ("a text in lower case, and its source", string::lower().call(vec![x()]), 5),
            ("a length", unicode::character_length().call(vec![x()]), 1),
            ("what is joined, and its parts", concat(vec![x(); 3_000]), 6_000),
            (
                "joined ones that are compared apart",
                {
                    let long = || concat(vec![x(); 10]).eq(lit("a"));
                    long().or(long()).or(long())
                },
                20,
            ),
            ("replaced by something longer", replace(x(), "a", "aaaaaaaa"), 9),
            ("and once more", replace(replace(x(), "a", "aaaaaaaa"), "a", "bbbb"), 40),
            ("replaced by something shorter", replace(x(), "aaa", "b"), 2),
        ] {
            assert_eq!(Weight::of([&expr]).copies, copies, "{what}");
        }
        let two = [concat(vec![x(), x()]), concat(vec![x(), x()])];
        assert_eq!(Weight::of(&two).copies, 6, "results are kept together");
        assert_eq!(Weight::of(&two).bytes(100), 600 + Weight::of(&two).fixed_bytes);
    }

    #[test]
    fn what_is_heavy_is_not_shared() {
        let x = || col("x");
        for (expr, heavy) in [
            (string::lower().call(vec![x()]).eq(lit("a")), false),
            (string::concat().call(vec![x(); 20]).eq(lit("a")), true),
            (string::levenshtein().call(vec![x(), lit("abc")]).lt(lit(3)), true),
        ] {
            assert_eq!(is_heavy(&expr), heavy, "{expr}");
        }
    }
}
