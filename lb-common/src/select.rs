//! Choosing a slot.

/// A slot number in `0..len` from 32 random bits, uniform to within `len / 2^32` (LBA-01), without a
/// division: the high half of a product (Lemire, «Fast Random Integer Generation in an Interval», 2019).
/// `len` 0 gives 0.
#[inline(always)]
pub const fn pick(random: u32, len: u32) -> u32 {
    ((random as u64 * len as u64) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn a_pick_is_inside_the_list_at_both_ends_of_the_random_range() {
        for len in [1, 2, 3, 7, 1 << 20] {
            assert_eq!(pick(0, len), 0);
            assert_eq!(pick(u32::MAX, len), len - 1);
        }
    }

    #[test]
    fn equal_shares_of_the_random_range_go_to_each_slot() {
        let len = 5;
        let mut counts = [0_u32; 5];
        for step in 0..1_000_u32 {
            counts[pick(step * (u32::MAX / 1_000), len) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (199..=201).contains(count)), "{counts:?}");
    }
}
