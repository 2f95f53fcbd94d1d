//! The list of all settings, taken from the JSON Schema of [`Config`](super::Config).
//!
//! Owns the walk over the schema. The environment, `--set` and the reference page are all driven by this list, so
//! that a setting cannot be missing from one of them. Called by `config::layers`, `config::mask`,
//! `config::reference`.

use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::Config;
use crate::document::{self, Schema};

/// One setting that has a value of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Names from the root, for example `["kafka", "sasl", "username"]`.
    pub path: Vec<String>,
    /// What it takes.
    pub kind: Kind,
    /// The documentation, as Markdown in one paragraph.
    pub description: String,
    /// The default; `Null` when there is none.
    pub default: Value,
    /// Bounds and patterns, in words.
    pub allowed: String,
}

impl Key {
    /// `kafka.sasl.username`
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }

    /// `NOROSHI__KAFKA__SASL__USERNAME`
    pub fn environment(&self) -> String {
        format!("{}{}", super::layers::PREFIX, self.path.join("__").to_uppercase())
    }
}

/// What a setting takes, as far as text has to be turned into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text, also one of a list of words.
    Text,
    /// Whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Several texts.
    List,
    /// librdkafka properties: any name below it.
    Properties,
    /// `{ file = … }` or `{ env = … }`.
    Secret,
}

/// A table of settings, for the headings of the reference page.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Names from the root; empty for the root.
    pub path: Vec<String>,
    /// The documentation.
    pub description: String,
}

/// The JSON Schema of the configuration file.
pub fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(document::schema_of::<Config>)
}

/// All settings and sections, by name.
pub fn all() -> &'static (Vec<Section>, Vec<Key>) {
    static ALL: OnceLock<(Vec<Section>, Vec<Key>)> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut found = (Vec::new(), Vec::new());
        let schema = &schema().json;
        walk(schema, schema, &mut Vec::new(), "", &mut found);
        found
    })
}

fn walk(
    root: &Value,
    node: &Value,
    path: &mut Vec<String>,
    description: &str,
    found: &mut (Vec<Section>, Vec<Key>),
) {
    let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
    found.0.push(Section { path: path.clone(), description: description.to_owned() });
    // First the values of a table, then the tables below it: the order in which TOML wants them.
    for tables in [false, true] {
        for (name, property) in properties {
            let (target, is_secret) = resolve(root, property);
            let is_table = target.get("properties").is_some() && !is_secret;
            if is_table != tables {
                continue;
            }
            path.push(name.clone());
            let description = text_of(property).or_else(|| text_of(target)).unwrap_or_default();
            if is_table {
                walk(root, target, path, &description, found);
            } else {
                found.1.push(Key {
                    path: path.clone(),
                    kind: if is_secret { Kind::Secret } else { kind_of(target) },
                    description,
                    default: property.get("default").cloned().unwrap_or(Value::Null),
                    allowed: allowed(property, target),
                });
            }
            path.pop();
        }
    }
}

/// Follows `$ref`, and the `anyOf [T, null]` of an optional value.
fn resolve<'s>(root: &'s Value, node: &'s Value) -> (&'s Value, bool) {
    let mut node = node;
    let mut is_secret = false;
    // Two steps suffice (optional, then reference); the bound keeps a cyclic schema from hanging us.
    for _ in 0..8 {
        if let Some(target) = node.get("$ref").and_then(Value::as_str) {
            is_secret |= target.ends_with("/Secret");
            match root.pointer(target.trim_start_matches('#')) {
                Some(found) => node = found,
                None => break,
            }
        } else if let Some(first) = node
            .get("anyOf")
            .and_then(Value::as_array)
            .filter(|branches| branches.iter().any(|branch| branch["type"] == "null"))
            .and_then(|branches| branches.iter().find(|branch| branch["type"] != "null"))
        {
            node = first;
        } else {
            break;
        }
    }
    (node, is_secret)
}

fn text_of(node: &Value) -> Option<String> {
    // Line breaks of doc comments are not meant.
    node.get("description").and_then(Value::as_str).map(|text| text.replace('\n', " "))
}

fn kind_of(node: &Value) -> Kind {
    let is = |name: &str| match &node["type"] {
        Value::String(kind) => kind == name,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    match () {
        () if is("boolean") => Kind::Boolean,
        () if is("integer") => Kind::Integer,
        () if is("array") => Kind::List,
        () if is("object") => Kind::Properties,
        () => Kind::Text,
    }
}

fn allowed(property: &Value, target: &Value) -> String {
    let get = |name: &str| property.get(name).or_else(|| target.get(name));
    let words = |value: &Value| {
        let words: Vec<String> = value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|w| format!("`{w}`"))
            .collect();
        words.join(", ")
    };
    if let Some(options) = get("enum") {
        return words(options);
    }
    // Documented variants of an enumeration come as a list of constants.
    if let Some(branches) = target.get("oneOf").and_then(Value::as_array) {
        let constants: Vec<Value> =
            branches.iter().filter_map(|branch| branch.get("const").cloned()).collect();
        if !constants.is_empty() {
            return words(&Value::Array(constants));
        }
    }
    if let Some(pattern) = get("pattern").and_then(Value::as_str) {
        return format!("`{pattern}`");
    }
    match (get("minimum"), get("maximum")) {
        (Some(low), Some(high)) => format!("{low} to {high}"),
        (Some(low), None) if low != 0 => format!("at least {low}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_listed_with_its_kind_and_documentation() {
        let (sections, keys) = all();
        let kind = |name: &str| keys.iter().find(|key| key.dotted() == name).map(|key| key.kind);
        for (name, expect) in [
            ("kafka.bootstrap_servers", Kind::List),
            ("kafka.security_protocol", Kind::Text),
            ("kafka.sasl.password", Kind::Secret),
            ("kafka.sasl.mechanism", Kind::Text),
            ("kafka.tls.verify", Kind::Boolean),
            ("kafka.tls.ca_file", Kind::Text),
            ("kafka.consumer.properties", Kind::Properties),
            ("limits.batch_rows_max", Kind::Integer),
            ("http.listen", Kind::Text),
        ] {
            assert_eq!(kind(name), Some(expect), "{name}");
        }
        for key in keys {
            assert!(key.description.len() > 10, "{} lacks documentation", key.dotted());
        }
        for section in sections.iter().skip(1) {
            assert!(section.description.len() > 5, "{} lacks documentation", section.path.join("."));
        }
    }
}
