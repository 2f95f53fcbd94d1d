//! Explanations for people.
//!
//! Owns the lines and their colours. Called by the parent.

use std::fmt::Write;

use super::{Told, TracedEvent, TracedRecord, why};
use crate::cli::output::{Terminal, plural};
use crate::detect::cost::{CostClass, Lookup};
use crate::detect::explain::{Explained, Part};
use crate::detect::trace::{Leaf, Trace};
use crate::printable;

/// Columns of one line; what else it says is cut.
const LINE_COLUMNS_MAX: usize = 400;
/// Literals of one pattern that are shown.
const LITERALS_SHOWN_MAX: usize = 6;

/// How a word looks.
#[derive(Clone, Copy)]
enum Look {
    Title,
    Good,
    Bad,
    Open,
}

struct Page {
    text: String,
    coloured: bool,
}

/// The page.
pub(super) fn page(told: &[Told], set: usize, terminal: &Terminal) -> String {
    let mut page = Page { text: String::new(), coloured: terminal.colour_out };
    for (nth, told) in told.iter().enumerate() {
        if nth > 0 {
            page.line("");
        }
        page.rule(told, set);
    }
    page.text
}

impl Page {
    fn line(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", printable::line(text, LINE_COLUMNS_MAX));
    }

    fn looking(&self, text: &str, look: Look) -> String {
        let text = printable::line(text, LINE_COLUMNS_MAX);
        let code = match look {
            Look::Title => 1,
            Look::Good => 32,
            Look::Bad => 31,
            Look::Open => 33,
        };
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text }
    }

    fn title(&mut self, text: &str) {
        let text = self.looking(text, Look::Title);
        let _ = writeln!(self.text, "{text}");
    }

    fn rule(&mut self, told: &Told, set: usize) {
        let off = told.off();
        match (told.tables.first().map(|table| &table.rule), &told.sigma) {
            (Some(rule), _) => {
                self.title(&format!("{} ({})", rule.meta.title, rule.meta.level.as_str()));
                self.line(&format!(
                    "{}, {}, among {}",
                    rule.meta.id,
                    rule.file.path.display(),
                    plural(set, "rule")
                ));
            }
            (None, Some(sigma)) => {
                self.title(sigma.headline.title.as_deref().unwrap_or("a Sigma document"));
                self.line(&format!(
                    "{}, {}",
                    sigma.headline.id.as_deref().unwrap_or("without an id"),
                    sigma.place
                ));
            }
            (None, None) => {}
        }
        if let Some(off) = off {
            let word = self.looking("It does not run:", Look::Bad);
            let _ = writeln!(self.text, "{word} {}", printable::line(&off, LINE_COLUMNS_MAX));
        }
        if let Some(sigma) = told.sigma.as_ref().filter(|sigma| !sigma.filters.is_empty()) {
            self.line(&format!("Filters that are part of it: {}", sigma.filters.join(", ")));
        }
        for (at, explained) in told.tables.iter().enumerate() {
            let traced = told.events.as_ref().is_some_and(|record| record.looks_at(at));
            self.table(explained, !traced);
        }
        if let Some(record) = &told.events {
            self.record(record, &told.tables);
        }
    }

    /// The condition may be shown with what holds on an event instead.
    fn table(&mut self, explained: &Explained, with_condition: bool) {
        self.line("");
        self.title(&format!("On {}", explained.rule.table.name));
        let look = if explained.class == CostClass::EveryRow { Look::Bad } else { Look::Good };
        let class = self.looking(explained.class.as_str(), look);
        let _ = writeln!(self.text, "cost: {class}: {}", explained.class.meaning());
        for because in &explained.because {
            self.line(&format!("  {}", because.what));
            self.line(&format!("    instead: {}", because.instead));
        }
        if with_condition {
            self.line("condition:");
            self.part(explained, &explained.condition, None, 1);
        }
        if !explained.atoms.is_empty() {
            self.line("atoms, and how each is looked up; a row is looked at where one with * holds:");
        }
        for (nth, atom) in explained.atoms.iter().enumerate() {
            let shared = match atom.shared {
                0 => "no other rule asks it".to_owned(),
                1 => "1 other rule asks it".to_owned(),
                others => format!("{others} other rules ask it"),
            };
            let needed = if atom.needed { '*' } else { ' ' };
            self.line(&format!("{needed} {nth:>3}  {}; {shared}", lookup(&atom.lookup)));
        }
        for residual in &explained.residuals {
            self.line(&format!("left to DataFusion: {}", residual.text));
        }
    }

    /// Columns that must have a value, on one line; of those that an event lacks there is another.
    fn presences(&mut self, explained: &Explained, atoms: &[usize], trace: Option<&Trace>, depth: usize) {
        let holds = |at: &usize| trace.is_none_or(|trace| trace.holds(Leaf::Atom(*at)));
        let (there, lacking): (Vec<usize>, Vec<usize>) = atoms.iter().partition(|at| holds(at));
        for atoms in [there, lacking] {
            match atoms.as_slice() {
                [] => {}
                [one] => self.part(explained, &Part::Atom(*one), trace, depth),
                several => {
                    let all = several.iter().all(holds);
                    let text = have_a_value(explained, several, trace.filter(|_| all));
                    self.stated(&text, trace.map(|_| (all, false)), depth);
                }
            }
        }
    }

    /// A part and what is inside it, a line each.
    fn part(&mut self, explained: &Explained, part: &Part, trace: Option<&Trace>, depth: usize) {
        let (text, inner): (String, &[Part]) = match part {
            Part::Constant(truth) => (truth.to_string(), &[]),
            Part::Atom(at) => (leaf(explained, Leaf::Atom(*at), trace), &[]),
            Part::Residual(at) => (leaf(explained, Leaf::Residual(*at), trace), &[]),
            Part::Not(inner) => ("not:".to_owned(), std::slice::from_ref(inner)),
            Part::All(parts) => ("all of:".to_owned(), parts),
            Part::Any(parts) => ("one of:".to_owned(), parts),
        };
        self.stated(&text, trace.map(|trace| (trace.truth(part), trace.known(part).is_none())), depth);
        let together = if matches!(part, Part::All(_)) { presences(explained, inner) } else { Vec::new() };
        let mut said = false;
        for inner in inner {
            match inner {
                Part::Atom(at) if together.contains(at) => {
                    if !std::mem::replace(&mut said, true) {
                        self.presences(explained, &together, trace, depth + 1);
                    }
                }
                inner => self.part(explained, inner, trace, depth + 1),
            }
        }
    }

    /// One line; of an event with whether it holds, and whether that was left open.
    fn stated(&mut self, text: &str, holds: Option<(bool, bool)>, depth: usize) {
        let indent = "  ".repeat(depth);
        let text = printable::line(text, LINE_COLUMNS_MAX);
        let Some((holds, open)) = holds else {
            let _ = writeln!(self.text, "{indent}{text}");
            return;
        };
        let (word, look) = if holds { ("yes", Look::Good) } else { ("no ", Look::Bad) };
        let mark = self.looking(word, look);
        let open = if open { self.looking(" (left open)", Look::Open) } else { String::new() };
        let _ = writeln!(self.text, "  {mark}  {indent}{text}{open}");
    }

    fn record(&mut self, record: &TracedRecord, tables: &[Explained]) {
        let place = format!("record {} of {}", record.record, record.file);
        self.line("");
        if record.more && record.record == 0 {
            self.line("The file has more records; --record picks one.");
        }
        let events = match &record.events {
            Ok(events) => events,
            Err(reject) => {
                self.title(&format!("On {place}"));
                self.line(&format!("It is no event: {reject}"));
                return;
            }
        };
        if record.count == 0 {
            self.title(&format!("On {place}"));
            self.line("It holds no event: its list is empty");
        }
        for event in events {
            let which = if record.count > 1 { format!("event {} of ", event.index) } else { String::new() };
            self.event(event, &format!("{which}{place}"), tables);
        }
        let more = record.count.saturating_sub(events.len());
        if more > 0 && events.len() > 1 {
            self.line(&format!("… and {}; --index picks one", plural(more, "more event")));
        }
    }

    fn event(&mut self, event: &TracedEvent, place: &str, tables: &[Explained]) {
        self.title(&format!("On {place}"));
        let mut read = event.read.tables.clone();
        read.dedup();
        let time = event.read.event_time.as_deref().unwrap_or("a time that cannot be read");
        match &event.read.in_none {
            None => self.line(&format!("read as: {}, of {time}", read.join(", "))),
            Some(none) => {
                let decisive: Vec<String> = none
                    .decisive
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", why::shown(value)))
                    .collect();
                self.line(&format!("in no table; tables are chosen by {}", decisive.join(", ")));
            }
        }
        for (table, column) in &event.read.unfit {
            self.line(&format!("the value of {column} does not fit its type in {table}: it is NULL there"));
        }
        for (at, trace) in &event.rows {
            if let (Some(explained), Ok(trace)) = (tables.get(*at), trace) {
                if tables.len() > 1 {
                    self.line(&format!("on {}:", explained.rule.table.name));
                }
                self.part(explained, &explained.condition, Some(trace), 0);
            }
        }
        let look = if event.fired() { Look::Good } else { Look::Bad };
        let sentence = why::sentence(event, tables);
        let (verdict, reason) = sentence.split_once(": ").unwrap_or((&sentence, ""));
        let verdict = self.looking(&format!("{verdict}:"), look);
        let _ = writeln!(self.text, "{verdict} {}", printable::line(reason, usize::MAX));
    }
}

/// The atoms among parts that say that a column has a value, each once.
fn presences(explained: &Explained, parts: &[Part]) -> Vec<usize> {
    let mut atoms = Vec::new();
    for part in parts {
        if let Part::Atom(at) = part
            && explained.atoms.get(*at).is_some_and(|atom| atom.lookup == Lookup::Presence)
            && !atoms.contains(at)
        {
            atoms.push(*at);
        }
    }
    atoms
}

/// What they say together; values are for where there are some.
fn have_a_value(explained: &Explained, atoms: &[usize], values: Option<&Trace>) -> String {
    let numbers = atoms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let columns: Vec<&str> =
        atoms.iter().filter_map(|at| Some(explained.atoms.get(*at)?.column.as_str())).collect();
    let values = values.map(|trace| {
        let values = columns.iter().map(|column| why::shown(trace.value(column)));
        format!(" <- {}", values.collect::<Vec<_>>().join(", "))
    });
    format!("{numbers:>2}  {} have a value{}", columns.join(", "), values.unwrap_or_default())
}

fn leaf(explained: &Explained, leaf: Leaf, trace: Option<&Trace>) -> String {
    match leaf {
        Leaf::Atom(at) => {
            let text = explained.atoms.get(at).map(|atom| atom.text.as_str()).unwrap_or_default();
            let value = trace.zip(explained.atoms.get(at)).map(|(trace, atom)| trace.value(&atom.column));
            let value = value.map(|value| format!(" <- {}", why::shown(value))).unwrap_or_default();
            format!("{at:>2}  {text}{value}")
        }
        Leaf::Residual(at) => {
            let text = explained.residuals.get(at).map(|residual| residual.text.as_str()).unwrap_or_default();
            let said = trace.and_then(|trace| trace.residuals.get(at)).map(|said| match said {
                Some(truth) => format!(" <- DataFusion: {truth}"),
                None => " <- DataFusion: NULL".to_owned(),
            });
            format!("{text}{}", said.unwrap_or_else(|| " (DataFusion)".to_owned()))
        }
    }
}

fn lookup(lookup: &Lookup) -> String {
    let quoted = |literals: &[String]| {
        let shown: Vec<String> =
            literals.iter().take(LITERALS_SHOWN_MAX).map(|literal| format!("'{literal}'")).collect();
        let more = literals.len().saturating_sub(LITERALS_SHOWN_MAX);
        let more = if more > 0 { format!(" or {more} more") } else { String::new() };
        format!("{}{more}", shown.join(" or "))
    };
    match lookup {
        Lookup::Presence => "there is a value or none".to_owned(),
        Lookup::Map => "a map".to_owned(),
        Lookup::Compared => "compared".to_owned(),
        Lookup::Literal(literal) => format!("the automaton, which finds '{literal}'"),
        Lookup::Behind(literals) => format!("tried where the automaton finds {}", quoted(literals)),
        Lookup::Pattern => "tried on each new value".to_owned(),
        Lookup::DataFusion => "DataFusion, on each new value".to_owned(),
    }
}
