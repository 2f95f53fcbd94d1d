//! `noroshi dlq show`: everything about one reject.

use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;

use serde_json::{Value, json};

use super::{Filter, Letters, Met, bar, bytes, list};
use crate::cli::exit::{CliError, Outcome};
use crate::cli::output::{Format, Terminal};
use crate::cli::place::Place;
use crate::printable;
use crate::record::hex;

/// Columns of a header's value, or of a key.
const HEADER_COLUMNS_MAX: usize = 200;

/// Show all of one reject, its bytes safely.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Bytes that are no text, and characters that steer a terminal, are shown as escapes. --hex shows each byte. Exit code 1: there
is no such reject.

Examples:
  noroshi dlq show --pipeline pipelines/demo dead-letters/0/17
  noroshi dlq show --pipeline pipelines/demo in.ministry.windows/1/2 --hex
  noroshi dlq show --pipeline pipelines/demo dead-letters/0/17 --raw > record.bin")]
pub struct ShowArgs {
    /// Its position in the dead-letter topic, or its id (the position in the input topic), as TOPIC/PARTITION/OFFSET.
    position: String,
    #[command(flatten)]
    place: Place,
    /// Show the bytes in hexadecimal.
    #[arg(long, conflicts_with = "raw")]
    hex: bool,
    /// Write the bytes and nothing else, as they are. Not to a terminal.
    #[arg(long)]
    raw: bool,
    /// With --raw: also to a terminal.
    #[arg(long, requires = "raw")]
    force: bool,
    /// Show at most so many bytes; --raw writes all.
    #[arg(long, default_value_t = 16_384, value_name = "BYTES")]
    bytes_max: usize,
    /// For people or for machines: a document with all bytes.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// Shows.
pub fn main(args: &ShowArgs, terminal: &Terminal) -> Result<Outcome, CliError> {
    if args.raw && terminal.live_out && !args.force {
        return Err(CliError::usage(
            "--raw writes bytes that may steer this terminal; send them to a file or a program, or use --force",
        ));
    }
    let selection = Filter::default().selection(std::slice::from_ref(&args.position))?;
    let letters = Letters::open(&args.place)?;
    let all = letters.bounds(&selection)?;
    let bar = bar(terminal, &all);
    let mut found: Option<Met> = None;
    for bounds in &all {
        letters.walk(bounds, &selection, &bar, &mut |met| {
            found.get_or_insert(met);
            ControlFlow::Break(())
        })?;
        if found.is_some() {
            break;
        }
    }
    bar.finish_and_clear();
    let Some(met) = found else {
        return Err(CliError::Plain {
            message: format!("there is no reject {} in {}", args.position, letters.topics().join(", ")),
            outcome: Outcome::Problems,
        });
    };
    let mut out = std::io::stdout().lock();
    let value = met.stored.value.as_deref().unwrap_or_default();
    if args.raw {
        out.write_all(value)?;
    } else if args.format == Format::Json {
        writeln!(out, "{}", printable::json(&format!("{:#}", document(&met))))?;
    } else {
        write!(out, "{}", page(&met, args.hex, args.bytes_max))?;
    }
    Ok(Outcome::Done)
}

fn document(met: &Met) -> Value {
    let (stored, letter) = (&met.stored, &met.letter);
    let shown = |bytes: &Option<Vec<u8>>| match bytes {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => json!({ "text": text }),
            Err(_) => json!({ "hex": hex(bytes) }),
        },
    };
    let headers = |range: &[(String, Option<Vec<u8>>)]| -> Vec<Value> {
        range.iter().map(|(name, value)| json!({ "name": name, "value": shown(value) })).collect()
    };
    let mut document = list::row(met);
    let (original, added) = stored.headers.split_at(letter.headers.min(stored.headers.len()));
    document["version"] = json!(letter.version);
    document["key"] = shown(&stored.key);
    document["value"] = shown(&stored.value);
    document["headers"] = headers(original).into();
    document["added_headers"] = headers(added).into();
    document
}

fn page(met: &Met, as_hex: bool, bytes_max: usize) -> String {
    let (stored, letter) = (&met.stored, &met.letter);
    let row = list::row(met);
    let mut page = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(page, "{name:<13} {}", printable::line(value, usize::MAX));
    };
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let shown = |bytes: &[u8]| printable::line(&bytes::text(bytes), HEADER_COLUMNS_MAX);
    line("position", &text("position"));
    line("id", &text("id"));
    line("time", &text("time"));
    line("organisation", &letter.org_id);
    line("source", &letter.source);
    line("code", &letter.code);
    line("reason", &letter.reason);
    line("attempt", &letter.attempt.to_string());
    line("sent in again", if met.replayed { "yes" } else { "no" });
    line("rejected by", &format!("Noroshi {}", letter.version));
    line("key", &stored.key.as_deref().map_or_else(|| "-".to_owned(), shown));
    if let Some(lost) = &letter.envelope_lost {
        line("left out", &format!("original headers, perhaps the key: {lost} bytes"));
    }
    for (name, value) in stored.headers.iter().take(letter.headers) {
        line("header", &format!("{name}: {}", value.as_deref().map_or_else(|| "-".to_owned(), shown)));
    }
    let value = stored.value.as_deref().unwrap_or_default();
    let mut size = format!("{} bytes", value.len());
    if let Some((whole, sha256)) = &letter.cut {
        size = format!("{size}, cut from {whole} (SHA-256 of the whole: {sha256})");
    }
    line("value", &size);
    let part = value.get(..bytes_max).unwrap_or(value);
    page.push('\n');
    page.push_str(&if as_hex { bytes::dump(part) } else { bytes::text(part) });
    if !page.ends_with('\n') {
        page.push('\n');
    }
    if part.len() < value.len() {
        let _ = writeln!(page, "… and {} more bytes: --bytes-max, or --raw", value.len() - part.len());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::dead_letter::letter::tests::{header, letter, stored};

    #[test]
    fn a_reject_is_shown_whole_and_cannot_steer_a_terminal() {
        let kept = vec![header("kept", "\u{1b}[2J"), ("none".to_owned(), None)];
        let stored = stored(kept, b"\xff\x1b]0;x\x07{\nend", 100);
        let met = Met { letter: Box::new(letter(&stored)), stored, replayed: true };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            page(&met, false, 11),
            format!(
                "\
position      dead/0/40
id            in.power/2/7
time          1970-01-01T00:00:05Z
organisation  power
source        windows
code          syntax
reason        at line 1
attempt       1
sent in again yes
rejected by   Noroshi {version}
key           k
header        kept: \\u001b[2J
header        none: -
value         12 bytes

\\xff\\u001b]0;x\\u0007{{
en
… and 1 more bytes: --bytes-max, or --raw
"
            )
        );
        assert!(page(&met, true, 100).contains("\n00000000  ff 1b 5d 30 3b 78 07 7b  0a 65 6e 64"));
        let document = document(&met);
        assert_eq!(document["value"], json!({ "hex": "ff1b5d303b78077b0a656e64" }));
        assert_eq!(document["headers"][0]["value"]["text"], "\u{1b}[2J");
        assert_eq!(document["headers"][1]["value"], Value::Null);
        assert_eq!(document["added_headers"][0]["name"], "__connect.errors.topic");
    }
}
