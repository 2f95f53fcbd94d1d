//! Patterns: LIKE and regular expressions.
//!
//! Owns what a pattern must be: a literal that says what it means, and that compiles within bounds, alone and together
//! with the others of the rule. Called by `expression` for operators and by `arguments` for functions.

use sqlparser::ast::{Expr, Spanned, Value, ValueWithSpan};

use super::Checker;
use super::arguments::text_of;
use super::expression::shortened;
use crate::diagnostic::codes;

/// Bytes of the first trial at compiling a regular expression; each one after it has twice as many.
const TRIAL_BYTES: usize = 8 << 10;

impl Checker<'_> {
    pub(super) fn like(&mut self, any: bool, pattern: &Expr, escape: Option<&ValueWithSpan>) {
        let at = self.bytes(pattern.span());
        if any {
            let help = "write one LIKE for each pattern, with OR";
            self.refuse(codes::Q011, "LIKE ANY is not available", at, help);
        } else if text_of(pattern).is_none() {
            let help = "write the pattern in single quotes; contains(), starts_with() and ends_with() compare columns";
            self.refuse(codes::Q021, "the pattern of LIKE must be a literal", at, help);
        } else if escape.is_some_and(|escape| escape.value != Value::SingleQuotedString("\\".into())) {
            let help = "leave ESCAPE out, and escape % and _ with a backslash";
            self.refuse(codes::Q011, "ESCAPE with another character is not available", at, help);
        } else if let Some((lost, fixed)) = text_of(pattern).and_then(|text| lost_backslash(&text)) {
            let message = format!("LIKE takes the backslash before `{lost}` as an escape, and drops it");
            self.warn(codes::Q028, message, at, format!("write it twice: '{}'", shortened(&fixed)));
        }
    }

    /// A regular expression must be a literal that compiles within bounds.
    pub(super) fn regex(&mut self, pattern: &Expr, flags: Option<&Expr>) {
        let at = self.bytes(pattern.span());
        let Some(text) = text_of(pattern) else {
            let help = "write the pattern in single quotes";
            self.refuse(codes::Q021, "a regular expression must be a literal", at, help);
            return;
        };
        if let Some(flags) = flags
            && text_of(flags).is_none_or(|flags| !flags.chars().all(|flag| "gimsxU".contains(flag)))
        {
            let place = self.bytes(flags.span());
            self.refuse(codes::Q021, "unknown flags", place, "use i, s, m, x and U, and g in regexp_replace");
        }
        if self.patterns > self.limits.regex_total_bytes_max {
            return;
        }
        if text.len() > self.limits.regex_bytes_max {
            let message =
                format!("the regular expression has more than {} bytes", self.limits.regex_bytes_max);
            self.refuse(codes::Q021, message, at, "use IN or LIKE for lists of words");
            return;
        }
        let (compiled, bytes) = self.compiled(&text);
        self.patterns = self.patterns.saturating_add(bytes);
        if self.patterns > self.limits.regex_total_bytes_max {
            // Once is enough; the rest is not compiled either.
            if self.patterns < usize::MAX / 2 {
                self.patterns = usize::MAX / 2;
                let message = format!(
                    "the rule's regular expressions have more than {} MiB when compiled",
                    self.limits.regex_total_bytes_max >> 20
                );
                self.refuse(codes::Q021, message, at, "use smaller repetitions, LIKE, or several rules");
            }
            return;
        }
        match compiled {
            Ok(()) => {}
            Err(regex::Error::CompiledTooBig(_)) => {
                let help = "use smaller repetitions";
                self.refuse(codes::Q021, "the regular expression is too large when compiled", at, help);
            }
            Err(error) => {
                let line = error.to_string();
                let reason = line.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
                let help = "look-around and back-references do not exist in this engine";
                self.refuse(codes::Q021, format!("the regular expression is invalid: {reason}"), at, help);
            }
        }
    }

    /// Whether a regular expression compiles, and about how large it is then: the compiler does not say, only that a
    /// bound was too small.
    fn compiled(&self, text: &str) -> (Result<(), regex::Error>, usize) {
        let mut bytes = TRIAL_BYTES;
        loop {
            bytes = bytes.min(self.limits.regex_compiled_bytes_max);
            let compiled = regex::RegexBuilder::new(text)
                .size_limit(bytes)
                .nest_limit(self.limits.regex_nesting_max)
                .build()
                .map(drop);
            if matches!(compiled, Err(regex::Error::CompiledTooBig(_)))
                && bytes < self.limits.regex_compiled_bytes_max
            {
                bytes *= 2;
            } else {
                return (compiled, bytes);
            }
        }
    }
}

/// The first character of a LIKE pattern that a backslash stands before in vain, and the pattern with each such
/// backslash doubled, as it would be written in SQL.
fn lost_backslash(pattern: &str) -> Option<(char, String)> {
    let (mut lost, mut fixed) = (None, String::new());
    let mut rest = pattern.chars();
    while let Some(character) = rest.next() {
        fixed.push(character);
        if character == '\\' {
            match rest.next() {
                Some(escaped @ ('\\' | '%' | '_')) => fixed.push(escaped),
                Some(other) => {
                    lost.get_or_insert(other);
                    fixed.extend(['\\', other]);
                }
                // At the end it stands for itself.
                None => {}
            }
        }
    }
    lost.map(|lost| (lost, fixed.replace('\'', "''")))
}
