//! Where the quotes and brackets of a JSON text stand.
//!
//! Owns the first of two passes: blocks of 64 bytes become masks, and the masks a list of positions. What stands between
//! them is `tape`'s to judge. A text may have any bytes; what is inside of a string is told from what is outside.

use super::tape::{Fault, FaultKind};

/// Bytes of a block: as many as a mask has bits.
pub(super) const BLOCK: usize = 64;

/// Of a block, a bit for each byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Masks {
    quote: u64,
    backslash: u64,
    /// Below U+0020.
    control: u64,
    /// One of `{}[]:,`, or a control character that becomes one by the bit 0x20.
    operator: u64,
}

/// Where things stand in a text.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// Quotes that begin or end a string, and brackets, colons and commas outside of strings, ascending. Behind them stands
    /// whatever was left from before.
    all: Vec<u32>,
    count: usize,
    /// There is a character as a number (`\u0041`).
    pub(super) has_code_points: bool,
}

impl Positions {
    /// Scans a text.
    pub(super) fn read(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.count = 0;
        self.has_code_points = false;
        if u32::try_from(text.len()).is_err() {
            return Err(Fault { kind: FaultKind::Syntax, at: 0 });
        }
        // Each block can bring as many as it has bytes.
        let room = text.len() + BLOCK;
        if self.all.len() < room {
            self.all.resize(room, 0);
        }
        #[cfg(target_arch = "x86_64")]
        if wide::is_there() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { wide::blocks(self, text) };
        }
        self.blocks(text, &plain_masks)
    }

    #[inline(always)]
    fn blocks(&mut self, text: &[u8], masks: &impl Fn(&[u8; BLOCK]) -> Masks) -> Result<(), Fault> {
        let mut state = State::default();
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        for (at, block) in blocks.iter().enumerate() {
            self.block(text, masks(block), at * BLOCK, &mut state)?;
        }
        if !rest.is_empty() {
            let mut block = [b' '; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            self.block(text, masks(&block), blocks.len() * BLOCK, &mut state)?;
        }
        if state.in_string != 0 {
            return Err(Fault { kind: FaultKind::Unterminated, at: text.len() });
        }
        Ok(())
    }

    /// What was found.
    pub(super) fn all(&self) -> &[u32] {
        &self.all[..self.count]
    }

    #[inline(always)]
    fn block(&mut self, text: &[u8], masks: Masks, base: usize, state: &mut State) -> Result<(), Fault> {
        let escaped = state.escaped(masks.backslash);
        let quotes = masks.quote & !escaped;
        let inside = parity(quotes) ^ state.in_string;
        state.in_string = 0u64.wrapping_sub(inside >> 63);
        if masks.control & inside != 0 {
            let at = base + (masks.control & inside).trailing_zeros() as usize;
            return Err(Fault { kind: FaultKind::Control, at });
        }
        // A backslash escapes a quote or a backslash; of anything else it is asked what it is.
        let mut others = escaped & !masks.quote & !masks.backslash;
        while others != 0 {
            let at = base + others.trailing_zeros() as usize;
            others &= others - 1;
            self.has_code_points |= text.get(at) == Some(&b'u');
            state.check_escape(text, at)?;
        }
        let mut wanted = quotes | (masks.operator & !inside);
        let count = wanted.count_ones() as usize;
        if let Some(room) = self.all.get_mut(self.count..self.count + count) {
            for position in room {
                #[expect(clippy::cast_possible_truncation, reason = "the text's length fits")]
                let at = base as u32 + wanted.trailing_zeros();
                *position = at;
                wanted &= wanted - 1;
            }
        }
        self.count += count;
        Ok(())
    }
}

/// What a block must know of those before it.
#[derive(Debug, Default)]
struct State {
    /// All bits where it begins inside of a string.
    in_string: u64,
    /// One where its first byte is escaped.
    carried: u64,
    /// Where the `u` of the second half of a pair of surrogates stands, behind the first.
    second_half: usize,
}

impl State {
    /// Which bytes a backslash stands before that is not escaped itself.
    fn escaped(&mut self, backslash: u64) -> u64 {
        const EVEN: u64 = 0x5555_5555_5555_5555;
        if backslash == 0 {
            return std::mem::take(&mut self.carried);
        }
        let backslash = backslash & !self.carried;
        let follows = backslash << 1 | self.carried;
        // Of a run of backslashes every second one is escaped, counted from the run's begin.
        let odd_begins = backslash & !EVEN & !follows;
        let (even_runs, carried) = odd_begins.overflowing_add(backslash);
        self.carried = u64::from(carried);
        (EVEN ^ (even_runs << 1)) & follows
    }

    /// The character behind a backslash must be one that JSON knows there.
    fn check_escape(&mut self, text: &[u8], at: usize) -> Result<(), Fault> {
        let fault = Fault { kind: FaultKind::Escape, at };
        match text.get(at) {
            Some(b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match hex(text, at + 1).ok_or(fault)? {
                0xdc00..=0xdfff if self.second_half == at => Ok(()),
                0xdc00..=0xdfff => Err(fault),
                0xd800..=0xdbff => {
                    let is_escape = text.get(at + 5..at + 7) == Some(b"\\u");
                    let low = is_escape.then(|| hex(text, at + 7)).flatten();
                    if !low.is_some_and(|low| matches!(low, 0xdc00..=0xdfff)) {
                        return Err(fault);
                    }
                    self.second_half = at + 6;
                    Ok(())
                }
                _ => Ok(()),
            },
            // Behind the end: the string is not terminated.
            None => Ok(()),
            Some(_) => Err(fault),
        }
    }
}

/// Of each bit, whether the number of ones up to it, itself counted, is odd.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The number of four hexadecimal digits.
pub(super) fn hex(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?
        .iter()
        .try_fold(0, |number, digit| Some(number * 16 + char::from(*digit).to_digit(16)?))
}

/// Blocks by vectors of 32 bytes.
#[cfg(target_arch = "x86_64")]
mod wide {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set_epi64x, _mm256_set1_epi8,
    };

    use super::{BLOCK, Fault, Masks, Positions};

    /// Whether the processor has such vectors.
    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn blocks(positions: &mut Positions, text: &[u8]) -> Result<(), Fault> {
        positions.blocks(text, &|block| masks(block))
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    #[inline]
    pub(super) fn masks(block: &[u8; BLOCK]) -> Masks {
        let (words, _) = block.as_chunks::<8>();
        let word = |at: usize| i64::from_le_bytes(words[at]);
        let low = _mm256_set_epi64x(word(3), word(2), word(1), word(0));
        let high = _mm256_set_epi64x(word(7), word(6), word(5), word(4));
        let mask = |of: &dyn Fn(__m256i) -> __m256i| {
            let half = |bytes| u64::from(_mm256_movemask_epi8(of(bytes)).cast_unsigned());
            half(low) | half(high) << 32
        };
        let is = |bytes, byte: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(byte.cast_signed()));
        Masks {
            quote: mask(&|bytes| is(bytes, b'"')),
            backslash: mask(&|bytes| is(bytes, b'\\')),
            control: mask(&|bytes| _mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x1f)), bytes)),
            operator: mask(&|bytes| {
                // Square brackets differ from curly ones by this bit.
                let bytes = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
                let brackets = _mm256_or_si256(is(bytes, b'{'), is(bytes, b'}'));
                _mm256_or_si256(brackets, _mm256_or_si256(is(bytes, b':'), is(bytes, b',')))
            }),
        }
    }
}

/// Blocks byte by byte.
fn plain_masks(block: &[u8; BLOCK]) -> Masks {
    let mut masks = Masks::default();
    for (at, byte) in block.iter().enumerate() {
        masks.quote |= u64::from(*byte == b'"') << at;
        masks.backslash |= u64::from(*byte == b'\\') << at;
        masks.control |= u64::from(*byte < 0x20) << at;
        masks.operator |= u64::from(matches!(byte | 0x20, b'{' | b'}' | b':' | b',')) << at;
    }
    masks
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn both_ways_to_masks_agree(bytes in prop::collection::vec(any::<u8>(), BLOCK)) {
            let block: [u8; BLOCK] = bytes.try_into().expect("as long");
            #[cfg(target_arch = "x86_64")]
            if wide::is_there() {
                // SAFETY: as above.
                prop_assert_eq!(unsafe { wide::masks(&block) }, plain_masks(&block));
            }
            let one_by_one = |holds: fn(u8) -> bool| (0..BLOCK).map(|at| u64::from(holds(block[at])) << at).sum::<u64>();
            prop_assert_eq!(plain_masks(&block).control, one_by_one(|byte| byte < 0x20));
        }
    }
}
