//! What is counted of the keys of one pattern.

use crate::census::Portion;
use crate::flows::Flow;
use crate::store::record::Form;
use crate::store::weigh::Weight;

/// Longest name that is kept as an example, in bytes.
const EXAMPLE_MAX: usize = 128;

/// Sums over the keys of a pattern. Most patterns have keys of one form, so that one is at hand.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    main: Form,
    sum: Portion,
    others: Vec<(Form, Portion)>,
    pub(crate) name_bytes: u64,
    /// Keys without an expiry.
    pub(crate) fixed: Portion,
    /// No key is larger.
    pub(crate) largest: u64,
    /// One key is as large as that.
    pub(crate) is_met: bool,
    /// A key of the pattern, the last time that one was written.
    pub(crate) example: Option<Box<[u8]>>,
    /// What happened to its keys since that was asked last.
    pub(crate) flow: Flow,
    /// The largest of its keys that DEL or UNLINK removed lately.
    pub(crate) deleted: Deleted,
}

/// How large a key was that was deleted, and when, unix milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Bytes (MEMORY USAGE); 0 if there was none.
    pub bytes: u64,
    /// When.
    pub at_ms: i64,
}

impl Deleted {
    /// How long it is told: as long as rules look back.
    const TOLD_MS: i64 = 3_600_000;

    /// The larger one, unless that was too long ago.
    #[must_use]
    pub fn or(self, other: Deleted) -> Deleted {
        let now_ms = self.at_ms.max(other.at_ms);
        match other.lately(now_ms) >= self.lately(now_ms) {
            true => other,
            false => self,
        }
    }

    /// Its bytes, if it was in the last hour.
    pub fn lately(self, now_ms: i64) -> u64 {
        match now_ms.saturating_sub(self.at_ms) <= Deleted::TOLD_MS {
            true => self.bytes,
            false => 0,
        }
    }
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            main: Form::RAW,
            sum: Portion::default(),
            others: Vec::new(),
            name_bytes: 0,
            fixed: Portion::default(),
            largest: 0,
            is_met: true,
            example: None,
            flow: Flow::default(),
            deleted: Deleted::default(),
        }
    }

    /// Takes one key's change: `None` is "not there".
    #[inline]
    pub(crate) fn turn(&mut self, name: &[u8], before: Option<&Weight>, after: Option<&Weight>) {
        if before == after {
            return;
        }
        if let Some(weight) = before {
            self.take(name, weight);
        }
        if let Some(weight) = after {
            self.give(name, weight);
        } else if self.example.as_deref() == Some(name) {
            self.example = None;
        }
    }

    fn give(&mut self, name: &[u8], weight: &Weight) {
        self.form(weight.form).give(weight.bytes);
        self.name_bytes = self.name_bytes.wrapping_add(name.len() as u64);
        if weight.expire_ms.is_none() {
            self.fixed.give(weight.bytes);
        }
        if weight.bytes >= self.largest {
            (self.largest, self.is_met) = (weight.bytes, true);
        }
        if self.example.is_none() && name.len() <= EXAMPLE_MAX {
            self.example = Some(name.into());
        }
    }

    fn take(&mut self, name: &[u8], weight: &Weight) {
        self.form(weight.form).take(weight.bytes);
        self.name_bytes = self.name_bytes.wrapping_sub(name.len() as u64);
        if weight.expire_ms.is_none() {
            self.fixed.take(weight.bytes);
        }
        if weight.bytes == self.largest {
            self.is_met = false;
            if self.is_empty() {
                (self.largest, self.is_met) = (0, true);
            }
        }
    }

    /// A name that is shown and not counted.
    pub(crate) fn learn(&mut self) {
        self.sum.give(0);
    }

    /// Forgets what was learned and counted.
    pub(crate) fn clear(&mut self) {
        *self = Tally::new();
    }

    #[inline]
    fn form(&mut self, form: Form) -> &mut Portion {
        if form == self.main {
            return &mut self.sum;
        }
        if self.sum == Portion::default() && self.others.is_empty() {
            self.main = form;
            return &mut self.sum;
        }
        let found = self.others.iter().position(|(other, _)| *other == form);
        let at = found.unwrap_or(self.others.len());
        if found.is_none() {
            self.others.push((form, Portion::default()));
        }
        &mut self.others[at].1
    }

    /// Takes the keys of another pattern, too.
    pub(crate) fn merge(&mut self, other: Tally) {
        self.flow.add(&other.flow);
        self.deleted = self.deleted.or(other.deleted);
        for (form, sum) in other.forms() {
            let own = self.form(form);
            *own = own.and(sum);
        }
        self.name_bytes = self.name_bytes.wrapping_add(other.name_bytes);
        self.fixed = self.fixed.and(other.fixed);
        if other.largest > self.largest || (other.largest == self.largest && other.is_met) {
            (self.largest, self.is_met) = (other.largest, other.is_met);
        }
        if self.example.is_none() {
            self.example = other.example;
        }
    }

    /// The sums of the forms that there are keys of.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (Form, Portion)> {
        let main = std::iter::once((self.main, self.sum));
        let all = main.chain(self.others.iter().copied());
        all.filter(|(_, sum)| *sum != Portion::default())
    }

    /// All keys.
    pub(crate) fn total(&self) -> Portion {
        let others = self.others.iter();
        others.fold(self.sum, |total, (_, sum)| total.and(*sum))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sum.keys == 0 && self.others.iter().all(|(_, sum)| sum.keys == 0)
    }

    /// Bytes allocated.
    pub(crate) fn heap_bytes(&self) -> usize {
        let example = self.example.as_ref().map_or(0, |name| name.len());
        example + self.others.capacity() * size_of::<(Form, Portion)>()
    }

    /// True if both are sums of the same keys. What history tells, like the example, may differ.
    pub(crate) fn counts_as(&self, other: &Tally) -> bool {
        let sorted = |tally: &Tally| {
            let mut forms: Vec<_> = tally
                .forms()
                .map(|(form, sum)| (form.index(), sum))
                .collect();
            forms.sort_unstable_by_key(|(form, _)| *form);
            forms
        };
        let largest = match (self.is_met, other.is_met) {
            (true, true) => self.largest == other.largest,
            (true, false) => self.largest <= other.largest,
            (false, true) => self.largest >= other.largest,
            (false, false) => true,
        };
        sorted(self) == sorted(other)
            && (self.name_bytes, self.fixed) == (other.name_bytes, other.fixed)
            && largest
    }
}
