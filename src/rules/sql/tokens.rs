//! The tokens of a rule, under caps, before the parser sees them.
//!
//! Owns every bound on what makes the parser, or a walk over its tree, slow or deep. The parser has no bound on time,
//! and none on the depth of types; a hostile text must cost no more than a long one. Called by `parse`.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Word};

use super::Checker;
use super::places::Places;
use crate::diagnostic::codes;
use crate::rules::SqlLimits;

/// Words behind which the parser, when it fails further on, goes back and reads the same again as a plain
/// call. Nested, that doubles the time with each level.
#[rustfmt::skip]
const RETRIED: &[&str] = &[
    "ANY", "ARRAY", "CAST", "CEIL", "CEILING", "CONNECT_BY_ROOT", "CONVERT",
    "CURRENT_CATALOG", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "EXISTS", "EXTRACT", "FLOOR",
    "GROUPING", "INTERVAL", "LAMBDA", "LOCALTIME", "LOCALTIMESTAMP", "MAP", "MATCH", "NOT", "OVERLAY", "POSITION", "PRIOR", "SAFE_CAST", "SESSION_USER",
    "STRUCT", "SUBSTR", "SUBSTRING", "TRIM", "TRY_CAST", "TRY_CONVERT", "USER",
];
/// Types that hold types in angle brackets. The parser follows them without a bound.
const ANGLED: &[&str] = &["ARRAY", "MAP", "STRUCT"];
/// Behind these a condition or a value begins anew.
const SEPARATORS: &[&str] = &["WHEN", "THEN", "ELSE"];

/// What there is too much of.
enum Excess {
    /// Levels inside each other.
    Depth,
    /// Parts side by side that the parser puts inside each other.
    Row,
    /// ANDs and ORs.
    Conditions,
    /// Characters of a name.
    Name(usize),
}

impl Checker<'_> {
    /// The tokens, blanks included; `None` when they are too many, nest too deep, or are no query.
    pub(super) fn tokens(&mut self) -> Option<Vec<TokenWithSpan>> {
        let sql = &self.file.text[self.range.clone()];
        let start = self.range.start + (sql.len() - sql.trim_start().len());
        self.within = start..start;
        if sql.len() > self.limits.bytes_max {
            let message = format!("the SQL has {} bytes, more than {}", sql.len(), self.limits.bytes_max);
            self.refuse(codes::Q004, message, start..start, "split the rule, or shorten its lists");
            return None;
        }
        self.places = Places::new(&self.file.text);
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
            .skip_while(|token| token.token == Token::SemiColon)
            .peekable();
        let Some(first) = meaningful.peek() else {
            let help = "write one SELECT behind the metadata";
            self.refuse(codes::R003, "there is no SQL behind the metadata", start..start, help);
            return None;
        };
        self.within = self.bytes(first.span);
        // The parser of other statements is large, and none of them is a rule: it never runs.
        if let Token::Word(word) = &first.token
            && !["SELECT", "WITH", "VALUES", "FROM"].iter().any(|known| is(word, known))
        {
            let at = self.within.clone();
            let message = format!("`{}` is not a query", super::expression::shortened(&word.value));
            self.refuse(codes::Q003, message, at, "a rule is SELECT … FROM table WHERE …");
            return None;
        }
        let mut bounds = Bounds::new(self.limits);
        let mut ended = false;
        for token in meaningful {
            if let Err(excess) = bounds.admit(&token.token) {
                let at = self.bytes(token.span);
                self.exceeded(&excess, at);
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
        let mut before = "";
        for token in tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))) {
            let key = match &token.token {
                Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
                Token::LBrace | Token::LBracket | Token::VerticalBarRightAngleBracket => {
                    token.token.to_string()
                }
                Token::SingleQuotedString(_) if before == "FROM" => "FROM '".to_owned(),
                _ => String::new(),
            };
            before = if key == "FROM" { "FROM" } else { "" };
            if !key.is_empty() {
                let at = self.bytes(token.span);
                self.words.entry(key).or_insert(at);
            }
        }
        Some(tokens)
    }

    fn exceeded(&mut self, excess: &Excess, at: std::ops::Range<usize>) {
        let limits = self.limits;
        let (code, message, help) = match excess {
            Excess::Depth => return self.too_deep(at),
            Excess::Row => (
                codes::Q005,
                format!("more than {} parts in a row, without AND, OR or a comma", limits.row_max),
                "a rule is SELECT … FROM table WHERE …, with its conditions side by side",
            ),
            Excess::Conditions => (
                codes::Q005,
                format!("more than {} conditions", limits.conditions_max),
                "use IN ('…', '…') for the values of one column, or a regular expression",
            ),
            Excess::Name(length) => (
                codes::Q026,
                format!("a name of {length} characters, more than {}", limits.word_chars_max),
                "shorten it; a text stands in single quotes",
            ),
        };
        self.refuse(code, message, at, help);
    }

    pub(super) fn too_deep(&mut self, at: std::ops::Range<usize>) {
        let message = format!("nested deeper than {} levels", self.limits.nesting_max);
        self.refuse(codes::Q005, message, at, "write conditions side by side, not inside each other");
    }
}

/// True for a bare word, whatever its case.
fn is(word: &Word, known: &str) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case(known)
}

/// Parts since the last AND, OR or comma: each may be a level of the tree, as the parser puts operators that follow
/// each other inside each other.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    length: usize,
    /// The longest one before the last separator, in the same parentheses.
    longest: usize,
    /// BETWEENs whose AND is yet to come.
    betweens: usize,
}

/// One walk over the tokens.
struct Bounds<'a> {
    limits: &'a SqlLimits,
    open: usize,
    prefixes: usize,
    /// For each open parenthesis, how often the parser may try what is in it again; then for the next one.
    retried: Vec<usize>,
    retries: usize,
    /// An ARRAY, a MAP or a STRUCT stands before.
    angled: bool,
    angles: usize,
    conditions: usize,
    /// The rows around the open parentheses, and how long they are together.
    around: Vec<Row>,
    around_length: usize,
    row: Row,
}

impl<'a> Bounds<'a> {
    fn new(limits: &'a SqlLimits) -> Self {
        Self {
            limits,
            open: 0,
            prefixes: 0,
            retried: Vec::new(),
            retries: 0,
            angled: false,
            angles: 0,
            conditions: 0,
            around: Vec::new(),
            around_length: 0,
            row: Row::default(),
        }
    }

    /// Counts a token, blanks and comments aside.
    fn admit(&mut self, token: &Token) -> Result<(), Excess> {
        let word = match token {
            Token::Word(word) => Some(word),
            _ => None,
        };
        if let Some(length) = word.map(|word| word.value.chars().count())
            && length > self.limits.word_chars_max
        {
            return Err(Excess::Name(length));
        }
        let word_is = |known: &str| word.is_some_and(|word| is(word, known));
        let word_among = |known: &[&str]| known.iter().any(|known| word_is(known));

        self.row(token, word_is("CASE"), word_is("END"));
        if matches!(token, Token::Comma | Token::SemiColon) || word_among(SEPARATORS) {
            self.separate();
        } else if word_is("BETWEEN") {
            self.row.betweens += 1;
        } else if word_is("AND") && self.row.betweens > 0 {
            self.row.betweens -= 1;
        } else if word_is("AND") || word_is("OR") {
            self.separate();
            self.conditions += 1;
        }

        let prefix = word_is("NOT") || matches!(token, Token::Minus | Token::Plus | Token::LParen);
        self.prefixes = if prefix { self.prefixes + 1 } else { 0 };

        match token {
            Token::Word(_) if word_among(RETRIED) => self.retries += 1,
            Token::LParen | Token::LBracket => self.retried.push(std::mem::take(&mut self.retries)),
            Token::RParen | Token::RBracket => {
                self.retried.pop();
                self.retries = 0;
            }
            _ => self.retries = 0,
        }

        self.angles += usize::from(self.angled && *token == Token::Lt);
        self.angled = word_among(ANGLED);

        let tries = self.retries + self.retried.iter().sum::<usize>();
        if self.open.max(self.prefixes) > self.limits.nesting_max
            || tries > self.limits.retries_max
            || self.angles > self.limits.angles_max
        {
            Err(Excess::Depth)
        } else if self.around_length + self.row.length > self.limits.row_max {
            Err(Excess::Row)
        } else if self.conditions >= self.limits.conditions_max {
            Err(Excess::Conditions)
        } else {
            Ok(())
        }
    }

    fn row(&mut self, token: &Token, case: bool, end: bool) {
        self.row.length += 1;
        if case || matches!(token, Token::LParen | Token::LBracket | Token::LBrace) {
            self.open += 1;
            self.around_length += self.row.length;
            self.around.push(std::mem::take(&mut self.row));
        } else if end || matches!(token, Token::RParen | Token::RBracket | Token::RBrace) {
            self.open = self.open.saturating_sub(1);
            let inside = self.row.length.max(self.row.longest);
            self.row = self.around.pop().unwrap_or_default();
            self.around_length -= self.row.length;
            // The parentheses may be what the next operator takes as its left side.
            self.row.length = self.row.length.max(inside) + 1;
        }
    }

    fn separate(&mut self) {
        let Row { length, longest, betweens: _ } = self.row;
        self.row = Row { length: 0, longest: longest.max(length), betweens: 0 };
    }
}
