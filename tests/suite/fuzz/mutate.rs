//! Mutations without a fuzzer: no coverage leads them, but they need nothing that a stable toolchain does not have.

use std::path::Path;

/// Words of a dictionary in libFuzzer's form: a line is `name="…"` or `"…"`, with `\\`, `\"` and `\xNN`.
pub fn words(path: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| word(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}

fn word(line: &str) -> Option<Vec<u8>> {
    let mut rest = line.get(line.find('"')? + 1..)?.strip_suffix('"')?.bytes();
    let mut word = Vec::new();
    while let Some(byte) = rest.next() {
        word.push(match (byte, byte == b'\\') {
            (_, false) => byte,
            _ => match rest.next()? {
                b'x' => {
                    let digits = [rest.next()?, rest.next()?];
                    u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
                }
                other => other,
            },
        });
    }
    (!word.is_empty()).then_some(word)
}

/// A source of inputs.
pub struct Mutator {
    state: u64,
    words: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, words: Vec<Vec<u8>>) -> Self {
        Self { state: seed, words }
    }

    /// The next input: one of those given, changed in one to four places.
    pub fn next(&mut self, inputs: &[Vec<u8>], bytes_max: usize) -> Vec<u8> {
        let mut input = self.one_of(inputs).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut input, inputs);
        }
        input.truncate(bytes_max);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                input.drain(at..end);
            }
            2 => {
                let part = input[at..end].to_vec();
                let times = 1 + self.below(40);
                input.splice(at..at, part.repeat(times));
            }
            3 => {
                let other = self.one_of(inputs).cloned().unwrap_or_default();
                let (from, length) = (self.below(other.len() + 1), 1 + self.below(64));
                input.splice(at..end, other.into_iter().skip(from).take(length));
            }
            4 => input.truncate(at),
            5 => {
                let byte = u8::try_from(self.below(256)).unwrap_or(0);
                input.insert(at, byte);
            }
            _ => {
                let words = std::mem::take(&mut self.words);
                let word = self.one_of(&words).cloned().unwrap_or_default();
                self.words = words;
                let end = if self.below(2) == 0 { at } else { end };
                input.splice(at..end, word);
            }
        }
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = self.below(all.len().max(1));
        all.get(at)
    }

    /// A number below a bound, by SplitMix64.
    fn below(&mut self, bound: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap_or(0)
    }
}
