//! Correlations as they are written.
//!
//! Owns their shape and what each type needs. Called by `parse`.

use std::collections::BTreeMap;

use rsigma_parser::{ConditionOperator, CorrelationType, Timespan, parse_condition};

use super::super::correlation::{CorrelationKind, SigmaCorrelation, Threshold};
use super::super::fault::{Faults, suggest};
use super::super::yaml::{self, Content, Node, Scalar};
use super::{condition, metadata};
use crate::diagnostic::{Location, codes};
use crate::normalise::schema::log_source::LogSource;

const TYPES: [(&str, CorrelationKind); 8] = [
    ("event_count", CorrelationKind::EventCount),
    ("value_count", CorrelationKind::ValueCount),
    ("temporal", CorrelationKind::Temporal),
    ("temporal_ordered", CorrelationKind::TemporalOrdered),
    ("value_sum", CorrelationKind::ValueSum),
    ("value_avg", CorrelationKind::ValueAvg),
    ("value_percentile", CorrelationKind::ValuePercentile),
    ("value_median", CorrelationKind::ValueMedian),
];

/// Reads a correlation: `node` is the document, `body` what stands below `correlation`.
pub(super) fn read(
    node: &Node,
    body: &Node,
    place: Location,
    faults: &mut Faults<'_>,
) -> Option<SigmaCorrelation> {
    if !matches!(body.content, Content::Map(_)) {
        let help = "write `type`, `rules`, `group-by`, `timespan` and `condition` below it";
        faults.refuse(codes::G002, "`correlation` is no map", body.span.clone(), help);
        return None;
    }
    let kind = kind(body, faults);
    let rules = needed(body, "rules", "write the ids or names of the rules", faults);
    let group_by = metadata::texts(body, "group-by", faults);
    let timespan = timespan(body, faults);
    let (thresholds, condition_fields, percentile, expression) = match body.get("condition") {
        Some(condition) => match &condition.content {
            Content::Map(_) => {
                let (thresholds, fields, percentile) = thresholds(condition, faults);
                (thresholds, fields, percentile, None)
            }
            _ => (Vec::new(), Vec::new(), None, expression(condition, kind, faults)),
        },
        None => {
            if !kind.is_none_or(is_temporal) {
                let help = "write a condition such as `gte: 10`";
                faults.refuse(codes::G002, "the correlation has no `condition`", body.span.clone(), help);
            }
            (Vec::new(), Vec::new(), None, None)
        }
    };
    let counts_values = !kind.is_none_or(|kind| is_temporal(kind) || kind == CorrelationKind::EventCount);
    if let Some(condition) = body.get("condition").filter(|_| counts_values && condition_fields.is_empty()) {
        let help = "write `field:` with the name of the field below `condition`";
        faults.refuse(codes::G002, "the condition names no `field`", condition.span.clone(), help);
    }
    let aliases = aliases(body, faults);
    // `generate` stands at the root; below `correlation` it did once.
    let generate = node.get("generate").or_else(|| body.get("generate"));
    let generate =
        generate.is_some_and(|node| node.text().is_some_and(|text| text.eq_ignore_ascii_case("true")));
    let meta = metadata::read(node, &LogSource::default(), faults);
    let name = metadata::text(node, "name", faults);
    let rules_place = body.get("rules").map_or(body.span.clone(), |rules| rules.span.clone());
    let correlation = SigmaCorrelation {
        meta: meta?,
        name,
        kind: kind?,
        rules,
        group_by,
        timespan: timespan?,
        thresholds,
        condition_fields,
        percentile,
        expression,
        aliases,
        generate,
        rules_place: Location::new(faults.file(), rules_place),
        place,
    };
    (!faults.any()).then_some(correlation)
}

fn is_temporal(kind: CorrelationKind) -> bool {
    matches!(kind, CorrelationKind::Temporal | CorrelationKind::TemporalOrdered)
}

fn kind(body: &Node, faults: &mut Faults<'_>) -> Option<CorrelationKind> {
    let written = needed(body, "type", "write one such as `event_count`", faults).into_iter().next()?;
    // What the parser does not know either is none of Sigma's.
    let kind = TYPES
        .iter()
        .find(|(name, _)| *name == written)
        .filter(|_| written.parse::<CorrelationType>().is_ok());
    if kind.is_none() {
        let place = body.get("type").map_or(body.span.clone(), |node| node.span.clone());
        let help = suggest(&written, TYPES.iter().map(|(name, _)| *name));
        faults.refuse(codes::G002, format!("`{written}` is no type of correlation"), place, &help);
    }
    kind.map(|(_, kind)| *kind)
}

fn needed(body: &Node, name: &str, help: &str, faults: &mut Faults<'_>) -> Vec<String> {
    let texts = metadata::texts(body, name, faults);
    if texts.is_empty() {
        let place = body.get(name).map_or(body.span.clone(), |node| node.span.clone());
        faults.refuse(codes::G002, format!("the correlation has no `{name}`"), place, help);
    }
    texts
}

fn timespan(body: &Node, faults: &mut Faults<'_>) -> Option<u64> {
    let help = "write a number and s, m, h or d, such as `timespan: 10m`";
    let name = if body.get("timespan").is_some() { "timespan" } else { "timeframe" };
    let written = match metadata::text(body, name, faults) {
        Some(written) => written,
        None => {
            faults.refuse(codes::G002, "the correlation has no `timespan`", body.span.clone(), help);
            return None;
        }
    };
    let seconds =
        Timespan::parse(written.trim()).ok().map(|timespan| timespan.seconds).filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        let place = body.get(name).map_or(body.span.clone(), |node| node.span.clone());
        faults.refuse(codes::G002, format!("`{written}` is no span of time"), place, help);
    }
    seconds
}

type Thresholds = (Vec<(Threshold, f64)>, Vec<String>, Option<f64>);

fn thresholds(condition: &Node, faults: &mut Faults<'_>) -> Thresholds {
    let (mut thresholds, mut percentile) = (Vec::new(), None);
    let fields = metadata::texts(condition, "field", faults);
    let Content::Map(entries) = &condition.content else { return (thresholds, fields, percentile) };
    for (key, node) in entries {
        if key.name == "field" {
            continue;
        }
        let operator = key.name.parse::<ConditionOperator>().ok().map(|operator| match operator {
            ConditionOperator::Lt => Threshold::Less,
            ConditionOperator::Lte => Threshold::LessOrEqual,
            ConditionOperator::Gt => Threshold::Greater,
            ConditionOperator::Gte => Threshold::GreaterOrEqual,
            ConditionOperator::Eq => Threshold::Equal,
            ConditionOperator::Neq => Threshold::Different,
        });
        if operator.is_none() && key.name != "percentile" {
            let known = ["gt", "gte", "lt", "lte", "eq", "neq", "field", "percentile"];
            let message = format!("`{}` is not known in the condition of a correlation", key.name);
            faults.refuse(codes::G002, message, key.span.clone(), &suggest(&key.name, known));
            continue;
        }
        let number = match &node.content {
            Content::Scalar(text, plain) => match yaml::scalar(text, *plain) {
                Scalar::Number(number) => Some(number),
                _ => yaml::number(text),
            },
            _ => None,
        };
        match (operator, number) {
            (Some(operator), Some(number)) => thresholds.push((operator, number)),
            (None, Some(number)) if (0.0..=100.0).contains(&number) => percentile = Some(number),
            _ => {
                let message = format!("the value of `{}` is no number that it may have", key.name);
                faults.refuse(codes::G008, message, node.span.clone(), "write a number");
            }
        }
    }
    if thresholds.is_empty() {
        let help = "write one of gt, gte, lt, lte, eq and neq with a number";
        faults.refuse(codes::G002, "the condition compares with nothing", condition.span.clone(), help);
    }
    (thresholds, fields, percentile)
}

fn expression(node: &Node, kind: Option<CorrelationKind>, faults: &mut Faults<'_>) -> Option<String> {
    let text = node.text().unwrap_or_default().to_owned();
    if !kind.is_none_or(is_temporal) {
        let help = "write a map such as `gte: 10`";
        faults.refuse(
            codes::G002,
            "only temporal correlations have a condition on rules",
            node.span.clone(),
            help,
        );
    } else if let Some((message, help)) = condition::beyond(&text) {
        faults.refuse(codes::G004, message, node.span.clone(), help);
    } else if parse_condition(&text).is_err() {
        let help = "write names of rules with `and`, `or` and `not`";
        faults.refuse(codes::G004, "the condition cannot be read", node.span.clone(), help);
    }
    Some(text)
}

fn aliases(body: &Node, faults: &mut Faults<'_>) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut aliases = BTreeMap::new();
    let Some(node) = body.get("aliases") else { return aliases };
    let help = "write, for each alias, the field by the name of the rule";
    let Content::Map(entries) = &node.content else {
        faults.refuse(codes::G002, "`aliases` is no map", node.span.clone(), help);
        return aliases;
    };
    for (alias, node) in entries {
        let fields = match &node.content {
            Content::Map(entries) => entries
                .iter()
                .map(|(rule, field)| Some((rule.name.clone(), field.text()?.to_owned())))
                .collect::<Option<BTreeMap<String, String>>>(),
            _ => None,
        };
        match fields {
            Some(fields) => {
                aliases.insert(alias.name.clone(), fields);
            }
            None => {
                let message =
                    format!("the alias `{}` does not say which field it is in which rule", alias.name);
                faults.refuse(codes::G002, message, node.span.clone(), help);
            }
        }
    }
    aliases
}
