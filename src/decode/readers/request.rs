//! The request line of HTTP as logs of servers and proxies write it.
//!
//! Owns the fields that a request is taken apart into, and that `-` stands for no value. Called by `access_log` and `squid`.

use crate::decode::events::Object;

/// Writes the method, the target and the version of a request; a line that is no request as `request`, as it is.
pub fn line(object: &mut Object<'_>, line: &str) {
    let (start, version) = match line.rsplit_once(' ') {
        Some((start, version)) if version.starts_with("HTTP/") => (start, Some(version)),
        _ => (line, None),
    };
    match start.split_once(' ') {
        Some((method, target)) if is_method(method) && !target.is_empty() => {
            object.text("cs-method", method);
            uri(object, target);
            if let Some(version) = version {
                object.text("cs-version", version);
            }
        }
        _ => object.text("request", line),
    }
}

/// Writes the target of a request as it is, and its parts before and after the first `?`.
pub fn uri(object: &mut Object<'_>, target: &str) {
    object.text("cs-uri", target);
    match target.split_once('?') {
        Some((stem, query)) => {
            object.text("cs-uri-stem", stem);
            object.text("cs-uri-query", query);
        }
        None => object.text("cs-uri-stem", target),
    }
}

/// A text, unless there is none.
pub fn put(object: &mut Object<'_>, key: &str, value: &str) {
    if value != "-" {
        object.text(key, value);
    }
}

/// A number, unless there is none.
pub fn number(object: &mut Object<'_>, key: &str, value: &str) {
    if value != "-" {
        object.number(key, value);
    }
}

fn is_method(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_'))
}
