//! Where the time of a scan went, for people and for machines.
//!
//! Owns the lines and the keys; the counters are `detect::profile`'s. Called by the parent at the end of a scan.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::output::{Format, plural};
use crate::detect::profile::{LookupProfile, Profile, RuleProfile};
use crate::printable;
use crate::rules::Rule;

/// Rules that are listed for people; the rest is summed.
const RULES_SHOWN_MAX: usize = 20;
/// Columns of tables that are listed for people; the rest is summed.
const COLUMNS_SHOWN_MAX: usize = 10;
/// Columns of a rule's name.
const NAME_COLUMNS_MAX: usize = 100;

/// What the engine does not see.
pub struct Frame {
    /// From the beginning of the command.
    pub total: Duration,
    /// Until rules were read and compiled.
    pub ready: Duration,
    /// Reading and unpacking files.
    pub reading: Duration,
    /// Printing alerts.
    pub printing: Duration,
}

/// Says it on standard error.
pub fn report(format: Format, frame: &Frame, profile: &Profile, rules: &[Arc<Rule>]) {
    let text = match format {
        Format::Json => printable::json(&format!("{}\n", document(frame, profile, rules))).into_owned(),
        Format::Human => page(frame, profile, rules),
    };
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Each stage's key, words and time; the last is what no other is.
fn stages(frame: &Frame, profile: &Profile) -> Vec<(&'static str, &'static str, Duration)> {
    let of = &profile.stages;
    let mut stages = vec![
        ("compile", "reading and compiling rules", frame.ready),
        ("read", "reading records", frame.reading),
        ("decode", "decoding", of.decode),
        ("normalise", "making rows", of.normalise),
        ("look_up", "looking up which rules can hit", of.look_up),
        ("build", "building batches", of.build),
        ("judge", "DataFusion on rows left open", of.judge),
        ("outputs", "what rules select", of.outputs),
        ("evidence", "evidence", of.evidence),
        ("alerts", "building alerts", of.alerts),
        ("print", "printing", frame.printing),
    ];
    let sum: Duration = stages.iter().map(|(_, _, time)| *time).sum();
    stages.push(("rest", "the rest", frame.total.saturating_sub(sum)));
    stages
}

/// The rules that cost time of their own, the dearest first.
fn dearest<'r>(profile: &Profile, rules: &'r [Arc<Rule>]) -> Vec<(&'r Rule, RuleProfile)> {
    let mut dearest: Vec<(&Rule, RuleProfile)> = rules
        .iter()
        .zip(&profile.rules)
        .filter(|(_, cost)| **cost != RuleProfile::default())
        .map(|(rule, cost)| (&**rule, *cost))
        .collect();
    dearest.sort_by_key(|(_, cost)| std::cmp::Reverse(cost.total()));
    dearest
}

/// The columns of which something was looked up, the dearest first.
fn columns(profile: &Profile) -> Vec<(&(String, String), LookupProfile)> {
    let asked = profile.columns.iter().filter(|(_, counts)| counts.values > 0);
    let mut columns: Vec<(&(String, String), LookupProfile)> =
        asked.map(|(name, counts)| (name, *counts)).collect();
    columns.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.time));
    columns
}

fn document(frame: &Frame, profile: &Profile, rules: &[Arc<Rule>]) -> Value {
    let seconds = |time: Duration| json!((time.as_secs_f64() * 1e6).round() / 1e6);
    let stages = stages(frame, profile).into_iter().map(|(key, _, time)| (key.to_owned(), seconds(time)));
    let rules = dearest(profile, rules).into_iter().map(|(rule, cost)| {
        json!({
            "rule_id": rule.meta.id,
            "table": rule.table.name,
            "rows_left_open": cost.open,
            "judge_seconds": seconds(cost.judge),
            "hits": cost.hits,
            "alert_seconds": seconds(cost.alerts),
        })
    });
    let columns = columns(profile).into_iter().map(|((table, column), counts)| {
        json!({
            "table": table,
            "column": column,
            "values": counts.values,
            "new": counts.new,
            "new_seconds": seconds(counts.time),
        })
    });
    json!({
        "profile": {
            "seconds": seconds(frame.total),
            "stages": Value::Object(stages.collect()),
            "columns": columns.collect::<Vec<_>>(),
            "rules": rules.collect::<Vec<_>>(),
        }
    })
}

fn page(frame: &Frame, profile: &Profile, rules: &[Arc<Rule>]) -> String {
    let mut page = String::from("\nwhere the time went:\n");
    let total = frame.total.as_secs_f64().max(f64::MIN_POSITIVE);
    for (_, words, time) in stages(frame, profile) {
        let share = 100.0 * time.as_secs_f64() / total;
        page.push_str(&format!("  {words:<32} {:>9} {share:>5.1} %\n", shown(time)));
    }
    let columns = columns(profile);
    if !columns.is_empty() {
        page.push_str(
            "columns by the time that new values took; what is remembered costs next to nothing:\n",
        );
        page.push_str("  values looked up          new    time on new  column\n");
    }
    let line = |counts: &LookupProfile, name: &str| {
        let LookupProfile { values, new, time } = counts;
        format!("  {values:>16} {new:>12} {:>14}  {name}\n", shown(*time))
    };
    for ((table, column), counts) in columns.iter().take(COLUMNS_SHOWN_MAX) {
        page.push_str(&line(counts, &printable::line(&format!("{table}.{column}"), NAME_COLUMNS_MAX)));
    }
    if let Some(others) = columns.get(COLUMNS_SHOWN_MAX..).filter(|others| !others.is_empty()) {
        let mut sum = LookupProfile::default();
        others.iter().for_each(|(_, counts)| sum.add(*counts));
        page.push_str(&line(&sum, &plural(others.len(), "other column")));
    }
    let dearest = dearest(profile, rules);
    if dearest.is_empty() {
        page.push_str("no rule cost time of its own: lookups ruled out all rows\n");
        return page;
    }
    page.push_str("rules that cost time of their own, beside the lookups that all share:\n");
    page.push_str("  rows left open      judging       hits       alerts  rule\n");
    let line = |cost: &RuleProfile, name: &str| {
        let RuleProfile { open, judge, hits, alerts } = cost;
        let (judge, alerts) = (shown(*judge), shown(*alerts));
        format!("  {open:>14} {judge:>12} {hits:>10} {alerts:>12}  {name}\n")
    };
    for (rule, cost) in dearest.iter().take(RULES_SHOWN_MAX) {
        let name = format!("{} {}", rule.meta.id, rule.meta.title);
        page.push_str(&line(cost, &printable::line(&name, NAME_COLUMNS_MAX)));
    }
    if let Some(others) = dearest.get(RULES_SHOWN_MAX..).filter(|others| !others.is_empty()) {
        let mut sum = RuleProfile::default();
        for (_, cost) in others {
            sum.open += cost.open;
            sum.judge += cost.judge;
            sum.hits += cost.hits;
            sum.alerts += cost.alerts;
        }
        page.push_str(&line(&sum, &plural(others.len(), "other rule")));
    }
    page
}

/// Seconds from one on, else milliseconds.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 1.0 { format!("{seconds:.2} s") } else { format!("{:.1} ms", seconds * 1e3) }
}
