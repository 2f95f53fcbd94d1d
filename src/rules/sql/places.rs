//! From the parser's lines and columns to bytes.
//!
//! Owns an index over the file, made once for each rule: a rule may stand in one line of 64 KB, and asking the text
//! itself for each word would take time with the square of its length. Called by the checker.

/// Where each line begins, and its characters.
#[derive(Debug, Default)]
pub(super) struct Places {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    start: usize,
    /// Without the line break.
    bytes: usize,
    /// The byte of each character within the line; `None` where each character is one byte.
    characters: Option<Vec<usize>>,
}

impl Places {
    pub(super) fn new(text: &str) -> Self {
        let mut start = 0;
        let lines = text
            .split('\n')
            .map(|line| {
                let at = start;
                start += line.len() + 1;
                let characters = (!line.is_ascii()).then(|| line.char_indices().map(|(at, _)| at).collect());
                Line { start: at, bytes: line.len(), characters }
            })
            .collect();
        Self { lines }
    }

    /// The byte of a line and column (both from 1); past the end of a line is that line's end.
    pub(super) fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let line = self.lines.get(line.checked_sub(1)?)?;
        let column = column.saturating_sub(1);
        let within = match &line.characters {
            None => column.min(line.bytes),
            Some(characters) => characters.get(column).copied().unwrap_or(line.bytes),
        };
        Some(line.start + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::SourceFile;

    #[test]
    fn places_are_those_of_the_file() {
        let text = "ab\n狼煙x\n\n";
        let (places, file) = (Places::new(text), SourceFile::new("a.sql", text));
        for line in 0..6 {
            for column in 0..6 {
                let expect = file.offset(line.max(1), column);
                let found = places.offset(line.max(1), column).unwrap_or(text.len());
                assert_eq!(found, expect, "{line}:{column}");
            }
        }
        assert_eq!(places.offset(2, 3), Some(9));
        assert_eq!(Places::default().offset(1, 1), None);
    }
}
