//! Reads a TOML or YAML text into a Rust type, and tells *all* that is wrong with it, each at its place.
//!
//! Owns syntax, spans, and the check against the type's JSON Schema (the same schema that the reference
//! pages are generated from). What the values mean is left to the callers: config, schemas, pipelines and
//! rules. They ask [`Spans`] for the place of a value when they find fault with it.

mod elsewhere;
mod explain;
mod mend;

use std::any::TypeId;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use saphyr_parser::{Event, Parser, ScalarStyle};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Location, SourceFile, codes};

/// YAML nested deeper than this is refused: our documents need five levels.
const DEPTH_MAX: usize = 32;
/// More values than this in one document are refused.
const NODES_MAX: usize = 200_000;

/// Where each value of a document stands in its file; keys are JSON pointers (`/source/0/topics`).
#[derive(Debug, Clone)]
pub struct Spans {
    file: Arc<SourceFile>,
    values: HashMap<String, Range<usize>>,
    keys: HashMap<String, Range<usize>>,
    /// What was left out of a faulty document, and what was missing in it.
    lost: Vec<String>,
    /// Of these, where something stands only because something must.
    stand_ins: Vec<String>,
}

impl Spans {
    /// The place of a value, or of the nearest enclosing one that is written down.
    pub fn value(&self, pointer: &str) -> Location {
        self.find(&self.values, pointer)
    }

    /// The place of a key, or of the nearest enclosing one.
    pub fn key(&self, pointer: &str) -> Location {
        self.find(&self.keys, pointer)
    }

    /// Whether the value stands in the file.
    pub fn is_written(&self, pointer: &str) -> bool {
        self.values.contains_key(pointer)
    }

    /// True when what stood there, or below, or should have, is not in the document because the schema refused it:
    /// whatever seems wrong with it now has been told.
    pub fn is_lost(&self, pointer: &str) -> bool {
        let below = |lost: &String| {
            lost.strip_prefix(pointer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.lost.iter().any(below)
    }

    /// The items of a list behind `at` have moved up by one.
    fn move_up(&mut self, list: &str, at: usize) {
        let moved = |pointer: &str| {
            let rest = pointer.strip_prefix(list)?.strip_prefix('/')?;
            let (index, below) =
                rest.split_once('/').map_or((rest, None), |(index, rest)| (index, Some(rest)));
            let index = index.parse::<usize>().ok().filter(|index| *index > at)? - 1;
            Some(below.map_or_else(|| format!("{list}/{index}"), |below| format!("{list}/{index}/{below}")))
        };
        let gone = format!("{list}/{at}");
        for map in [&mut self.values, &mut self.keys] {
            map.retain(|pointer, _| *pointer != gone && !pointer.starts_with(&format!("{gone}/")));
            *map = map.drain().map(|(pointer, span)| (moved(&pointer).unwrap_or(pointer), span)).collect();
        }
        for pointers in [&mut self.lost, &mut self.stand_ins] {
            pointers.retain(|pointer| *pointer != gone && !pointer.starts_with(&format!("{gone}/")));
            for pointer in pointers {
                if let Some(new) = moved(pointer) {
                    *pointer = new;
                }
            }
        }
    }

    /// The file.
    pub fn file(&self) -> &Arc<SourceFile> {
        &self.file
    }

    fn find(&self, map: &HashMap<String, Range<usize>>, pointer: &str) -> Location {
        let mut pointer = pointer;
        loop {
            if let Some(span) = map.get(pointer).or_else(|| self.values.get(pointer)) {
                return Location::new(&self.file, span.clone());
            }
            match pointer.rfind('/') {
                Some(cut) => pointer = &pointer[..cut],
                None => return Location::new(&self.file, 0..0),
            }
        }
    }
}

/// A typed document and the places of its values.
#[derive(Debug, Clone)]
pub struct Document<T> {
    /// The value.
    pub value: T,
    /// Where each part of it was written.
    pub spans: Spans,
}

/// A JSON pointer segment (RFC 6901).
pub fn pointer_segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Reads a TOML file; a faulty one is refused.
pub fn read_toml<T: DeserializeOwned + JsonSchema + 'static>(
    file: &Arc<SourceFile>,
) -> Result<Document<T>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    sound(look_at_toml(file, &mut found), found)
}

/// Reads the YAML in `range` of a file (a rule's front matter, or the whole file); faulty YAML is refused.
pub fn read_yaml<T: DeserializeOwned + JsonSchema + 'static>(
    file: &Arc<SourceFile>,
    range: Range<usize>,
) -> Result<Document<T>, Vec<Diagnostic>> {
    let mut found = Vec::new();
    sound(look_at_yaml(file, range, &mut found), found)
}

fn sound<T>(document: Option<Document<T>>, found: Vec<Diagnostic>) -> Result<Document<T>, Vec<Diagnostic>> {
    document.filter(|_| found.is_empty()).ok_or(found)
}

/// Reads a TOML file as far as it can be read: the faulty parts are in `found` and left out of the document, so
/// that what is wrong with the others can be told in the same breath.
pub fn look_at_toml<T: DeserializeOwned + JsonSchema + 'static>(
    file: &Arc<SourceFile>,
    found: &mut Vec<Diagnostic>,
) -> Option<Document<T>> {
    let (table, errors) = toml::de::DeTable::parse_recoverable(&file.text);
    found.extend(errors.iter().map(|error| {
        let span = error.span().unwrap_or(0..0);
        let message = match (error.message().trim(), file.text.get(span.clone())) {
            (DUPLICATE, Some(key)) => twice(key),
            (message, _) => message.replace('\n', ", "),
        };
        Diagnostic::new(codes::D002, message).at(Location::new(file, span))
    }));
    // With keys that are given twice, the first counts, and the tables of both are one: nothing of the rest is lost.
    if errors.iter().any(|error| error.message().trim() != DUPLICATE) {
        return None;
    }
    let mut builder = Builder::new(file);
    let span = 0..file.text.len().min(1);
    let value = builder.toml_table(table.get_ref(), "");
    builder.spans.values.insert(String::new(), span);
    finish(value, builder, found)
}

/// What the TOML parser says of a key that is there already.
const DUPLICATE: &str = "duplicate key";

fn twice(key: &str) -> String {
    format!("the key `{key}` is given twice")
}

/// The same for YAML.
pub fn look_at_yaml<T: DeserializeOwned + JsonSchema + 'static>(
    file: &Arc<SourceFile>,
    range: Range<usize>,
    found: &mut Vec<Diagnostic>,
) -> Option<Document<T>> {
    let mut builder = Builder::new(file);
    match builder.yaml(range, found) {
        Ok(value) => finish(value, builder, found),
        Err(diagnostic) => {
            found.push(*diagnostic);
            None
        }
    }
}

fn finish<T: DeserializeOwned + JsonSchema + 'static>(
    mut value: Value,
    builder: Builder<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Document<T>> {
    let mut spans = builder.spans;
    let schema = schema_of::<T>();
    let before = found.len();
    found.extend(check(&value, &spans, &schema));
    if found.len() > before && !mend::mend(&mut value, &mut spans, &schema) {
        return None;
    }
    match serde_json::from_value(value) {
        Ok(value) => Some(Document { value, spans }),
        Err(error) => {
            // The schema is generated from the type, so only hand-written `Deserialize` gets here with a sound one.
            if found.len() == before {
                found.push(Diagnostic::new(codes::D006, error.to_string()).at(spans.value("")));
            }
            None
        }
    }
}

/// Checks a value against a JSON Schema, and leaves out of it what is faulty; an empty one when nothing is left.
pub fn check_and_mend(value: &mut Value, spans: &mut Spans, schema: &Schema) -> Vec<Diagnostic> {
    let found = check(value, spans, schema);
    if !found.is_empty() && !mend::mend(value, spans, schema) {
        *value = Value::Object(Map::new());
    }
    found
}

/// The JSON Schema of a type, ready to check with.
#[derive(Debug)]
pub struct Schema {
    /// The schema, as printed in the reference.
    pub json: Value,
    /// An error for a schema that is itself wrong.
    validator: Result<jsonschema::Validator, String>,
}

impl Schema {
    /// The file that editors complete and check documents with.
    pub fn page(&self, title: &str) -> String {
        let mut json = self.json.clone();
        if let Value::Object(object) = &mut json {
            object.insert("title".into(), title.into());
        }
        format!("{json:#}\n")
    }
}

/// The JSON Schema of a type, as checked here and as printed in the reference. It is made once a process: that
/// takes longer than reading a rule with it.
pub fn schema_of<T: JsonSchema + 'static>() -> Arc<Schema> {
    static MADE: LazyLock<Mutex<HashMap<TypeId, Arc<Schema>>>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = made.entry(TypeId::of::<T>()).or_insert_with(|| {
        let settings = schemars::generate::SchemaSettings::draft2020_12();
        let json = settings.into_generator().into_root_schema_for::<T>().to_value();
        let validator = jsonschema::validator_for(&json).map_err(|error| error.to_string());
        Arc::new(Schema { json, validator })
    });
    Arc::clone(schema)
}

/// Checks a value against a JSON Schema; each error gets the place of the offending value.
pub fn check(value: &Value, spans: &Spans, schema: &Schema) -> Vec<Diagnostic> {
    let validator = match &schema.validator {
        Ok(validator) => validator,
        Err(error) => return vec![Diagnostic::new(codes::D006, format!("bad schema: {error}"))],
    };
    let mut found = Vec::new();
    let errors: Vec<_> = validator.iter_errors(value).collect();
    explain::explain_all(&errors, spans, &schema.json, &mut found);
    found
}

struct Builder<'f> {
    file: &'f Arc<SourceFile>,
    spans: Spans,
}

impl<'f> Builder<'f> {
    fn new(file: &'f Arc<SourceFile>) -> Self {
        let spans = Spans {
            file: Arc::clone(file),
            values: HashMap::new(),
            keys: HashMap::new(),
            lost: Vec::new(),
            stand_ins: Vec::new(),
        };
        Self { file, spans }
    }

    fn toml_table(&mut self, table: &toml::de::DeTable<'_>, path: &str) -> Value {
        let mut object = Map::new();
        for (key, value) in table.iter() {
            let path = format!("{path}/{}", pointer_segment(key.get_ref()));
            self.spans.keys.insert(path.clone(), key.span());
            object.insert(key.get_ref().to_string(), self.toml_value(value, &path));
        }
        Value::Object(object)
    }

    fn toml_value(&mut self, value: &toml::Spanned<toml::de::DeValue<'_>>, path: &str) -> Value {
        use toml::de::DeValue;
        self.spans.values.insert(path.to_owned(), value.span());
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Value::String(number.as_str().to_owned()), Value::from),
            DeValue::Float(number) => number
                .as_str()
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map_or(Value::Null, Value::Number),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Array(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(at, item)| self.toml_value(item, &format!("{path}/{at}")))
                    .collect(),
            ),
            DeValue::Table(table) => self.toml_table(table, path),
        }
    }

    /// Of a key that is given twice the last counts.
    fn yaml(&mut self, range: Range<usize>, found: &mut Vec<Diagnostic>) -> Result<Value, Box<Diagnostic>> {
        let text = &self.file.text[range.clone()];
        // saphyr counts characters; spans are bytes.
        let bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let byte = |index: usize| range.start + bytes[index.min(bytes.len() - 1)];
        let fail = |code, message: String, span: Range<usize>| {
            Box::new(Diagnostic::new(code, message).at(Location::new(self.file, span)))
        };
        let mut stack: Vec<Open> = Vec::new();
        let mut root: Option<Value> = None;
        let mut nodes = 0usize;
        let mut documents = 0usize;
        let mut spans = std::mem::take(&mut self.spans.values);
        let mut key_spans = std::mem::take(&mut self.spans.keys);
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                let at = byte(error.marker().index());
                fail(codes::D002, error.info().to_owned(), at..at)
            })?;
            let span = byte(span.start.index())..byte(span.end.index());
            nodes += 1;
            if nodes > NODES_MAX || stack.len() > DEPTH_MAX {
                return Err(fail(codes::D002, "too large or nested too deeply".into(), span));
            }
            let anchored = match &event {
                Event::Scalar(_, _, anchor, tag) => *anchor > 0 || tag.is_some(),
                Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                    *anchor > 0 || tag.is_some()
                }
                Event::Alias(_) => true,
                Event::DocumentStart(_) => {
                    documents += 1;
                    documents > 1
                }
                _ => false,
            };
            if anchored {
                let message = "anchors, aliases, tags and several documents are not read";
                return Err(fail(codes::D007, message.into(), span));
            }
            let done = match event {
                Event::Scalar(text, style, ..) => {
                    if let Some(Open::Map { key: key @ None, path, object }) = stack.last_mut() {
                        let pointer = format!("{path}/{}", pointer_segment(&text));
                        if object.contains_key(text.as_ref()) {
                            found.push(*fail(codes::D002, twice(&text), span.clone()));
                        }
                        key_spans.insert(pointer, span);
                        *key = Some(text.into_owned());
                        continue;
                    }
                    spans.insert(child_path(&stack), span.clone());
                    Some((yaml_scalar(&text, style), span))
                }
                Event::SequenceStart(..) => {
                    let path = child_path(&stack);
                    spans.insert(path.clone(), span);
                    stack.push(Open::List { path, items: Vec::new() });
                    None
                }
                Event::MappingStart(..) => {
                    let path = child_path(&stack);
                    spans.insert(path.clone(), span);
                    stack.push(Open::Map { path, object: Map::new(), key: None });
                    None
                }
                Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                    Some(Open::List { items, .. }) => Some((Value::Array(items), span)),
                    Some(Open::Map { object, .. }) => Some((Value::Object(object), span)),
                    None => None,
                },
                _ => None,
            };
            let Some((value, span)) = done else { continue };
            match stack.last_mut() {
                Some(Open::List { items, .. }) => items.push(value),
                Some(Open::Map { object, key, .. }) => match key.take() {
                    Some(key) => {
                        object.insert(key, value);
                    }
                    None => return Err(fail(codes::D002, "a key must be a scalar".into(), span)),
                },
                None => root = Some(value),
            }
        }
        spans.entry(String::new()).or_insert(range.start..range.start);
        self.spans.values = spans;
        self.spans.keys = key_spans;
        Ok(match root {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(value) => value,
        })
    }
}

enum Open {
    List { path: String, items: Vec<Value> },
    Map { path: String, object: Map<String, Value>, key: Option<String> },
}

fn child_path(stack: &[Open]) -> String {
    match stack.last() {
        None => String::new(),
        Some(Open::List { path, items }) => format!("{path}/{}", items.len()),
        Some(Open::Map { path, key, .. }) => {
            format!("{path}/{}", pointer_segment(key.as_deref().unwrap_or_default()))
        }
    }
}

/// YAML 1.2 core schema for plain scalars; quoted ones are strings.
fn yaml_scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::from(number);
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    match text.parse::<f64>() {
        Ok(number) if numeric && number.is_finite() => Value::from(number),
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests;
