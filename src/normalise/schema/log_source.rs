//! Sigma's log sources: which tables their events are rows of, and which columns their fields are.
//!
//! Owns the declarations of `schemas/sigma/*.toml`, the stock ones compiled into the binary, and finding what a rule's
//! `logsource` means. What rules make of it is `rules::sigma`'s.

mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Catalog, Table};
use crate::diagnostic::{Diagnostic, Location, SourceFile};

/// The stock declarations: one line a file.
const STOCK: &[(&str, &str)] = &[
    ("application", include_str!("../../../schemas/sigma/application.toml")),
    ("cloud", include_str!("../../../schemas/sigma/cloud.toml")),
    ("linux", include_str!("../../../schemas/sigma/linux.toml")),
    ("network", include_str!("../../../schemas/sigma/network.toml")),
    ("windows", include_str!("../../../schemas/sigma/windows.toml")),
    ("windows_service", include_str!("../../../schemas/sigma/windows_service.toml")),
];

/// The stock declarations.
pub(super) fn stock() -> Vec<Arc<SourceFile>> {
    STOCK.iter().map(|(name, text)| SourceFile::new(format!("schemas/sigma/{name}.toml"), *text)).collect()
}

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

impl LogSource {
    /// The same as names are compared.
    pub fn to_lowercase(&self) -> Self {
        let lower = |name: &Option<String>| name.as_ref().map(|name| name.to_lowercase());
        Self { category: lower(&self.category), product: lower(&self.product), service: lower(&self.service) }
    }
}

/// `windows / process_creation`: product, category, service, as far as they are named.
impl std::fmt::Display for LogSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = [&self.product, &self.category, &self.service];
        let names: Vec<&str> = names.into_iter().filter_map(|name| name.as_deref()).collect();
        f.write_str(&names.join(" / "))
    }
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
    /// Of each route of each, where the text of its condition stands.
    places: Vec<Vec<Option<Location>>>,
}

impl LogSources {
    /// These.
    pub fn new(declared: Vec<(LogSource, Vec<Route>)>) -> Self {
        let places = declared.iter().map(|(_, routes)| vec![None; routes.len()]).collect();
        Self { declared, places }
    }

    /// What these files declare, on the catalogue's tables; all that is wrong with them but the SQL of conditions.
    pub(super) fn read(files: &[Arc<SourceFile>], catalog: &Catalog, found: &mut Vec<Diagnostic>) -> Self {
        file::read(files, catalog, found)
    }

    /// The same, without what the catalogue's tables do not have.
    pub(super) fn read_as_far(files: &[Arc<SourceFile>], catalog: &Catalog) -> Self {
        file::read_as_far(files, catalog)
    }

    fn add(&mut self, source: LogSource, routes: Vec<(Route, Option<Location>)>) {
        let (routes, places) = routes.into_iter().unzip();
        self.declared.push((source, routes));
        self.places.push(places);
    }

    /// All that are declared, with their routes.
    pub fn declared(&self) -> &[(LogSource, Vec<Route>)] {
        &self.declared
    }

    /// Every condition of a route that stands in a file, with its route and place: `rules` checks the SQL.
    pub fn conditions(&self) -> impl Iterator<Item = (&Route, &str, &Location)> {
        let routes = self.declared.iter().zip(&self.places);
        routes
            .flat_map(|((_, routes), places)| routes.iter().zip(places))
            .filter_map(|(route, place)| Some((route, route.condition.as_deref()?, place.as_ref()?)))
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
