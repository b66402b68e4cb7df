//! What is told, as a channel and a JSON object.

use analyzer::keyspace::Big;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::conditions::{Change, Condition};
use super::growing::Turned;
use crate::admin::readable;
use crate::clock;
use crate::fleet::Master;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// Where subscribers hear it.
    pub(crate) channel: String,
    /// A JSON object.
    pub(crate) payload: Bytes,
}

/// A condition that was raised or cleared, as it is told.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) condition: Condition,
    pub(crate) raised: bool,
    pub(crate) text: &'static str,
    pub(crate) figures: Map<String, Value>,
}

impl Alert {
    pub(crate) fn of(change: &Change) -> Alert {
        let figures = change.figures.iter();
        Alert {
            condition: change.condition,
            raised: change.raised,
            text: change.condition.text(),
            figures: figures
                .map(|(name, figure)| ((*name).to_owned(), (*figure).into()))
                .collect(),
        }
    }

    /// A condition of a master that is not followed any more.
    pub(crate) fn over(condition: Condition) -> Alert {
        Alert {
            condition,
            raised: false,
            text: "the master is not followed any more",
            figures: Map::new(),
        }
    }

    /// `raised` or `cleared`.
    pub(crate) fn state(&self) -> &'static str {
        if self.raised { "raised" } else { "cleared" }
    }
}

/// Who an event is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) master: String,
    pub(crate) cluster: String,
    pub(crate) shard: String,
}

impl Subject {
    pub(crate) fn of(master: &Master) -> Subject {
        Subject {
            master: master.name(),
            cluster: master.cluster.to_string(),
            shard: master.shard.to_string(),
        }
    }

    fn event(&self, channel: String, kind: &str, more: Map<String, Value>) -> Event {
        let mut object = Map::new();
        object.insert("event".to_owned(), kind.into());
        object.insert("at_ms".to_owned(), clock::unix_ms().into());
        object.insert("master".to_owned(), self.master.as_str().into());
        object.insert("cluster".to_owned(), self.cluster.as_str().into());
        object.insert("shard".to_owned(), self.shard.as_str().into());
        object.extend(more);
        Event {
            channel,
            payload: Value::Object(object).to_string().into(),
        }
    }

    /// What subscribers hear of a condition; `since_ms` is when it was raised.
    pub(crate) fn alert(&self, alert: &Alert, since_ms: u64) -> Event {
        let name = alert.condition.name();
        let (channel, kind) = match alert.condition {
            Condition::Growth => ("ks.growth".to_owned(), "growth"),
            Condition::LinkDown
            | Condition::Lag
            | Condition::Resync
            | Condition::ResyncLoop
            | Condition::Inexact
            | Condition::Mismatch
            | Condition::Degraded
            | Condition::MemoryFull
            | Condition::ExpiryStorm => (format!("ks.alert.{name}"), "alert"),
        };
        let more = json!({
            "condition": name,
            "state": alert.state(),
            "since_ms": since_ms,
            "text": alert.text,
            "figures": alert.figures,
        });
        self.event(channel, kind, object(more))
    }

    /// What subscribers hear of a pattern that grows fast, or no longer.
    pub(crate) fn pattern(&self, turned: &Turned) -> Event {
        let more = json!({
            "pattern": turned.pattern,
            "state": if turned.raised { "raised" } else { "cleared" },
            "figures": { "bytes_per_s": turned.bytes_per_s, "bytes": turned.bytes },
        });
        self.event("ks.growth".to_owned(), "growth", object(more))
    }

    /// What subscribers hear of a key that has become big; `lost` more were not kept.
    pub(crate) fn big(&self, big: &Big, lost: u64) -> Event {
        let more = json!({
            "db": big.db,
            "key": readable(&big.name),
            "key_bytes": big.name_bytes,
            "type": big.kind.name(),
            "bytes": big.bytes.1,
            "bytes_before": big.bytes.0,
            "elements": big.elements.1,
            "elements_before": big.elements.0,
            "offset": big.end_offset,
            "not_told": lost,
        });
        self.event("ks.bigkey".to_owned(), "bigkey", object(more))
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}
