//! A rule on one table, as it runs.
//!
//! Owns what its alerts show, what is refused, and where in the rule's text that stands. What the rule means is `lower`'s,
//! how it is asked `expression`'s. Called by `load`, once for each route of a rule's log source.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::logical_expr::Expr;

use super::coverage::{Fed, Reach};
use super::expression::{self, TEXT_COLUMN, expression};
use super::load::{Input, Outcome};
use super::lower::Lowered;
use super::parse::SigmaRule;
use super::rule_files::{Routed, rule_files};
use super::tree::Column;
use crate::diagnostic::{Code, Location, codes};
use crate::normalise::projection::column_path;
use crate::normalise::schema::SystemColumn;
use crate::normalise::schema::log_source::Route;
use crate::printable;
use crate::rules::meta::RuleMeta;
use crate::rules::plan::{self, PlannedTable};
use crate::rules::reach::{Outlook, outlook};
use crate::rules::{SqlLimits, bind};

/// The column with the name of the sensor that saw something: its rows are of many hosts.
const SENSOR_COLUMN: &str = "sensor";

/// A log source's rows of a table.
pub(super) struct Source<'a> {
    route: &'a Route,
    table: &'a PlannedTable,
    /// What the declaration says of the rows, as an expression.
    condition: Option<Expr>,
    /// What makes them.
    fed: Fed<'a>,
}

/// The rows that a route means.
pub(super) fn source<'a>(route: &'a Route, input: &Input<'a>) -> Result<Source<'a>, String> {
    let name = &route.table.name;
    let table = input.tables.find(name).ok_or_else(|| format!("there is no table `{name}`"))?;
    let condition = match &route.condition {
        None => None,
        Some(sql) => {
            let bounds = input.limits.sql.of_declarations();
            let wrong = |why: &str| format!("the log source's condition on `{name}` is wrong: {why}");
            Some(plan::condition(sql, input.tables, table, &bounds).map_err(|why| wrong(&why))?)
        }
    };
    Ok(Source { route, table, condition, fed: Fed::new(route, &input.selection.fed()) })
}

/// What runs on one table.
pub(super) struct Made {
    /// What the rule says of itself, with what its alerts are about there.
    pub(super) meta: RuleMeta,
    pub(super) planned: plan::Planned,
    /// The columns that it reads.
    pub(super) columns: Vec<String>,
    /// What it can find there.
    pub(super) reach: Reach,
}

/// Why it does not.
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) why: String,
    /// Where, when that is known better than the rule.
    pub(super) place: Option<Location>,
    pub(super) help: Option<String>,
}

impl Refused {
    pub(super) fn by_planner(why: String) -> Self {
        Self { code: codes::Q025, why, place: None, help: None }
    }

    fn by_bound(why: String, place: Option<&Location>, help: &str) -> Self {
        Self { code: codes::G012, why, place: place.cloned(), help: Some(help.to_owned()) }
    }

    /// What has no expression.
    fn by_fault(fault: &expression::Fault, lowered: &Lowered) -> Self {
        let place = lowered.landmarks.of_fault(fault);
        match fault {
            expression::Fault::Many(_) => {
                Self::by_bound(fault.to_string(), place, "split it into several rules")
            }
            expression::Fault::Long { .. } => {
                Self::by_bound(fault.to_string(), place, "look for a part of it")
            }
            expression::Fault::Depth(_) => {
                Self::by_bound(fault.to_string(), place, "write it with fewer selections inside each other")
            }
            expression::Fault::Path { .. } => {
                let help = Some("write the path of one field".to_owned());
                Self { code: codes::G008, why: fault.to_string(), place: place.cloned(), help }
            }
            _ => Self { place: place.cloned(), ..Self::by_planner(fault.to_string()) },
        }
    }

    /// What the planner says of the condition: one that never holds has values that no column can have.
    fn by_plan(refusal: plan::Refusal, lowered: &Lowered) -> Self {
        let plan::Refusal(code, why, help) = refusal;
        match lowered.landmarks.unfits().first() {
            Some(unfit) if code == codes::Q027 => Self {
                code: codes::G008,
                why: format!("{why}: {}", unfit.message),
                place: Some(unfit.place.clone()),
                help: Some("write a value that the field can have".to_owned()),
            },
            _ => Self { code, why, place: None, help: Some(help.to_owned()).filter(|help| !help.is_empty()) },
        }
    }
}

pub(super) fn made(
    rule: &SigmaRule,
    lowered: &Lowered,
    source: &Source<'_>,
    nth: usize,
    input: &Input<'_>,
    outcome: &mut Outcome,
) -> Result<Made, Refused> {
    let table = source.table;
    let asked = expression(&lowered.condition, table, &input.limits.sql)
        .map_err(|fault| Refused::by_fault(&fault, lowered))?;
    if outlook(&asked, &|_| false) == Outlook::Always {
        let why = "the condition holds for each event of the log source".to_owned();
        return Err(Refused::by_plan(plan::Refusal(codes::Q027, why, "say what is suspicious"), lowered));
    }
    let reach = source.fed.reach(&asked);
    let outputs = outputs(rule, lowered, source, &input.limits.sql);
    let entity = entity(source.route, outputs.iter().map(|(name, _)| name));
    let meta = RuleMeta { entity, ..rule.meta.clone() };
    if input.texts {
        let routes = input.tables.log_sources().routes(&rule.logsource);
        match rule_files(
            &Routed { rule, meta: &meta, routes, nth, outputs: &outputs, condition: &asked },
            input,
        ) {
            Ok(texts) => outcome.texts.extend(texts),
            Err(refused) => {
                outcome.unprinted = true;
                outcome.found.push(refused);
            }
        }
    }
    let condition = expression::all(source.condition.iter().cloned().chain([asked]).collect());
    let all = outputs.iter().map(|(_, expr)| expr).chain([&condition]);
    let names: BTreeSet<String> =
        all.flat_map(|expr| expr.column_refs()).map(|column| column.name.clone()).collect();
    let fields = names.iter().filter(|name| column_path(name).is_some()).count();
    if fields > input.limits.sql.fields_max {
        let why = format!("more than {} fields are read by their paths", input.limits.sql.fields_max);
        return Err(Refused::by_bound(why, None, "split it into several rules"));
    }
    let layout = table
        .layout(names.iter().map(String::as_str))
        .map_err(|error| Refused::by_planner(plan::plain_message(&error)))?;
    let planned =
        plan::built(condition, outputs, &layout).map_err(|refusal| Refused::by_plan(refusal, lowered))?;
    let schema: &Arc<Schema> = layout.inner();
    bind::bind("trial", &planned, schema)
        .map_err(|error| Refused::by_planner(format!("it cannot run: {}", plan::plain_message(&error))))?;
    Ok(Made { meta, planned, columns: names.into_iter().collect(), reach })
}

/// What alerts are about: the first of the log source's columns, which is a host or a user; also who began it, where the
/// events may be a sensor's, which are of many hosts.
fn entity<'a>(route: &Route, outputs: impl Iterator<Item = &'a String> + Clone) -> Vec<String> {
    let is_sensor = |name: &&str| *name == "SourceIp" && route.table.column(SENSOR_COLUMN).is_some();
    let first = route.outputs.first().map(String::as_str);
    let wanted =
        first.into_iter().chain(Some("SourceIp").filter(is_sensor).filter(|name| first != Some(*name)));
    wanted
        .filter_map(|name| outputs.clone().find(|shown| shown.eq_ignore_ascii_case(name)).cloned())
        .collect()
}

/// What alerts show: what the rule asks for, what it looks at, and what the log source is shown with.
fn outputs(
    rule: &SigmaRule,
    lowered: &Lowered,
    source: &Source<'_>,
    limits: &SqlLimits,
) -> Vec<(String, Expr)> {
    let wanted = rule.fields.iter().flat_map(|field| {
        let columns = source.route.columns(field);
        match columns.is_empty() {
            true => vec![Column::Path(field.clone())],
            false => columns.into_iter().map(|name| Column::Named(name.to_owned())).collect(),
        }
    });
    let route = source.route.outputs.iter().map(|name| Column::Named(name.clone()));
    let (mut outputs, mut seen) = (Vec::new(), HashSet::new());
    for column in wanted.chain(lowered.columns.iter().cloned()).chain(route) {
        let name = match &column {
            // The text is in the alert anyway.
            Column::Text => continue,
            Column::Named(name) => match source.table.column(name) {
                Some(TEXT_COLUMN) | None => continue,
                Some(name) => name.to_owned(),
            },
            Column::Path(path) => {
                let system = SystemColumn::ALL.iter().any(|(_, name, ..)| name.eq_ignore_ascii_case(path));
                let shows = printable::line(path, usize::MAX) == *path
                    && !path.trim().is_empty()
                    && path.chars().count() <= limits.name_chars_max;
                if system || !shows {
                    continue;
                }
                path.clone()
            }
        };
        if outputs.len() < limits.outputs_max
            && seen.insert(name.to_lowercase())
            && let Ok(expr) = expression::column(&column, source.table)
        {
            outputs.push((name, expr));
        }
    }
    if outputs.is_empty()
        && let Ok(expr) = expression::column(&Column::Named("event_time".to_owned()), source.table)
    {
        outputs.push(("event_time".to_owned(), expr));
    }
    outputs
}
