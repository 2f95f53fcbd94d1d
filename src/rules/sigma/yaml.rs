//! Sigma's YAML: the documents of a file as trees whose parts know where they stand.
//!
//! Owns syntax and its bounds. What a document means is `parse`'s, which alone calls this. `document` is not used: it reads
//! one document that is ours, and keeps no order of keys; here are several of others, and each is read by itself, so that
//! a broken one takes none of the others with it.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Levels of lists and maps; a rule needs six.
const DEPTH_MAX: usize = 32;
/// Values, keys and ends of lists and maps in one document.
const NODES_MAX: usize = 200_000;
/// Keys of one map.
const KEYS_MAX: usize = 1_000;

/// A part of a document.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) content: Content,
    /// Bytes of the file.
    pub(super) span: Range<usize>,
}

/// What a part is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A scalar as it is written, and whether without quotes.
    Scalar(String, bool),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    /// Bytes of the file.
    pub(super) span: Range<usize>,
}

/// A scalar by the core schema of YAML 1.2.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text,
}

/// What is wrong with a document, and where.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) message: String,
    pub(super) span: Range<usize>,
}

impl Node {
    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|(_, node)| node)
    }

    /// A key and its value.
    pub(super) fn entry(&self, name: &str) -> Option<(&Key, &Node)> {
        let Content::Map(entries) = &self.content else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(key, node)| (key, node))
    }

    /// The text of a scalar, whatever its type; none of null.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(text, plain) if scalar(text, *plain) != Scalar::Null => Some(text),
            _ => None,
        }
    }

    /// The same as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.content {
            Content::Scalar(text, plain) => match scalar(text, *plain) {
                Scalar::Null => serde_json::Value::Null,
                Scalar::Bool(truth) => truth.into(),
                Scalar::Number(number) => text.parse::<i64>().map_or_else(|_| number.into(), Into::into),
                Scalar::Text => text.as_str().into(),
            },
            Content::List(items) => items.iter().map(Node::json).collect(),
            Content::Map(entries) => {
                entries.iter().map(|(key, node)| (key.name.clone(), node.json())).collect()
            }
        }
    }

    /// How many parts it has, itself included.
    pub(super) fn parts(&self) -> usize {
        match &self.content {
            Content::Scalar(..) => 1,
            Content::List(items) => 1 + items.iter().map(Node::parts).sum::<usize>(),
            Content::Map(entries) => 1 + entries.iter().map(|(_, node)| 1 + node.parts()).sum::<usize>(),
        }
    }

    /// This over another: maps are merged, all else is replaced.
    pub(super) fn over(self, below: Node) -> Node {
        let span = self.span;
        let content = match (self.content, below.content) {
            (Content::Map(above), Content::Map(mut entries)) => {
                for (key, node) in above {
                    match entries.iter().position(|(below, _)| below.name == key.name) {
                        Some(at) => {
                            let (_, below) = entries.remove(at);
                            entries.insert(at, (key, node.over(below)));
                        }
                        None => entries.push((key, node)),
                    }
                }
                Content::Map(entries)
            }
            (above, _) => above,
        };
        Node { content, span }
    }

    /// This without a key.
    pub(super) fn without(mut self, name: &str) -> Node {
        if let Content::Map(entries) = &mut self.content {
            entries.retain(|(key, _)| key.name != name);
        }
        self
    }
}

/// What a scalar is; one in quotes is text.
pub(super) fn scalar(text: &str, plain: bool) -> Scalar {
    if !plain {
        return Scalar::Text;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    number(text).map_or(Scalar::Text, Scalar::Number)
}

/// A number as YAML writes it, also hexadecimal and octal.
pub(super) fn number(text: &str) -> Option<f64> {
    let radix = |digits: &str, radix| {
        let digits = digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(digits)?;
        u64::from_str_radix(digits, radix).ok()
    };
    let whole = text.strip_prefix("0x").map(|hex| radix(hex, 16));
    let whole = whole.or_else(|| text.strip_prefix("0o").map(|octal| radix(octal, 8)));
    if let Some(whole) = whole {
        #[expect(clippy::cast_precision_loss, reason = "numbers of rules are compared as doubles")]
        return whole.map(|whole| whole as f64);
    }
    let digits = text.trim_start_matches(['+', '-']);
    let numeric =
        text.len() - digits.len() <= 1 && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse::<f64>().ok().filter(|number| numeric && number.is_finite())
}

/// Where the documents of a file stand. A line that begins with `---` or `...` separates them, wherever it stands: YAML
/// forbids it inside of texts.
pub(super) fn ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let marker = ["---", "..."].iter().find_map(|marker| line.strip_prefix(marker));
        if marker.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            ranges.push(start..at);
            // Behind `---` a document may begin on the same line, behind `...` none does.
            start = if line.starts_with("---") { at + 3 } else { at + line.len() };
        }
        at += line.len();
    }
    ranges.push(start..text.len());
    ranges.retain(|range| {
        let lines = text[range.clone()].lines().map(str::trim_start);
        lines.into_iter().any(|line| !line.is_empty() && !line.starts_with(['#', '%']))
    });
    ranges
}

/// Reads one document.
pub(super) fn read(text: &str, range: Range<usize>) -> Result<Node, Broken> {
    let part = &text[range.clone()];
    // The parser counts characters; most texts have a byte for each.
    let offsets: Vec<usize> = if part.is_ascii() {
        Vec::new()
    } else {
        part.char_indices().map(|(at, _)| at).chain([part.len()]).collect()
    };
    let byte = |index: usize| match offsets.last() {
        None => range.start + index.min(part.len()),
        Some(last) => range.start + offsets.get(index).unwrap_or(last),
    };
    let broken = |message: &str, span: Range<usize>| Broken { message: message.to_owned(), span };
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut nodes = 0usize;
    for event in Parser::new_from_str(part) {
        let (event, span) = event.map_err(|error| {
            let at = byte(error.marker().index());
            broken(error.info(), at..at)
        })?;
        let span = byte(span.start.index())..byte(span.end.index());
        nodes += 1;
        if nodes > NODES_MAX {
            return Err(broken(&format!("the document has more than {NODES_MAX} parts"), span));
        }
        if open.len() > DEPTH_MAX {
            return Err(broken(&format!("lists and maps are nested deeper than {DEPTH_MAX}"), span));
        }
        let done = match event {
            Event::Alias(_) => return Err(broken("aliases (`*name`) are not read", span)),
            Event::Scalar(_, _, 1.., _) | Event::SequenceStart(1.., _) | Event::MappingStart(1.., _) => {
                return Err(broken("anchors (`&name`) are not read", span));
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => return Err(broken("tags (`!name`) are not read", span)),
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if let Some(Open::Map(_, entries, key @ None)) = open.last_mut() {
                    if entries.iter().any(|(key, _)| key.name == text) {
                        return Err(broken(&format!("the key `{text}` is given twice"), span));
                    }
                    if entries.len() >= KEYS_MAX {
                        return Err(broken(&format!("the map has more than {KEYS_MAX} keys"), span));
                    }
                    *key = Some(Key { name: text.into_owned(), span });
                    continue;
                }
                Node { content: Content::Scalar(text.into_owned(), plain), span }
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(span.start, Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(span.start, Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(start, items)) => {
                    Node { content: Content::List(items), span: start..span.end.max(start) }
                }
                Some(Open::Map(start, entries, _)) => {
                    Node { content: Content::Map(entries), span: start..span.end.max(start) }
                }
                None => continue,
            },
            _ => continue,
        };
        match open.last_mut() {
            Some(Open::List(_, items)) => items.push(done),
            Some(Open::Map(_, entries, key)) => match key.take() {
                Some(key) => entries.push((key, done)),
                None => return Err(broken("a key must be a text", done.span)),
            },
            None => root = Some(done),
        }
    }
    root.ok_or_else(|| broken("the document is empty", range.start..range.start))
}

/// A list or a map that is being read: where it began, and what is in it.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<(Key, Node)>, Option<Key>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_separated_wherever_the_marker_stands() {
        for (text, expect) in [
            ("a: 1\n", vec!["a: 1\n"]),
            ("---\na: 1\n---\nb: 1\n", vec!["\na: 1\n", "\nb: 1\n"]),
            ("a: |\n  x\n---\nb: '\n--- \nc: 1\n...\n# end\n", vec!["a: |\n  x\n", "\nb: '\n", " \nc: 1\n"]),
            ("\u{feff}--- # one\na: 1\r\n---\r\nb: 1", vec![" # one\na: 1\r\n", "\r\nb: 1"]),
            ("%YAML 1.2\n---\na: ---b\n", vec!["\na: ---b\n"]),
            ("# nothing\n---\n\n", vec![]),
        ] {
            let found: Vec<&str> = ranges(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(found, expect, "{text:?}");
        }
    }

    #[test]
    fn scalars_are_those_of_yaml_1_2() {
        for (text, expect) in [
            ("", Scalar::Null),
            ("null", Scalar::Null),
            ("True", Scalar::Bool(true)),
            ("yes", Scalar::Text),
            ("4625", Scalar::Number(4625.0)),
            ("-1.5", Scalar::Number(-1.5)),
            ("+.5", Scalar::Number(0.5)),
            ("0x17", Scalar::Number(23.0)),
            ("0x", Scalar::Text),
            ("0o17", Scalar::Number(15.0)),
            ("--1", Scalar::Text),
            ("1e999", Scalar::Text),
            ("inf", Scalar::Text),
            ("1.2.3", Scalar::Text),
            ("2024-01-02", Scalar::Text),
        ] {
            assert_eq!(scalar(text, true), expect, "{text}");
            assert_eq!(scalar(text, false), Scalar::Text, "{text} in quotes");
        }
    }

    #[test]
    fn a_part_knows_where_it_stands() {
        let text = "é: 1\nlist:\n  - 'ü'\n  - x\n";
        let node = read(text, 0..text.len()).expect("reads");
        let Some(Content::List(items)) = node.get("list").map(|node| &node.content) else { panic!("a list") };
        let parts: Vec<&str> = items.iter().map(|item| &text[item.span.clone()]).collect();
        assert_eq!(parts, ["'ü'", "x"]);
    }

    #[test]
    fn what_costs_more_than_it_says_is_refused() {
        let deep = "[".repeat(40) + &"]".repeat(40);
        let many = format!("[{}]", "1,".repeat(NODES_MAX));
        for (text, expect, at) in [
            ("a: &x 1\nb: *x\n", "anchors", 3),
            ("a: !!str 1\n", "tags", 3),
            ("a: 1\nb: 2\na: 3\n", "`a` is given twice", 10),
            ("{a: b}: c\n", "a key must be a text", 0),
            (&deep, "nested deeper", 33),
            (&many, "more than 200000 parts", 399_997),
        ] {
            let broken = read(text, 0..text.len()).expect_err(expect);
            assert!(broken.message.contains(expect), "{}", broken.message);
            assert!(broken.span.start.abs_diff(at) <= 6, "{:?} of {expect}", broken.span);
        }
    }
}
