//! A Sigma rule as files of SQL rules: one for each table that its log source is in, and several where one would be
//! longer than a rule may be.
//!
//! Owns which files there are, the identities of their rules, and that each of them loads: a file that does not is never
//! handed out. The text is `text`'s. Called by `load`.

use std::path::PathBuf;

use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{Expr, Operator};
use uuid::Uuid;

use super::expression;
use super::load::Input;
use super::parse::SigmaRule;
use super::text::{self, Printed};
use crate::diagnostic::{Diagnostic, SourceFile, codes};
use crate::normalise::schema::log_source::Route;
use crate::rules::meta::RuleMeta;
use crate::rules::{Selection, compile, file};

/// Files that a rule on one table is divided into at most.
const PARTS_MAX: usize = 64;

/// The SQL of a Sigma rule on one table, or of a part of it.
#[derive(Debug, Clone)]
pub struct SigmaText {
    /// The id of the SQL rule: the Sigma rule's, where it is one SQL rule; else one of its own, which lasts as long as
    /// the Sigma rule's id, the table and the number of the part.
    pub id: String,
    /// The Sigma rule's id.
    pub rule: String,
    /// The file that the Sigma rule is in.
    pub path: PathBuf,
    /// The table.
    pub table: String,
    /// Which part of the rule it is, from 1; the whole is 1.
    pub part: usize,
    /// A rule file.
    pub sql: String,
}

/// A Sigma rule on one of its routes.
pub(super) struct Routed<'a> {
    pub(super) rule: &'a SigmaRule,
    /// What it says of itself there.
    pub(super) meta: &'a RuleMeta,
    /// All routes of its log source, and which of them it is.
    pub(super) routes: &'a [Route],
    pub(super) nth: usize,
    pub(super) outputs: &'a [(String, Expr)],
    /// What the rule asks, beside the route's condition.
    pub(super) condition: &'a Expr,
}

/// The files; why there are none.
pub(super) fn rule_files(of: &Routed<'_>, input: &Input<'_>) -> Result<Vec<SigmaText>, Diagnostic> {
    let mut refused = match whole(of, input) {
        Ok(text) => return Ok(vec![text]),
        Err(refused) => refused,
    };
    let mut parts = 2;
    // What is too long is shorter in parts; what else is wrong stays wrong.
    while parts <= PARTS_MAX && [codes::Q004, codes::Q005].contains(&refused.code) {
        let Some(conditions) = divided(of.condition, parts) else { break };
        let count = conditions.len();
        let parted =
            conditions.iter().enumerate().map(|(at, part)| one(of, part, Some((at + 1, count)), input));
        match parted.collect() {
            Ok(texts) => return Ok(texts),
            Err(again) => refused = again,
        }
        parts *= 2;
    }
    let message = format!("its SQL is none that is accepted: {}", refused.message);
    Err(Diagnostic::new(refused.code, message).at(of.rule.place.clone()).warning())
}

fn whole(of: &Routed<'_>, input: &Input<'_>) -> Result<SigmaText, Diagnostic> {
    one(of, of.condition, None, input)
}

/// One file: the whole, or the part of this number of so many.
fn one(
    of: &Routed<'_>,
    condition: &Expr,
    part: Option<(usize, usize)>,
    input: &Input<'_>,
) -> Result<SigmaText, Diagnostic> {
    let (rule, table) =
        (&of.rule.meta.id, of.routes.get(of.nth).map_or("", |route| route.table.name.as_str()));
    let mut meta = of.meta.clone();
    let mut note = None;
    if of.routes.len() > 1 || part.is_some() {
        // Several routes may be of one table.
        let same = of.routes.iter().take(of.nth).filter(|route| route.table.name == table).count() + 1;
        let (number, count) = part.unwrap_or((1, 1));
        let name = format!("sigma:{rule}:{table}:{same}:{number}");
        meta.id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
        let number = if part.is_some() { format!(", part {number} of {count}") } else { String::new() };
        note = Some(format!("The Sigma rule {rule} on the table {table}{number}."));
    }
    let sql = text::file(&Printed {
        meta: &meta,
        note: note.as_deref(),
        table,
        outputs: of.outputs,
        source: of.routes.get(of.nth).and_then(|route| route.condition.as_deref()),
        condition,
    });
    match refusal(&sql, input) {
        Some(refusal) => Err(refusal),
        None => Ok(SigmaText {
            id: meta.id,
            rule: rule.clone(),
            path: of.rule.place.file.path.clone(),
            table: table.to_owned(),
            part: part.map_or(1, |(number, _)| number),
            sql,
        }),
    }
}

/// Why a rule file does not load.
fn refusal(sql: &str, input: &Input<'_>) -> Option<Diagnostic> {
    let mut found = Vec::new();
    let rule = file::read(&SourceFile::new("rule.sql", sql), &mut found)
        .and_then(|read| compile(read, input.tables, input.limits, &Selection::default(), &mut found));
    let error = found.into_iter().find(Diagnostic::is_error);
    error.or_else(|| rule.is_none().then(|| Diagnostic::new(codes::Q025, "the planner failed on it")))
}

/// The condition in so many parts at most: its longest list of alternatives is divided, and what else must hold is in
/// each. A row for which the condition holds is one of some part's, or of several's. `None` when the list is too short.
fn divided(condition: &Expr, parts: usize) -> Option<Vec<Expr>> {
    let all = split_binary(condition, Operator::And);
    let lists = all.iter().map(|expr| split_binary(expr, Operator::Or)).enumerate();
    let (at, longest) = lists.max_by_key(|(_, list)| list.len())?;
    if longest.len() < parts {
        return None;
    }
    let part = |chunk: &[&Expr]| {
        let some = expression::some(chunk.iter().copied().cloned().collect());
        let each = all.iter().enumerate();
        let each = each.map(|(nth, expr)| if nth == at { some.clone() } else { (*expr).clone() });
        expression::all(each.collect())
    };
    Some(longest.chunks(longest.len().div_ceil(parts)).map(part).collect())
}

#[cfg(test)]
#[path = "rule_files/tests.rs"]
mod tests;
