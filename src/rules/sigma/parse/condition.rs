//! Conditions: how a rule's selections go together.
//!
//! Owns the bounds that the parser lacks, and which selections a name or a pattern means. Called by `parse::detection`.

use std::ops::Range;

use rsigma_parser::{ConditionExpr, Quantifier, SelectorPattern, SigmaParserError, parse_condition};

use super::super::fault::{Faults, place_of, suggest};
use super::super::yaml::{Content, Node};
use crate::diagnostic::codes;

/// Bytes of one condition.
const BYTES_MAX: usize = 16 << 10;
/// Conditions of one rule.
const CONDITIONS_MAX: usize = 100;
/// Parentheses in parentheses: the parser recurses for each.
const NESTING_MAX: usize = 24;
/// `not` before `not`, for the same reason.
const NOTS_MAX: usize = 4;

/// A condition on selections, by their index.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Expression {
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Selection(usize),
    AtLeast(u64, Vec<usize>),
}

/// Reads a condition or a list of them.
pub(super) fn read(node: &Node, names: &[&str], faults: &mut Faults<'_>) -> Option<Vec<Expression>> {
    let nodes: Vec<&Node> = match &node.content {
        Content::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    if nodes.is_empty() || nodes.len() > CONDITIONS_MAX {
        let message = format!("there are {} conditions", nodes.len());
        faults.refuse(codes::G004, message, node.span.clone(), &format!("write 1 to {CONDITIONS_MAX}"));
        return None;
    }
    let read: Vec<Option<Expression>> = nodes.into_iter().map(|node| one(node, names, faults)).collect();
    read.into_iter().collect()
}

fn one(node: &Node, names: &[&str], faults: &mut Faults<'_>) -> Option<Expression> {
    let Some(text) = node.text() else {
        let help = "write names of selections with `and`, `or` and `not`";
        faults.refuse(codes::G004, "the condition is no text", node.span.clone(), help);
        return None;
    };
    if let Some((message, help)) = beyond(text) {
        faults.refuse(codes::G004, message, node.span.clone(), help);
        return None;
    }
    if let Some(pipe) = text.find('|') {
        let place = source(node, faults, text.get(pipe..).unwrap_or_default());
        let help = "write a correlation rule that refers to this one";
        faults.refuse(codes::G013, "aggregations in conditions are no longer a part of Sigma", place, help);
        return None;
    }
    // The parser takes no carriage return for a blank.
    let blank = |character: char| if character.is_whitespace() { ' ' } else { character };
    let line: String = text.chars().map(blank).collect();
    match parse_condition(&line) {
        Ok(expression) => {
            let mut resolver = Resolver { names, node, sound: true, faults };
            let expression = resolver.expression(&expression);
            resolver.sound.then_some(expression)
        }
        Err(error) => {
            let column = match &error {
                SigmaParserError::Condition(_, Some(place)) => place.col as usize,
                _ => 1,
            };
            let rest: String = line.chars().skip(column.saturating_sub(1)).collect();
            let rest = rest.trim();
            let word = rest.split_whitespace().next().unwrap_or_default();
            let place = source(node, faults, word);
            let message = if word.is_empty() {
                "the condition ends too early".to_owned()
            } else {
                format!("the condition cannot be read at `{word}`")
            };
            faults.refuse(codes::G004, message, place, hint(&line));
            None
        }
    }
}

/// What to write instead.
fn hint(line: &str) -> &'static str {
    if line.split_whitespace().any(|word| matches!(word, "AND" | "OR" | "NOT" | "OF" | "ALL" | "THEM")) {
        return "write `and`, `or`, `not`, `of`, `all` and `them` in lower case";
    }
    "write names of selections with `and`, `or`, `not`, parentheses, and `1 of`, `all of` with a pattern or `them`"
}

/// What is more than the parser can take.
pub(super) fn beyond(text: &str) -> Option<(String, &'static str)> {
    if text.len() > BYTES_MAX {
        return Some((format!("the condition has more than {BYTES_MAX} bytes"), "use `1 of` with a pattern"));
    }
    let (mut nesting, mut deepest) = (0usize, 0usize);
    for character in text.chars() {
        match character {
            '(' => nesting += 1,
            ')' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(nesting);
    }
    if deepest > NESTING_MAX {
        let message = format!("the condition has parentheses deeper than {NESTING_MAX}");
        return Some((message, "leave out those that are not needed"));
    }
    let (mut nots, mut most) = (0usize, 0usize);
    for word in text.split(|character: char| character.is_whitespace() || matches!(character, '(' | ')')) {
        match word {
            "not" => nots += 1,
            "" => {}
            _ => nots = 0,
        }
        most = most.max(nots);
    }
    (most > NOTS_MAX)
        .then(|| (format!("the condition has more than {NOTS_MAX} `not` in a row"), "write one or none"))
}

/// Where a part of a condition stands in the file.
fn source(node: &Node, faults: &Faults<'_>, part: &str) -> Range<usize> {
    let written = faults.file().text.get(node.span.clone()).unwrap_or_default();
    match written.find(part).filter(|_| !part.is_empty()) {
        Some(at) => node.span.start + at..node.span.start + at + part.len(),
        None => node.span.clone(),
    }
}

struct Resolver<'a, 'f> {
    names: &'a [&'a str],
    node: &'a Node,
    sound: bool,
    faults: &'a mut Faults<'f>,
}

impl Resolver<'_, '_> {
    fn expression(&mut self, expression: &ConditionExpr) -> Expression {
        match expression {
            ConditionExpr::And(parts) => {
                Expression::All(parts.iter().map(|part| self.expression(part)).collect())
            }
            ConditionExpr::Or(parts) => {
                Expression::Any(parts.iter().map(|part| self.expression(part)).collect())
            }
            ConditionExpr::Not(part) => Expression::Not(Box::new(self.expression(part))),
            ConditionExpr::Identifier(name) => match self.names.iter().position(|known| known == name) {
                Some(at) => Expression::Selection(at),
                None => {
                    let message = format!("the condition names `{name}`, which is no selection of it");
                    self.refuse(message, name, self.like(name))
                }
            },
            ConditionExpr::Selector { quantifier, pattern } => self.selector(quantifier, pattern),
        }
    }

    fn selector(&mut self, quantifier: &Quantifier, pattern: &SelectorPattern) -> Expression {
        let (written, fits): (&str, Vec<usize>) = match pattern {
            SelectorPattern::Them => ("them", self.indexes(|name| !name.starts_with('_'))),
            SelectorPattern::Pattern(pattern) => {
                // Names that begin with `_` are left out, but where the pattern asks for them.
                let hidden = pattern.starts_with('_');
                (pattern, self.indexes(|name| (hidden || !name.starts_with('_')) && is_like(name, pattern)))
            }
        };
        if fits.is_empty() {
            let message = format!("`{written}` fits no selection");
            return self.refuse(message, written, self.like(written));
        }
        match quantifier {
            Quantifier::All => Expression::All(fits.into_iter().map(Expression::Selection).collect()),
            Quantifier::Any => Expression::Any(fits.into_iter().map(Expression::Selection).collect()),
            Quantifier::Count(count) if (1..=fits.len() as u64).contains(count) => {
                Expression::AtLeast(*count, fits)
            }
            Quantifier::Count(count) => {
                let message =
                    format!("`{count} of {written}` can never be meant: {} selections fit", fits.len());
                self.refuse(message, written, format!("write a number from 1 to {}", fits.len()))
            }
        }
    }

    /// What may have been meant.
    fn like(&self, name: &str) -> String {
        if self.faults.is_full() { String::new() } else { suggest(name, self.names.iter().copied()) }
    }

    fn indexes(&self, fits: impl Fn(&str) -> bool) -> Vec<usize> {
        self.names.iter().enumerate().filter(|(_, name)| fits(name)).map(|(at, _)| at).collect()
    }

    fn refuse(&mut self, message: String, name: &str, help: String) -> Expression {
        self.sound = false;
        let place = place_of(self.faults.file(), &self.node.span, name);
        self.faults.refuse(codes::G005, message, place, &help);
        Expression::Any(Vec::new())
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_names_have_stars_anywhere() {
        for (name, pattern, expect) in [
            ("selection_a", "selection_*", true),
            ("selection", "selection", true),
            ("selection_a", "selection", false),
            ("selection_a", "*", true),
            ("a_main_b", "*main*", true),
            ("a_main_b", "a*b", true),
            ("ab", "a*b*b", false),
            ("abb", "a*b*b", true),
            ("filter", "*ter", true),
            ("filter", "*tera", false),
        ] {
            assert_eq!(is_like(name, pattern), expect, "{name} {pattern}");
        }
    }
}
