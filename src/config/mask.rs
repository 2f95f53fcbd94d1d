//! Keeps what looks like a secret out of the snippets that diagnostics print.
//!
//! Somebody who writes a password into the file by mistake must not find it in a build log as well. Owns the
//! masked copy of a file: the same length and the same lines, so that places stay true. Called by `config` on each
//! diagnostic, and for the files of pipelines.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::Value;

use super::keys::{self, Kind};
use crate::diagnostic::{Diagnostic, Location, SourceFile};
use crate::document::{Spans, pointer_segment};

/// Lets diagnostics point into a copy of their file in which secrets are asterisks.
pub fn mask_all(diagnostics: &mut [Diagnostic], file: &Arc<SourceFile>, parsed: Option<(&Value, &Spans)>) {
    point_into(&masked(file, parsed), diagnostics, file);
}

/// The same for a file that is no configuration, and where somebody may have put a part of one: only what has the name of
/// a secret is masked.
pub fn mask_named(diagnostics: &mut [Diagnostic], file: &Arc<SourceFile>) {
    point_into(&covered(file, written(&file.text)), diagnostics, file);
}

fn point_into(masked: &Arc<SourceFile>, diagnostics: &mut [Diagnostic], file: &Arc<SourceFile>) {
    for diagnostic in diagnostics {
        if let Some(location) = &diagnostic.location
            && Arc::ptr_eq(&location.file, file)
        {
            diagnostic.location = Some(Location::new(masked, location.span.clone()));
        }
    }
}

fn masked(file: &Arc<SourceFile>, parsed: Option<(&Value, &Spans)>) -> Arc<SourceFile> {
    let mut spans = written(&file.text);
    match parsed {
        Some((value, places)) => {
            Walk { places, text: &file.text, spans: &mut spans }.table(value, &mut Vec::new())
        }
        None => unparsed(&file.text, &mut spans),
    }
    covered(file, spans)
}

fn covered(file: &Arc<SourceFile>, spans: Vec<Range<usize>>) -> Arc<SourceFile> {
    if spans.is_empty() {
        return Arc::clone(file);
    }
    let mut bytes = file.text.clone().into_bytes();
    for span in spans {
        for byte in bytes.get_mut(span).into_iter().flatten().filter(|byte| **byte != b'\n') {
            *byte = b'*';
        }
    }
    SourceFile::new(file.path.clone(), String::from_utf8_lossy(&bytes).into_owned())
}

/// Goes through a file along the list of settings. What stands under a name that is not on it may be a password under
/// a misspelt name, and no value is needed to see that the name is wrong.
struct Walk<'w> {
    places: &'w Spans,
    text: &'w str,
    spans: &'w mut Vec<Range<usize>>,
}

impl Walk<'_> {
    /// `path` names a table of settings.
    fn table(&mut self, value: &Value, path: &mut Vec<String>) {
        let Value::Object(object) = value else { return self.everything(value, &pointer(path)) };
        let (sections, settings) = keys::all();
        for (name, inner) in object {
            path.push(name.clone());
            let below = pointer(path);
            match settings.iter().find(|key| key.path == *path) {
                Some(key) if key.kind == Kind::Secret => texts(inner, &below, self.places, self.spans),
                Some(key) if key.kind == Kind::Properties => self.everything(inner, &below),
                Some(key) if key.path == BROKERS => self.brokers(inner, &below),
                Some(_) if !inner.is_object() => {}
                None if sections.iter().any(|section| section.path == *path) => self.table(inner, path),
                _ => self.everything(inner, &below),
            }
            path.pop();
        }
    }

    /// Each value at and below `pointer`.
    fn everything(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::Object(object) => {
                for (name, inner) in object {
                    self.everything(inner, &format!("{pointer}/{}", pointer_segment(name)));
                }
            }
            _ => self.spans.push(self.places.value(pointer).span),
        }
    }

    /// Broker addresses: what stands before an `@` may be a password.
    fn brokers(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.brokers(item, &format!("{pointer}/{at}"));
                }
            }
            Value::String(server) if server.contains('@') => {
                let span = self.places.value(pointer).span;
                // An `@` that is written as an escape is not found: then nothing of the text is shown.
                let end = self.text.get(span.clone()).and_then(|text| text.rfind('@'));
                self.spans.push(span.start..end.map_or(span.end, |at| span.start + at));
            }
            Value::Object(_) => self.everything(value, pointer),
            _ => {}
        }
    }
}

/// The setting whose texts may carry a user and a password.
const BROKERS: [&str; 2] = ["kafka", "bootstrap_servers"];

fn pointer(path: &[String]) -> String {
    path.iter().map(|name| format!("/{}", pointer_segment(name))).collect()
}

/// A file that is not TOML: nobody knows which name a value belongs to, so only names and headings are shown.
fn unparsed(text: &str, spans: &mut Vec<Range<usize>>) {
    static PATTERNS: OnceLock<Option<[Regex; 2]>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        let part = r#"(?:[\w-]+|"[^"]*"|'[^']*')"#;
        let name = Regex::new(&format!(r"^[ \t]*{part}(?:[ \t]*\.[ \t]*{part})*[ \t]*=[ \t]*")).ok()?;
        let heading = Regex::new(r"^[ \t]*\[{1,2}[\w. \t-]*\]{0,2}$").ok()?;
        Some([name, heading])
    });
    let mut start = 0;
    let mut open: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let shown = line.trim_end();
        let known = patterns.as_ref().filter(|_| open.is_none()).and_then(|[name, heading]| {
            if heading.is_match(shown) {
                return Some(shown.len());
            }
            // `bWFzdGVy==` is no name with a value.
            name.find(shown).map(|found| found.end()).filter(|end| !shown[*end..].starts_with('='))
        });
        let indent = shown.len() - shown.trim_start().len();
        spans.push(at + known.unwrap_or(indent)..at + shown.len());
        open = match open {
            Some(end) => Some(end).filter(|end| !shown.contains(*end)),
            None => known.and_then(|end| shown.get(end..)).and_then(unfinished),
        };
    }
}

/// Places of all values inside what stands where a secret's `{ file }` or `{ env }` should be.
fn texts(value: &Value, pointer: &str, places: &Spans, spans: &mut Vec<Range<usize>>) {
    match value {
        Value::Object(object) => {
            // One of the two names where the secret is. With more beside it nobody knows what was meant.
            let named = |name: &str| object.len() == 1 && (name == "file" || name == "env");
            for (name, inner) in object.iter().filter(|(name, _)| !named(name)) {
                texts(inner, &format!("{pointer}/{}", pointer_segment(name)), places, spans);
            }
        }
        _ => spans.push(places.value(pointer).span),
    }
}

/// What a setting is called that may be a secret.
const NAMES: &str = "password|passphrase|secret|token|jaas|pem|ssl_key";

/// The same by the look of the lines, for files that are not even TOML.
fn written(text: &str) -> Vec<Range<usize>> {
    static PATTERNS: OnceLock<Option<[Regex; 3]>> = OnceLock::new();
    let patterns = PATTERNS.get_or_init(|| {
        let assignment =
            Regex::new(&format!(r#"(?i)([\w.-]*(?:{NAMES})[\w.-]*)["']?[ \t]*[=:][ \t]*"#)).ok()?;
        let table = Regex::new(&format!(r"(?i)^[ \t]*\[.*(?:{NAMES})")).ok()?;
        let place = Regex::new(r#"^\{?[ \t]*["']?(?:file|env)["']?[ \t]*=[^={]*$"#).ok()?;
        Some([assignment, table, place])
    });
    let Some([assignment, table, place]) = patterns else { return Vec::new() };
    let mut spans = Vec::new();
    let (mut start, mut in_table) = (0, false);
    // A text or a list that goes on below: how it ends.
    let mut open: Option<&str> = None;
    for line in text.split_inclusive('\n') {
        let at = start;
        start += line.len();
        let shown = line.trim_end();
        let heading = shown.trim_start().starts_with('[');
        if heading {
            in_table = table.is_match(shown);
        }
        if let Some(end) = open {
            spans.push(at..at + shown.len());
            open = Some(end).filter(|end| !shown.contains(*end));
            continue;
        }
        if in_table && !heading && !place.is_match(shown.trim_start()) {
            // A table where a secret should be: nobody knows what was meant.
            spans.push(at..at + shown.len());
            open = unfinished(shown.split_once('=').map_or("", |(_, value)| value.trim_start()));
            continue;
        }
        for found in assignment.captures_iter(line) {
            let (Some(all), Some(name)) = (found.get(0), found.get(1)) else { continue };
            let rest = line[all.end()..].trim_end();
            if name.as_str().ends_with("_file") || rest.starts_with('{') && place.is_match(rest) {
                continue;
            }
            spans.push(at + all.end()..at + all.end() + rest.len());
            open = unfinished(rest);
        }
    }
    spans
}

/// How a value ends that does not end on its own line.
fn unfinished(value: &str) -> Option<&'static str> {
    let ends = [("\"\"\"", "\"\"\""), ("'''", "'''"), ("[", "]"), ("{", "}")];
    let (begin, end) = ends.into_iter().find(|(begin, _)| value.starts_with(begin))?;
    (!value.get(begin.len()..)?.contains(end)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_wrong_place_is_masked_and_places_stay() {
        for (line, expect) in [
            ("password = \"canary狼\"", "password = ***********"),
            ("password = canary", "password = ******"),
            ("\"sasl.password\" = 'canary'", "\"sasl.password\" = ********"),
            ("KEY_PASSWORD=canary", "KEY_PASSWORD=******"),
            ("sasl = { password = 'canary' }", "sasl = { password = **********"),
            ("password = { file = \"/run/p\" }", "password = { file = \"/run/p\" }"),
            ("password = { value = 'canary' }", "password = ********************"),
            ("password = { file = 'a', value = 'canary' }", "password = ********************************"),
            ("password = '''\ncanary\n'''\nx = 'y'", "password = ***\n******\n***\nx = 'y'"),
            ("password = [\n 'canary'\n]\nx = 'y'", "password = *\n*********\n*\nx = 'y'"),
            (
                "[sasl.password]\nvalue = 'canary'\n[x]\na = 'b'",
                "[sasl.password]\n****************\n[x]\na = 'b'",
            ),
            ("[sasl.password]\nenv = 'P'", "[sasl.password]\nenv = 'P'"),
            (
                "token = [\n[sasl.password]\nx = 'canary'\n[y]",
                "token = *\n***************\n************\n[y]",
            ),
            ("token_file = \"/run/t\"", "token_file = \"/run/t\""),
            ("username = \"me\"", "username = \"me\""),
        ] {
            let file = SourceFile::new("a.toml", format!("x = 1\n{line}\ny = 2\n"));
            let masked = covered(&file, written(&file.text));
            // The last line stands in the table, if there is one.
            let after = if line == "[sasl.password]\nenv = 'P'" { "*****" } else { "y = 2" };
            assert_eq!(masked.text, format!("x = 1\n{expect}\n{after}\n"));
        }
    }
}
