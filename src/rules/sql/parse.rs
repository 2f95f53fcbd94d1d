//! From text to syntax tree, under caps.
//!
//! Owns the tokens (their number, nesting, and what would make the parser slow), the parser's call and its
//! errors. A hostile text must cost no more than a long one: the parser itself has no bound on time.

use std::ops::Range;

use sqlparser::ast::{Query, Spanned, Statement};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::Checker;
use crate::diagnostic::codes;

/// Words behind which the parser, when it fails further on, goes back and reads the same again as a plain
/// call. Nested, that doubles the time with each level.
#[rustfmt::skip]
const RETRIED: &[&str] = &[
    "ANY", "ARRAY", "CAST", "CEIL", "CEILING", "CONNECT_BY_ROOT", "CONVERT",
    "CURRENT_CATALOG", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "EXISTS", "EXTRACT", "FLOOR",
    "GROUPING", "INTERVAL", "LAMBDA", "LOCALTIME", "LOCALTIMESTAMP", "MAP", "MATCH", "NOT", "OVERLAY", "POSITION", "PRIOR", "SAFE_CAST", "SESSION_USER",
    "STRUCT", "SUBSTR", "SUBSTRING", "TRIM", "TRY_CAST", "TRY_CONVERT", "USER",
];

impl Checker<'_> {
    fn tokens(&mut self) -> Option<Vec<TokenWithSpan>> {
        let sql = &self.file.text[self.range.clone()];
        let start = self.range.start + (sql.len() - sql.trim_start().len());
        self.within = start..start;
        if sql.len() > self.limits.bytes_max {
            let message = format!("the SQL has {} bytes, more than {}", sql.len(), self.limits.bytes_max);
            self.refuse(codes::Q004, message, start..start, "split the rule, or shorten its lists");
            return None;
        }
        // The parser counts from the start of its text: blanks in place of the metadata keep places true.
        let mut padded: String =
            self.file.text[..self.range.start].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        padded.push_str(sql);
        let tokens = match Tokenizer::new(&GenericDialect {}, &padded).tokenize_with_location() {
            Ok(tokens) => tokens,
            Err(error) => {
                let at = self.bytes(Span::new(error.location, error.location));
                self.refuse(codes::Q001, error.message, at, "is a quote or a comment left open?");
                return None;
            }
        };
        if tokens.len() > self.limits.tokens_max {
            let message = format!("the SQL has {} parts, more than {}", tokens.len(), self.limits.tokens_max);
            self.refuse(codes::Q005, message, start..start, "split the rule, or shorten its lists");
            return None;
        }
        let mut meaningful = tokens
            .iter()
            .filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF))
            .skip_while(|token| token.token == Token::SemiColon);
        let Some(first) = meaningful.next() else {
            let help = "write one SELECT behind the metadata";
            self.refuse(codes::R003, "there is no SQL behind the metadata", start..start, help);
            return None;
        };
        self.within = self.bytes(first.span);
        let (mut ended, mut open, mut prefixes) = (false, 0usize, 0usize);
        // For each open parenthesis, how often the parser may try what is in it again; then for the next one.
        let (mut retried, mut retries): (Vec<usize>, usize) = (Vec::new(), 0);
        for token in meaningful {
            // The parser tries an open bracket in several ways, and hides that it went too deep.
            match &token.token {
                Token::LParen | Token::LBracket | Token::LBrace => open += 1,
                Token::RParen | Token::RBracket | Token::RBrace => open = open.saturating_sub(1),
                Token::Word(word) if word.value.eq_ignore_ascii_case("case") => open += 1,
                Token::Word(word) if word.value.eq_ignore_ascii_case("end") => open = open.saturating_sub(1),
                _ => {}
            }
            let prefix = match &token.token {
                Token::Word(word) => word.value.eq_ignore_ascii_case("not"),
                Token::Minus | Token::Plus | Token::LParen => true,
                _ => false,
            };
            prefixes = if prefix { prefixes + 1 } else { 0 };
            match &token.token {
                Token::Word(word) if RETRIED.contains(&word.value.to_ascii_uppercase().as_str()) => {
                    retries += 1;
                }
                Token::LParen | Token::LBracket => retried.push(std::mem::take(&mut retries)),
                Token::RParen | Token::RBracket => {
                    retried.pop();
                    retries = 0;
                }
                _ => retries = 0,
            }
            let tries = retries + retried.iter().sum::<usize>();
            if open.max(prefixes) > self.limits.nesting_max || tries > self.limits.retries_max {
                let at = self.bytes(token.span);
                self.too_deep(at);
                return None;
            }
            if token.token == Token::SemiColon {
                ended = true;
            } else if ended {
                let at = self.bytes(token.span);
                let help = "write one rule, in a file of its own, for each query";
                self.refuse(codes::Q002, "a rule holds one statement; a second one begins here", at, help);
                return None;
            }
        }
        for token in &tokens {
            if let Token::Word(word) = &token.token
                && word.quote_style.is_none()
            {
                let at = self.bytes(token.span);
                self.words.entry(word.value.to_ascii_uppercase()).or_insert(at);
            }
        }
        Some(tokens)
    }

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

    fn too_deep(&mut self, at: Range<usize>) {
        let message = format!("nested deeper than {} levels", self.limits.nesting_max);
        self.refuse(codes::Q005, message, at, "write conditions side by side, not inside each other");
    }

    /// `3, Column: 14` of the parser's messages.
    fn parse_place(&self, place: &str) -> Option<Range<usize>> {
        let (line, column) = place.split_once(", Column: ")?;
        let column: String = column.chars().take_while(char::is_ascii_digit).collect();
        let at = self.file.offset(line.trim().parse().ok()?, column.parse().ok()?);
        Some(at..at)
    }
}
