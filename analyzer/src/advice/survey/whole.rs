//! What was met as sums over all keys, where some have no record.

use super::groups::Group;
use super::tally::Tally;
use super::{Survey, TagSum};
use crate::keyspace::Detail;

impl Survey {
    /// Makes the sums those of all keys; what is said of single keys stays as it is. The share that
    /// counts is that of the walk: of keys that lost their records on its way it has met some.
    pub(super) fn extend(&mut self, detail: &Detail) {
        let met = Detail {
            records: self.keys,
            ..*detail
        };
        let own = [
            &mut self.keys,
            &mut self.bytes,
            &mut self.lasting_keys,
            &mut self.lasting_bytes,
            &mut self.unnamed,
            &mut self.bare_streams,
        ];
        let tallies = self.tallies.iter_mut().flat_map(Tally::sums);
        let groups = self.groups.all_mut().flat_map(Group::sums);
        let tags = self.tags.all_mut().flat_map(TagSum::sums);
        let sums = own.into_iter().chain(self.secrets.sums());
        self.met = met;
        for sum in sums.chain(tallies).chain(groups).chain(tags) {
            *sum = met.for_all(*sum);
        }
    }
}
