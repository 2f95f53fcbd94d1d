//! Pseudo-random numbers that are the same for a seed on every machine.
//!
//! Owns SplitMix64 (Steele, Lea and Flood, 2014): small, fast, good enough for made-up telemetry and for
//! nothing that must be secret. Called by the parent module.

/// The generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator that a seed determines.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product: without a division, and without the bias of low bits.
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `low` to below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// One of the choices.
    ///
    /// # Panics
    /// When there is none; the lists here are constants.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// One of the choices, each as often as its weight says.
    ///
    /// # Panics
    /// When there is none; the lists here are constants.
    pub fn weighted<T>(&mut self, choices: &'static [(u64, T)]) -> &'static T {
        let total = choices.iter().map(|choice| choice.0).sum();
        let mut at = self.below(total);
        for (weight, choice) in choices {
            if at < *weight {
                return choice;
            }
            at -= weight;
        }
        &choices[choices.len() - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_sequence() {
        // Reference values of SplitMix64 for the seed 1234567.
        let mut random = Random::new(1_234_567);
        assert_eq!(random.bits(), 6_457_827_717_110_365_317);
        assert_eq!(random.bits(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn bounds_and_weights_hold() {
        const CHOICES: &[(u64, char)] = &[(1, 'a'), (0, 'b'), (3, 'c')];
        let mut random = Random::new(7);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..4_000 {
            assert!((5..9).contains(&random.between(5, 9)));
            *seen.entry(*random.weighted(CHOICES)).or_insert(0) += 1;
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(seen.keys().collect::<String>(), "ac");
        assert!((800..1_200).contains(&seen[&'a']), "{seen:?}");
    }
}
