//! The coverage report for people: tables that fit a terminal.
//!
//! Owns widths and words. Called by the parent.

use std::fmt::Write;

use super::{Filter, Report, Tally, title};
use crate::cli::output::plural;
use crate::normalise::schema::log_source::LogSource;
use crate::printable;
use crate::rules::sigma::coverage::{Coverage, Verdict};

/// Columns that a page has at least and at most, whatever the terminal.
const WIDTH: (usize, usize) = (60, 160);
/// Columns of one number, with the blanks before it.
const NUMBER: usize = 9;
/// Characters of what is summed, at least.
const NAME_MIN: usize = 20;
/// Characters of a bar.
const BAR: usize = 20;

/// What is listed beside the sums, and how wide the page is.
pub(super) struct Shown {
    pub(super) rules: bool,
    pub(super) techniques: bool,
    pub(super) width: usize,
}

/// The page.
pub(super) fn page(report: &Report, shown: &Shown) -> String {
    let width = shown.width.clamp(WIDTH.0, WIDTH.1);
    let mut page = String::new();
    if shown.rules {
        for rule in &report.rules {
            page.push_str(&one(rule, width));
        }
        for Filter { coverage, rules } in &report.filters {
            page.push_str(&filter(coverage, *rules, width));
        }
        page.push('\n');
    }
    let total = &report.total;
    let _ = writeln!(
        page,
        "{}: {} armed, with {}",
        plural(total.rules, "rule"),
        share(total),
        report.formats.join(", ")
    );
    for (count, what) in [(report.filters.len(), "filter"), (report.correlations, "correlation")] {
        if count > 0 {
            let _ = writeln!(page, "beside them {}", plural(count, what));
        }
    }
    page.push('\n');
    for verdict in Verdict::ALL.iter().filter(|verdict| total.of(**verdict) > 0) {
        let _ = writeln!(page, "  {:<26}{:>6}", verdict.title(), total.of(*verdict));
    }
    let names = report.log_sources.iter().map(|(source, _)| match source.to_string() {
        name if name.is_empty() => "(none that could be read)".to_owned(),
        name => name,
    });
    let rows = names.zip(report.log_sources.iter().map(|(_, tally)| tally)).collect();
    sums(&mut page, "Log source", rows, width);
    let rows = report.tactics.iter().map(|(_, name, tally)| ((*name).to_owned(), tally)).collect();
    sums(&mut page, "ATT&CK tactic", rows, width);
    if shown.techniques {
        let rows = report.techniques.iter().map(|(id, tally)| (id.clone(), tally)).collect();
        sums(&mut page, "ATT&CK technique", rows, width);
    } else if !report.techniques.is_empty() {
        let armed = report.techniques.iter().filter(|(_, tally)| tally.armed > 0).count();
        let all = report.techniques.len();
        let _ = writeln!(
            page,
            "\n{armed} of {} have a rule that is armed; --techniques lists them",
            plural(all, "ATT&CK technique")
        );
    }
    if !shown.rules && total.armed < total.rules {
        page.push_str("--rules lists each rule, and why it is not armed\n");
    }
    page
}

/// `3,012 of 3,780`-like, in percent.
fn share(tally: &Tally) -> String {
    match (tally.armed * 100).checked_div(tally.rules) {
        Some(percent) => format!("{} ({percent} %)", tally.armed),
        None => "0".to_owned(),
    }
}

/// A rule: what can be said of it, then why.
fn one(rule: &Coverage, width: usize) -> String {
    let mut text = String::new();
    let level = rule.headline.level.map_or("", |level| level.as_str());
    let id = rule.headline.id.as_deref().unwrap_or_default();
    let title = printable::line(title(rule), width.saturating_sub(28 + 15).max(20));
    let _ = writeln!(text, "{:<26}{level:<15}{title}", rule.verdict.title());
    let mut more = |what: &str| {
        let _ = writeln!(text, "    {}", printable::line(what, width.saturating_sub(4)));
    };
    if !id.is_empty() || rule.log_source != LogSource::default() {
        more(&format!("{} {id}", rule.log_source));
    }
    if !rule.by_path.is_empty() {
        more(&format!("by path: {}", rule.by_path.join(", ")));
    }
    if !rule.missing.is_empty() {
        more(&format!("missing: {}", rule.missing.join(", ")));
    }
    if !rule.filters.is_empty() {
        more(&format!("with the filters: {}", rule.filters.join(", ")));
    }
    if let Some(why) = &rule.why {
        more(why);
    }
    text
}

/// A filter: how many rules it is part of.
fn filter(filter: &Coverage, rules: usize, width: usize) -> String {
    let title = printable::line(title(filter), width.saturating_sub(28 + 15).max(20));
    let id = filter.headline.id.as_deref().unwrap_or_default();
    let rules = if rules == 0 { "no rule".to_owned() } else { plural(rules, "rule") };
    let about = printable::line(&format!("{} {id}", filter.log_source), width.saturating_sub(4));
    let why = filter.why.as_ref();
    let why = why.map(|why| format!("    {}\n", printable::line(why, width.saturating_sub(4))));
    let head = format!("filter of {rules}");
    format!("{head:<26}{:<15}{title}\n    {about}\n{}", "", why.unwrap_or_default())
}

/// Heading of a column, and what stands in it.
type Column = (&'static str, fn(&Tally) -> usize);

/// A table of sums: what, how many rules, how many of them armed, and the rest by reason.
fn sums(page: &mut String, what: &str, rows: Vec<(String, &Tally)>, width: usize) {
    if rows.is_empty() {
        return;
    }
    // As many of these as fit, the more telling ones first.
    let mut columns: Vec<Column> = vec![
        ("rules", |tally| tally.rules),
        ("armed", |tally| tally.armed),
        ("no source", |tally| tally.of(Verdict::NoSource)),
        ("no field", |tally| tally.of(Verdict::NoField)),
        ("faulty", |tally| tally.of(Verdict::NotSupported) + tally.of(Verdict::NoTable)),
        ("off", |tally| tally.of(Verdict::Off)),
    ];
    columns.retain(|(name, number)| {
        *name == "rules" || *name == "armed" || rows.iter().any(|(_, tally)| number(tally) > 0)
    });
    while columns.len() > 2 && NAME_MIN + columns.len() * (NUMBER + 1) > width {
        columns.pop();
    }
    let longest = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(what.len());
    let numbers = columns.len() * (NUMBER + 1);
    let name_width = longest.min(width.saturating_sub(numbers));
    let bar = width >= name_width + numbers + BAR + 2;
    let _ = write!(page, "\n{what:<name_width$}");
    for (name, _) in &columns {
        let _ = write!(page, " {name:>NUMBER$}");
    }
    page.push('\n');
    for (name, tally) in rows {
        let _ = write!(page, "{:<name_width$}", printable::line(&name, name_width));
        for (_, number) in &columns {
            let _ = write!(page, " {:>NUMBER$}", number(tally));
        }
        if bar {
            let full = (tally.armed * BAR).checked_div(tally.rules).unwrap_or(0);
            let _ = write!(page, "  {}{}", "█".repeat(full), "░".repeat(BAR - full.min(BAR)));
        }
        page.push('\n');
    }
}
