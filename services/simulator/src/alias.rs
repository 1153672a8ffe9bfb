//! Choosing one of many by weight in constant time (Walker 1977, in Vose's form of 1991).
//!
//! Invariant: an index is drawn with its share of the sum of weights, to within 2^-32. A weight of nothing is never
//! drawn.

use rand::Rng;

/// A table for drawing indices.
#[derive(Debug, Clone)]
pub struct Alias {
    /// For each slot: below the threshold the slot itself, else the other index.
    slots: Vec<(u32, u32)>,
}

impl Alias {
    /// From weights of which none is negative and one is positive; `None` otherwise.
    #[must_use]
    pub fn new(weights: &[f64]) -> Option<Self> {
        let sum: f64 = weights.iter().sum();
        let usable = sum > 0.0 && sum.is_finite() && weights.iter().all(|weight| *weight >= 0.0);
        if !usable || u32::try_from(weights.len()).is_err() {
            return None;
        }
        let heaviest = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]))?;
        let mut scaled: Vec<f64> = weights.iter().map(|weight| weight * weights.len() as f64 / sum).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..scaled.len()).partition(|at| scaled[*at] < 1.0);
        let mut slots: Vec<(u32, u32)> = (0..scaled.len()).map(|at| (u32::MAX, at as u32)).collect();
        while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
            slots[poor] = ((scaled[poor] * 2_f64.powi(32)) as u32, rich as u32);
            scaled[rich] -= 1.0 - scaled[poor];
            if scaled[rich] < 1.0 {
                large.pop();
                small.push(rich);
            }
        }
        // Rounding may leave a slot without a partner; one without weight must still never answer for itself.
        for at in small.into_iter().filter(|at| weights[*at] == 0.0) {
            slots[at] = (0, heaviest as u32);
        }
        Some(Self { slots })
    }

    /// One index.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let random: u64 = rng.random();
        let slot = (((random >> 32) * self.slots.len() as u64) >> 32) as usize;
        let (threshold, other) = self.slots[slot];
        if (random as u32) < threshold { slot } else { other as usize }
    }

    /// How many indices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nothing to draw; never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_pcg::Pcg64Mcg;

    #[test]
    fn shares_converge_to_the_weights() {
        let weights = [0.0, 1.0, 25.0, 0.001, 4.0, 0.0, 70.0];
        let alias = Alias::new(&weights).unwrap();
        let mut rng = Pcg64Mcg::seed_from_u64(1);
        let mut counts = [0_u32; 7];
        for _ in 0..1_000_000 {
            counts[alias.draw(&mut rng)] += 1;
        }
        let sum: f64 = weights.iter().sum();
        for (weight, count) in weights.iter().zip(counts) {
            let expected = weight / sum * 1_000_000.0;
            assert!((f64::from(count) - expected).abs() <= 5.0 * expected.sqrt(), "{weight}: {count} of {expected}");
        }
    }

    #[test]
    fn weights_without_a_meaning_are_refused() {
        assert!(Alias::new(&[]).is_none());
        assert!(Alias::new(&[0.0, 0.0]).is_none());
        assert!(Alias::new(&[1.0, -1.0]).is_none());
        assert!(Alias::new(&[f64::NAN]).is_none());
        assert!(Alias::new(&[f64::INFINITY]).is_none());
        assert_eq!(Alias::new(&[2.0]).map(|alias| alias.len()), Some(1));
    }
}
