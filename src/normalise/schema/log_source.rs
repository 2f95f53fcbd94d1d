//! Sigma's log sources: which tables their events are rows of, and which columns their fields are.
//!
//! Owns the declarations of `schemas/sigma/*.toml`, the stock ones compiled into the binary, and finding what a rule's
//! `logsource` means. What rules make of it is `rules::sigma`'s.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Catalog, Table};
use crate::diagnostic::{Diagnostic, Location, SourceFile, nearest, suggest};

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

/// What a declaration says instead of a name when rules may say anything there, or nothing.
const ANY: &str = "*";

/// A log source as a rule names it, or as a declaration does, which may say `*`.
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

impl LogSource {
    /// `category x, product y`: each name with what it is.
    pub fn described(&self) -> String {
        let named = PARTS.iter().filter_map(|part| Some((part.name, (part.of)(self).as_deref()?)));
        named.map(|(name, of)| format!("{name} `{of}`")).collect::<Vec<_>>().join(", ")
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

    /// The routes of a rule's log source; none when no declaration covers all that it names. Of several the one that
    /// names most counts, a category before a service, and that before a product; `*` is no name.
    pub fn routes(&self, asked: &LogSource) -> &[Route] {
        let named = |name: &Option<String>| name.as_deref().is_some_and(|name| name != ANY);
        let weight = |source: &LogSource| {
            let exact = [&source.category, &source.service, &source.product];
            let exact = exact.into_iter().filter(|name| name.as_deref() != Some(ANY)).count();
            (named(&source.category), named(&source.service), named(&source.product), exact)
        };
        self.declared
            .iter()
            .filter(|(source, _)| {
                // A category says where to look. What is beside it must be a service all the same, and no slip.
                let service = covers(&source.service, &asked.service)
                    || (source.service.is_none() && named(&source.category) && self.has_service_of(asked));
                covers(&source.category, &asked.category)
                    && covers(&source.product, &asked.product)
                    && service
            })
            .max_by_key(|(source, _)| weight(source))
            .map_or(&[], |(_, routes)| routes)
    }

    /// Whether some declaration of the rule's product names its service.
    fn has_service_of(&self, asked: &LogSource) -> bool {
        let product = |declared: &LogSource| {
            declared.product.is_none() || asked.product.is_none() || covers(&declared.product, &asked.product)
        };
        asked.service.is_some()
            && self.declared.iter().any(|(declared, _)| {
                declared.service.as_deref() != Some(ANY)
                    && covers(&declared.service, &asked.service)
                    && product(declared)
            })
    }

    /// What a log source without routes may have meant: what it would have them with, if one of its names were another.
    /// Names that are near come first; without any, all of them, when the rule's is declared nowhere.
    pub fn suggest(&self, asked: &LogSource) -> Option<String> {
        let candidates: Vec<(&Part, &str, BTreeSet<&str>)> = PARTS
            .iter()
            .filter_map(|part| {
                let wrong = (part.of)(asked).as_deref()?;
                let names = self.declared.iter().filter_map(|(source, _)| (part.of)(source).as_deref());
                let fits = |name: &&str| *name != ANY && !self.routes(&(part.with)(asked, name)).is_empty();
                Some((part, wrong, names.filter(fits).collect()))
            })
            .collect();
        let quoted = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
        let near = candidates.iter().find_map(|(part, wrong, names)| {
            let near = nearest(wrong, names.iter().copied());
            (!near.is_empty())
                .then(|| format!("did you mean the {} {}?", part.name, quoted(&near).join(" or ")))
        });
        near.or_else(|| self.stranger(asked, &candidates))
    }

    /// A name that is declared nowhere, or that is a name of another kind; the product's first.
    fn stranger(&self, asked: &LogSource, candidates: &[(&Part, &str, BTreeSet<&str>)]) -> Option<String> {
        let is_declared = |part: &Part, wrong: &str| {
            self.declared.iter().any(|(source, _)| {
                (part.of)(source).as_deref().is_some_and(|name| name.eq_ignore_ascii_case(wrong))
            })
        };
        PARTS.iter().rev().find_map(|part| {
            let wrong = (part.of)(asked).as_deref().filter(|wrong| !is_declared(part, wrong))?;
            if let Some(other) = PARTS.iter().find(|other| is_declared(other, wrong)) {
                return Some(format!("`{wrong}` is a {}, and no {}.", other.name, part.name));
            }
            let fitting = candidates.iter().find(|(candidate, ..)| candidate.name == part.name);
            let known = fitting.filter(|(.., names)| !names.is_empty());
            let known = known
                .map_or(String::new(), |(.., names)| format!("; {}", suggest(wrong, names.iter().copied())));
            Some(format!("no {} `{wrong}` is declared{known}.", part.name))
        })
    }
}

/// One of the three names of a log source.
struct Part {
    name: &'static str,
    of: fn(&LogSource) -> &Option<String>,
    with: fn(&LogSource, &str) -> LogSource,
}

/// Those that are most often mistyped first.
const PARTS: [Part; 3] = [
    Part {
        name: "category",
        of: |source| &source.category,
        with: |source, name| LogSource { category: Some(name.to_owned()), ..source.clone() },
    },
    Part {
        name: "service",
        of: |source| &source.service,
        with: |source, name| LogSource { service: Some(name.to_owned()), ..source.clone() },
    },
    Part {
        name: "product",
        of: |source| &source.product,
        with: |source, name| LogSource { product: Some(name.to_owned()), ..source.clone() },
    },
];

/// Whether a declared name covers what a rule says: the same, whatever it says, or both say nothing.
fn covers(declared: &Option<String>, asked: &Option<String>) -> bool {
    match (declared.as_deref(), asked.as_deref()) {
        (Some(ANY), _) | (None, None) => true,
        (Some(declared), Some(asked)) => declared.eq_ignore_ascii_case(asked),
        (Some(_), None) | (None, Some(_)) => false,
    }
}
