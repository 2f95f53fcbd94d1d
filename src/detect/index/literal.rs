//! Literals that a text must contain for a pattern to match: what an automaton can look for.
//!
//! Owns patterns of LIKE in parts, and the literals that a regular expression cannot do without. All literals are folded,
//! as the texts are that the automaton reads: what is left out is only what cannot match. Called by `column`.

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::rules::casefold;

/// Literals shorter than this hit too often to be worth looking for.
const CHARS_MIN: usize = 2;
/// Of one regular expression; more say little.
const ALTERNATIVES_MAX: usize = 64;

/// A pattern of LIKE without `_`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    /// The text begins with the first part.
    pub(super) begins: bool,
    /// The text ends with the last part.
    pub(super) ends: bool,
    /// What stands between the `%`, in this order; none is empty.
    pub(super) parts: Vec<String>,
}

impl Glob {
    /// `None` when the pattern has a `_`.
    pub(super) fn read(pattern: &str) -> Option<Self> {
        let (mut parts, mut part) = (Vec::new(), String::new());
        let (mut begins, mut ends) = (true, true);
        let mut characters = pattern.chars();
        let mut first = true;
        while let Some(character) = characters.next() {
            ends = true;
            match character {
                '_' => return None,
                '%' => {
                    begins &= !first;
                    ends = false;
                    if !part.is_empty() {
                        parts.push(std::mem::take(&mut part));
                    }
                }
                '\\' => part.push(characters.next().unwrap_or('\\')),
                other => part.push(other),
            }
            first = false;
        }
        if !part.is_empty() {
            parts.push(part);
        }
        Some(Self { begins, ends, parts })
    }

    /// Whether the pattern matches the text.
    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text;
        let mut parts = self.parts.as_slice();
        if self.begins {
            let Some((first, others)) = parts.split_first() else { return !self.ends || text.is_empty() };
            let Some(behind) = rest.strip_prefix(first.as_str()) else { return false };
            (rest, parts) = (behind, others);
            if parts.is_empty() {
                return !self.ends || rest.is_empty();
            }
        }
        let last = if self.ends { parts.split_last() } else { None };
        if let Some((last, others)) = last {
            let Some(before) = rest.strip_suffix(last.as_str()) else { return false };
            (rest, parts) = (before, others);
        }
        for part in parts {
            let Some(at) = rest.find(part.as_str()) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }

    /// The part that says most.
    pub(super) fn longest(&self) -> Option<&str> {
        self.parts.iter().map(String::as_str).max_by_key(|part| part.len())
    }
}

/// A regular expression with more states than this is not tried on whatever value comes: without a memory that holds all
/// of what its states can be together, each byte of a text costs as much as there are of them.
const STATES_MAX: usize = 256;

/// Whether a regular expression can take long by itself.
pub(super) fn is_large(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| states(&hir) > STATES_MAX)
}

/// How many states it has, about: a repetition has those of what is repeated as often as it can be told apart.
fn states(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            states(&repetition.sub).saturating_mul(usize::try_from(times).unwrap_or(usize::MAX))
        }
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(states).fold(0, usize::saturating_add)
        }
    }
}

/// A text as LIKE takes it for itself.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Folded literals of which each text that a regular expression matches contains one; `None` when there are none, or
/// they say too little.
pub(super) fn required(pattern: &str) -> Option<Vec<String>> {
    let hir = regex_syntax::parse(pattern).ok()?;
    of(&hir).filter(|literals| !literals.is_empty())
}

fn of(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => worth(vec![run(hir)?]),
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Concat(parts) => {
            let mut best: Option<Vec<String>> = None;
            let mut open = String::new();
            let better = |candidate: Option<Vec<String>>, best: &mut Option<Vec<String>>| {
                let Some(candidate) = candidate else { return };
                if best.as_ref().is_none_or(|best| weight(&candidate) > weight(best)) {
                    *best = Some(candidate);
                }
            };
            for part in parts {
                match run(part) {
                    Some(more) => open.push_str(&more),
                    None => {
                        better(worth(vec![std::mem::take(&mut open)]), &mut best);
                        better(of(part), &mut best);
                    }
                }
            }
            better(worth(vec![open]), &mut best);
            best
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(of(part)?);
                if all.len() > ALTERNATIVES_MAX {
                    return None;
                }
            }
            all.sort_unstable();
            all.dedup();
            Some(all)
        }
        _ => None,
    }
}

/// The shortest one says what the whole is worth, and many are worth less.
fn weight(literals: &[String]) -> (usize, usize) {
    let shortest = literals.iter().map(|literal| literal.chars().count()).min().unwrap_or(0);
    (shortest, ALTERNATIVES_MAX.saturating_sub(literals.len()))
}

fn worth(literals: Vec<String>) -> Option<Vec<String>> {
    literals.iter().all(|literal| literal.chars().count() >= CHARS_MIN).then_some(literals)
}

/// The folded text that this stands for, whatever its case.
fn run(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(casefold(std::str::from_utf8(&literal.0).ok()?)),
        HirKind::Class(Class::Unicode(class)) => {
            let mut folded: Option<String> = None;
            for range in class.ranges() {
                if u32::from(range.end()) - u32::from(range.start()) > 3 {
                    return None;
                }
                for character in range.start()..=range.end() {
                    let this = casefold(character.encode_utf8(&mut [0; 4]));
                    if folded.get_or_insert_with(|| this.clone()) != &this {
                        return None;
                    }
                }
            }
            folded
        }
        HirKind::Capture(capture) => run(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(run).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_like_does() {
        #[rustfmt::skip]
        let table = [
            ("%", "", true), ("%", "a", true), ("%%", "a", true),
            ("a%", "ab", true), ("a%", "ba", false), ("%a", "ba", true), ("%a", "ab", false),
            ("a%a", "a", false), ("a%a", "aa", true), ("a%b%c", "a b c", true), ("a%b%c", "a c b", false),
            ("%a%a%", "a", false), ("%ab%b", "ab", false), ("%ab%b", "abb", true),
            ("a\\%", "a%", true), ("a\\%", "ab", false), ("\\\\%", "\\x", true), ("%\\", "x\\", true),
            ("a", "a", true), ("a", "ab", false), ("", "", true), ("", "a", false),
        ];
        for (pattern, text, expect) in table {
            let glob = Glob::read(pattern).expect("no underscore");
            assert_eq!(glob.matches(text), expect, "{text} LIKE {pattern}: {glob:?}");
        }
        assert_eq!(Glob::read("a_b"), None);
        assert!(Glob::read("a\\_b").is_some_and(|glob| glob.matches("a_b")));
    }

    #[test]
    fn repetitions_make_regular_expressions_large() {
        #[rustfmt::skip]
        let table = [
            ("abc", 3), ("[a-z]+x", 2), ("a{3}", 3), ("a{2,5}", 5), ("a{4,}", 4), ("(ab|c)*", 3), ("", 0),
            ("([ab]{20}c){30}", 630), ("((a{99}){99}){99}", 970_299),
        ];
        for (pattern, expect) in table {
            assert_eq!(states(&regex_syntax::parse(pattern).expect(pattern)), expect, "{pattern}");
        }
        assert!(is_large("[01]*1[01]{400}2") && !is_large("(?i)(whoami|net1)\\s"));
    }

    #[test]
    fn regular_expressions_have_literals_that_they_cannot_do_without() {
        #[rustfmt::skip]
        let table: &[(&str, &[&str])] = &[
            ("abc", &["abc"]),
            ("(?i)AbC", &["abc"]),
            ("^abc.*defg$", &["defg"]),
            ("(abc|de)+x", &["abc", "de"]),
            ("(abc|d)+xyz", &["xyz"]),
            ("a|bcd", &[]),
            ("[a-z]+", &[]),
            ("(?:abc)?de", &["de"]),
            ("(?:abc){0,3}", &[]),
            (r"\\cmd\.exe", &[r"\cmd.exe"]),
            ("a[bB]c", &["abc"]),
            ("a[bc]d", &[]),
            (".*", &[]),
            ("(?i)k1", &["k1"]),
            ("(ab)(cd)", &["abcd"]),
            ("", &[]),
        ];
        for (pattern, expect) in table {
            let mut found = required(pattern).unwrap_or_default();
            found.sort_unstable();
            assert_eq!(found, *expect, "{pattern}");
        }
    }
}
