//! How long to wait before the next attempt: exponential with jitter, so that many links to one
//! host that fell together do not come back together.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A link that lived this long was a good one: the next wait is the first one again.
pub const GOOD_LIFE: Duration = Duration::from_secs(10);

/// A growing wait.
#[derive(Debug)]
pub struct Backoff {
    builder: ExponentialBuilder,
    waits: ExponentialBackoff,
    max: Duration,
}

impl Backoff {
    /// Waits from `min` to `max`, doubling, each with up to as much jitter again.
    pub fn new(min: Duration, max: Duration) -> Backoff {
        let builder = ExponentialBuilder::default()
            .with_min_delay(min)
            .with_max_delay(max)
            .with_factor(2.0)
            .with_jitter()
            .without_max_times();
        Backoff {
            builder,
            waits: builder.build(),
            max,
        }
    }

    /// The next wait.
    pub fn next_wait(&mut self) -> Duration {
        self.waits.next().unwrap_or(self.max)
    }

    /// Starts over: something went well.
    pub fn reset(&mut self) {
        self.waits = self.builder.build();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_limit_and_start_over() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut backoff = Backoff::new(min, max);
        let waits: Vec<_> = (0..20).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] >= min && waits[0] <= min * 2);
        assert!(waits[19] >= max && waits[19] <= max * 2);
        backoff.reset();
        assert!(backoff.next_wait() <= min * 2);
    }
}
