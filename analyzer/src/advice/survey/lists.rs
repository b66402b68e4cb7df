//! What lists and streams are looked at for: how well their nodes are filled, who trims a stream and
//! who reads it.

use super::bars::Bars;
use super::walk::Looked;
use super::{Point, Survey};
use crate::profile::Profile;
use crate::value::Encoding;
use crate::value::list::List;
use crate::value::stream::Stream;

/// Bytes of a full list node by default.
const NODE_BYTES: u64 = 8192;

/// Nodes below which a list is too short for its nodes to matter.
const NODES_MIN: u64 = 3;

/// Bytes of a full stream node by default.
const STREAM_NODE_BYTES: u64 = 4096;

/// How far the number of entries of a stream's node is thought to be raised.
pub(in crate::advice) const STREAM_RAISED: u64 = 4;

pub(super) fn list(
    list: &List,
    key: &Looked<'_>,
    (bars, profile): (&Bars, &Profile),
    survey: &mut Survey,
) {
    if list.encoding() != Encoding::Quicklist {
        return;
    }
    let filling = list.filling(profile);
    if filling.nodes < NODES_MIN {
        return;
    }
    if profile.list_compress == 0 && key.count > bars.list_elements {
        let then = key.bytes.saturating_sub(filling.inner);
        let seen = key.seen(filling.nodes, then);
        survey
            .tally_mut(Point::Uncompressed)
            .take(filling.inner, seen);
    }
    let full = filling.nodes.saturating_mul(NODE_BYTES);
    let loose = filling.bytes.saturating_mul(100) < full.saturating_mul(bars.list_fill);
    if loose && filling.plain == 0 {
        let value = list.memory(profile);
        let then = (key.bytes + list.refilled(NODE_BYTES, profile)).saturating_sub(value);
        if then < key.bytes {
            let seen = key.seen(filling.nodes, then);
            survey
                .tally_mut(Point::LooseList)
                .take(key.bytes - then, seen);
        }
    }
}

pub(super) fn stream(
    stream: &Stream,
    key: &Looked<'_>,
    (bars, profile): (&Bars, &Profile),
    survey: &mut Survey,
) {
    let nodes = stream.radix_keys();
    let packed = stream.packed_bytes();
    let full = nodes.saturating_mul(STREAM_NODE_BYTES);
    if nodes >= NODES_MIN && packed.saturating_mul(100) < full.saturating_mul(bars.stream_fill) {
        let value = stream.memory(profile);
        let then = (key.bytes + stream.refilled((STREAM_RAISED, STREAM_NODE_BYTES), profile))
            .saturating_sub(value);
        if then < key.bytes {
            let seen = key.seen(nodes, then);
            survey
                .tally_mut(Point::LooseStream)
                .take(key.bytes - then, seen);
        }
    }
    let never_trimmed = stream.entries_added() == key.count && stream.max_deleted_id() == (0, 0);
    if never_trimmed && key.count >= bars.stream_entries {
        let seen = key.seen(key.count, key.bytes);
        survey.tally_mut(Point::Untrimmed).take(key.count, seen);
    }
    let most = stream.groups().map(|group| group.pending).max();
    if let Some(pending) = most.filter(|pending| *pending >= bars.pending) {
        let seen = key.seen(pending, key.bytes);
        survey.tally_mut(Point::Pending).take(pending, seen);
    }
    for group in stream
        .groups()
        .filter(|group| group.last < stream.last_id())
    {
        survey.tracks.behind(key, &group);
    }
}
