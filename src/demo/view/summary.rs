//! What was found, in the end.
//!
//! Owns the grouping of alerts (bounded) and the page made of it. Who prints it is the caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::text::{self, LEVEL_COLUMNS, Paint};
use super::{AlertLine, Progress, of_day};
use crate::printable;
use crate::rules::meta::RuleLevel;

/// So many different alerts are kept apart; alerts beyond are only counted.
pub const ALERT_GROUPS_MAX: usize = 10_000;
/// So many different indicators are kept; those beyond are only counted.
pub const INDICATORS_MAX: usize = 10_000;

/// Lines in one organisation's timeline; the most severe alerts get them.
const TIMELINE_LINES_MAX: usize = 12;
/// Shared indicators that are shown.
const SHARED_LINES_MAX: usize = 8;
/// Rules that are shown.
const RULE_LINES_MAX: usize = 20;
/// Narrower is not tried.
const WIDTH_MIN: usize = 40;
/// Wider is hard to read.
const WIDTH_MAX: usize = 140;
/// Of an indicator, so many columns are shown.
const INDICATOR_COLUMNS: usize = 48;
/// Indent, time, level and the spaces between them.
const TIMELINE_HEAD: usize = 4 + 8 + 2 + LEVEL_COLUMNS + 2;

/// Where to go from here: a command and what it does.
const NEXT: &[(&str, &str)] = &[
    ("noroshi check", "look at your own rules and pipelines before they run"),
    ("noroshi scan", "run rules over files that you have already"),
    ("noroshi run --help", "connect it to your Kafka"),
];

/// What a run found.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    records: u64,
    events: u64,
    rejects: u64,
    elapsed: Duration,
    alerts: u64,
    alerts_not_kept: u64,
    groups: BTreeMap<Group, Times>,
    rules: BTreeMap<(RuleLevel, String), u64>,
    indicators: BTreeMap<String, BTreeSet<String>>,
    indicators_not_kept: u64,
}

/// Alerts that a timeline shows as one line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    org_id: String,
    level: RuleLevel,
    title: String,
    entity: String,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    first_ms: i64,
    count: u64,
}

impl Summary {
    /// Takes the figures of the whole run: records, events, rejects and the time it took. Alerts are counted by
    /// [`Self::note_alert`].
    pub fn note_figures(&mut self, figures: &Progress) {
        self.records = figures.records;
        self.events = figures.events;
        self.rejects = figures.rejects;
        self.elapsed = figures.elapsed;
    }

    /// Takes an alert in.
    pub fn note_alert(&mut self, alert: &AlertLine) {
        self.alerts += 1;
        let group = Group {
            org_id: alert.org_id.clone(),
            level: alert.level,
            title: alert.title.clone(),
            entity: alert.entity.clone(),
        };
        if self.groups.len() >= ALERT_GROUPS_MAX && !self.groups.contains_key(&group) {
            self.alerts_not_kept += 1;
            return;
        }
        *self.rules.entry((alert.level, alert.title.clone())).or_default() += 1;
        let times = self.groups.entry(group).or_insert(Times { first_ms: alert.time_ms, count: 0 });
        times.first_ms = times.first_ms.min(alert.time_ms);
        times.count += 1;
    }

    /// Takes in that an alert of that organisation had this address, name or hash in it. What several organisations
    /// saw is shown, so leave out what is the same everywhere (names of system programs, ports).
    pub fn note_indicator(&mut self, value: &str, org_id: &str) {
        if let Some(orgs) = self.indicators.get_mut(value) {
            orgs.insert(org_id.to_owned());
        } else if self.indicators.len() < INDICATORS_MAX {
            self.indicators.insert(value.to_owned(), BTreeSet::from([org_id.to_owned()]));
        } else {
            self.indicators_not_kept += 1;
        }
    }

    /// How many alerts were taken in.
    pub fn alerts(&self) -> u64 {
        self.alerts
    }

    /// What at least two organisations saw, most widely seen first: the indicator and who saw it.
    pub fn shared_indicators(&self) -> Vec<(&str, Vec<&str>)> {
        let mut shared: Vec<_> = self
            .indicators
            .iter()
            .filter(|(_, orgs)| orgs.len() > 1)
            .map(|(value, orgs)| (value.as_str(), orgs.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        shared.sort_by_key(|(_, orgs)| std::cmp::Reverse(orgs.len()));
        shared
    }

    /// The page, for a terminal of so many columns; every line ends with a line feed.
    pub fn render(&self, colour: bool, width: usize) -> String {
        let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
        let mut page = Page { out: String::new(), paint: Paint { colour }, width };
        self.head(&mut page);
        self.timelines(&mut page);
        self.shared(&mut page);
        self.by_rule(&mut page);
        page.heading("Where to go next");
        let columns = NEXT.iter().map(|next| printable::width(next.0)).max().unwrap_or(0);
        for (command, purpose) in NEXT {
            page.entry(command, columns, purpose);
        }
        page.out
    }

    fn head(&self, page: &mut Page) {
        page.paragraph(&format!(
            "Read {} in {} ({}/s): {}, {}.",
            text::counted(self.records, "record", "records"),
            text::spoken(self.elapsed),
            text::grouped(text::per_second(self.records, self.elapsed)),
            text::counted(self.events, "event", "events"),
            text::counted(self.alerts, "alert", "alerts"),
        ));
        if self.rejects > 0 {
            page.paragraph(&format!(
                "{} could not be read: each is a reject with its reason, and held nothing up.",
                text::counted(self.rejects, "record", "records"),
            ));
        }
        if self.alerts_not_kept > 0 {
            page.paragraph(&format!(
                "{} counted only: this page keeps {} different ones apart.",
                text::counted(self.alerts_not_kept, "alert is", "alerts are"),
                text::grouped(ALERT_GROUPS_MAX as u64),
            ));
        }
        if self.indicators_not_kept > 0 {
            page.paragraph(&format!(
                "{} left out: this page compares the first {} different ones.",
                text::counted(self.indicators_not_kept, "indicator was", "indicators were"),
                text::grouped(INDICATORS_MAX as u64),
            ));
        }
    }

    fn timelines(&self, page: &mut Page) {
        if self.groups.is_empty() {
            page.heading("No rule found anything");
            return;
        }
        page.heading("What happened (times are UTC)");
        // Groups are ordered by organisation.
        let groups: Vec<_> = self.groups.iter().collect();
        for groups in groups.chunk_by(|a, b| a.0.org_id == b.0.org_id) {
            let Some((first, _)) = groups.first() else { continue };
            let count = groups.iter().map(|(_, times)| times.count).sum();
            let org = page.paint.bold(&printable::line(&first.org_id, page.width / 2));
            page.line("");
            page.line(&format!("  {org}: {}", text::counted(count, "alert", "alerts")));
            let mut lines = groups.to_vec();
            lines.sort_by_key(|(group, times)| (std::cmp::Reverse(group.level), times.first_ms));
            let unshown: u64 = lines.iter().skip(TIMELINE_LINES_MAX).map(|(_, times)| times.count).sum();
            lines.truncate(TIMELINE_LINES_MAX);
            lines.sort_by_key(|(_, times)| times.first_ms);
            timeline(page, &lines);
            if unshown > 0 {
                let more = text::counted(unshown, "alert", "alerts");
                page.line(&page.paint.dim(&format!("    … and {more} of the same or lower levels")));
            }
        }
    }

    fn shared(&self, page: &mut Page) {
        let shared = self.shared_indicators();
        if shared.is_empty() {
            return;
        }
        page.heading("Seen at more than one organisation");
        let shown = shared.get(..SHARED_LINES_MAX).unwrap_or(&shared);
        let columns =
            shown.iter().map(|(value, _)| printable::width(&printable::line(value, INDICATOR_COLUMNS)));
        let columns = columns.max().unwrap_or(0).min(page.width / 2);
        for (value, orgs) in shown {
            let orgs: Vec<_> = orgs.iter().map(|org| printable::line(org, INDICATOR_COLUMNS)).collect();
            let orgs = text::listed(orgs.iter().map(String::as_str));
            page.entry(value, columns, &format!("was seen at {orgs}"));
        }
        let unshown = shared.len() - shown.len();
        if unshown > 0 {
            page.line(&page.paint.dim(&format!("    … and {} more", text::grouped(unshown as u64))));
        }
    }

    fn by_rule(&self, page: &mut Page) {
        if self.rules.is_empty() {
            return;
        }
        page.heading("Rules that found something");
        let mut rules: Vec<_> = self.rules.iter().collect();
        // The most severe first, then the most frequent; titles keep their order.
        rules.sort_by_key(|((level, _), count)| (std::cmp::Reverse(*level), std::cmp::Reverse(**count)));
        let columns = rules.iter().map(|(_, count)| text::grouped(**count).len()).max().unwrap_or(0);
        for ((level, title), count) in rules.iter().take(RULE_LINES_MAX) {
            let name = printable::fit(text::level_name(*level), LEVEL_COLUMNS);
            let left = page.width.saturating_sub(4 + columns + 2 + LEVEL_COLUMNS + 2);
            let title = printable::line(title, left);
            let name = page.paint.level(*level, &name);
            page.line(&format!("    {:>columns$}  {name}  {title}", text::grouped(**count)));
        }
        let unshown = rules.len().saturating_sub(RULE_LINES_MAX);
        if unshown > 0 {
            let more = text::counted(unshown as u64, "rule", "rules");
            page.line(&page.paint.dim(&format!("    … and {more} more")));
        }
    }
}

/// The lines of one organisation: time, level, title, what it is about, how often.
fn timeline(page: &mut Page, lines: &[(&Group, &Times)]) {
    let left = page.width.saturating_sub(TIMELINE_HEAD);
    let widest = lines.iter().map(|(group, _)| printable::width(&printable::line(&group.title, left))).max();
    // Titles say what happened; what they are about takes what they leave, but at least a third.
    let title_columns = widest.unwrap_or(0).min(left * 2 / 3);
    for (group, times) in lines {
        let times_said =
            if times.count > 1 { format!(" ×{}", text::grouped(times.count)) } else { String::new() };
        let entity_columns = left.saturating_sub(title_columns + 2 + printable::width(&times_said));
        let entity = printable::line(&group.entity, entity_columns);
        let name = printable::fit(text::level_name(group.level), LEVEL_COLUMNS);
        let line = format!(
            "    {}  {}  {}  {entity}{times_said}",
            page.paint.dim(&of_day(times.first_ms)),
            page.paint.level(group.level, &name),
            printable::fit(&group.title, title_columns),
        );
        page.line(line.trim_end());
    }
}

/// The text in the making.
struct Page {
    out: String,
    paint: Paint,
    width: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        for line in text::wrap(text, self.width) {
            self.line(&line);
        }
    }

    /// A name in a column, and beside it a text that may take several lines.
    fn entry(&mut self, name: &str, columns: usize, text: &str) {
        let mut name = self.paint.bold(&printable::fit(name, columns));
        for line in text::wrap(text, self.width.saturating_sub(4 + columns + 2)) {
            self.line(&format!("    {name}  {line}"));
            name = " ".repeat(columns);
        }
    }

    fn heading(&mut self, text: &str) {
        self.line("");
        let heading = self.paint.bold(text);
        self.line(&heading);
    }
}
