//! Totals of one database, kept by deltas: every change of a key says what it weighed before and
//! what it weighs now.

mod folded;

use crate::command::Doubt;
use crate::keyspace::SlotOf;
use crate::slots::SlotSums;
use crate::store::record::Form;
use crate::store::weigh::Weight;

pub(crate) use folded::Folded;

/// Sums over the keys of one form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) keys: u64,
    /// Bytes of strings, elements of collections.
    pub(crate) elements: u64,
    pub(crate) name_bytes: u64,
    /// MEMORY USAGE.
    pub(crate) bytes: u64,
    /// What the server's blocks take beyond that.
    pub(crate) beyond: i64,
}

/// Sums over the keys of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) keys: u64,
    pub(crate) expires: u64,
    /// Sum of the expiry times, unix milliseconds.
    pub(crate) expiry_sum: i128,
    /// Keys whose doubt a probe settles.
    pub(crate) probes: u64,
    /// Keys whose size must be asked for.
    pub(crate) sizes: u64,
    /// Keys whose value must be read again.
    pub(crate) values: u64,
    /// Collections without the records of their elements.
    pub(crate) bare: u64,
    /// Hashes with fields that expire.
    pub(crate) volatile: u64,
    forms: [Sum; Form::COUNT],
    /// By hash slot, where that is counted.
    slots: Option<SlotSums>,
}

impl Totals {
    /// Nothing yet; by hash slot as well with a slot function.
    pub(crate) fn new(slot_of: Option<SlotOf>) -> Totals {
        Totals {
            slots: slot_of.map(SlotSums::new),
            ..Totals::default()
        }
    }

    /// The sums by hash slot, where that is counted.
    pub(crate) fn slots(&self) -> Option<&SlotSums> {
        self.slots.as_ref()
    }

    /// The sums of one form.
    pub(crate) fn form(&self, form: Form) -> Sum {
        self.forms.get(form.index()).copied().unwrap_or_default()
    }

    /// Takes one key's change: `None` is "not there".
    #[inline]
    pub(crate) fn turn(&mut self, name: &[u8], before: Option<&Weight>, after: Option<&Weight>) {
        if before == after {
            return;
        }
        if let Some(slots) = &mut self.slots {
            let bytes = |weight: &Weight| weight.bytes;
            slots.change(name, before.map(bytes), after.map(bytes));
        }
        let name = name.len() as u64;
        if let Some(weight) = before {
            self.take(name, weight);
        }
        if let Some(weight) = after {
            self.give(name, weight);
        }
    }

    /// Takes the sums of other keys, whose slots are counted one by one.
    pub(crate) fn add(&mut self, other: &Totals) {
        self.keys += other.keys;
        self.expires += other.expires;
        self.expiry_sum += other.expiry_sum;
        self.probes += other.probes;
        self.sizes += other.sizes;
        self.values += other.values;
        self.bare += other.bare;
        self.volatile += other.volatile;
        for (sum, more) in self.forms.iter_mut().zip(&other.forms) {
            sum.keys += more.keys;
            sum.elements = sum.elements.wrapping_add(more.elements);
            sum.name_bytes += more.name_bytes;
            sum.bytes = sum.bytes.wrapping_add(more.bytes);
            sum.beyond = sum.beyond.wrapping_add(more.beyond);
        }
    }

    /// Counts a key by its slot, where that is done.
    #[inline]
    pub(crate) fn count_slot(&mut self, name: &[u8], bytes: u64) {
        if let Some(slots) = &mut self.slots {
            slots.add(name, bytes);
        }
    }

    fn give(&mut self, name: u64, weight: &Weight) {
        self.keys += 1;
        self.bare += u64::from(weight.bare);
        self.volatile += u64::from(weight.volatile);
        if let Some(at) = weight.expire_ms {
            self.expires += 1;
            self.expiry_sum += i128::from(at);
        }
        match weight.doubt {
            Doubt::None => {}
            Doubt::Probe => self.probes += 1,
            Doubt::Size => self.sizes += 1,
            Doubt::Value => self.values += 1,
        }
        if let Some(sum) = self.forms.get_mut(weight.form.index()) {
            sum.keys += 1;
            sum.elements = sum.elements.wrapping_add(weight.count);
            sum.name_bytes += name;
            sum.bytes = sum.bytes.wrapping_add(weight.bytes);
            sum.beyond = sum.beyond.wrapping_add(weight.beyond);
        }
    }

    fn take(&mut self, name: u64, weight: &Weight) {
        self.keys -= 1;
        self.bare -= u64::from(weight.bare);
        self.volatile -= u64::from(weight.volatile);
        if let Some(at) = weight.expire_ms {
            self.expires -= 1;
            self.expiry_sum -= i128::from(at);
        }
        match weight.doubt {
            Doubt::None => {}
            Doubt::Probe => self.probes -= 1,
            Doubt::Size => self.sizes -= 1,
            Doubt::Value => self.values -= 1,
        }
        if let Some(sum) = self.forms.get_mut(weight.form.index()) {
            sum.keys -= 1;
            sum.elements = sum.elements.wrapping_sub(weight.count);
            sum.name_bytes -= name;
            sum.bytes = sum.bytes.wrapping_sub(weight.bytes);
            sum.beyond = sum.beyond.wrapping_sub(weight.beyond);
        }
    }

    /// Bytes that elements of collections take inside records, about; one that is large is counted
    /// as if it were not, which makes no difference to it.
    pub(crate) fn packed_bytes(&self) -> u64 {
        /// Bytes of a small collection's elements, at the least.
        const PACKED: u64 = 24;
        let collections = Form::all().filter(|form| !form.is_string());
        let keys: u64 = collections.map(|form| self.form(form).keys).sum();
        keys.saturating_sub(self.bare) * PACKED
    }
}
