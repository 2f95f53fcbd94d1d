//! The layers of the configuration: file, environment, `--set`; where each value comes from.
//!
//! Owns the reading of names and values of the environment and of `--set`, the check of each layer against the
//! schema, and the merge. Called by `config`; `config::check` asks [`Layers::blame`] for the place of a value.

use serde_json::{Map, Value};

use super::keys::{self, Key, Kind};
use super::{Config, LoadOptions};
use crate::diagnostic::{Diagnostic, SourceFile, codes, suggest_path};
use crate::document::{self, Document, Spans, pointer_segment};

/// What the environment variables of the configuration begin with.
pub const PREFIX: &str = "NOROSHI__";

/// One layer: a partial configuration and how its values are named in messages.
#[derive(Debug, Clone)]
struct Layer {
    value: Value,
    /// For each pointer that the layer sets, what the user wrote: the variable's name, or the `--set` key.
    names: Vec<(String, String)>,
}

/// All layers, the strongest last.
#[derive(Debug, Clone)]
pub struct Layers {
    spans: Option<Spans>,
    layers: Vec<Layer>,
}

/// Reads all layers; each fault is told with the name or the place that the user wrote.
pub fn collect(file: Option<Document<Value>>, options: &LoadOptions) -> (Layers, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut layers = Layers { spans: None, layers: Vec::new() };
    if let Some(mut file) = file {
        let place = |pointer: &str| Some(file.spans.value(pointer));
        refuse_inline_secrets(&mut file.value, |pointer, diagnostic| {
            found.push(match place(pointer) {
                Some(location) => diagnostic.at(location),
                None => diagnostic,
            });
        });
        found.extend(document::check_and_mend(&mut file.value, &mut file.spans, keys::schema()));
        found.extend(no_address(&file.value).map(|fault| fault.at(file.spans.value(LISTEN))));
        layers.layers.push(Layer { value: file.value, names: Vec::new() });
        layers.spans = Some(file.spans);
    }
    let mut environment = Layer { value: Value::Object(Map::new()), names: Vec::new() };
    let mut variables: Vec<&(String, String)> =
        options.environment.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let shown = format!("environment variable {name}");
        match find(&environment_path(name)) {
            Ok(target) => set(&mut environment, &target, text, &shown, &mut found),
            Err(help) => found.push(
                Diagnostic::new(codes::C004, format!("{shown} sets a key that is not known"))
                    .help(help.variable()),
            ),
        }
    }
    layers.layers.push(environment);
    let mut pairs = Layer { value: Value::Object(Map::new()), names: Vec::new() };
    for pair in &options.set {
        // The value is never repeated: it may be a secret in the wrong place.
        let Some((name, text)) = pair.split_once('=') else {
            let message = "--set takes `section.key=value`, and this one has no `=`";
            found.push(Diagnostic::new(codes::D002, message));
            continue;
        };
        let name = name.trim();
        let shown = format!("--set {name}");
        match find(&dotted_path(name)) {
            Ok(target) => set(&mut pairs, &target, text, &shown, &mut found),
            Err(help) => {
                found.push(Diagnostic::new(codes::D003, format!("{shown}: unknown key")).help(help.dotted()))
            }
        }
    }
    layers.layers.push(pairs);
    (layers, found)
}

impl Layers {
    /// The effective configuration.
    pub fn merge(&self) -> Result<Config, Diagnostic> {
        let failed =
            |error: String| Diagnostic::new(codes::D006, format!("the settings do not fit: {error}"));
        let mut values: Vec<Value> = self.layers.iter().map(|layer| layer.value.clone()).collect();
        // `{ file }` in one layer and `{ env }` in a stronger one: the stronger replaces, it does not add.
        for key in keys::all().1.iter().filter(|key| key.kind == Kind::Secret) {
            let pointer = pointer(&key.path);
            let strongest = values.iter().rposition(|value| value.pointer(&pointer).is_some());
            let weaker = values.iter_mut().take(strongest.unwrap_or(0));
            for secret in weaker.filter_map(|value| value.pointer_mut(&pointer)) {
                *secret = Value::Object(Map::new());
            }
        }
        let mut builder = config::Config::builder();
        for value in values {
            builder = builder.add_source(Source(value));
        }
        let merged: Value = builder
            .build()
            .and_then(config::Config::try_deserialize)
            .map_err(|error| failed(error.to_string()))?;
        serde_json::from_value(merged).map_err(|error| failed(error.to_string()))
    }

    /// Puts the name or the place of a setting to a fault; `path` is dotted (`kafka.sasl.mechanism`), `below` a
    /// librdkafka property under it, if any.
    pub fn blame(&self, diagnostic: Diagnostic, path: &str, below: Option<&str>) -> Diagnostic {
        let mut names: Vec<String> = path.split('.').map(Into::into).collect();
        names.extend(below.map(Into::into));
        let pointer = pointer(&names);
        for layer in self.layers.iter().rev() {
            if let Some((_, name)) = layer.names.iter().find(|(set, _)| set.starts_with(&pointer)) {
                let message = format!("{name}: {}", diagnostic.message);
                return Diagnostic { message, ..diagnostic };
            }
        }
        match &self.spans {
            Some(spans) => diagnostic.at(spans.value(&pointer)),
            None => diagnostic,
        }
    }
}

/// A layer as the `config` crate takes it. Its own conversion reads a dot in a key as a step down, which the names of
/// librdkafka properties do not survive.
#[derive(Debug, Clone)]
struct Source(Value);

impl config::Source for Source {
    fn clone_into_box(&self) -> Box<dyn config::Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), plain(value))).collect())
    }
}

fn plain(value: &Value) -> config::Value {
    use config::ValueKind;
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => ValueKind::I64(number),
            (None, Some(number)) => ValueKind::Float(number),
            (None, None) => ValueKind::Nil,
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(items.iter().map(plain).collect()),
        Value::Object(object) => {
            ValueKind::Table(object.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
    };
    config::Value::new(None, kind)
}

/// A setting that a name stands for, and the property or the secret's place below it.
struct Target {
    key: &'static Key,
    below: Option<String>,
}

struct Unknown(String);

impl Unknown {
    fn variable(&self) -> String {
        let names: Vec<String> = keys::all().1.iter().map(Key::environment).collect();
        suggest_path(
            &format!("{PREFIX}{}", self.0.replace('.', "__").to_uppercase()),
            "__",
            names.iter().map(String::as_str),
        )
    }

    fn dotted(&self) -> String {
        let names: Vec<String> = keys::all().1.iter().map(Key::dotted).collect();
        suggest_path(&self.0, ".", names.iter().map(String::as_str))
    }
}

fn environment_path(name: &str) -> String {
    name.trim_start_matches(PREFIX).to_lowercase().replace("__", ".")
}

/// The last part of a name may stand in quotes, as in the file: `kafka.consumer.properties."fetch.min.bytes"`.
fn dotted_path(name: &str) -> String {
    let quoted = name.strip_suffix(['"', '\'']).and_then(|name| name.split_once(['"', '\'']));
    match quoted {
        Some((section, key)) if section.ends_with('.') => format!("{section}{key}"),
        _ => name.to_owned(),
    }
}

fn find(path: &str) -> Result<Target, Unknown> {
    for key in &keys::all().1 {
        let dotted = key.dotted();
        if dotted == path && key.kind != Kind::Properties {
            return Ok(Target { key, below: None });
        }
        let Some(below) = path.strip_prefix(&dotted).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        match key.kind {
            // No librdkafka property worth setting has an underscore: in the environment they are its dots.
            Kind::Properties if !below.is_empty() => {
                return Ok(Target { key, below: Some(below.replace('_', ".")) });
            }
            Kind::Secret if below == "file" || below == "env" => {
                return Ok(Target { key, below: Some(below.to_owned()) });
            }
            _ => {}
        }
    }
    Err(Unknown(path.to_owned()))
}

fn set(layer: &mut Layer, target: &Target, text: &str, shown: &str, found: &mut Vec<Diagnostic>) {
    let mut path = target.key.path.clone();
    path.extend(target.below.clone());
    let value = if target.key.kind == Kind::Secret && target.below.is_none() {
        secret(text)
    } else {
        typed(target.key.kind, text)
    };
    // Each value is checked alone, so that a fault can be put to its name.
    let mut alone = nest(&path, value.clone());
    let mut faults = Vec::new();
    refuse_inline_secrets(&mut alone, |_, diagnostic| faults.push(diagnostic));
    if faults.is_empty() {
        let nowhere = SourceFile::new(shown, "");
        match document::read_toml::<Value>(&nowhere) {
            Ok(empty) => faults.extend(document::check(&alone, &empty.spans, keys::schema())),
            Err(errors) => faults.extend(errors),
        }
        faults.extend(no_address(&alone));
        // There is no line in which the value could be masked, and it may be a password under the wrong name.
        if let (Some("kafka"), Some(text)) = (path.first().map(String::as_str), value.as_str()) {
            for fault in &mut faults {
                fault.message = fault.message.replace(&format!("`{text}`"), "the value");
            }
        }
    }
    if faults.is_empty() {
        layer.names.push((pointer(&path), shown.to_owned()));
        insert(&mut layer.value, &path, value);
    }
    found.extend(faults.into_iter().map(|fault| Diagnostic {
        message: format!("{shown}: {}", fault.message),
        location: None,
        ..fault
    }));
}

/// A text as the type that the setting has; one that does not read stays a text, and the schema refuses it.
fn typed(kind: Kind, text: &str) -> Value {
    let text = text.trim();
    match kind {
        Kind::Boolean => text.parse::<bool>().map_or_else(|_| text.into(), Value::from),
        Kind::Integer => text.replace('_', "").parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Kind::List => text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect(),
        Kind::Text | Kind::Properties | Kind::Secret => text.into(),
    }
}

/// `--set kafka.sasl.password={file="…"}`: the form that the file has.
fn secret(text: &str) -> Value {
    let file = SourceFile::new("", format!("secret = {text}"));
    document::read_toml::<Value>(&file)
        .ok()
        .and_then(|document| document.value.get("secret").cloned())
        .unwrap_or_else(|| text.into())
}

/// A secret that is written down is refused before anything else looks at it, and taken out of the value.
fn refuse_inline_secrets(value: &mut Value, mut refuse: impl FnMut(&str, Diagnostic)) {
    for key in keys::all().1.iter().filter(|key| key.kind == Kind::Secret) {
        let pointer = pointer(&key.path);
        let inline = value.pointer(&pointer).is_some_and(|secret| !secret.is_object());
        let Some((parent, name)) = key.path.split_last().map(|(name, parent)| (self::pointer(parent), name))
        else {
            continue;
        };
        if inline {
            if let Some(Value::Object(parent)) = value.pointer_mut(&parent) {
                parent.remove(name);
            }
            let message = format!("the secret `{}` must not be written into the configuration", key.dotted());
            let help = "name where it is: { file = \"/run/secrets/…\" } or { env = \"VARIABLE\" }";
            refuse(&pointer, Diagnostic::new(codes::D006, message).help(help));
        }
    }
}

const LISTEN: &str = "/http/listen";

/// The one setting whose form no schema tells.
fn no_address(value: &Value) -> Option<Diagnostic> {
    let text = value.pointer(LISTEN)?.as_str()?;
    if text.parse::<std::net::SocketAddr>().is_ok() {
        return None;
    }
    let message = format!("`{}` is no address with a port", text.escape_default());
    Some(
        Diagnostic::new(codes::D006, message)
            .help("for example 127.0.0.1:9464 or [::1]:9464; names are not looked up"),
    )
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|name| format!("/{}", pointer_segment(name))).collect()
}

fn nest(path: &[String], value: Value) -> Value {
    path.iter().rev().fold(value, |inner, name| Value::Object(Map::from_iter([(name.clone(), inner)])))
}

fn insert(root: &mut Value, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else {
        *root = value;
        return;
    };
    if !root.is_object() {
        *root = Value::Object(Map::new());
    }
    if let Value::Object(object) = root {
        insert(object.entry(name.clone()).or_insert(Value::Null), rest, value);
    }
}
