//! Keeps what looks like a secret out of the snippets that diagnostics print.
//!
//! Somebody who writes a password into the file by mistake must not find it in a build log as well. Owns the
//! masked copy of a file: the same length and the same lines, so that places stay true. Called by `config` on each
//! diagnostic.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde_json::Value;

use super::keys::{self, Kind};
use super::refused;
use crate::diagnostic::{Diagnostic, Location, SourceFile};
use crate::document::{Spans, pointer_segment};

/// Lets diagnostics point into a copy of their file in which secrets are asterisks.
pub fn mask_all(diagnostics: &mut [Diagnostic], file: &Arc<SourceFile>, parsed: Option<(&Value, &Spans)>) {
    let masked = masked(file, parsed);
    for diagnostic in diagnostics {
        if let Some(location) = &diagnostic.location
            && Arc::ptr_eq(&location.file, file)
        {
            diagnostic.location = Some(Location::new(&masked, location.span.clone()));
        }
    }
}

fn masked(file: &Arc<SourceFile>, parsed: Option<(&Value, &Spans)>) -> Arc<SourceFile> {
    let mut spans = written(&file.text);
    if let Some((value, places)) = parsed {
        for key in &keys::all().1 {
            let pointer: String = key.path.iter().map(|name| format!("/{}", pointer_segment(name))).collect();
            match (key.kind, value.pointer(&pointer)) {
                (Kind::Secret, Some(found)) => texts(found, &pointer, places, &mut spans),
                // A refused property may be a credential; that it is refused needs no value to be seen.
                (Kind::Properties, Some(Value::Object(properties))) => {
                    for name in properties.keys().filter(|name| refused::reason(name).is_some()) {
                        spans.push(places.value(&format!("{pointer}/{}", pointer_segment(name))).span);
                    }
                }
                _ => {}
            }
        }
    }
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
    use crate::diagnostic::codes;

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
            let mut found = [Diagnostic::new(codes::D002, "bad")
                .at(Location::new(&file, file.text.len() - 3..file.text.len()))];
            mask_all(&mut found, &file, None);
            let location = found[0].location.as_ref().expect("place");
            assert_eq!(location.file.text.len(), file.text.len());
            // The last line stands in the table, if there is one.
            let after = if line == "[sasl.password]\nenv = 'P'" { "*****" } else { "y = 2" };
            assert_eq!(location.file.text, format!("x = 1\n{expect}\n{after}\n"));
            assert_eq!(location.file.line_column(location.span.start), (2 + line.lines().count(), 4));
        }
    }
}
