//! Items as lines of text. Shared by the RDB tests of this directory.

use replica_shim::rdb::{Item, Key, StreamId};
use replica_shim::text::Text;

fn bytes(bytes: &[u8]) -> String {
    let shown = bytes.get(..40).unwrap_or(bytes).escape_ascii();
    if bytes.len() <= 40 {
        format!("\"{shown}\"")
    } else {
        format!("\"{shown}...\" of {}", bytes.len())
    }
}

fn text(text: Text<'_>) -> String {
    match text {
        Text::Bytes(content) => bytes(content),
        Text::Int(number) => format!("{number}"),
        Text::Long { len, digest } => format!("long {len} {digest:x}"),
    }
}

fn id(id: StreamId) -> String {
    format!("{}-{}", id.ms, id.seq)
}

fn maybe<T: std::fmt::Display>(name: &str, value: Option<T>) -> String {
    value
        .map(|value| format!(" {name}={value}"))
        .unwrap_or_default()
}

fn key(key: &Key<'_>) -> String {
    format!(
        "key {} {} count={}{}{}{}",
        bytes(key.name),
        key.kind.name(),
        key.count,
        maybe("expire", key.expire_ms),
        maybe("idle", key.idle_s),
        maybe("freq", key.freq)
    )
}

/// One item as a line.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is told apart in stream()"
)]
pub(crate) fn describe(item: &Item<'_>) -> String {
    match *item {
        Item::Header(header) => format!("header {} {}", header.family, header.version),
        Item::Aux { key, value } => format!("aux {} {}", bytes(key), text(value)),
        Item::SelectDb(db) => format!("db {db}"),
        Item::ResizeDb { keys, expires } => format!("resize keys={keys} expires={expires}"),
        Item::SlotInfo {
            slot,
            keys,
            expires,
        } => format!("slot {slot} {keys} {expires}"),
        Item::SlotImport { job, ranges } => format!("import {} {ranges}", bytes(job)),
        Item::Function { len } => format!("function {len}"),
        Item::ModuleAux { name } => format!("module aux {name}"),
        Item::Key(ref item) => key(item),
        Item::Kind(kind) => format!("kind {}", kind.name()),
        Item::Str { len, int } => format!("  string {len}{}", maybe("int", int)),
        Item::Element(element) => format!("  element {}", text(element)),
        Item::Scored { member, score } => format!("  member {} {score}", text(member)),
        Item::Field {
            field,
            value,
            expire_ms,
        } => {
            format!(
                "  field {} {}{}",
                text(field),
                text(value),
                maybe("expire", expire_ms)
            )
        }
        Item::ListNode(node) => format!(
            "  node {} bytes={} count={}{}",
            if node.plain { "plain" } else { "packed" },
            node.bytes,
            node.count,
            maybe("compressed", node.compressed)
        ),
        Item::IntsetWidth(width) => format!("  intset {width}"),
        Item::MinExpire(min) => format!("  min expire {min}"),
        Item::Module { name } => format!("  module {name} {}", name.version),
        Item::ObjectEnd(end) => format!("  end bytes={} elements={}", end.serialized, end.elements),
        Item::End { checksum } => format!("end {checksum:?}"),
        Item::Warning(warning) => format!("  warning {warning:?}"),
        ref other => stream(other),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the rest is told apart by the caller"
)]
fn stream(item: &Item<'_>) -> String {
    match *item {
        Item::StreamNode(node) => format!(
            "  node {} bytes={} live={} deleted={} fields={}",
            id(node.id),
            node.bytes,
            node.live,
            node.deleted,
            node.fields
        ),
        Item::StreamField(field) => format!("  shared {}", text(field)),
        Item::StreamEntry { id: entry, deleted } => {
            format!(
                "  entry {}{}",
                id(entry),
                if deleted { " deleted" } else { "" }
            )
        }
        Item::StreamMeta(meta) => format!(
            "  meta length={} last={}{}{}{}",
            meta.length,
            id(meta.last),
            maybe("first", meta.first.map(id)),
            maybe("deleted", meta.max_deleted.map(id)),
            maybe("added", meta.entries_added)
        ),
        Item::Group {
            name,
            last,
            entries_read,
            pending,
        } => format!(
            "  group {} last={}{} pending={pending}",
            bytes(name),
            id(last),
            maybe("read", entries_read)
        ),
        Item::Pending {
            id: entry,
            delivered_ms,
            count,
        } => {
            format!("  pending {} at={delivered_ms} count={count}", id(entry))
        }
        Item::Consumer {
            name,
            seen_ms,
            active_ms,
            pending,
        } => format!(
            "  consumer {} seen={seen_ms}{} pending={pending}",
            bytes(name),
            maybe("active", active_ms)
        ),
        Item::ConsumerPending { id: entry } => format!("  owns {}", id(entry)),
        ref other => panic!("described by the caller: {other:?}"),
    }
}
