//! What is known of keys that have no record any more: sums, exact when the keys were folded, and
//! from then on carried along by what happens to the keys that are still kept.
//!
//! ```text
//! kept keys    a share 1/m of all names, chosen by digest: as good as a random sample
//! folded(now) = folded(then) + (kept(now) - kept(then)) * (m - 1)
//! ```
//!
//! So the sums stay exact while nothing is written, and drift by the sample's error in what is. The
//! server's own number of keys, whenever it is heard, takes the drift of the key count out again.

use super::{Sum, Totals};
use crate::store::record::Form;
use crate::store::weigh::Weight;

/// Sums of one database at one time; differences of two are meant to wrap.
#[derive(Clone, Debug, Default)]
struct Tally {
    forms: [Sum; Form::COUNT],
    expires: u64,
}

impl Tally {
    fn of(totals: &Totals) -> Tally {
        Tally {
            forms: totals.forms,
            expires: totals.expires,
        }
    }

    fn give(&mut self, name: u64, weight: &Weight) {
        self.expires = self
            .expires
            .wrapping_add(u64::from(weight.expire_ms.is_some()));
        if let Some(sum) = self.forms.get_mut(weight.form.index()) {
            sum.keys = sum.keys.wrapping_add(1);
            sum.elements = sum.elements.wrapping_add(weight.count);
            sum.name_bytes = sum.name_bytes.wrapping_add(name);
            sum.bytes = sum.bytes.wrapping_add(weight.bytes);
            sum.beyond = sum.beyond.wrapping_add(weight.beyond);
        }
    }

    fn take(&mut self, name: u64, weight: &Weight) {
        self.expires = self
            .expires
            .wrapping_sub(u64::from(weight.expire_ms.is_some()));
        if let Some(sum) = self.forms.get_mut(weight.form.index()) {
            sum.keys = sum.keys.wrapping_sub(1);
            sum.elements = sum.elements.wrapping_sub(weight.count);
            sum.name_bytes = sum.name_bytes.wrapping_sub(name);
            sum.bytes = sum.bytes.wrapping_sub(weight.bytes);
            sum.beyond = sum.beyond.wrapping_sub(weight.beyond);
        }
    }
}

/// Sums over the folded keys of one database.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folded {
    /// When it was last exact, or set.
    then: Tally,
    /// The kept keys at that time.
    kept: Tally,
    /// Keys that the server has and of whose type nothing is known.
    unknown: u64,
}

impl Folded {
    /// A key is folded that was kept until now.
    pub(crate) fn fold(&mut self, name: u64, weight: &Weight) {
        self.then.give(name, weight);
        self.kept.take(name, weight);
    }

    /// A key is folded as it is loaded.
    pub(crate) fn load(&mut self, totals: &Totals) {
        for (sum, more) in self.then.forms.iter_mut().zip(&totals.forms) {
            sum.keys += more.keys;
            sum.elements = sum.elements.wrapping_add(more.elements);
            sum.name_bytes += more.name_bytes;
            sum.bytes = sum.bytes.wrapping_add(more.bytes);
            sum.beyond = sum.beyond.wrapping_add(more.beyond);
        }
        self.then.expires += totals.expires;
    }

    /// The sums are those of now, by what happened to the kept keys, of which there is one in `m`.
    pub(crate) fn settle(&mut self, totals: &Totals, m: u64) {
        for form in Form::all() {
            let now = self.form(form, totals, m);
            if let Some(sum) = self.then.forms.get_mut(form.index()) {
                *sum = now;
            }
        }
        self.then.expires = self.expires(totals, m);
        self.kept = Tally::of(totals);
    }

    /// The folded keys are all there are besides the kept ones: a load ends.
    pub(crate) fn begin(&mut self, totals: &Totals) {
        self.kept = Tally::of(totals);
    }

    /// The sums of one form.
    pub(crate) fn form(&self, form: Form, totals: &Totals, m: u64) -> Sum {
        let of = |tally: &Tally| tally.forms.get(form.index()).copied().unwrap_or_default();
        let (then, kept, now) = (of(&self.then), of(&self.kept), totals.form(form));
        Sum {
            keys: carried(then.keys, kept.keys, now.keys, m),
            elements: carried(then.elements, kept.elements, now.elements, m),
            name_bytes: carried(then.name_bytes, kept.name_bytes, now.name_bytes, m),
            bytes: carried(then.bytes, kept.bytes, now.bytes, m),
            beyond: carried_signed(then.beyond, now.beyond.wrapping_sub(kept.beyond), m),
        }
    }

    /// Keys with an expiry.
    pub(crate) fn expires(&self, totals: &Totals, m: u64) -> u64 {
        carried(self.then.expires, self.kept.expires, totals.expires, m)
    }

    /// Keys.
    pub(crate) fn keys(&self, totals: &Totals, m: u64) -> u64 {
        let forms = Form::all().map(|form| self.form(form, totals, m).keys);
        forms.fold(self.unknown, u64::saturating_add)
    }

    /// Takes the server's word for the number of folded keys, and of those with an expiry: the sums
    /// of each form are scaled to it.
    pub(crate) fn correct(&mut self, totals: &Totals, m: u64, (keys, expires): (u64, u64)) {
        self.settle(totals, m);
        self.unknown = 0;
        let counted = self.keys(totals, m);
        self.then.expires = expires.min(keys);
        if counted == 0 {
            self.unknown = keys;
            return;
        }
        for sum in &mut self.then.forms {
            sum.keys = scaled(sum.keys, keys, counted);
            sum.elements = scaled(sum.elements, keys, counted);
            sum.name_bytes = scaled(sum.name_bytes, keys, counted);
            sum.bytes = scaled(sum.bytes, keys, counted);
            let beyond = scaled(sum.beyond.unsigned_abs(), keys, counted);
            let beyond = i64::try_from(beyond).unwrap_or(i64::MAX);
            sum.beyond = sum.beyond.signum() * beyond;
        }
        // Rounding lost some.
        let counted = self.then.forms.iter().map(|sum| sum.keys);
        self.unknown = keys.saturating_sub(counted.fold(0, u64::saturating_add));
    }
}

fn scaled(n: u64, by: u64, of: u64) -> u64 {
    let scaled = u128::from(n) * u128::from(by) / u128::from(of.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// `then + (now - kept) * (m - 1)`, not below 0.
fn carried(then: u64, kept: u64, now: u64, m: u64) -> u64 {
    let change = i128::from(now.wrapping_sub(kept).cast_signed());
    let sum = i128::from(then) + change * i128::from(m.saturating_sub(1));
    u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
}

/// The same of a sum that may be below 0.
fn carried_signed(then: i64, change: i64, m: u64) -> i64 {
    let sum = i128::from(then) + i128::from(change) * i128::from(m.saturating_sub(1));
    i64::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weight(bytes: u64) -> Weight {
        Weight {
            beyond: 3,
            ..Weight::of_raw(bytes)
        }
    }

    #[test]
    fn folded_keys_follow_what_happens_to_kept_ones() {
        let mut totals = Totals::default();
        for _ in 0..400 {
            totals.turn(b"k", None, Some(&weight(10)));
        }
        let mut folded = Folded::default();
        folded.begin(&totals);
        for _ in 0..300 {
            totals.turn(b"k", Some(&weight(10)), None);
            folded.fold(1, &weight(10));
        }
        assert_eq!(
            folded.keys(&totals, 4),
            300,
            "exact while nothing is written"
        );
        for _ in 0..50 {
            totals.turn(b"k", Some(&weight(10)), None);
        }
        let half = folded.form(Form::RAW, &totals, 4);
        assert_eq!((half.keys, half.bytes), (150, 1500), "as one in four went");
        assert_eq!(half.beyond, 450);
        folded.correct(&totals, 4, (160, 0));
        let told = folded.form(Form::RAW, &totals, 4);
        assert_eq!((told.keys, told.bytes), (160, 1600), "as the server counts");
        for _ in 0..50 {
            totals.turn(b"k", Some(&weight(10)), None);
        }
        assert_eq!(folded.keys(&totals, 4), 10);
    }
}
