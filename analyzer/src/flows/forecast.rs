//! The slope of a series, robustly: the median of the slopes between all pairs of points (Theil-Sen),
//! with the interval that Kendall's rank statistic gives for it. A few outliers, such as a batch job,
//! do not bend it.

use super::Point;

/// Fewest points that a slope is told from.
const POINTS_MIN: usize = 10;

/// Most points that are looked at, of which there are half as many pairs squared.
const POINTS_MAX: usize = 128;

/// Standard deviations of a confidence of 95%.
const Z: f64 = 1.96;

/// Bytes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// The median.
    pub median: f64,
    /// The ends of the interval in which it is with a confidence of 95%.
    pub low: f64,
    /// The upper one.
    pub high: f64,
    /// From so many points.
    pub points: usize,
}

impl Slope {
    /// True if the series surely rises.
    pub fn rises(&self) -> bool {
        self.low > 0.0 && self.median > 0.0
    }

    /// How sure that is: the interval against the slope.
    pub fn confidence(&self) -> &'static str {
        let width = (self.high - self.low).abs() / self.median.abs().max(f64::MIN_POSITIVE);
        if width < 0.2 {
            "high"
        } else if width < 1.0 {
            "medium"
        } else {
            "low"
        }
    }
}

/// The slope of a series; `None` if it is too short to tell.
#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate from differences of bytes and seconds"
)]
pub fn slope(points: &[Point]) -> Option<Slope> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let points: Vec<Point> = points.iter().rev().step_by(step).copied().collect();
    let n = points.len();
    if n < POINTS_MIN {
        return None;
    }
    let mut slopes = Vec::with_capacity(n * (n - 1) / 2);
    for (index, a) in points.iter().enumerate() {
        for b in points.iter().skip(index + 1) {
            let seconds = a.at_s.saturating_sub(b.at_s);
            if seconds != 0 {
                slopes.push(a.level.saturating_sub(b.level) as f64 / seconds as f64);
            }
        }
    }
    slopes.sort_by(f64::total_cmp);
    let (count, len) = (n as f64, slopes.len());
    // The standard deviation of Kendall's S, without ties.
    let spread = Z * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
    let at = |rank: f64| {
        let last = len.saturating_sub(1) as f64;
        let rank = rank.clamp(0.0, last);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it was clamped to the length"
        )]
        let rank = rank.round() as usize;
        slopes.get(rank).copied()
    };
    let all = len as f64;
    Some(Slope {
        median: at((all - 1.0) / 2.0)?,
        low: at((all - spread) / 2.0)?,
        high: at((all + spread) / 2.0)?,
        points: n,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(of: impl Fn(i64) -> i64) -> Vec<Point> {
        let at = |at_s: i64| Point {
            at_s,
            level: i128::from(of(at_s)),
        };
        (0..100).map(at).collect()
    }

    #[test]
    fn a_line_has_its_slope_whatever_a_few_points_say() {
        let line = slope(&series(|t| 1000 + 70 * t)).expect("long enough");
        assert!((line.median - 70.0).abs() < 1e-9 && line.rises());
        assert_eq!(line.confidence(), "high");
        let job = slope(&series(|t| 70 * t + if t % 20 == 3 { 1 << 30 } else { 0 }));
        let job = job.expect("long enough");
        assert!((job.median - 70.0).abs() < 1.0, "{job:?}");
    }

    #[test]
    fn noise_does_not_rise() {
        let noise = |t: i64| (t * 7919 % 101) * 1000;
        let flat = slope(&series(noise)).expect("long enough");
        assert!(!flat.rises(), "{flat:?}");
        let both = slope(&series(|t| noise(t) + 5000 * t)).expect("long enough");
        assert!(both.rises(), "{both:?}");
        assert!(both.low < 5000.0 && both.high > 5000.0, "{both:?}");
        assert!(slope(&series(|t| -t)).is_some_and(|down| !down.rises()));
        assert_eq!(slope(&series(|t| t)[..9]), None, "too short");
    }
}
