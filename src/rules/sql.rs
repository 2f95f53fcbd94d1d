//! The first lock on rule SQL (I-6): what the syntax tree of a rule may consist of.
//!
//! Owns parsing under caps, the allow-list of clauses, and names: every column is resolved here to the one
//! that the table declares, so that the planner never guesses. Expressions are [`expression`]'s, arguments of
//! functions [`arguments`]', fields without a column [`field`]'s. Types are `rules::plan`'s. Called by `rules::load`.
//!
//! The tree is taken apart without `..`: a clause that a later version of the parser learns does not compile
//! here until somebody has decided about it.

mod arguments;
mod expression;
mod field;
mod outputs;
mod parse;
mod patterns;
mod places;
mod tokens;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectFlavor, SetExpr,
    Spanned, TableAlias, TableFactor, TableWithJoins,
};
use sqlparser::tokenizer::Span;

use super::SqlLimits;
use super::plan::Tables;
use crate::diagnostic::{Code, Diagnostic, Location, SourceFile, codes, suggest};

/// A checked query, with the columns under their declared names.
#[derive(Debug)]
pub(super) struct CheckedQuery {
    /// The table's name.
    pub(super) table: String,
    /// The condition, and where it stands.
    pub(super) condition: (Expr, Range<usize>),
    /// The output columns: name, expression and place.
    pub(super) outputs: Vec<(String, Expr, Range<usize>)>,
    /// The columns that the condition or an output reads, those of paths among them.
    pub(super) columns: BTreeSet<String>,
}

/// Parses and checks the SQL in `range` of a file; nothing comes back when there is an error.
pub(super) fn check(
    file: &Arc<SourceFile>,
    range: Range<usize>,
    tables: &Tables,
    limits: &SqlLimits,
    found: &mut Vec<Diagnostic>,
) -> Option<CheckedQuery> {
    let before = found.len();
    let mut checker = Checker {
        file,
        range,
        tables,
        limits,
        found,
        places: places::Places::default(),
        words: HashMap::new(),
        table: None,
        qualifier: String::new(),
        columns: BTreeSet::new(),
        unknown: HashSet::new(),
        expressions: 0,
        planned: 0,
        patterns: 0,
        copies: 1,
        growth: 1,
        within: 0..0,
    };
    let query = checker.parse().and_then(|query| checker.query(query));
    if found[before..].iter().any(Diagnostic::is_error) { None } else { query }
}

/// One walk over one rule's SQL.
struct Checker<'a> {
    file: &'a Arc<SourceFile>,
    range: Range<usize>,
    tables: &'a Tables,
    limits: &'a SqlLimits,
    found: &'a mut Vec<Diagnostic>,
    places: places::Places,
    /// Where each bare word stands first, in upper case, and a few signs: clauses have no places of their own.
    words: HashMap<String, Range<usize>>,
    table: Option<&'a super::plan::PlannedTable>,
    /// What may stand before a column's dot.
    qualifier: String,
    columns: BTreeSet<String>,
    /// Unknown columns that were reported: once each is enough.
    unknown: HashSet<String>,
    expressions: usize,
    /// Nodes that the planner may make of them.
    planned: usize,
    /// Bytes of the regular expressions that were compiled.
    patterns: usize,
    /// How often the planner may repeat this point.
    copies: usize,
    /// How many times longer than the event the text at this point may be.
    growth: usize,
    /// The nearest enclosing part with a place.
    within: Range<usize>,
}

/// Words that begin a table function which is none by its name.
const TABLE_FUNCTIONS: &[&str] = &["UNNEST", "TABLE", "JSON_TABLE", "XMLTABLE", "OPENJSON"];

impl<'a> Checker<'a> {
    fn refuse(&mut self, code: Code, message: impl Into<String>, at: Range<usize>, help: impl Into<String>) {
        let location = Location::new(self.file, at);
        self.found.push(Diagnostic::new(code, message).at(location).help(help));
    }

    fn warn(&mut self, code: Code, message: impl Into<String>, at: Range<usize>, help: impl Into<String>) {
        let location = Location::new(self.file, at);
        self.found.push(Diagnostic::new(code, message).at(location).help(help).warning());
    }

    /// Bytes of a span of the parser, which counts lines and characters from 1.
    fn bytes(&self, span: Span) -> Range<usize> {
        if span == Span::empty() {
            return self.within.clone();
        }
        let offset = |at: sqlparser::tokenizer::Location| {
            let line = usize::try_from(at.line).unwrap_or(usize::MAX);
            let column = usize::try_from(at.column).unwrap_or(usize::MAX);
            self.places.offset(line, column).unwrap_or(self.file.text.len())
        };
        let start = offset(span.start);
        start..offset(span.end).max(start)
    }

    /// Where a clause's word stands first.
    fn word(&self, word: &str) -> Range<usize> {
        self.words.get(word).cloned().unwrap_or(self.range.start..self.range.start)
    }

    /// Where the first of these words stands that the text has; for what the parser gives no place, or that of a part.
    fn place(&self, words: &[&str], otherwise: Span) -> Range<usize> {
        let found = words.iter().find_map(|word| self.words.get(*word));
        found.cloned().unwrap_or_else(|| self.bytes(otherwise))
    }

    fn query(&mut self, query: Query) -> Option<CheckedQuery> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if with.is_some() {
            let help = "write the whole condition in one WHERE";
            self.refuse(codes::Q017, "WITH is not available", self.word("WITH"), help);
        }
        let each = "a rule alerts on each row as it comes; leave it to the consumer of the alerts";
        for (present, word) in [
            (order_by.is_some(), "ORDER"),
            (limit_clause.is_some(), if self.words.contains_key("LIMIT") { "LIMIT" } else { "OFFSET" }),
            (fetch.is_some(), "FETCH"),
        ] {
            if present {
                let message = format!("{word} would need the whole stream");
                self.refuse(codes::Q016, message, self.word(word), each);
            }
        }
        for (present, word) in [
            (!locks.is_empty() || for_clause.is_some(), "FOR"),
            (settings.is_some(), "SETTINGS"),
            (format_clause.is_some(), "FORMAT"),
        ] {
            self.other_clause(present, word);
        }
        if !pipe_operators.is_empty() {
            let at = self.place(&["|>"], Span::empty());
            self.refuse(codes::Q012, "pipe operators are not read", at, "put the condition into WHERE");
        }
        let start = self.within.clone();
        match *body {
            SetExpr::Select(select) => self.select(*select),
            SetExpr::SetOperation { op, .. } => {
                let word = op.to_string();
                let message = format!("{word} is not available");
                self.refuse(codes::Q020, message, self.word(&word), "write one rule for each query");
                None
            }
            SetExpr::Query(_) => {
                self.refuse(codes::Q012, "a query in parentheses", start, "leave the parentheses out");
                None
            }
            SetExpr::Values(_) => {
                self.refuse(codes::Q018, "VALUES is no table", start, "name a table after FROM");
                None
            }
            SetExpr::Table(_) => {
                let help = "write SELECT * FROM table WHERE …";
                self.refuse(codes::Q012, "TABLE is not read", start, help);
                None
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                let help = "a rule is SELECT … FROM table WHERE …";
                self.refuse(codes::Q003, "the statement is not a query", start, help);
                None
            }
        }
    }

    fn other_clause(&mut self, present: bool, word: &str) {
        if present {
            let message = format!("{word} is a clause that rules may not use");
            let help = match word {
                "SAMPLE" | "TABLESAMPLE" => "leave it out: a rule judges each event",
                "INTO" => "leave it out: the pipeline says where alerts go",
                "EXCLUDE" => "name the columns that the alert needs",
                "PREWHERE" => "put the condition into WHERE",
                _ => "leave it out: a rule is SELECT … FROM table WHERE …",
            };
            self.refuse(codes::Q012, message, self.word(word), help);
        }
    }

    fn select(&mut self, select: Select) -> Option<CheckedQuery> {
        let Select {
            select_token,
            optimizer_hints,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        self.within = self.bytes(select_token.0.span);
        let grouped = match &group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(expressions, modifiers) => {
                !expressions.is_empty() || !modifiers.is_empty()
            }
        };
        let alone = "windows and thresholds are not available in this version: alert on each row, and count downstream";
        for (present, word) in [(grouped, "GROUP"), (having.is_some(), "HAVING")] {
            if present {
                self.refuse(
                    codes::Q013,
                    format!("{word} is not available in this version"),
                    self.word(word),
                    alone,
                );
            }
        }
        if !named_window.is_empty() {
            let message = "window functions are not available";
            self.refuse(codes::Q014, message, self.word("WINDOW"), alone);
        }
        let each = "a rule alerts on each row as it comes; leave it to the consumer of the alerts";
        for (present, word) in [
            (distinct.is_some_and(|kind| kind != Distinct::All), "DISTINCT"),
            (top.is_some(), "TOP"),
            (qualify.is_some(), "QUALIFY"),
            (!sort_by.is_empty(), "SORT"),
        ] {
            if present {
                let message = format!("{word} would need the whole stream");
                self.refuse(codes::Q016, message, self.word(word), each);
            }
        }
        for (present, word) in [
            (exclude.is_some(), "EXCLUDE"),
            (into.is_some(), "INTO"),
            (!lateral_views.is_empty(), "LATERAL"),
            (prewhere.is_some(), "PREWHERE"),
            (!connect_by.is_empty(), "CONNECT"),
            (!cluster_by.is_empty(), "CLUSTER"),
            (!distribute_by.is_empty(), "DISTRIBUTE"),
            (value_table_mode.is_some(), "AS"),
        ] {
            self.other_clause(present, word);
        }

        if !optimizer_hints.is_empty() || select_modifiers.is_some() {
            let at = self.word("SELECT");
            self.refuse(codes::Q012, "hints and modifiers of SELECT are not read", at, "leave them out");
        }
        if flavor != SelectFlavor::Standard {
            let help = "write SELECT … FROM table WHERE …";
            self.refuse(codes::Q012, "FROM stands before SELECT", self.word("FROM"), help);
        } else if projection.is_empty() {
            let help = "name the columns that the alert shows, or write *";
            self.refuse(codes::Q001, "no column stands behind SELECT", self.word("SELECT"), help);
        }

        let table = self.from(from);
        let outputs = self.projection(projection);
        let Some(selection) = selection else {
            let at = self.within.clone();
            let help = "add a WHERE that says what is suspicious";
            self.refuse(codes::Q023, "without WHERE the rule would alert on each event", at, help);
            return None;
        };
        let place = self.bytes(selection.span());
        self.within = self.word("WHERE");
        let condition = self.expression(selection, 0);
        Some(CheckedQuery {
            table: table?,
            condition: (condition, place),
            outputs,
            columns: std::mem::take(&mut self.columns),
        })
    }

    /// The one table of FROM.
    fn from(&mut self, from: Vec<TableWithJoins>) -> Option<String> {
        let known = || format!("known tables: {}", self.tables.names().join(", "));
        let mut from = from.into_iter();
        let (Some(first), second) = (from.next(), from.next()) else {
            let (at, help) = (self.within.clone(), known());
            self.refuse(codes::Q006, "the query reads no table", at, help);
            return None;
        };
        let TableWithJoins { relation, joins } = first;
        let help = "write one rule for each table; lookups are not available in this version";
        if let Some(second) = second {
            let at = self.bytes(second.relation.span());
            self.refuse(codes::Q015, "a second table would be a join", at, help);
        } else if let Some(join) = joins.first() {
            let at = self.bytes(join.relation.span());
            self.refuse(codes::Q015, "joins are not available", at, help);
        }
        let at = match &relation {
            TableFactor::Table { name, .. } if name.span() == Span::empty() => {
                self.place(&["FROM '"], Span::empty())
            }
            other => self.bytes(other.span()),
        };
        let TableFactor::Table {
            name,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_hints,
        } = relation
        else {
            let alone = "leave it out: a rule is SELECT … FROM table WHERE …";
            let where_ = "put its conditions into the WHERE of the rule";
            let one = "name one table after FROM; docs/tables.md lists them";
            let (code, what, words, help): (_, _, &[&str], _) = match relation {
                TableFactor::Derived { lateral: false, .. } => {
                    (codes::Q019, "a subquery in FROM", &[], where_)
                }
                TableFactor::Derived { lateral: true, .. } => (codes::Q018, "LATERAL", &["LATERAL"], where_),
                TableFactor::NestedJoin { .. } => (codes::Q015, "a join", &["JOIN"], help),
                TableFactor::Pivot { .. } => (codes::Q012, "PIVOT", &["PIVOT"], alone),
                TableFactor::Unpivot { .. } => (codes::Q012, "UNPIVOT", &["UNPIVOT"], alone),
                TableFactor::MatchRecognize { .. } => {
                    (codes::Q012, "MATCH_RECOGNIZE", &["MATCH_RECOGNIZE"], alone)
                }
                _ => (codes::Q018, "a table function", TABLE_FUNCTIONS, one),
            };
            let at = self.place(words, relation.span());
            self.refuse(code, format!("{what} is not available"), at, help);
            return None;
        };
        if args.is_some() {
            let message = format!("the table function `{name}` is refused");
            let help = "name one table after FROM; docs/tables.md lists them";
            self.refuse(codes::Q018, message, at, help);
            return None;
        }
        for (present, word) in [
            (!with_hints.is_empty() || with_ordinality, "WITH"),
            (version.is_some(), "FOR"),
            (!partitions.is_empty(), "PARTITION"),
            (sample.is_some(), if self.words.contains_key("SAMPLE") { "SAMPLE" } else { "TABLESAMPLE" }),
            (!index_hints.is_empty(), "USE"),
            (json_path.is_some(), "FROM"),
        ] {
            self.other_clause(present, word);
        }
        let found = single(&name).filter(|ident| ident.quote_style != Some('\''));
        let tables = self.tables;
        let Some(table) = found.and_then(|ident| tables.find(&ident.value)) else {
            let plain = name.0.last().and_then(ObjectNamePart::as_ident).map(|ident| ident.value.clone());
            let plain = plain.unwrap_or_default();
            if tables.is_unread(&plain) {
                return None;
            }
            let help = suggest(&plain, tables.names());
            self.refuse(codes::Q007, format!("the table {name} is not known"), at, help);
            return None;
        };
        self.table = Some(table);
        self.qualifier = table.name().to_owned();
        if let Some(TableAlias { explicit: _, name, columns, at: position }) = alias {
            if !columns.is_empty() || position.is_some() {
                let at = self.bytes(name.span);
                let help = "rename columns after SELECT, with AS";
                self.refuse(codes::Q012, "an alias with columns is not read", at, help);
            }
            self.qualifier = name.value;
        }
        Some(table.name().to_owned())
    }
}

/// The name, when it has one part.
fn single(name: &ObjectName) -> Option<&Ident> {
    match name.0.as_slice() {
        [part] => part.as_ident(),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests;
