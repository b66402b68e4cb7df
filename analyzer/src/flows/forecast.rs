//! The slope of a series, robustly: the median of the slopes between all pairs of points (Theil-Sen).
//! A few outliers, such as a batch job, do not bend it.
//!
//! How sure that is cannot be read off the points. They are sums: what happened in one interval is in
//! all points behind it, so that a series that only wanders looks like a line to every test that takes
//! points for independent. So it is read off the changes from point to point. Those of a series that
//! wanders are independent; those of noise around a line undo each other. Their mean, and the variance
//! of that mean from their autocovariances, weighted as Newey and West do, fit both; how many standard
//! errors make 95% when a quarter of the series is looked at for that is from Kiefer and Vogelsang, "A
//! new asymptotic theory for heteroskedasticity-autocorrelation robust tests" (2005), table 1.

use super::Point;

/// Fewest points that a slope is told from.
const POINTS_MIN: usize = 10;

/// Most points that are looked at; there are half as many pairs as that squared.
const POINTS_MAX: usize = 128;

/// One part in so many of the changes before a change may have to do with it.
const LAGS: usize = 4;

/// Standard errors of a confidence of 95%, 2.5% at either side, by the part `b` of the series that is
/// looked at for what changes have to do with each other: a polynomial in `b`.
const ERRORS: [f64; 4] = [1.9600, 2.9694, 0.4160, -0.5324];

/// By how much more than that a short series needs: it was measured, as a part of one per change.
const SHORT: f64 = 1.5;

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
    /// True if the series surely rises: of those that go nowhere one in forty does by chance.
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

/// The slope of a series in the order of time; `None` if it is too short to tell.
pub fn slope(points: &[Point]) -> Option<Slope> {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let mut points: Vec<Point> = points.iter().rev().step_by(step).copied().collect();
    points.reverse();
    if points.len() < POINTS_MIN {
        return None;
    }
    let median = median_slope(&points)?;
    let (low, high) = interval(&points)?;
    Some(Slope {
        median,
        low: low.min(median),
        high: high.max(median),
        points: points.len(),
    })
}

/// Bytes per second from one point to a later one; `None` if no time is between them.
#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate from differences of bytes and seconds"
)]
fn rate(from: &Point, to: &Point) -> Option<f64> {
    let seconds = to.at_s.saturating_sub(from.at_s);
    (seconds > 0).then(|| to.level.saturating_sub(from.level) as f64 / seconds as f64)
}

/// The median of the slopes between all pairs.
fn median_slope(points: &[Point]) -> Option<f64> {
    let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
    for (index, from) in points.iter().enumerate() {
        let later = points.iter().skip(index + 1);
        slopes.extend(later.filter_map(|to| rate(from, to)));
    }
    let middle = slopes.len() / 2;
    if slopes.is_empty() {
        return None;
    }
    let (_, median, _) = slopes.select_nth_unstable_by(middle, f64::total_cmp);
    Some(*median)
}

/// Where the mean of the changes is with a confidence of 95%.
#[expect(
    clippy::cast_precision_loss,
    reason = "an estimate from differences of bytes and seconds"
)]
fn interval(points: &[Point]) -> Option<(f64, f64)> {
    let (first, last) = (points.first()?, points.last()?);
    let mean = rate(first, last)?;
    // A change may take longer than another one.
    let pairs = points.iter().zip(points.iter().skip(1));
    let off = pairs.map(|(from, to)| {
        let seconds = to.at_s.saturating_sub(from.at_s) as f64;
        to.level.saturating_sub(from.level) as f64 - mean * seconds
    });
    let off: Vec<f64> = off.collect();
    let count = off.len() as f64;
    let covariance = |lag: usize| {
        let pairs = off.iter().zip(off.iter().skip(lag));
        pairs.map(|(a, b)| a * b).sum::<f64>() / count
    };
    let lags = (off.len() / LAGS).max(1);
    let weighted = |lag: usize| 2.0 * (1.0 - lag as f64 / lags as f64) * covariance(lag);
    let variance = covariance(0) + (1..lags).map(weighted).sum::<f64>();
    let part = lags as f64 / count;
    let errors = ERRORS.iter().rev().fold(0.0, |sum, term| sum * part + term);
    let errors = errors * (1.0 + SHORT / count);
    let seconds = last.at_s.saturating_sub(first.at_s) as f64;
    let wide = errors * (variance.max(0.0) * count).sqrt() / seconds;
    Some((mean - wide, mean + wide))
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

    /// Numbers from -1000 to 1000 without a pattern.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self) -> i64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            i64::try_from((self.0 >> 11) % 2001).unwrap_or(0) - 1000
        }
    }

    /// How many of 1000 series of so many points rise, which grow by so much a minute, wander by so
    /// much, and are off by so much at each point.
    fn rising(points: i64, (growth, wander, noise): (i64, i64, i64)) -> usize {
        let mut rising = 0;
        for seed in 1..=1000u64 {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut level = 0;
            let at = |minute: i64| {
                level += growth + wander * dice.roll();
                Point {
                    at_s: minute * 60,
                    level: i128::from(level + noise * dice.roll()),
                }
            };
            let points: Vec<Point> = (0..points).map(at).collect();
            rising += usize::from(slope(&points).expect("long enough").rises());
        }
        rising
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

    #[test]
    fn what_only_wanders_does_not_rise() {
        for points in [10, 17, 61, 121, 1000] {
            let rising = rising(points, (0, 1000, 0));
            // 25 are due; 40 are three standard deviations more.
            assert!(rising <= 40, "{rising} of 1000, {points} points");
        }
    }

    #[test]
    fn a_step_is_no_slope() {
        let step = slope(&series(|t| if t < 30 { 0 } else { 1 << 40 })).expect("long enough");
        assert!(!step.rises(), "{step:?}");
    }

    #[test]
    fn what_grows_is_found() {
        // By so much a minute, beside wandering and noise of a thousand either way.
        for (points, made_of) in [
            (61, (200, 0, 1)),
            (61, (500, 1, 0)),
            (121, (80, 0, 1)),
            (121, (1000, 1, 1)),
            (17, (1500, 1, 0)),
            (10, (2000, 1, 0)),
        ] {
            let rising = rising(points, made_of);
            assert!(rising >= 990, "{rising} of 1000, {points} {made_of:?}");
        }
    }
}
