//! Sigma's log sources: which tables their events are rows of, and which columns their fields are.
//!
//! Owns the declarations of `schemas/sigma/*.toml` and finding what a rule's `logsource` means. What rules make of it is
//! `rules::sigma`'s.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Table;

/// A log source as a rule names it, or as a declaration does: what is not named may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogSource {
    /// `process_creation`, `dns_query`, …
    pub category: Option<String>,
    /// `windows`, `linux`, `aws`, …
    pub product: Option<String>,
    /// `security`, `sysmon`, `sshd`, …
    pub service: Option<String>,
}

/// Where events of a log source are: one table, and which of its rows.
#[derive(Debug, Clone)]
pub struct Route {
    /// The table.
    pub table: Arc<Table>,
    /// Which rows, as a condition in the SQL of rules; `None` for all.
    pub condition: Option<String>,
    /// Columns by the names of Sigma's fields in lower case, where the names differ. A field may be in one of several
    /// columns.
    pub fields: BTreeMap<String, Vec<String>>,
    /// Columns that alerts show besides those that a rule names, when the table has them.
    pub outputs: Vec<String>,
}

impl Route {
    /// The declared columns that hold a Sigma field, whatever the case it is written in; none when the field has no
    /// column, and is to be read by its path.
    pub fn columns(&self, field: &str) -> Vec<&str> {
        if let Some(columns) = self.fields.get(&field.to_lowercase()) {
            return columns.iter().map(String::as_str).collect();
        }
        let columns = self.table.columns.iter().map(|column| column.name.as_str());
        columns.filter(|name| name.eq_ignore_ascii_case(field)).take(1).collect()
    }
}

/// All declared log sources.
#[derive(Debug, Clone, Default)]
pub struct LogSources {
    declared: Vec<(LogSource, Vec<Route>)>,
}

impl LogSources {
    /// These.
    pub fn new(declared: Vec<(LogSource, Vec<Route>)>) -> Self {
        Self { declared }
    }

    /// The routes of a rule's log source; none when no declaration fits. The declaration that names most of what the
    /// rule names wins; one that names something that the rule does not name, or names otherwise, does not fit.
    pub fn routes(&self, asked: &LogSource) -> &[Route] {
        let fits = |declared: &Option<String>, asked: &Option<String>| match (declared, asked) {
            (None, _) => true,
            (Some(declared), Some(asked)) => declared.eq_ignore_ascii_case(asked),
            (Some(_), None) => false,
        };
        let weight = |source: &LogSource| {
            // A category says more than a service, and that more than a product.
            u8::from(source.category.is_some()) * 4
                + u8::from(source.service.is_some()) * 2
                + u8::from(source.product.is_some())
        };
        self.declared
            .iter()
            .filter(|(source, _)| {
                fits(&source.category, &asked.category)
                    && fits(&source.product, &asked.product)
                    && fits(&source.service, &asked.service)
            })
            .max_by_key(|(source, _)| weight(source))
            .map_or(&[], |(_, routes)| routes)
    }
}
