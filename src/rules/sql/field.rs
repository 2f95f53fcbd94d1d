//! `field('a.b.c')`: a field of the event that the table has no column for.
//!
//! Owns the form of the call. It is no function of the planner: each path becomes a column of the batches, under a name
//! that no declared column has. Called by `arguments`.

use std::ops::Range;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, Spanned, Value,
    ValueWithSpan,
};
use sqlparser::tokenizer::Span;

use super::Checker;
use super::expression::null;
use crate::diagnostic::codes;
use crate::normalise::projection::{column_path, path_column, path_fault};
use crate::rules::functions::FIELD;

impl Checker<'_> {
    /// The column that a call stands for.
    pub(super) fn field(&mut self, args: Option<&FunctionArguments>, at: Range<usize>, span: Span) -> Expr {
        let call = || format!("call it so: {}", FIELD.signature);
        let args = match args {
            Some(FunctionArguments::List(FunctionArgumentList {
                duplicate_treatment: None,
                args,
                clauses,
            })) if clauses.is_empty() => args.as_slice(),
            _ => &[],
        };
        let [FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))] = args else {
            self.refuse(codes::Q022, "`field` needs one path", at, call());
            return null();
        };
        let place = self.bytes(argument.span());
        let Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(path), .. }) = argument else {
            let help = "write the path as a text in single quotes; a column is named without `field`";
            self.refuse(codes::Q011, "the path of `field` must be a literal", place, help);
            return null();
        };
        if let Some(fault) = path_fault(path) {
            self.refuse(
                codes::Q022,
                fault,
                place,
                "write keys and indexes with dots between: 'user.roles.0'",
            );
            return null();
        }
        let name = path_column(path);
        self.columns.insert(name.clone());
        let most = self.limits.fields_max;
        if self.columns.iter().filter(|column| column_path(column).is_some()).count() == most + 1 {
            let message = format!("more than {most} fields are read by their paths");
            self.refuse(codes::Q005, message, at, "declare a table with columns for them");
        }
        let mut column = Ident::with_quote('"', name);
        column.span = span;
        Expr::Identifier(column)
    }
}
