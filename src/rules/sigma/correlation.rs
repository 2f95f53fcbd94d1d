//! Correlations: rules on the hits of rules. They are read and checked; they do not run yet.
//!
//! Owns their types, and the check that what they refer to exists and goes round in no circle. Reading is
//! `parse::correlation`'s. Called by `rules::load` with all documents that were found.

use std::collections::{BTreeMap, HashMap};

use super::fault::{Faults, place_of};
use super::parse::SigmaRule;
use crate::diagnostic::{Diagnostic, Location, codes};
use crate::rules::meta::RuleMeta;

/// A correlation.
#[derive(Debug)]
pub struct SigmaCorrelation {
    /// What it says of itself.
    pub meta: RuleMeta,
    /// What other correlations may call it.
    pub name: Option<String>,
    /// What is counted or awaited.
    pub kind: CorrelationKind,
    /// Ids or names of rules or correlations.
    pub rules: Vec<String>,
    /// Fields or aliases whose values keep hits apart.
    pub group_by: Vec<String>,
    /// Seconds.
    pub timespan: u64,
    /// What the count, or the value, must be: all of it.
    pub thresholds: Vec<(Threshold, f64)>,
    /// What is counted, summed up and so on; several are taken together.
    pub condition_fields: Vec<String>,
    /// For `value_percentile`, from 0 to 100.
    pub percentile: Option<f64>,
    /// For temporal ones: a condition on the rules' names, as it is written.
    pub expression: Option<String>,
    /// By alias, the field by the rule's name.
    pub aliases: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the rules that it refers to alert by themselves too.
    pub generate: bool,
    /// Where its title stands.
    pub place: Location,
    /// Where `rules:` stands.
    pub(super) rules_place: Location,
}

/// Sigma's types of correlation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CorrelationKind {
    /// So many hits.
    EventCount,
    /// So many different values.
    ValueCount,
    /// Hits of all rules.
    Temporal,
    /// The same, in the order of `rules`.
    TemporalOrdered,
    /// The sum of a field.
    ValueSum,
    /// Its mean.
    ValueAvg,
    /// Its percentile.
    ValuePercentile,
    /// Its median.
    ValueMedian,
}

/// Sigma's comparisons of counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// `lt`
    Less,
    /// `lte`
    LessOrEqual,
    /// `gt`
    Greater,
    /// `gte`
    GreaterOrEqual,
    /// `eq`
    Equal,
    /// `neq`
    Different,
}

/// Checks what correlations refer to, among all documents; and says of each sound one that it does not run yet.
pub fn check(correlations: &[&SigmaCorrelation], rules: &[&SigmaRule], found: &mut Vec<Diagnostic>) {
    let mut known: HashMap<&str, Option<usize>> = HashMap::new();
    for rule in rules {
        known.extend([(rule.meta.id.as_str(), None)]);
        known.extend(rule.name.as_deref().map(|name| (name, None)));
    }
    for (at, correlation) in correlations.iter().enumerate() {
        known.extend([(correlation.meta.id.as_str(), Some(at))]);
        known.extend(correlation.name.as_deref().map(|name| (name, Some(at))));
    }
    let edges: Vec<Vec<usize>> = correlations
        .iter()
        .map(|correlation| {
            correlation.rules.iter().filter_map(|name| known.get(name.as_str()).copied().flatten()).collect()
        })
        .collect();
    let circular = in_circles(&edges);
    for (at, correlation) in correlations.iter().enumerate() {
        let place = &correlation.rules_place;
        let mut faults = Faults::new(&place.file, found);
        for name in &correlation.rules {
            if !known.contains_key(name.as_str()) {
                let message = format!("there is no rule with the id or name `{name}`");
                let help = "load the rule beside the correlation, or correct the reference";
                faults.refuse(codes::G015, message, place_of(&place.file, &place.span, name), help);
            }
        }
        if circular.contains(&at) {
            let message = "the correlation refers to itself, by way of the others that it names";
            faults.refuse(codes::G015, message, place.span.clone(), "leave one of the references out");
        }
        if !faults.any() {
            let help = "the rules that it refers to run by themselves";
            let message = "correlations are checked, and do not run in this version";
            faults.note(codes::G014, message, correlation.place.span.clone(), help);
        }
    }
}

/// Those that lead back to themselves, or to one that does: all that are left when those that lead nowhere are taken away.
fn in_circles(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut waits: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut back: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate() {
        for to in to {
            if let Some(back) = back.get_mut(*to) {
                back.push(from);
            }
        }
    }
    let mut free: Vec<usize> = (0..edges.len()).filter(|at| waits.get(*at) == Some(&0)).collect();
    let mut done = vec![false; edges.len()];
    while let Some(at) = free.pop() {
        if let Some(done) = done.get_mut(at) {
            *done = true;
        }
        for from in back.get(at).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(*from) {
                *waits = waits.saturating_sub(1);
                if *waits == 0 {
                    free.push(*from);
                }
            }
        }
    }
    done.iter().enumerate().filter(|(_, done)| !**done).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circles_are_found_whatever_hangs_on_them() {
        for (edges, expect) in [
            (vec![], vec![]),
            (vec![vec![1], vec![2], vec![]], vec![]),
            (vec![vec![0]], vec![0]),
            (vec![vec![1], vec![0], vec![]], vec![0, 1]),
            (vec![vec![1, 1], vec![]], vec![]),
        ] {
            assert_eq!(in_circles(&edges), expect, "{edges:?}");
        }
    }
}
