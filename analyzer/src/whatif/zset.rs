//! What a load makes of a sorted set.

use super::survey::{Part, Survey};
use super::{Becomes, Frame, Guess};
use crate::value::Encoding;
use crate::value::elements::{Sizes, Table};
use crate::value::zset::Zset;

/// The sorted set on the other server. A blob stays one unless it has too many members, with its
/// scores as they are written in it; a skiplist becomes one if few and short members allow it.
pub(super) fn becomes(zset: &Zset, frame: &Frame) -> Becomes {
    let (from, to) = (Sizes::of(&frame.from), Sizes::of(&frame.to));
    let (n, profile) = (zset.count(), &frame.to);
    let blob = zset.encoding() == Encoding::Listpack;
    let scores = if blob { from.scores_on(to) } else { to };
    let mut survey = Survey::new(n);
    zset.some(|scored| {
        survey.take(Part {
            integer: false,
            longest: scored.text.len,
            now: if blob {
                from.entry(&scored.text) + from.score_entry(scored.score)
            } else {
                from.node_block(&scored)
            },
            entry: to.entry(&scored.text) + scores.score_entry(scored.score),
            block: to.node_block(&scored),
        })
    });
    let few = n <= profile.zset_entries_max;
    let packed = few && (blob || survey.longest <= profile.zset_value_max);
    let known = zset.known_sum();
    let (encoding, memory) = if packed {
        let bytes = if blob && frame.same_blobs() {
            known
        } else {
            survey.entries(known)
        };
        (Encoding::Listpack, to.blob(bytes))
    } else {
        let table = if blob && !profile.small_sets() {
            // The table of a blob that is unpacked was not made for as many before 7.2.
            Table::filled(to.kind, n)
        } else {
            Table::sized(to.kind, n)
        };
        (
            Encoding::Skiplist,
            to.skiplist(table, n, survey.blocks(known)),
        )
    };
    Becomes {
        encoding,
        memory,
        guess: survey.is_sample().then_some(Guess::Sampled),
    }
}
