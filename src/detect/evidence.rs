//! A row → the OCSF objects of `evidences[0]`, and its observables.
//!
//! Owns where a column's value goes (its `ocsf` path), that each value has the type that OCSF gives the
//! attribute, and that each object is complete by both OCSF 1.8.0 and 1.1.0. A value that does not fit stays out
//! here; the row in `data` has it. Called by `detect::alert`.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::alert::bounds::Cutter;
use crate::normalise::schema::ocsf::{Holds, holds};
use crate::normalise::schema::{Column, Observable, Table};
use crate::record::Position;

type Object = Map<String, Value>;

/// Roots that OCSF's Windows extension defines.
const WINDOWS_ROOTS: &[&str] = &["reg_key", "reg_value", "win_service"];

/// What an object needs to be valid, by the name of the attribute that holds it.
struct Shape {
    names: &'static [&'static str],
    /// Fills what can be known from the rest, before the checks.
    complete: fn(&mut Object, &Place<'_>),
    /// All of these, else the object is left out.
    all: &'static [&'static str],
    /// One of these, else the object is left out; no demand when empty.
    one: &'static [&'static str],
}

/// Where an object stands.
struct Place<'a> {
    path: &'a str,
    position: &'a Position,
}

/// Both versions taken together: required attributes of either, and what the constraints of both accept.
const SHAPES: &[Shape] = &[
    Shape { names: &["process", "parent_process"], complete: process, all: &[], one: &["pid", "uid"] },
    Shape {
        names: &["file", "service_file", "service_dll_file"],
        complete: file,
        all: &["name", "type_id"],
        one: &[],
    },
    Shape {
        names: &["user", "owner", "creator", "modifier"],
        complete: nothing,
        all: &[],
        one: &["account", "name", "uid"],
    },
    Shape {
        names: &["actor"],
        complete: nothing,
        all: &[],
        one: &["process", "user", "invoked_by", "session"],
    },
    Shape { names: &["device"], complete: unknown_type, all: &[], one: ENDPOINT },
    Shape {
        names: &["src_endpoint", "dst_endpoint", "proxy_endpoint"],
        complete: nothing,
        all: &[],
        one: SERVICE,
    },
    Shape { names: &["query"], complete: nothing, all: &["hostname"], one: &[] },
    Shape { names: &["connection_info"], complete: direction, all: &[], one: &[] },
    Shape { names: &["reg_key"], complete: nothing, all: &["path"], one: &[] },
    Shape { names: &["reg_value"], complete: value_name, all: &["path", "name"], one: &[] },
    Shape { names: &["url"], complete: url, all: &[], one: &["url_string", "path"] },
    Shape { names: &["script"], complete: unknown_type, all: &["script_content"], one: &[] },
    Shape { names: &["os"], complete: unknown_type, all: &["name"], one: &[] },
    Shape { names: &["database", "databucket"], complete: unknown_type, all: &[], one: &["name", "uid"] },
    Shape {
        names: &["account", "container", "group", "org", "service"],
        complete: nothing,
        all: &[],
        one: &["name", "uid"],
    },
    Shape { names: &["api"], complete: nothing, all: &["operation"], one: &[] },
    Shape { names: &["http_response"], complete: nothing, all: &["code"], one: &[] },
    Shape { names: &["tls"], complete: nothing, all: &["version"], one: &[] },
    Shape { names: &["email"], complete: nothing, all: &["from", "to"], one: &[] },
    Shape { names: &["job"], complete: nothing, all: &["name", "file"], one: &[] },
    Shape {
        names: &["win_service"],
        complete: nothing,
        all: &["name"],
        one: &["cmd_line", "service_start_name"],
    },
    Shape { names: &["http_request", "session", "script_content"], complete: nothing, all: &[], one: &[] },
];
const ENDPOINT: &[&str] =
    &["ip", "uid", "name", "hostname", "instance_uid", "interface_uid", "interface_name"];
const SERVICE: &[&str] =
    &["ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"];

/// The OCSF objects that the row fills; empty when no column has a path or no value fits.
pub(crate) fn objects(table: &Table, row: &[Value], position: &Position, cutter: &mut Cutter) -> Object {
    let mut evidence = Object::new();
    for (column, value) in table.columns.iter().zip(row) {
        let Some((root, path)) = column.ocsf.as_deref().and_then(<[String]>::split_first) else { continue };
        let leaf = path.last().unwrap_or(root);
        if let Some(value) = attribute(leaf, value, &column.name, cutter) {
            place(&mut evidence, root, path, value);
        }
    }
    prune(&mut evidence, "", position);
    evidence
}

/// True when an attribute of OCSF's Windows extension is there.
pub(crate) fn is_windows(evidence: &Object) -> bool {
    WINDOWS_ROOTS.iter().any(|root| evidence.contains_key(*root))
}

/// Puts a value at its path; the first one stays.
fn place(object: &mut Object, name: &str, rest: &[String], value: Value) {
    let Some((next, rest)) = rest.split_first() else {
        object.entry(name).or_insert(value);
        return;
    };
    if let Value::Object(inner) = object.entry(name).or_insert_with(|| Value::Object(Object::new())) {
        place(inner, next, rest, value);
    }
}

/// Completes the objects from the inside out, and takes out those that cannot be complete.
fn prune(object: &mut Object, path: &str, position: &Position) {
    object.retain(|name, value| {
        let Value::Object(inner) = value else { return true };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        prune(inner, &path, position);
        if inner.is_empty() {
            return false;
        }
        let Some(shape) = SHAPES.iter().find(|shape| shape.names.contains(&name.as_str())) else {
            return true;
        };
        (shape.complete)(inner, &Place { path: &path, position });
        shape.all.iter().all(|name| inner.contains_key(*name))
            && (shape.one.is_empty() || shape.one.iter().any(|name| inner.contains_key(*name)))
    });
}

fn nothing(_: &mut Object, _: &Place<'_>) {}

fn unknown_type(object: &mut Object, _: &Place<'_>) {
    object.entry("type_id").or_insert(json!(0));
}

/// A process must have a pid or an id. An event without either still tells a command line, so the process gets
/// an id that is this event's alone: it never joins two processes that are not one.
fn process(object: &mut Object, place: &Place<'_>) {
    if !object.contains_key("pid") {
        let uid = format!("{}#{}", place.position, place.path);
        object.entry("uid").or_insert(Value::String(uid));
    }
}

fn file(object: &mut Object, _: &Place<'_>) {
    let name = last_segment(object).unwrap_or_default();
    object.entry("name").or_insert(Value::String(name));
    object.entry("type_id").or_insert(json!(1));
}

fn value_name(object: &mut Object, _: &Place<'_>) {
    if let Some(name) = last_segment(object) {
        object.entry("name").or_insert(Value::String(name));
    }
}

/// The part of `path` after the last separator, of either kind; the whole when nothing follows it.
fn last_segment(object: &Object) -> Option<String> {
    let path = object.get("path")?.as_str()?;
    let name = path.rsplit(['\\', '/']).next().filter(|name| !name.is_empty());
    Some(name.unwrap_or(path).to_owned())
}

/// OCSF's number of the direction, and its own word for it.
fn direction(object: &mut Object, _: &Place<'_>) {
    const CAPTIONS: [&str; 3] = ["Inbound", "Outbound", "Lateral"];
    let known = |text: &str| (1..).zip(CAPTIONS).find(|(_, caption)| text.eq_ignore_ascii_case(caption));
    let id = match object.get("direction").and_then(Value::as_str).map(known) {
        None => 0,
        Some(None) => 99,
        Some(Some((id, caption))) => {
            object.insert("direction".into(), caption.into());
            id
        }
    };
    object.entry("direction_id").or_insert(json!(id));
}

/// A URL must have its text or its path; a host alone is written as a reference without a scheme.
fn url(object: &mut Object, _: &Place<'_>) {
    if !object.contains_key("url_string")
        && !object.contains_key("path")
        && let Some(host) = object.get("hostname").and_then(Value::as_str)
    {
        let text = match object.get("scheme").and_then(Value::as_str) {
            Some(scheme) => format!("{scheme}://{host}"),
            None => format!("//{host}"),
        };
        object.insert("url_string".into(), Value::String(text));
    }
}

/// A column's value as the attribute of that name has it; none when it is missing, empty, or does not fit.
fn attribute(name: &str, value: &Value, column: &str, cutter: &mut Cutter) -> Option<Value> {
    if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
        return None;
    }
    // A scalar is no object; and numbers of OCSF's enums are not the ones that logs use.
    if SHAPES.iter().any(|shape| shape.names.contains(&name)) || name.ends_with("_id") {
        return None;
    }
    if matches!(value, Value::Array(_) | Value::Object(_)) && name != "data" {
        return None;
    }
    let text = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let integer = || value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    match name {
        "ip" => address(&text()).map(Value::String),
        "port" => integer().filter(|port| (0..=65_535).contains(port)).map(Value::from),
        "hostname" => Some(text()).filter(|text| is_hostname(text)).map(Value::String),
        "mac" => mac(&text()).map(Value::String),
        "email_addr" | "from" => Some(text()).filter(|text| is_email(text)).map(Value::String),
        "to" => Some(text()).filter(|text| is_email(text)).map(|text| json!([text])),
        "uuid" | "cpid" | "os_machine_uuid" => uuid::Uuid::parse_str(text().trim_matches(['{', '}']))
            .ok()
            .map(|id| Value::String(id.to_string())),
        "hashes" => Some(fingerprints(&text())).filter(|found| !found.is_empty()).map(Value::Array),
        "http_method" => Some(text().to_ascii_uppercase())
            .filter(|text| METHODS.contains(&text.as_str()))
            .map(Value::String),
        "data" => Some(cutter.value(&format!("row.{column}"), value)),
        "loaded_modules" | "lineage" | "categories" | "subdomains" | "x_forwarded_for" => None,
        _ if holds(name) == Holds::Boolean => value.as_bool().map(Value::Bool),
        // Times are epoch milliseconds, as rows have them.
        _ if matches!(holds(name), Holds::Integer | Holds::Time) => integer().map(Value::from),
        _ => Some(Value::String(cutter.text(&format!("row.{column}"), &text()))),
    }
}

/// A name by the pattern of OCSF 1.1.0, which 1.8.0 dropped: letters, digits, and hyphens inside of a label. Names
/// such as `_ldap._tcp.example` stay in `data` alone, so that the alert is valid by both.
fn is_hostname(text: &str) -> bool {
    let good = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inside)
    };
    text.split('.').all(good)
}

/// The methods that both versions allow.
const METHODS: &[&str] = &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE"];

/// An address in its canonical form; the zone of a link-local one is kept.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let address: IpAddr = address.parse().ok()?;
    match zone {
        None => Some(address.to_string()),
        // OCSF allows 40 characters in all.
        Some(zone) if address.is_ipv6() && is_zone(zone) => {
            Some(format!("{address}%{zone}")).filter(|text| text.len() <= 40)
        }
        Some(_) => None,
    }
}

/// An interface's name or number; none is longer than 15 characters.
fn is_zone(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn mac(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.trim().split([':', '-']).collect();
    let good =
        parts.len() == 6 && parts.iter().all(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()));
    good.then(|| parts.join(":").to_ascii_lowercase())
}

fn is_email(text: &str) -> bool {
    let allowed = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    text.split_once('@').is_some_and(|(local, domain)| {
        let labels = domain.split_once('.');
        allowed(local, "_.+-")
            && labels.is_some_and(|(first, rest)| allowed(first, "-") && allowed(rest, "-."))
    })
}

/// Hashes as Sysmon writes them (`SHA256=…,IMPHASH=…`), or one bare hash.
fn fingerprints(text: &str) -> Vec<Value> {
    hashes(text)
        .into_iter()
        .map(|(algorithm, value)| {
            // OCSF 1.1.0 knows no more algorithms than these.
            let id = match algorithm.as_str() {
                "MD5" => 1,
                "SHA-1" => 2,
                "SHA-256" => 3,
                _ => 99,
            };
            json!({"algorithm_id": id, "algorithm": algorithm, "value": value})
        })
        .collect()
}

fn hashes(text: &str) -> Vec<(String, &str)> {
    let parts = text.split(',').map(str::trim);
    let named = parts.map(|part| part.split_once('=').unwrap_or(("", part)));
    named
        // Sysmon writes zeros for a hash that it could not take.
        .filter(|(_, value)| value.bytes().any(|byte| byte != b'0'))
        // OCSF 1.1.0 allows 64 characters, a SHA-256.
        .filter(|(_, value)| (16..=64).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_hexdigit()))
        .map(|(name, value)| {
            let name = match (name.to_ascii_uppercase().as_str(), value.len()) {
                ("MD5", _) | ("", 32) => "MD5".to_owned(),
                ("SHA1", _) | ("", 40) => "SHA-1".to_owned(),
                ("SHA256", _) | ("", 64) => "SHA-256".to_owned(),
                ("", _) => "Unknown".to_owned(),
                (other, _) => super::alert::bounds::prefix(other, 16).to_owned(),
            };
            (name, value)
        })
        .collect()
}

/// The observables of a row, without repetition, at most so many; and how many were left out.
pub(crate) fn observables(
    table: &Table,
    row: &[Value],
    evidence: &Object,
    max: usize,
    cutter: &mut Cutter,
) -> (Vec<Value>, usize) {
    let mut found: Vec<Value> = Vec::new();
    let mut seen: Vec<(i64, String)> = Vec::new();
    for (column, value) in table.columns.iter().zip(row) {
        let Some(kind) = column.observable else { continue };
        for value in observed(kind, value) {
            let value = cutter.text(&format!("row.{}", column.name), &value);
            let (id, caption) = kind.type_id();
            if seen.contains(&(id, value.clone())) {
                continue;
            }
            found.push(json!({
                "name": pointer(column, evidence),
                "type_id": common_type_id(id),
                "type": caption,
                "value": value,
            }));
            seen.push((id, value));
        }
    }
    let left_out = found.len().saturating_sub(max);
    found.truncate(max);
    (found, left_out)
}

/// The observable's type in both versions. 1.1.0 knows neither ports nor command lines nor file paths; those are
/// 99 (Other) with their name in `type`.
fn common_type_id(id: i64) -> i64 {
    if matches!(id, 0..=10 | 20..=30) { id } else { 99 }
}

/// The values to look for; none when the column says nothing.
fn observed(kind: Observable, value: &Value) -> Vec<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Vec::new(),
    };
    match kind {
        // How Windows and Suricata write that there is none.
        _ if text.is_empty() || text == "-" => Vec::new(),
        Observable::IpAddress => address(&text).into_iter().collect(),
        Observable::Hash => hashes(&text).into_iter().map(|(_, value)| value.to_owned()).collect(),
        _ => vec![text],
    }
}

/// Where the alert shows the column's value.
fn pointer(column: &Column, evidence: &Object) -> String {
    let path = column.ocsf.as_ref().filter(|path| {
        let (last, parents) = match path.split_last() {
            Some(parts) => parts,
            None => return false,
        };
        let mut object = Some(evidence);
        for name in parents {
            object = object.and_then(|object| object.get(name)).and_then(Value::as_object);
        }
        object.is_some_and(|object| object.contains_key(last))
    });
    match path {
        Some(path) => format!("evidences[].{}", path.join(".")),
        None => format!("evidences[].data.row.{}", column.name),
    }
}
