//! The output columns of a rule: what an alert shows.
//!
//! Owns SELECT's list and the names in it. An alert is read by people and programs, so a name can be shown, stands
//! once, and is no system column's unless it is that column. Called by the checker.

use std::collections::HashSet;
use std::ops::Range;

use sqlparser::ast::{
    Expr, Ident, SelectItem, SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};

use super::{Checker, single};
use crate::diagnostic::codes;
use crate::normalise::projection::column_path;
use crate::normalise::schema::SystemColumn;
use crate::printable;

impl Checker<'_> {
    pub(super) fn projection(&mut self, mut items: Vec<SelectItem>) -> Vec<(String, Expr, Range<usize>)> {
        if let Some(beyond) = items.get(self.limits.outputs_max) {
            let at = self.bytes(beyond.span());
            let message = format!("more than {} output columns", self.limits.outputs_max);
            self.refuse(codes::Q005, message, at, "name the columns that the alert needs");
            items.truncate(self.limits.outputs_max);
        }
        let mut outputs: Vec<(String, Expr, Range<usize>)> = Vec::new();
        let mut lower = HashSet::new();
        let mut add = |checker: &mut Self, name: String, expr: Expr, at: Range<usize>| {
            if !lower.insert(name.to_lowercase()) {
                let message = format!("two output columns are called `{name}`");
                checker.refuse(codes::Q024, message, at.clone(), "give one of them another name with AS");
            }
            checker.output_name(&name, &expr, &at);
            outputs.push((name, expr, at));
        };
        for item in items {
            let at = self.bytes(item.span());
            self.within = at.clone();
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let written: String = expr.to_string().chars().take(self.limits.name_chars_max).collect();
                    let expr = self.expression(expr, 0);
                    let name = match &expr {
                        Expr::Identifier(ident) if column_path(&ident.value).is_none() => ident.value.clone(),
                        _ => written,
                    };
                    add(self, name, expr, at);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let expr = self.expression(expr, 0);
                    let alias_at = self.bytes(alias.span);
                    if alias.value.trim().is_empty()
                        || alias.value.chars().count() > self.limits.name_chars_max
                    {
                        let message =
                            format!("a column's name has 1 to {} characters", self.limits.name_chars_max);
                        self.refuse(codes::Q026, message, alias_at.clone(), "choose another name");
                    }
                    add(self, alias.value, expr, alias_at);
                }
                SelectItem::Wildcard(options) => {
                    self.wildcard_options(&options, &at);
                    for (name, expr) in self.all_columns() {
                        add(self, name, expr, at.clone());
                    }
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    self.wildcard_options(&options, &at);
                    let ours = match &kind {
                        SelectItemQualifiedWildcardKind::ObjectName(name) => single(name)
                            .is_some_and(|ident| ident.value.eq_ignore_ascii_case(&self.qualifier)),
                        SelectItemQualifiedWildcardKind::Expr(_) => false,
                    };
                    if ours || self.table.is_none() {
                        for (name, expr) in self.all_columns() {
                            add(self, name, expr, at.clone());
                        }
                    } else {
                        let help = format!("write * or {}.*", self.qualifier);
                        self.refuse(codes::Q008, "what stands before .* is not the table", at, help);
                    }
                }
                SelectItem::ExprWithAliases { .. } => {
                    let help = "give the column one name";
                    self.refuse(codes::Q012, "several names for one column", at, help);
                }
            }
        }
        outputs
    }

    /// What a name may not be: unreadable, or a system column's that means something else.
    fn output_name(&mut self, name: &str, expr: &Expr, at: &Range<usize>) {
        if printable::line(name, usize::MAX) != name {
            let message = "the column's name has characters that do not show";
            self.refuse(codes::Q030, message, at.clone(), "give it a plain name, with AS");
        }
        let system = SystemColumn::ALL.iter().find(|(_, known, ..)| known.eq_ignore_ascii_case(name));
        if let Some((_, known, ..)) = system
            && !matches!(expr, Expr::Identifier(column) if column.value == *known)
        {
            let message = format!("`{known}` is a system column, and this is something else");
            self.refuse(codes::Q030, message, at.clone(), "choose another name");
        }
    }

    fn wildcard_options(&mut self, options: &WildcardAdditionalOptions, at: &Range<usize>) {
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        if opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some()
        {
            let help = "name the columns that the alert needs";
            self.refuse(codes::Q012, "options of * are not read", at.clone(), help);
        }
    }

    /// What `*` stands for: the organisation, the time and what the table declares.
    fn all_columns(&mut self) -> Vec<(String, Expr)> {
        let Some(table) = self.table else { return Vec::new() };
        let names: Vec<String> = ["org_id", "event_time"]
            .into_iter()
            .map(str::to_owned)
            .chain(table.table.columns.iter().map(|column| column.name.clone()))
            .collect();
        self.columns.extend(names.iter().cloned());
        names.into_iter().map(|name| (name.clone(), Expr::Identifier(Ident::with_quote('"', name)))).collect()
    }
}
