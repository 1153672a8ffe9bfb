//! Durations as a histogram with four buckets to the octave: monotone, mergeable, and no wider than a fifth of the
//! value it stands for.

/// The bucket of a duration in milliseconds: exact below 4, then four buckets to each power of two. At most 127.
#[must_use]
pub const fn bucket_of(duration_ms: u32) -> u8 {
    if duration_ms < 4 {
        return duration_ms as u8;
    }
    let octave = 31 - duration_ms.leading_zeros();
    let quarter = (duration_ms >> (octave - 2)) & 3;
    ((octave - 1) * 4 + quarter) as u8
}

/// The smallest duration of a bucket, in milliseconds.
#[must_use]
pub const fn bucket_floor_ms(bucket: u8) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let octave = (bucket / 4 + 1) as u64;
    let quarter = (bucket % 4) as u64;
    (4 + quarter) << (octave - 2)
}

/// The duration below which the share `q` (0 to 1) of all durations lies, in milliseconds, taken at the middle of
/// its bucket; `None` without durations. `buckets` holds `(bucket, count)` in ascending order.
#[must_use]
pub fn quantile_ms(buckets: &[(u8, u64)], q: f64) -> Option<f64> {
    let total: u64 = buckets.iter().map(|(_, n)| n).sum();
    if total == 0 {
        return None;
    }
    let rank = (q.clamp(0.0, 1.0) * total as f64).ceil().max(1.0) as u64;
    let mut seen = 0;
    for &(bucket, n) in buckets {
        seen += n;
        if seen >= rank {
            let floor = bucket_floor_ms(bucket) as f64;
            let ceiling = bucket_floor_ms(bucket.saturating_add(1)) as f64;
            return Some(f64::midpoint(floor, ceiling));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_inside_its_bucket() {
        let mut durations: Vec<u32> = (0..10_000).collect();
        durations.extend((14..32).flat_map(|bit| [(1_u32 << bit) - 1, 1 << bit, (1 << bit) + 12_345]));
        durations.push(u32::MAX);
        for ms in durations {
            let bucket = bucket_of(ms);
            assert!(bucket_floor_ms(bucket) <= u64::from(ms), "{ms} in {bucket}");
            assert!(u64::from(ms) < bucket_floor_ms(bucket + 1), "{ms} in {bucket}");
        }
    }

    #[test]
    fn a_bucket_is_no_wider_than_a_quarter_of_its_floor() {
        for bucket in 4..127 {
            let (floor, next) = (bucket_floor_ms(bucket), bucket_floor_ms(bucket + 1));
            assert!((next - floor) * 4 <= floor, "bucket {bucket}");
        }
    }

    #[test]
    fn quantiles_of_nothing_are_nothing() {
        assert_eq!(quantile_ms(&[], 0.5), None);
        assert_eq!(quantile_ms(&[(3, 1)], 0.5), Some(3.5));
    }
}
