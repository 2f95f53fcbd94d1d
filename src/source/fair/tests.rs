//! Turns, bytes and what becomes of a quiet one.

use proptest::prelude::*;

use super::*;

/// Partitions, each with its organisation and the sizes of its records in order.
struct Backlog {
    fair: Fair,
    records: BTreeMap<PartitionSlot, VecDeque<u64>>,
}

impl Backlog {
    fn new(partitions: &[(&str, usize, u64)]) -> Self {
        let mut backlog = Self { fair: Fair::default(), records: BTreeMap::new() };
        for (slot, (organisation, records, bytes)) in partitions.iter().enumerate() {
            backlog.fair.admit(slot, organisation);
            backlog.records.insert(slot, std::iter::repeat_n(*bytes, *records).collect());
        }
        backlog
    }

    /// Reads a record of whose turn it is.
    fn read(&mut self) -> Option<PartitionSlot> {
        loop {
            let slot = self.fair.turn()?;
            match self.records.get_mut(&slot).and_then(VecDeque::pop_front) {
                Some(bytes) => {
                    self.fair.charge(bytes);
                    return Some(slot);
                }
                None => self.fair.sleep(),
            }
        }
    }

    fn add(&mut self, slot: PartitionSlot, bytes: u64) {
        self.records.entry(slot).or_default().push_back(bytes);
        self.fair.wake(slot);
    }
}

/// Bytes of cost of each partition among the first `reads` records.
fn shares(partitions: &[(&str, usize, u64)], reads: usize) -> Vec<u64> {
    let mut backlog = Backlog::new(partitions);
    let mut shares = vec![0; partitions.len()];
    for _ in 0..reads {
        let slot = backlog.read().expect("a backlog");
        shares[slot] += partitions[slot].2 + RECORD_COST_BYTES;
    }
    shares
}

#[test]
fn organisations_have_equal_shares_and_so_have_the_partitions_of_one() {
    let many = 1_000_000;
    for (what, partitions, expect) in [
        ("one", &[("a", many, 500)][..], &[1.0][..]),
        ("two alike", &[("a", many, 500), ("b", many, 500)], &[0.5, 0.5]),
        (
            "three partitions against one",
            &[("a", many, 500), ("a", many, 500), ("a", many, 500), ("b", many, 500)],
            &[1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.5],
        ),
        ("large records against small ones", &[("a", many, 50_000), ("b", many, 200)], &[0.5, 0.5]),
        ("records beyond a quantum", &[("a", many, 900_000), ("b", many, 200)], &[0.5, 0.5]),
        (
            "a hot partition beside a poor one",
            &[("a", many, 500), ("a", 100, 500), ("b", many, 500)],
            &[0.5, 0.0, 0.5],
        ),
    ] {
        let shares = shares(partitions, 200_000);
        let total: u64 = shares.iter().sum();
        for (at, expect) in expect.iter().enumerate() {
            let share = shares[at] as f64 / total as f64;
            assert!((share - expect).abs() < 0.02, "{what}: partition {at} has {share:.3}, not {expect:.3}");
        }
    }
}

#[test]
fn a_quiet_organisation_waits_for_no_more_than_a_turn_of_each_other() {
    // Twenty loud ones with four partitions each, records of 500 bytes, and a quiet one.
    let names: Vec<String> = (0..20).map(|number| format!("loud-{number}")).collect();
    let mut partitions: Vec<(&str, usize, u64)> =
        names.iter().flat_map(|name| [(name.as_str(), 100_000, 500); 4]).collect();
    partitions.push(("quiet", 0, 0));
    let quiet = partitions.len() - 1;
    let mut backlog = Backlog::new(&partitions);
    for _ in 0..5_000 {
        assert_ne!(backlog.read(), Some(quiet));
    }
    for _ in 0..50 {
        backlog.add(quiet, 500);
        let before = (0..).take_while(|_| backlog.read() != Some(quiet)).count();
        let turn = usize::try_from(QUANTUM_BYTES).expect("small") / 1_012 + 1;
        assert!(before <= 20 * turn, "it waited for {before} records");
    }
}

#[test]
fn partitions_come_go_sleep_and_change_hands() {
    let mut fair = Fair::default();
    assert_eq!(fair.turn(), None);
    fair.charge(1);
    fair.sleep();
    fair.wake(7);
    assert_eq!(fair, Fair::default(), "an unknown partition is nobody's");
    fair.admit(7, "a");
    fair.admit(8, "a");
    assert_eq!(fair.turn(), Some(7));
    fair.sleep();
    assert_eq!(fair.turn(), Some(8));
    fair.sleep();
    assert_eq!(fair.turn(), None);
    fair.wake_all();
    fair.wake(7);
    assert_eq!(fair.turn(), Some(7));
    fair.dismiss(7);
    assert_eq!(fair.turn(), Some(8));
    fair.admit(8, "b");
    assert_eq!(fair.round.len(), 1, "its organisation is another one now");
    fair.dismiss(8);
    assert_eq!(fair, Fair::default());
}

proptest! {
    /// Whatever happens, each record is read once, in the order of its partition, and nothing is left waiting.
    #[test]
    fn everything_is_read_once_and_in_order(
        steps in prop::collection::vec((0usize..6, 0u64..200_000, 0usize..4), 1..400),
    ) {
        let mut backlog = Backlog::new(&[("a", 0, 0), ("a", 0, 0), ("a", 0, 0), ("b", 0, 0), ("b", 0, 0), ("c", 0, 0)]);
        let mut given = 0;
        let mut taken = 0;
        for (slot, bytes, reads) in steps {
            backlog.add(slot, bytes);
            given += 1;
            taken += (0..reads).filter(|_| backlog.read().is_some()).count();
        }
        while backlog.read().is_some() {
            taken += 1;
        }
        prop_assert_eq!(given, taken);
        prop_assert!(backlog.fair.round.is_empty());
    }
}
