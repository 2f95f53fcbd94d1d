//! What a rule's metadata can have wrong, beyond its shape.
//!
//! Owns the checks of tags, dates, entities and tests, against the query's outputs and the table where these are known.
//! Called by `rules::compile`; `sigma::load` has tests checked.

use std::path::Path;

use super::file::RuleFile;
use super::meta::{Expect, Given, RuleScope, RuleTest};
use super::tactics::is_tactic;
use crate::diagnostic::{Diagnostic, Location, codes, suggest};
use crate::document::{Spans, pointer_segment};
use crate::normalise::given;
use crate::normalise::schema::Table;
use crate::normalise::time::{ZoneOffset, parse_text};

/// A namespace this near to `attack` was meant to be it.
const SLIPS_MAX: usize = 2;

/// Adds all of it. `outputs` are the query's columns and `table` is what it reads, when the query is sound.
pub(super) fn check(
    rule: &RuleFile,
    outputs: Option<&[String]>,
    table: Option<&Table>,
    found: &mut Vec<Diagnostic>,
) {
    let Some(document) = &rule.document else { return };
    let (meta, spans) = (&document.value, &document.spans);
    if meta.scope == RuleScope::CrossOrg {
        let message = "`scope: cross_org` is not available in this version";
        found.push(
            Diagnostic::new(codes::R005, message)
                .at(spans.value("/scope"))
                .help("leave `scope` out: the rule sees one organisation at a time"),
        );
    }
    if meta.suppress.is_some() {
        let message = "`suppress` is not available in this version";
        found.push(Diagnostic::new(codes::R005, message).at(spans.value("/suppress")).help(
            "leave it out; alerts carry the same key for the same entity, so that the SIEM can group them",
        ));
    }
    tags(&meta.tags, spans, found);
    for (key, date) in [("date", &meta.date), ("modified", &meta.modified)] {
        if let Some(date) = date.as_ref().filter(|date| !is_date(date)) {
            found.push(
                Diagnostic::new(codes::R009, format!("`{date}` is not a day"))
                    .at(spans.value(&format!("/{key}")))
                    .help("write YYYY-MM-DD")
                    .warning(),
            );
        }
    }
    let outputs_known = outputs.unwrap_or_default();
    for (at, entity) in meta.entity.iter().enumerate().filter(|_| outputs.is_some()) {
        if !outputs_known.contains(entity) {
            found.push(
                Diagnostic::new(codes::R004, format!("the query returns no column `{entity}`"))
                    .at(spans.value(&format!("/entity/{at}")))
                    .help(suggest(entity, outputs_known.iter().map(String::as_str))),
            );
        }
    }
    let place = |pointer: &str, part: Part| match part {
        Part::Key => spans.key(pointer),
        Part::Value => spans.value(pointer),
    };
    let of =
        Tested { folder: rule.file.path.parent().unwrap_or(Path::new("")), outputs, table, place: &place };
    for (at, test) in meta.tests.iter().enumerate().filter(|(at, _)| !spans.is_lost(&format!("/tests/{at}")))
    {
        of.check(at, test, found);
    }
}

/// What of an entry is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    Value,
}

/// What the tests of a rule are checked against.
pub(super) struct Tested<'a> {
    /// The folder of the rule's file.
    pub(super) folder: &'a Path,
    /// The columns that it returns, when it is sound.
    pub(super) outputs: Option<&'a [String]>,
    /// What it reads, when it is sound and reads one table.
    pub(super) table: Option<&'a Table>,
    /// Where a part of a test stands, by its JSON pointer in the metadata.
    pub(super) place: &'a dyn Fn(&str, Part) -> Location,
}

impl Tested<'_> {
    /// Adds what can never be right of the test of this number.
    pub(super) fn check(&self, at: usize, test: &RuleTest, found: &mut Vec<Diagnostic>) {
        self.given(at, test, found);
        if let Some(outputs) = self.outputs {
            self.expected(at, test, outputs, found);
        }
    }

    /// What of a test's input can never be read.
    fn given(&self, at: usize, test: &RuleTest, found: &mut Vec<Diagnostic>) {
        let pointer = format!("/tests/{at}/given");
        let file = match &test.given {
            Given::File(file) => file,
            Given::Rows(rows) => {
                for fault in self.table.map(|table| given::faults(table, rows)).unwrap_or_default() {
                    let pointer = format!("{pointer}/{}/{}", fault.row, pointer_segment(&fault.column));
                    let place = (self.place)(&pointer, if fault.unfit { Part::Value } else { Part::Key });
                    found.push(Diagnostic::new(codes::T003, fault.message).at(place).help(fault.help));
                }
                return;
            }
        };
        let path = self.folder.join(file);
        if !path.is_file() {
            let message = format!("the test's input {} is not there", path.display());
            let told = Diagnostic::new(codes::T001, message).at((self.place)(&pointer, Part::Value));
            found.push(told.help("the path is relative to the rule"));
        }
        if let Some((message, help)) = given::format_fault(test.format.as_deref()) {
            let place = if test.format.is_some() { format!("/tests/{at}/format") } else { pointer };
            let place = (self.place)(&place, Part::Value);
            found.push(Diagnostic::new(codes::T001, message).at(place).help(help));
        }
    }

    /// What a test expects and can never get: an output that the query does not return.
    fn expected(&self, at: usize, test: &RuleTest, outputs: &[String], found: &mut Vec<Diagnostic>) {
        let Expect::Alerts(alerts) = &test.expect else { return };
        for (nth, alert) in alerts.iter().enumerate() {
            for name in
                alert.keys().filter(|name| !outputs.iter().any(|output| output.eq_ignore_ascii_case(name)))
            {
                let pointer = format!("/tests/{at}/expect/{nth}/{}", pointer_segment(name));
                found.push(
                    Diagnostic::new(codes::T002, format!("the query returns no column `{name}`"))
                        .at((self.place)(&pointer, Part::Key))
                        .help(suggest(name, outputs.iter().map(String::as_str))),
                );
            }
        }
    }
}

fn tags(tags: &[String], spans: &Spans, found: &mut Vec<Diagnostic>) {
    for (at, tag) in tags.iter().enumerate() {
        let (namespace, rest) = tag.split_once('.').unwrap_or((tag, ""));
        let distance = strsim::damerau_levenshtein(&namespace.to_ascii_lowercase(), "attack");
        let (message, help) = if tag.starts_with("attack.") && !is_attack_tag(tag) {
            (
                format!("`{tag}` is not a known form of an ATT&CK tag"),
                "write a technique (attack.t1059.001), a tactic (attack.credential-access), a group (attack.g0016) or a software (attack.s0002)".to_owned(),
            )
        } else if namespace != "attack" && distance <= SLIPS_MAX && tag.contains('.') {
            (
                format!("`{tag}` looks like an ATT&CK tag, and is none"),
                format!("did you mean `attack.{rest}`?"),
            )
        } else {
            continue;
        };
        let place = spans.value(&format!("/tags/{at}"));
        found.push(Diagnostic::new(codes::R006, message).at(place).help(help).warning());
    }
}

/// `attack.` and a technique, a group, a software, a mitigation, a campaign, a data source or a tactic.
fn is_attack_tag(tag: &str) -> bool {
    let Some(name) = tag.strip_prefix("attack.") else { return false };
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let numbered = |name: &str| {
        let (Some(kind), Some(rest)) = (name.get(..1), name.get(1..)) else { return false };
        match (kind, rest.split_once('.')) {
            ("t", Some((technique, sub))) => digits(technique, 4) && digits(sub, 3),
            ("t" | "g" | "s" | "m" | "c", None) => digits(rest, 4),
            ("d", None) => rest.strip_prefix('s').is_some_and(|rest| digits(rest, 4)),
            _ => false,
        }
    };
    numbered(&name.to_ascii_lowercase()) || is_tactic(name)
}

/// `YYYY-MM-DD`, and a day of the calendar.
fn is_date(text: &str) -> bool {
    let shape = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    shape && parse_text(&format!("{text}T00:00:00Z"), ZoneOffset::UTC).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days() {
        for (text, expect) in [
            ("2026-11-23", true),
            ("2024-02-29", true),
            ("2026-02-30", false),
            ("2026-13-01", false),
            ("2026/11/23", false),
            ("23.11.2026", false),
            ("2026-11-2", false),
            ("", false),
            ("yesterday!", false),
        ] {
            assert_eq!(is_date(text), expect, "{text}");
        }
    }

    #[test]
    fn attack_tags_have_known_forms() {
        for (tag, expect) in [
            ("attack.t1059", true),
            ("attack.t1059.001", true),
            ("attack.T1059.001", true),
            ("attack.credential-access", true),
            ("attack.defense_evasion", true),
            ("attack.g0016", true),
            ("attack.s0002", true),
            ("attack.ta0006", true),
            ("attack.ds0005", true),
            ("attack.ds05", false),
            ("attack.bogus", false),
            ("attack.t59", false),
            ("attack.t1059.1", false),
            ("attack.", false),
            ("attack.x1", false),
            ("attack.Credential Access", false),
        ] {
            assert_eq!(is_attack_tag(tag), expect, "{tag}");
        }
    }
}
