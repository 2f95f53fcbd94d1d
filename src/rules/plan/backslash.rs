//! What planning does to a backslash in a pattern.
//!
//! Owns one question; `rules::plan` asks it of each planned expression and warns.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use sqlparser::ast;

/// Whether planning made a LIKE with a backslash that the query does not have. DataFusion 55 turns a regular
/// expression that is a plain text (`\\\\cmd\\.exe$`) into LIKE without doubling the backslash. We run what plain
/// DataFusion runs, so this is said rather than mended.
pub(super) fn loses_backslash(written: &ast::Expr, planned: &Expr) -> bool {
    let mut patterns = std::collections::HashSet::new();
    let _ = ast::visit_expressions(written, |part: &ast::Expr| {
        if let ast::Expr::Like { pattern, .. } | ast::Expr::ILike { pattern, .. } = part
            && let ast::Expr::Value(value) = pattern.as_ref()
            && let ast::Value::SingleQuotedString(text) = &value.value
        {
            patterns.insert(text.clone());
        }
        std::ops::ControlFlow::<()>::Continue(())
    });
    planned
        .exists(|node| {
            let Expr::Like(like) = node else { return Ok(false) };
            let Expr::Literal(value, _) = like.pattern.as_ref() else { return Ok(false) };
            let text = value.try_as_str().flatten().unwrap_or_default();
            Ok(text.contains('\\') && !patterns.contains(text))
        })
        .unwrap_or(false)
}
