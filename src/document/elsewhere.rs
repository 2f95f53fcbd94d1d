//! What an unknown key was meant to be: one of the same table, or the same key in the table where it belongs.
//!
//! Owns the walk over all keys of a schema. Called by `document::explain`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::diagnostic::{nearest, suggest};

/// Steps into a schema, references and alternatives counted: ours need half of it, and a cycle ends here.
const DEPTH_MAX: usize = 24;
/// Places that are named.
const PLACES_MAX: usize = 3;

/// What to write instead of `key`, which the table at `pointer` does not know; `value` is what it was given.
pub(super) fn help(
    schema: &Value,
    pointer: &str,
    key: &str,
    value: Option<&Value>,
    known: &[String],
) -> String {
    let table = dotted(pointer);
    let mut all = BTreeSet::new();
    walk(schema, schema, &mut Vec::new(), 0, &mut all);
    let mut found = places(&all, &table, key);
    let near = nearest(key, known.iter().map(String::as_str));
    // A key by the very same name says more than one that is only similar, but less than a slip of one letter.
    let slips = near.iter().filter(|name| found.is_empty() || strsim::damerau_levenshtein(key, name) == 1);
    let slips: Vec<String> = slips.map(|name| format!("`{name}`")).collect();
    found.splice(0..0, slips);
    if found.is_empty()
        && let Some(Value::Object(inner)) = value
    {
        // A table that is nowhere: what stands in it may be somewhere.
        let below = join(&table, key);
        found.extend(inner.keys().flat_map(|key| places(&all, &below, key)));
    }
    if found.is_empty() {
        return suggest(key, known.iter().map(String::as_str));
    }
    found.truncate(PLACES_MAX);
    format!("did you mean {}?", found.join(" or "))
}

/// Where a key of that name is known, the nearest to its own place first.
fn places(all: &BTreeSet<String>, table: &str, key: &str) -> Vec<String> {
    let written = join(table, key);
    let same = all.iter().filter(|path| path.rsplit('.').next() == Some(key));
    let mut found: Vec<&String> = same.collect();
    found.sort_by_key(|path| strsim::levenshtein(&written, path));
    let shown = found.into_iter().take(PLACES_MAX).map(|path| match path.contains('.') {
        true => format!("`{path}`"),
        false => format!("`{path}` at the top of the file"),
    });
    shown.collect()
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// `/source/0/topics` → `source.topics`
fn dotted(pointer: &str) -> String {
    let names = pointer.split('/').skip(1).filter(|name| name.parse::<usize>().is_err());
    names.collect::<Vec<_>>().join(".")
}

fn walk(root: &Value, node: &Value, path: &mut Vec<String>, depth: usize, found: &mut BTreeSet<String>) {
    if depth > DEPTH_MAX {
        return;
    }
    if let Some(target) = node.get("$ref").and_then(Value::as_str)
        && let Some(target) = root.pointer(target.trim_start_matches('#'))
    {
        walk(root, target, path, depth + 1, found);
    }
    for branches in ["anyOf", "oneOf", "allOf"].iter().filter_map(|name| node.get(name)?.as_array()) {
        for branch in branches {
            walk(root, branch, path, depth + 1, found);
        }
    }
    if let Some(items) = node.get("items") {
        walk(root, items, path, depth + 1, found);
    }
    for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        path.push(name.clone());
        found.insert(path.join("."));
        walk(root, property, path, depth + 1, found);
        path.pop();
    }
    if let Some(named) = node.get("additionalProperties").filter(|named| named.is_object()) {
        path.push("<name>".to_owned());
        walk(root, named, path, depth + 1, found);
        path.pop();
    }
}
