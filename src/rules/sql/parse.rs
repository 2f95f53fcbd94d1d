//! From tokens to the syntax tree.
//!
//! Owns the parser's call and its errors. What bounds the parser's time and depth is `tokens`'.

use std::ops::Range;

use sqlparser::ast::{Query, Spanned, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::Checker;
use crate::diagnostic::codes;

impl Checker<'_> {
    pub(super) fn parse(&mut self) -> Option<Query> {
        let tokens = self.tokens()?;
        let first = tokens.iter().find_map(|token| match &token.token {
            Token::Word(word) => Some((word.value.to_ascii_uppercase(), self.bytes(token.span))),
            _ => None,
        });
        let parsed = Parser::new(&GenericDialect {})
            .with_tokens_with_locations(tokens)
            .with_recursion_limit(self.limits.nesting_max)
            .parse_statements();
        let help = "a rule is SELECT … FROM table WHERE …";
        let is_query = |word: &str| matches!(word, "SELECT" | "WITH" | "VALUES" | "FROM");
        match (parsed, first) {
            (Ok(mut statements), first) => match (statements.pop(), statements.is_empty()) {
                (Some(Statement::Query(query)), true) => Some(*query),
                (None, _) => {
                    let at = self.within.clone();
                    self.refuse(codes::R003, "there is no SQL behind the metadata", at, help);
                    None
                }
                (Some(_), true) => {
                    let (word, at) = first.unwrap_or(("this".into(), self.within.clone()));
                    self.refuse(codes::Q003, format!("`{word}` is not a query"), at, help);
                    None
                }
                (Some(second), false) => {
                    let at = self.bytes(second.span());
                    self.refuse(codes::Q002, "a rule holds one statement", at, help);
                    None
                }
            },
            (Err(_), Some((word, at))) if !is_query(&word) && at == self.within => {
                self.refuse(codes::Q003, format!("`{word}` is not a query"), at, help);
                None
            }
            (Err(ParserError::RecursionLimitExceeded), _) => {
                let at = self.within.clone();
                self.too_deep(at);
                None
            }
            (Err(ParserError::TokenizerError(message) | ParserError::ParserError(message)), _) => {
                let (message, at) = match message.rsplit_once(" at Line: ") {
                    Some((what, place)) => (what.to_owned(), self.parse_place(place)),
                    None => (message, None),
                };
                let at = at.unwrap_or_else(|| self.within.clone());
                let mut message = message;
                if let Some(first) = message.get_mut(..1) {
                    first.make_ascii_lowercase();
                }
                let curly = self.file.text[self.range.clone()].contains(['‘', '’', '“', '”']);
                let help =
                    if curly { "the text holds typographic quotes; SQL needs straight ones" } else { help };
                self.refuse(codes::Q001, message, at, help);
                None
            }
        }
    }

    /// `3, Column: 14` of the parser's messages.
    fn parse_place(&self, place: &str) -> Option<Range<usize>> {
        let (line, column) = place.split_once(", Column: ")?;
        let column: String = column.chars().take_while(char::is_ascii_digit).collect();
        let at = self.places.offset(line.trim().parse().ok()?, column.parse().ok()?)?;
        Some(at..at)
    }
}
