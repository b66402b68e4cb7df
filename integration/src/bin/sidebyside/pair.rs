//! Times of two things that were measured in turns.

/// Pairs of measurements: the one with the median ratio is told, because a shared machine slows one
/// side or the other by half now and then.
pub(super) const PAIRS: usize = 3;

/// The median of some pairs.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) theirs: f64,
    pub(super) ours: f64,
    /// Least and largest ratio of the pairs.
    spread: (f64, f64),
}

impl Pair {
    pub(super) fn median(mut pairs: Vec<(f64, f64)>) -> Pair {
        let ratio = |(theirs, ours): &(f64, f64)| theirs / ours;
        pairs.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let (theirs, ours) = pairs[pairs.len() / 2];
        let spread = (ratio(&pairs[0]), ratio(&pairs[pairs.len() - 1]));
        Pair {
            theirs,
            ours,
            spread,
        }
    }

    pub(super) fn ratio(&self) -> f64 {
        self.theirs / self.ours
    }

    /// The ratio and its spread.
    pub(super) fn told(&self) -> String {
        let (least, most) = self.spread;
        format!("{:.2}x ({least:.2} to {most:.2})", self.ratio())
    }
}
