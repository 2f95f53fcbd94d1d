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

/// The same by the look of the lines, for files that are not even TOML.
fn written(text: &str) -> Vec<Range<usize>> {
    static ASSIGNMENT: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern =
        r#"(?i)([\w.-]*(?:password|passphrase|secret|token|jaas|pem|ssl_key)[\w.-]*)["']?[ \t]*[=:][ \t]*"#;
    let Some(assignment) = ASSIGNMENT.get_or_init(|| Regex::new(pattern).ok()) else { return Vec::new() };
    let mut spans = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        for found in assignment.captures_iter(line) {
            let (Some(all), Some(name)) = (found.get(0), found.get(1)) else { continue };
            let rest = line[all.end()..].trim_end();
            if name.as_str().ends_with("_file") || rest.starts_with('{') {
                continue;
            }
            spans.push(start + all.end()..start + all.end() + rest.len());
        }
        start += line.len();
    }
    spans
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
            ("token_file = \"/run/t\"", "token_file = \"/run/t\""),
            ("username = \"me\"", "username = \"me\""),
        ] {
            let file = SourceFile::new("a.toml", format!("x = 1\n{line}\ny = 2\n"));
            let mut found = [Diagnostic::new(codes::D002, "bad")
                .at(Location::new(&file, file.text.len() - 3..file.text.len()))];
            mask_all(&mut found, &file, None);
            let location = found[0].location.as_ref().expect("place");
            assert_eq!(location.file.text, format!("x = 1\n{expect}\ny = 2\n"));
            assert_eq!(location.file.line_column(location.span.start), (3, 4));
        }
    }
}
