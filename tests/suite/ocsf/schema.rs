//! OCSF's own sources → a check of a Detection Finding.
//!
//! Owns reading a version's folder (class, objects, dictionary, extensions) and comparing a value with it.
//! Profiles count only when the value lists them. No network, no compiled schema: what the standard's
//! repository holds is what is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

type Object = Map<String, Value>;

/// What the includes of 1.1.0's base event hold; the published archive lacks that folder.
const INCLUDES: &[(&str, &[(&str, &str)])] = &[
    (
        "includes/classification.json",
        &[
            ("activity_id", "required"),
            ("activity_name", "optional"),
            ("category_name", "optional"),
            ("category_uid", "required"),
            ("class_name", "optional"),
            ("class_uid", "required"),
            ("type_name", "optional"),
            ("type_uid", "required"),
        ],
    ),
    (
        "includes/occurrence.json",
        &[
            ("count", "optional"),
            ("duration", "optional"),
            ("end_time", "optional"),
            ("start_time", "optional"),
            ("time", "required"),
            ("timezone_offset", "recommended"),
        ],
    ),
];

/// All that is wrong with a Detection Finding (class 2004) by the OCSF sources in this folder; `path: what`.
///
/// Attributes that this version does not know are wrong only when the value says that it is of this version.
pub fn validate(version_dir: &Path, value: &Value) -> Vec<String> {
    Schema::load(version_dir).check(value)
}

/// One version.
pub struct Schema {
    version: String,
    dictionary: Object,
    types: Object,
    /// Objects and classes as they are written, by name; extensions of an object after it.
    written: BTreeMap<String, Vec<Object>>,
    profiles: BTreeMap<String, Object>,
    observable_ids: BTreeSet<i64>,
}

/// An object or class with all that it inherits.
struct Resolved {
    attributes: Object,
    constraints: Object,
}

impl Schema {
    pub fn load(folder: &Path) -> Self {
        let version = read(&folder.join("version.json"))["version"].as_str().expect("a version").to_owned();
        let mut schema = Self {
            version,
            dictionary: Object::new(),
            types: Object::new(),
            written: BTreeMap::new(),
            profiles: BTreeMap::new(),
            observable_ids: BTreeSet::new(),
        };
        let mut roots = vec![folder.to_path_buf()];
        roots.extend(children(&folder.join("extensions")).into_iter().filter(|path| path.is_dir()));
        for root in &roots {
            if root.join("dictionary.json").exists() {
                let dictionary = read(&root.join("dictionary.json"));
                merge(&mut schema.dictionary, object(&dictionary["attributes"]));
                if let Some(types) = dictionary.pointer("/types/attributes") {
                    merge(&mut schema.types, object(types));
                }
            }
            for path in files(&root.join("objects")) {
                schema.add(&read(&path));
            }
            for path in files(&root.join("profiles")) {
                let profile = read(&path);
                let name = format!("profiles/{}", path.file_name().expect("a name").to_string_lossy());
                schema.profiles.insert(name, object(&profile).clone());
            }
        }
        for name in ["base_event.json", "findings/finding.json", "findings/detection_finding.json"] {
            let mut class = object(&read(&folder.join("events").join(name))).clone();
            // A class and an object may share a name.
            for key in ["name", "extends"] {
                if let Some(name) = class.get(key).and_then(Value::as_str) {
                    class.insert(key.into(), Value::from(format!("class {name}")));
                }
            }
            schema.add(&Value::Object(class));
        }
        let texts = [Value::Object(schema.dictionary.clone()), Value::Object(schema.types.clone())];
        for text in texts.iter().chain(schema.written.values().flatten().map(|o| &o["attributes"])) {
            collect_observables(text, &mut schema.observable_ids);
        }
        let own = schema.written.values().flatten().filter_map(|object| object.get("observable")?.as_i64());
        schema.observable_ids.extend(own);
        schema
    }

    fn add(&mut self, value: &Value) {
        let object = object(value);
        // An extension that adds to an object of the core has no name of its own.
        let name = object.get("name").or_else(|| object.get("extends")).and_then(Value::as_str);
        self.written.entry(name.expect("a name").to_owned()).or_default().push(object.clone());
    }

    fn resolve(&self, name: &str, profiles: &[&str]) -> Resolved {
        let mut resolved = Resolved { attributes: Object::new(), constraints: Object::new() };
        for written in self.written.get(name).into_iter().flatten() {
            if let Some(parent) = written.get("extends").and_then(Value::as_str)
                && written.contains_key("name")
                && parent != name
            {
                resolved = self.resolve(parent, profiles);
            }
            for include in written["attributes"]["$include"].as_array().into_iter().flatten() {
                self.include(include.as_str().expect("a path"), profiles, &mut resolved.attributes);
            }
            for (attribute, detail) in object(&written["attributes"]) {
                let profile = detail.get("profile").and_then(Value::as_str);
                if attribute != "$include" && profile.is_none_or(|name| profiles.contains(&name)) {
                    merge_one(&mut resolved.attributes, attribute, detail);
                }
            }
            if let Some(constraints) = written.get("constraints") {
                resolved.constraints = object(constraints).clone();
            }
        }
        resolved
    }

    /// An object's attribute with what the dictionary says of it; profiles left aside.
    pub fn attribute(&self, object: &str, name: &str) -> Option<Object> {
        let own = self.resolve(object, &[]).attributes.get(name)?.as_object()?.clone();
        let mut detail = self.dictionary.get(name)?.as_object()?.clone();
        merge(&mut detail, &own);
        Some(detail)
    }

    fn include(&self, path: &str, profiles: &[&str], attributes: &mut Object) {
        if let Some((_, known)) = INCLUDES.iter().find(|(name, _)| *name == path) {
            for (name, requirement) in *known {
                merge_one(attributes, name, &serde_json::json!({"requirement": requirement}));
            }
            return;
        }
        let profile = self.profiles.get(path).unwrap_or_else(|| panic!("no {path} in {}", self.version));
        let name = profile["name"].as_str().expect("a name");
        if profiles.contains(&name) {
            merge(attributes, object(&profile["attributes"]));
        }
    }

    pub fn check(&self, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let listed = value.pointer("/metadata/profiles").and_then(Value::as_array);
        let profiles: Vec<&str> = listed.into_iter().flatten().filter_map(Value::as_str).collect();
        let same_version = value.pointer("/metadata/version").and_then(Value::as_str) == Some(&self.version);
        let check = Check { schema: self, profiles, strict: same_version };
        check.object("class detection_finding", value, "", &mut found);
        let uid = |name: &str| value.get(name).and_then(Value::as_i64);
        for (name, expect) in [
            ("category_uid", Some(2)),
            ("class_uid", Some(2004)),
            ("type_uid", uid("activity_id").map(|activity| 200_400 + activity)),
        ] {
            if uid(name) != expect {
                found.push(format!("{name}: expected {expect:?}"));
            }
        }
        found
    }
}

struct Check<'s> {
    schema: &'s Schema,
    profiles: Vec<&'s str>,
    strict: bool,
}

impl Check<'_> {
    fn object(&self, name: &str, value: &Value, path: &str, found: &mut Vec<String>) {
        let Some(fields) = value.as_object() else {
            found.push(format!("{path}: expected an object of type {name}"));
            return;
        };
        let resolved = self.schema.resolve(name, &self.profiles);
        let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
        for (field, value) in fields {
            match resolved.attributes.get(field) {
                Some(detail) => self.attribute(field, detail, value, &below(field), found),
                None if self.strict => found.push(format!("{}: unknown attribute of {name}", below(field))),
                None => {}
            }
        }
        for (field, detail) in &resolved.attributes {
            if detail["requirement"] == "required" && !fields.contains_key(field) {
                found.push(format!("{}: required by {name}", below(field)));
            }
        }
        for (kind, names) in &resolved.constraints {
            let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
            let there = names.filter(|name| fields.contains_key(*name)).count();
            let holds = match kind.as_str() {
                "at_least_one" => there >= 1,
                "just_one" => there == 1,
                other => panic!("constraint {other}"),
            };
            if !holds {
                found.push(format!("{path}: {name} breaks {kind}"));
            }
        }
    }

    fn attribute(&self, name: &str, own: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
        let mut detail =
            self.schema.dictionary.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
        merge(&mut detail, object(own));
        let kind = detail.get("type").and_then(Value::as_str).unwrap_or_else(|| panic!("{path} has no type"));
        if detail.get("is_array") == Some(&Value::Bool(true)) {
            let Some(items) = value.as_array() else {
                found.push(format!("{path}: expected a list"));
                return;
            };
            for (at, item) in items.iter().enumerate() {
                self.one(kind, &detail, item, &format!("{path}[{at}]"), found);
            }
        } else {
            self.one(kind, &detail, value, path, found);
        }
    }

    fn one(&self, kind: &str, detail: &Object, value: &Value, path: &str, found: &mut Vec<String>) {
        if kind == "json_t" || kind == "object" {
            return;
        }
        if !self.schema.types.contains_key(kind) {
            let kind = kind.rsplit('/').next().unwrap_or(kind);
            assert!(self.schema.written.contains_key(kind), "{path}: no object {kind}");
            self.object(kind, value, path, found);
            return;
        }
        let mut kind = kind;
        loop {
            let rules = object(&self.schema.types[kind]);
            if let Some(fault) = broken(kind, rules, value) {
                found.push(format!("{path}: {fault}"));
                return;
            }
            match rules.get("type").and_then(Value::as_str) {
                Some(base) => kind = base,
                None => break,
            }
        }
        // Their enums are made from the categories and classes; `check` compares them with this class's.
        if matches!(path, "category_uid" | "class_uid" | "type_uid") {
            return;
        }
        if let Some(allowed) = detail.get("enum").and_then(Value::as_object) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let observable = path.starts_with("observables[")
                && path.ends_with(".type_id")
                && value.as_i64().is_some_and(|id| self.schema.observable_ids.contains(&id));
            if !allowed.contains_key(&text) && !observable {
                found.push(format!("{path}: {text} is not in the enum"));
            }
        }
    }
}

/// What of one scalar type's rules a value breaks.
fn broken(kind: &str, rules: &Object, value: &Value) -> Option<String> {
    let right = match kind {
        "boolean_t" => value.is_boolean(),
        "integer_t" | "long_t" => value.is_i64() || value.is_u64(),
        "float_t" => value.is_number(),
        "string_t" => value.is_string(),
        _ => true,
    };
    if !right {
        return Some(format!("expected {kind}, found {value}"));
    }
    if let (Some(text), Some(max)) = (value.as_str(), rules.get("max_len").and_then(Value::as_u64))
        && text.chars().count() as u64 > max
    {
        return Some(format!("longer than {kind} allows"));
    }
    if let (Some(text), Some(pattern)) = (value.as_str(), rules.get("regex").and_then(Value::as_str))
        && !regex::Regex::new(pattern).expect("a pattern").is_match(text)
    {
        return Some(format!("does not match {kind}"));
    }
    if let (Some(number), Some(range)) = (value.as_i64(), rules.get("range").and_then(Value::as_array)) {
        let bounds: Vec<i64> = range.iter().filter_map(Value::as_i64).collect();
        if number < bounds[0] || number > bounds[1] {
            return Some(format!("outside the range of {kind}"));
        }
    }
    None
}

fn collect_observables(value: &Value, ids: &mut BTreeSet<i64>) {
    for detail in value.as_object().into_iter().flat_map(Map::values) {
        ids.extend(detail.get("observable").and_then(Value::as_i64));
    }
}

/// Later definitions add to earlier ones, enums value by value.
fn merge(into: &mut Object, from: &Object) {
    for (name, value) in from {
        merge_one(into, name, value);
    }
}

fn merge_one(into: &mut Object, name: &str, value: &Value) {
    match (into.get_mut(name), value) {
        (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
        _ => {
            into.insert(name.to_owned(), value.clone());
        }
    }
}

fn object(value: &Value) -> &Object {
    value.as_object().expect("an object")
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn files(folder: &Path) -> Vec<PathBuf> {
    children(folder).into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")).collect()
}
