//! The selections of a rule: which fields, with which modifiers and values.
//!
//! Owns their shape: maps, lists of maps, lists of values, keywords. Called by `parse`.

use std::ops::Range;

use super::super::ask::{self, Ask, Budget, Template, Value};
use super::super::fault::{Fault, Faults, place_of};
use super::super::modifiers::{self, Chain, Kind};
use super::super::tree::Place;
use super::super::yaml::{Content, Key, Node, Scalar, scalar};
use super::{Search, condition};
use crate::diagnostic::codes;

/// A selection or a part of one.
#[derive(Debug)]
pub(in super::super) enum Detection {
    /// A map: all of it.
    All(Vec<Detection>),
    /// A list: one of it.
    Any(Vec<Detection>),
    /// A field.
    Item(Item),
}

/// A field and its values.
#[derive(Debug)]
pub(in super::super) struct Item {
    /// `None` for keywords.
    pub(in super::super) field: Option<String>,
    pub(in super::super) chain: Chain,
    pub(in super::super) values: Vec<Values>,
    /// Where its name stands; of keywords the first of them.
    pub(in super::super) place: Range<usize>,
}

/// What one written value asks for.
#[derive(Debug)]
pub(in super::super) enum Values {
    /// One of these; and where it stands.
    Ready(Vec<Ask>, Range<usize>),
    /// What the placeholders stand for is not known yet.
    Open(Template, Range<usize>),
}

/// Reads the selections and conditions of a map; `others` are keys of it that are neither.
pub(super) fn search(
    key: &Key,
    node: &Node,
    others: &[&str],
    budget: &mut Budget,
    faults: &mut Faults<'_>,
) -> Option<Search> {
    let Content::Map(entries) = &node.content else {
        let message = format!("`{}` is no map", key.name);
        faults.refuse(
            codes::G002,
            message,
            node.span.clone(),
            "write the selections and a `condition` below it",
        );
        return None;
    };
    let mut reader = Reader { budget, faults };
    let (mut names, mut detections) = (Vec::new(), Vec::new());
    for (key, node) in entries {
        if key.name == "timeframe" {
            let help = "write a correlation rule of type event_count that refers to this one";
            let message = "`timeframe` needs an aggregation, which rules of single events do not have";
            reader.faults.refuse(codes::G013, message, key.span.clone(), help);
        } else if key.name != "condition" && !others.contains(&key.name.as_str()) {
            names.push(key.name.as_str());
            detections.push(reader.detection(key, node));
        }
    }
    let conditions = match node.get("condition") {
        Some(condition) => condition::read(condition, &names, faults),
        None => {
            let help = "write a `condition:` such as `selection`";
            faults.refuse(codes::G002, format!("`{}` has no `condition`", key.name), key.span.clone(), help);
            None
        }
    };
    let detections: Option<Vec<Detection>> = detections.into_iter().collect();
    Some(Search { detections: detections?, conditions: conditions? })
}

struct Reader<'a, 'f> {
    budget: &'a mut Budget,
    faults: &'a mut Faults<'f>,
}

impl Reader<'_, '_> {
    fn detection(&mut self, key: &Key, node: &Node) -> Option<Detection> {
        match &node.content {
            Content::Scalar(..) => self.keywords(std::slice::from_ref(&node)).map(Detection::Item),
            Content::Map(entries) if !entries.is_empty() => {
                let items: Vec<_> = entries.iter().map(|(key, node)| self.item(key, node)).collect();
                let items: Option<Vec<Detection>> = items.into_iter().collect();
                items.map(Detection::All)
            }
            Content::List(items) if !items.is_empty() => {
                let is_scalar = |node: &&Node| matches!(node.content, Content::Scalar(..));
                let (scalars, others): (Vec<&Node>, Vec<&Node>) = items.iter().partition(is_scalar);
                let mut parts = Vec::new();
                if !scalars.is_empty() {
                    parts.push(self.keywords(&scalars).map(Detection::Item));
                }
                parts.extend(others.into_iter().map(|node| self.detection(key, node)));
                let parts: Option<Vec<Detection>> = parts.into_iter().collect();
                parts.map(Detection::Any)
            }
            _ => {
                let help = "write fields with values, or a list of keywords; or leave the selection out";
                let message = format!("`{}` is empty", key.name);
                self.faults.refuse(codes::G002, message, key.span.clone(), help);
                None
            }
        }
    }

    fn keywords(&mut self, nodes: &[&Node]) -> Option<Item> {
        let chain = modifiers::chain(&[], true).ok()?;
        let values = self.values(chain, true, nodes);
        let place = nodes.first().map_or(0..0, |node| node.span.clone());
        Some(Item { field: None, chain, values: values?, place })
    }

    fn item(&mut self, key: &Key, node: &Node) -> Option<Detection> {
        let mut names = key.name.split('|');
        let field = names.next().filter(|field| !field.is_empty());
        let names: Vec<&str> = names.collect();
        if let Some(field) = field.filter(|field| selects_of_list(field)) {
            let message = format!("`{field}` picks items of a list, which Sigma 2.1 does not have");
            let help = "write the field's name alone: of a list, one item that matches is enough";
            self.faults.refuse(codes::G013, message, key.span.clone(), help);
            return None;
        }
        let chain = modifiers::chain(&names, field.is_none());
        let chain = chain.map_err(|faults| {
            for (name, fault) in faults {
                let place = place_of(self.faults.file(), &key.span, name);
                self.faults.add(fault, place);
            }
        });
        let nodes: Vec<&Node> = match &node.content {
            Content::Scalar(..) => vec![node],
            Content::List(items) => items.iter().collect(),
            Content::Map(_) => {
                let message = format!("a map stands where a value of `{}` must stand", key.name);
                let help = "write the path of the field with dots, such as `actor.name: value`";
                self.faults.refuse(codes::G008, message, node.span.clone(), help);
                return None;
            }
        };
        if nodes.is_empty() {
            let message = format!("`{}` has no value", key.name);
            let help = "write a value; null asks for a field that is missing, '' for an empty text";
            self.faults.refuse(codes::G008, message, key.span.clone(), help);
            return None;
        }
        let chain = chain.ok()?;
        if chain.all && !chain.expand && nodes.len() == 1 {
            let place = place_of(self.faults.file(), &key.span, "all");
            self.faults.note(codes::G007, "`all` says nothing of a single value", place, "leave it out");
        }
        let values = self.values(chain, field.is_none(), &nodes);
        let (field, place) = (field.map(str::to_owned), key.span.clone());
        Some(Detection::Item(Item { field, chain, values: values?, place }))
    }

    fn values(&mut self, chain: Chain, keyword: bool, nodes: &[&Node]) -> Option<Vec<Values>> {
        let mut values = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Content::Scalar(text, plain) = &node.content else {
                let help = "write one value an item";
                self.faults.refuse(
                    codes::G008,
                    "a list or a map stands where a value must stand",
                    node.span.clone(),
                    help,
                );
                continue;
            };
            let value = Value { text: text.clone(), scalar: scalar(text, *plain) };
            match self.value(chain, keyword, value, node.span.clone()) {
                Ok(value) => values.push(value),
                Err(fault) => self.faults.add(fault, node.span.clone()),
            }
        }
        (values.len() == nodes.len()).then_some(values)
    }

    fn value(
        &mut self,
        chain: Chain,
        keyword: bool,
        value: Value,
        span: Range<usize>,
    ) -> Result<Values, Fault> {
        if keyword && value.scalar == Scalar::Null {
            return Err(Fault::new(
                codes::G008,
                "a keyword is null",
                "write a text, in quotes when it is empty",
            ));
        }
        if chain.expand && value.scalar == Scalar::Text {
            return Ok(Values::Open(Template::read(&value.text), span));
        }
        let asks = ask::asks(&within(chain, keyword), &value, self.budget)?;
        Ok(Values::Ready(asks, span))
    }
}

/// A keyword may stand anywhere.
pub(in super::super) fn within(chain: Chain, keyword: bool) -> Chain {
    if keyword && chain.kind == Kind::Value { Chain { place: Place::Within, ..chain } } else { chain }
}

/// `field[any]`, `field[0]` and the like of a proposal that is not in Sigma 2.1.
fn selects_of_list(field: &str) -> bool {
    field.split('.').any(|part| {
        let inside = part.strip_suffix(']').and_then(|part| part.split_once('['));
        inside.is_some_and(|(name, inside)| {
            let known = matches!(inside, "any" | "all" | "all_or_empty" | "none");
            !name.ends_with('\\') && (known || inside.parse::<i64>().is_ok())
        })
    })
}
