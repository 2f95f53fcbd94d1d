//! What a JSON Schema finds fault with, in the words of whoever wrote the file.
//!
//! Owns the wording and the choice among alternatives. Called by `document::check`.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::{Spans, elsewhere, pointer_segment};
use crate::diagnostic::{Diagnostic, codes};

/// Adds what is to be said about all violations of a document.
pub(super) fn explain_all(
    errors: &[jsonschema::ValidationError<'_>],
    spans: &Spans,
    schema: &Value,
    found: &mut Vec<Diagnostic>,
) {
    for error in errors {
        // A value of the wrong type is not among the allowed ones either; that list tells both.
        let listed = |other: &jsonschema::ValidationError<'_>| {
            other.instance_path() == error.instance_path()
                && matches!(
                    other.kind(),
                    ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. }
                )
        };
        if !matches!(error.kind(), ValidationErrorKind::Type { .. }) || !errors.iter().any(listed) {
            explain(error, spans, schema, found);
        }
    }
}

/// Adds what is to be said about one violation.
fn explain(
    error: &jsonschema::ValidationError<'_>,
    spans: &Spans,
    schema: &Value,
    found: &mut Vec<Diagnostic>,
) {
    let path = error.instance_path().as_str().to_owned();
    let here = |code, message: String| Diagnostic::new(code, message).at(spans.value(&path));
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(schema, error.schema_path().as_str());
            for key in unexpected {
                let pointer = format!("{path}/{}", pointer_segment(key));
                found.push(
                    Diagnostic::new(codes::D003, format!("unknown key `{key}`"))
                        .at(spans.key(&pointer))
                        .help(elsewhere::help(schema, &path, key, error.instance().get(key), &known)),
                );
            }
        }
        ValidationErrorKind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            let place = if path.is_empty() { "the file".into() } else { format!("`{}`", part(&path)) };
            found.push(
                Diagnostic::new(codes::D004, format!("{place} lacks the key `{property}`"))
                    .at(spans.key(&path)),
            );
        }
        ValidationErrorKind::Type { kind } => {
            let kind = match kind {
                TypeKind::Single(kind) => kind.to_string(),
                TypeKind::Multiple(kinds) => {
                    // Nobody writes null: a key is left out instead.
                    let all = kinds.iter().map(|kind| kind.to_string()).filter(|kind| kind != "null");
                    all.collect::<Vec<_>>().join(" or ")
                }
            };
            found.push(here(codes::D005, format!("expected {kind}, found {}", kind_of(error.instance()))));
        }
        ValidationErrorKind::Enum { options } => {
            let options: Vec<String> = options.as_array().into_iter().flatten().map(text_of).collect();
            found.push(not_allowed(error, &options).at(spans.value(&path)));
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            alternatives(context, error, spans, schema, found);
        }
        ValidationErrorKind::Constant { expected_value } => {
            found.push(not_allowed(error, &[text_of(expected_value)]).at(spans.value(&path)));
        }
        other => found.push(here(codes::D006, plain(other, error))),
    }
}

/// The last part of a pointer for people; an entry of a list with the list's name.
fn part(pointer: &str) -> String {
    let mut segments = pointer.rsplit('/').map(|segment| segment.replace("~1", "/").replace("~0", "~"));
    let last = segments.next().unwrap_or_default();
    match segments.next().filter(|list| !list.is_empty() && last.parse::<usize>().is_ok()) {
        Some(list) => format!("{list}[{last}]"),
        None => last,
    }
}

/// A value fits none of several alternatives: report the one that it was probably meant to be.
fn alternatives(
    context: &[Vec<jsonschema::ValidationError<'static>>],
    error: &jsonschema::ValidationError<'_>,
    spans: &Spans,
    schema: &Value,
    found: &mut Vec<Diagnostic>,
) {
    let path = error.instance_path().as_str();
    let mut options = Vec::new();
    let mut kinds = Vec::new();
    let mut closer: Vec<&Vec<jsonschema::ValidationError<'static>>> = Vec::new();
    for branch in context {
        if branch.iter().any(|inner| !is_plain(inner, path, &mut options, &mut kinds)) {
            closer.push(branch);
        }
    }
    // The branch that got furthest: the one whose errors lie deepest in the document.
    let depth = |branch: &&Vec<jsonschema::ValidationError<'static>>| {
        branch.iter().map(|error| error.instance_path().as_str().len()).max().unwrap_or(0)
    };
    if let Some(branch) = closer.into_iter().max_by_key(depth) {
        for inner in branch {
            explain(inner, spans, schema, found);
        }
    } else if options.is_empty() || kinds.iter().any(|kind| kind != "null" && kind != "string") {
        kinds.retain(|kind| kind != "null");
        if !options.is_empty() {
            kinds.push("string".into());
        }
        let mut seen = std::collections::HashSet::new();
        kinds.retain(|kind| seen.insert(kind.clone()));
        let message = format!("expected {}, found {}", kinds.join(" or "), kind_of(error.instance()));
        found.push(Diagnostic::new(codes::D005, message).at(spans.value(path)));
    } else {
        found.push(not_allowed(error, &options).at(spans.value(path)));
    }
}

/// Takes what an alternative wants where it is a value or a type; false when there is more to be said of it.
fn is_plain(
    error: &jsonschema::ValidationError<'_>,
    path: &str,
    options: &mut Vec<String>,
    kinds: &mut Vec<String>,
) -> bool {
    if error.instance_path().as_str() != path {
        return false;
    }
    match error.kind() {
        ValidationErrorKind::Constant { expected_value } => options.push(text_of(expected_value)),
        ValidationErrorKind::Enum { options: listed } => {
            options.extend(listed.as_array().into_iter().flatten().map(text_of));
        }
        ValidationErrorKind::Type { kind: TypeKind::Single(kind) } => kinds.push(kind.to_string()),
        // Alternatives among alternatives; of the right type, an object is wrong inside.
        ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } => {
            for inner in context.iter().flatten() {
                is_plain(inner, path, options, kinds);
            }
            return !error.instance().is_object();
        }
        _ => return false,
    }
    true
}

/// A value that is none of those which are listed, by its type or among those of its type.
fn not_allowed(error: &jsonschema::ValidationError<'_>, options: &[String]) -> Diagnostic {
    let help = format!("allowed: {}", options.join(", "));
    if !error.instance().is_string() {
        let message = format!("expected string, found {}", kind_of(error.instance()));
        return Diagnostic::new(codes::D005, message).help(help);
    }
    let shown = text_of(error.instance());
    Diagnostic::new(codes::D006, format!("`{shown}` is not one of the allowed values")).help(help)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn plain(kind: &ValidationErrorKind, error: &jsonschema::ValidationError<'_>) -> String {
    match kind {
        ValidationErrorKind::Minimum { limit } => format!("must be at least {limit}"),
        ValidationErrorKind::Maximum { limit } => format!("must be at most {limit}"),
        ValidationErrorKind::MinItems { limit } => format!("needs at least {limit} items"),
        ValidationErrorKind::MinLength { limit } => format!("needs at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("has more than {limit} characters"),
        ValidationErrorKind::Pattern { pattern } => format!("must match `{pattern}`"),
        _ => error.masked().to_string(),
    }
}

/// The property names that the schema knows beside the failing `additionalProperties`.
fn known_keys(schema: &Value, schema_path: &str) -> Vec<String> {
    let parent = schema_path.rsplit_once('/').map_or("", |(parent, _)| parent);
    // The path may run through `$ref`s; resolve them on the way.
    let mut node = schema;
    for segment in parent.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment == "$ref" {
            if let Some(target) = node.get("$ref").and_then(Value::as_str)
                && let Some(found) = schema.pointer(target.trim_start_matches('#'))
            {
                node = found;
            }
            continue;
        }
        let next = match node {
            Value::Array(items) => segment.parse::<usize>().ok().and_then(|at| items.get(at)),
            _ => node.get(&segment),
        };
        match next {
            Some(next) => node = next,
            None => return Vec::new(),
        }
    }
    node.get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}
