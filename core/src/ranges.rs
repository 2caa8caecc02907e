//! Sets of seqs as ranges: ascending, apart from each other, none empty.

use crate::rules::SeqRange;

/// The set with one more range in it.
#[must_use]
pub fn with(ranges: &[SeqRange], range: SeqRange) -> Vec<SeqRange> {
    if range.from >= range.to {
        return ranges.to_vec();
    }
    let touches = |other: &&SeqRange| other.from <= range.to && range.from <= other.to;
    let joined = ranges
        .iter()
        .filter(touches)
        .fold(range, |joined, other| SeqRange { from: joined.from.min(other.from), to: joined.to.max(other.to) });
    let before = ranges.iter().filter(|other| other.to < range.from);
    let after = ranges.iter().filter(|other| other.from > range.to);
    before.chain([&joined]).chain(after).copied().collect()
}

/// Whether all of a range is in the set.
#[must_use]
pub fn covers(ranges: &[SeqRange], range: SeqRange) -> bool {
    // Ranges of a set do not touch each other: what covers it is one of them.
    ranges.iter().any(|other| other.from <= range.from && range.to <= other.to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn range((from, to): (u32, u32)) -> SeqRange {
        SeqRange { from, to }
    }

    #[test]
    fn ranges_are_joined() {
        for (set, added, expected) in [
            (vec![], (3, 5), vec![(3, 5)]),
            (vec![(3, 5)], (5, 7), vec![(3, 7)]),
            (vec![(3, 5)], (0, 3), vec![(0, 5)]),
            (vec![(3, 5)], (6, 7), vec![(3, 5), (6, 7)]),
            (vec![(3, 5), (8, 9)], (4, 8), vec![(3, 9)]),
            (vec![(3, 5), (8, 9)], (6, 7), vec![(3, 5), (6, 7), (8, 9)]),
            (vec![(3, 5)], (3, 5), vec![(3, 5)]),
            (vec![(3, 5)], (4, 4), vec![(3, 5)]),
            (vec![(0, 1), (2, 3), (4, 5)], (0, 9), vec![(0, 9)]),
        ] {
            let set: Vec<SeqRange> = set.into_iter().map(range).collect();
            let expected: Vec<SeqRange> = expected.into_iter().map(range).collect();
            assert_eq!(with(&set, range(added)), expected);
        }
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_what_was_added(added in proptest::collection::vec((0..40u32, 0..12u32), 0..12), probe in (0..50u32, 1..9u32)) {
            let mut ranges = vec![];
            let mut set = BTreeSet::new();
            for (from, length) in added {
                ranges = with(&ranges, range((from, from + length)));
                set.extend(from..from + length);
            }
            let flat: Vec<u32> = ranges.iter().flat_map(|range| range.from..range.to).collect();
            prop_assert_eq!(flat, set.iter().copied().collect::<Vec<_>>());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].to < pair[1].from));
            let (from, to) = (probe.0, probe.0 + probe.1);
            prop_assert_eq!(covers(&ranges, range((from, to))), (from..to).all(|seq| set.contains(&seq)));
        }
    }
}
