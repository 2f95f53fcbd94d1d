//! `noroshi dlq list`: rejects as rows, totals by source and code.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::{Filter, Letters, Met, bar};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Format, Terminal, plural};
use crate::cli::place::Place;
use crate::normalise::time;
use crate::printable;

/// Columns for what a reject says of itself at a terminal; the rest is cut.
const TEXT_COLUMNS_MAX: usize = 64;
/// Elsewhere.
const TEXT_COLUMNS_PIPED_MAX: usize = 4_096;
/// Sources and codes that are totalled apart; a dead-letter topic that others write to may name more.
const TOTALS_MAX: usize = 10_000;

/// List rejects, with totals by source and code.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All dead-letter topics of the pipeline are read from their beginning to their end, as it was when the command began. What
was sent in again is counted, and listed with --replayed. The time is the original record's. Rows come by position, not by
time. A source or an organisation that the pipeline does not have, and of which nothing is found, is an error. Where pipelines share a
dead-letter topic, the rejects of the others are neither listed nor counted in the totals, only said to be there; --foreign
lists them too.

Examples:
  noroshi dlq list --pipeline pipelines/demo
  noroshi dlq list --pipeline pipelines/demo --source ministry-windows --code syntax --since 2h
  noroshi dlq list --pipeline pipelines/demo --format json | jq '.totals'")]
pub struct ListArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// List also those that were sent in again.
    #[arg(long)]
    replayed: bool,
    /// List and total also those of other pipelines.
    #[arg(long)]
    foreign: bool,
    /// List at most this many, the oldest of each partition first; the totals count all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    limit: u32,
    /// For people or for machines.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Total {
    rejects: u64,
    replayed: u64,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Listed {
    rows: Vec<Value>,
    left_out: u64,
    /// Rejects of other pipelines that are not shown.
    foreign: u64,
    totals: BTreeMap<(String, String), Total>,
}

impl Listed {
    fn add(&mut self, met: &Met, args: (bool, u32)) {
        let (with_replayed, limit) = args;
        let bytes = met.stored.value.as_ref().map_or(0, Vec::len);
        let mut key = (met.letter.source.clone(), met.letter.code.clone());
        if self.totals.len() >= TOTALS_MAX && !self.totals.contains_key(&key) {
            key = ("other".into(), "other".into());
        }
        let total = self.totals.entry(key).or_default();
        total.rejects += 1;
        total.replayed += u64::from(met.replayed);
        total.bytes += bytes as u64;
        if met.replayed && !with_replayed {
            return;
        }
        if self.rows.len() >= limit as usize {
            self.left_out += 1;
            return;
        }
        self.rows.push(row(met));
    }
}

/// A reject in short, as JSON.
pub fn row(met: &Met) -> Value {
    let (stored, letter) = (&met.stored, &met.letter);
    json!({
        "position": stored.position(),
        "id": letter.id,
        "time": stored.timestamp_ms.and_then(|ms| time::iso(ms.checked_mul(1_000)?)),
        "org_id": letter.org_id,
        "source": letter.source,
        "code": letter.code,
        "attempt": letter.attempt,
        "bytes": stored.value.as_ref().map_or(0, Vec::len),
        "cut": letter.cut.is_some(),
        "replayed": met.replayed,
        "reason": letter.reason,
    })
}

/// Lists.
pub fn main(args: &ListArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    let selection = args.filter.selection(&[])?;
    let letters = Letters::open(&args.place)?;
    let all = letters.bounds(&selection)?;
    let bar = bar(terminal, &all);
    let mut listed = Listed::default();
    for bounds in &all {
        letters.walk(bounds, &selection, &bar, &mut |met| {
            if args.foreign || letters.is_own(&met.letter) {
                listed.add(&met, (args.replayed, args.limit));
            } else {
                listed.foreign += 1;
            }
            ControlFlow::Continue(())
        })?;
    }
    bar.finish_and_clear();
    if listed.totals.is_empty() && listed.foreign == 0 {
        args.filter.known(&letters.pipeline)?;
    }
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{}", printable::json(&format!("{:#}", document(&listed))))?,
        Format::Human => {
            let columns = if terminal.live_out { TEXT_COLUMNS_MAX } else { TEXT_COLUMNS_PIPED_MAX };
            write!(out, "{}", page(&listed, columns))?;
        }
    }
    Ok(Outcome::Done)
}

fn document(listed: &Listed) -> Value {
    let totals: Vec<Value> = listed
        .totals
        .iter()
        .map(|((source, code), total)| {
            let Total { rejects, replayed, bytes } = total;
            json!({ "source": source, "code": code, "rejects": rejects, "replayed": replayed, "bytes": bytes })
        })
        .collect();
    json!({ "rejects": listed.rows, "left_out": listed.left_out, "foreign": listed.foreign, "totals": totals })
}

/// Reasons take at most so many columns.
fn page(listed: &Listed, columns: usize) -> String {
    let foreign = match listed.foreign {
        0 => String::new(),
        count => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            format!("{} of other pipelines not shown: --foreign\n", plural(count, "reject"))
        }
    };
    if listed.totals.is_empty() {
        return format!("no rejects\n{foreign}");
    }
    let mut rows = Vec::new();
    if !listed.rows.is_empty() {
        rows.push(
            ["POSITION", "TIME", "ORGANISATION", "SOURCE", "CODE", "ATTEMPT", "BYTES", "REASON"]
                .map(str::to_owned)
                .to_vec(),
        );
    }
    for row in &listed.rows {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let is = |name: &str| row[name].as_bool().unwrap_or(false);
        let marks = [(is("cut"), ", cut"), (is("replayed"), ", sent in again")];
        let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
        rows.push(vec![
            text("position"),
            text("time"),
            text("org_id"),
            text("source"),
            text("code"),
            row["attempt"].to_string(),
            row["bytes"].to_string(),
            format!("{}{marks}", printable::line(&text("reason"), columns)),
        ]);
    }
    let mut page = table(&rows);
    if listed.left_out > 0 {
        page.push_str(&format!("… and {} more: --limit\n", listed.left_out));
    }
    let mut totals =
        vec![["SOURCE", "CODE", "REJECTS", "SENT IN AGAIN", "BYTES"].map(str::to_owned).to_vec()];
    let mut sum = Total::default();
    for ((source, code), total) in &listed.totals {
        let Total { rejects, replayed, bytes } = total;
        sum.rejects += rejects;
        sum.replayed += replayed;
        let numbers = [rejects, replayed, bytes].map(u64::to_string);
        totals.push([source.clone(), code.clone()].into_iter().chain(numbers).collect());
    }
    if !page.is_empty() {
        page.push('\n');
    }
    page.push_str(&table(&totals));
    let count = usize::try_from(sum.rejects).unwrap_or(usize::MAX);
    page.push_str(&format!(
        "\n{}, {} of them sent in again\n{foreign}",
        plural(count, "reject"),
        sum.replayed
    ));
    page
}

/// Rows with aligned columns; none of their texts can steer a terminal.
fn table(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|text| printable::line(text, TEXT_COLUMNS_PIPED_MAX * 2)).collect())
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|t| printable::width(t)).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(text, width)| printable::fit(text, *width)).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::dead_letter::letter::{Letter, Stored};

    fn met(offset: i64, source: &str, code: &str, replayed: bool) -> Met {
        let letter = Letter {
            id: format!("in/0/{offset}"),
            topic: "in".into(),
            partition: 0,
            offset,
            org_id: "power".into(),
            source: source.into(),
            code: code.into(),
            reason: "at \u{1b}[31mline 1".into(),
            attempt: 1,
            version: "0".into(),
            cut: (offset == 2).then(|| ("9".into(), String::new())),
            envelope_lost: None,
            headers: 0,
        };
        let stored = Stored {
            topic: "dead".into(),
            partition: 0,
            offset,
            timestamp_ms: Some(1_000),
            key: None,
            value: Some(vec![0; 5]),
            headers: Vec::new(),
        };
        Met { stored, letter: Box::new(letter), replayed }
    }

    #[test]
    fn a_list_has_rows_totals_and_says_what_it_leaves_out() {
        let all = [
            met(1, "windows", "syntax", false),
            met(2, "windows", "syntax", true),
            met(3, "ids", "empty", false),
        ];
        let mut listed = Listed::default();
        all.iter().for_each(|met| listed.add(met, (true, 2)));
        assert_eq!(
            page(&listed, TEXT_COLUMNS_MAX),
            "\
POSITION  TIME                  ORGANISATION  SOURCE   CODE    ATTEMPT  BYTES  REASON
dead/0/1  1970-01-01T00:00:01Z  power         windows  syntax  1        5      at \u{fffd}[31mline 1
dead/0/2  1970-01-01T00:00:01Z  power         windows  syntax  1        5      at \u{fffd}[31mline 1, cut, sent in again
… and 1 more: --limit

SOURCE   CODE    REJECTS  SENT IN AGAIN  BYTES
ids      empty   1        0              5
windows  syntax  2        1              10

3 rejects, 1 of them sent in again
"
        );
        let document = document(&listed);
        assert_eq!((&document["left_out"], &document["totals"][1]["replayed"]), (&json!(1), &json!(1)));
        assert_eq!(document["rejects"][1]["position"], "dead/0/2");
        let mut listed = Listed::default();
        all.iter().for_each(|met| listed.add(met, (false, 9)));
        let positions: Vec<&str> = listed.rows.iter().filter_map(|row| row["position"].as_str()).collect();
        assert_eq!((positions, listed.totals.len()), (vec!["dead/0/1", "dead/0/3"], 2));
        assert_eq!(page(&Listed::default(), TEXT_COLUMNS_MAX), "no rejects\n");
        listed.foreign = 2;
        assert!(
            page(&listed, TEXT_COLUMNS_MAX)
                .ends_with("sent in again\n2 rejects of other pipelines not shown: --foreign\n")
        );
        let others = Listed { foreign: 1, ..Listed::default() };
        assert_eq!(
            page(&others, TEXT_COLUMNS_MAX),
            "no rejects\n1 reject of other pipelines not shown: --foreign\n"
        );
        assert_eq!(super::document(&others)["foreign"], 1);
    }
}
