//! Reads of values: DUMP, as much of it at once as the server and we can bear.
//!
//! A transaction builds its whole reply before any of it is sent, so the values of one are bounded
//! by their sum. What a value takes is the server's estimate, which goes by the first few elements:
//! where it is far off, the reply is more than we read, and the connection is lost. The keys of such
//! a transaction are read one by one from then on, and one that is too much alone is not read any
//! more until the server estimates less of it.

use std::collections::HashMap;

use analyzer::value::Encoding;
use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;

use super::batch;
use super::client::{self, Client, SideError};
use super::task::{Moment, Name, by_moment, expiry, left_to_unix};
use crate::fleet::Server;

/// Samples of the size estimate before a DUMP: constant time, good to a factor.
const SIZE_SAMPLES: u32 = 5;

/// Names that are remembered because of what they cost; further ones are read as any other.
const HEAVY_MAX: usize = 1024;

/// And their bytes: a name may have a megabyte itself.
const HEAVY_BYTES_MAX: usize = 4 << 20;

/// What a value read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// No such key, or one that is expired.
    Missing,
    /// The DUMP payload and what it lacks.
    Found {
        /// The payload.
        payload: Bytes,
        /// OBJECT ENCODING.
        encoding: Option<Encoding>,
        /// Expiry.
        expire_ms: Option<i64>,
    },
    /// Larger than we read.
    TooLarge(u64),
    /// Not read, because those before it were as much as is read at once.
    Unread,
    /// The server answered with an error.
    Refused,
}

impl Value {
    /// Bytes of the payload.
    pub fn bytes(&self) -> u64 {
        match self {
            Value::Found { payload, .. } => payload.len() as u64,
            Value::Missing | Value::TooLarge(_) | Value::Unread | Value::Refused => 0,
        }
    }

    /// True if it is larger than we read.
    pub fn is_too_large(&self) -> bool {
        match self {
            Value::TooLarge(_) => true,
            Value::Missing | Value::Found { .. } | Value::Unread | Value::Refused => false,
        }
    }
}

/// A key and what its value takes, as far as the server tells.
type Sized = (Name, u64);

/// How a key is read that was part of a read too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// In a transaction of its own.
    Alone,
    /// Not, for as long as the estimate is as high as that.
    Not(u64),
}

/// Keys whose values cost us a connection, and those that are being read.
#[derive(Debug, Default)]
pub(super) struct Heavy {
    manners: HashMap<Name, Manner>,
    reading: Vec<Sized>,
}

impl Heavy {
    /// The connection is lost; what was being read may be the reason.
    pub(super) fn lost(&mut self, error: &SideError) {
        let reading = std::mem::take(&mut self.reading);
        let is_one = reading.len() == 1;
        for (name, size) in reading {
            let before = self.manners.get(&name);
            // One alone may also be cut off by chance, once.
            let is_guilty = is_one && (error.is_too_much() || before.is_some());
            if before.is_some() || self.has_room(&name) {
                let manner = if is_guilty {
                    Manner::Not(size)
                } else {
                    Manner::Alone
                };
                self.manners.insert(name, manner);
            }
        }
    }

    fn has_room(&self, name: &Name) -> bool {
        let bytes: usize = self.manners.keys().map(|name| name.key.len()).sum();
        self.manners.len() < HEAVY_MAX && bytes + name.key.len() <= HEAVY_BYTES_MAX
    }

    /// What was being read is there.
    fn done(&mut self) {
        for (name, _) in self.reading.drain(..) {
            self.manners.remove(&name);
        }
    }

    fn is_alone(&self, batch: &[Sized]) -> bool {
        batch
            .iter()
            .any(|(name, _)| self.manners.contains_key(name))
    }

    /// Cuts keys into transactions of at most `limit` bytes, or of one key, those that must be alone
    /// last; the others are too large.
    fn cut(&self, keys: impl Iterator<Item = Sized>, limit: u64) -> (Vec<Vec<Sized>>, Vec<Sized>) {
        let (mut batches, mut alone, mut large) = (Vec::new(), Vec::new(), Vec::new());
        let (mut open, mut bytes): (Vec<Sized>, u64) = (Vec::new(), 0);
        for (name, size) in keys {
            match self.manners.get(&name) {
                Some(Manner::Not(then)) if size >= *then => large.push((name, size)),
                _ if size > limit => large.push((name, size)),
                Some(_) => alone.push(vec![(name, size)]),
                None => {
                    if bytes.saturating_add(size) > limit {
                        batches.push(std::mem::take(&mut open));
                        bytes = 0;
                    }
                    bytes = bytes.saturating_add(size);
                    open.push((name, size));
                }
            }
        }
        batches.push(open);
        batches.append(&mut alone);
        batches.retain(|batch| !batch.is_empty());
        (batches, large)
    }
}

/// Reads values, about `limit` bytes of them; `relative` where expiries are told as what is left.
pub(super) async fn read(
    client: &mut Client,
    (server, relative, limit): (&Server, bool, u64),
    names: Vec<Name>,
    heavy: &mut Heavy,
) -> Result<Vec<Moment<Value>>, SideError> {
    let sizes = sizes(client, &names, limit).await?;
    let (batches, large) = heavy.cut(names.into_iter().zip(sizes), limit);
    let (mut read, mut bytes, mut unread) = (Vec::new(), 0, Vec::new());
    for batch in batches {
        // What may cost the connection takes nothing with it that was read before.
        if bytes >= limit || (!read.is_empty() && heavy.is_alone(&batch)) {
            unread.extend(batch.into_iter().map(|(name, _)| name));
            continue;
        }
        let names: Vec<Name> = batch.iter().map(|(name, _)| name.clone()).collect();
        heavy.reading = batch;
        let answers = batch::read(client, server, &names, |_, name| {
            let mut requests = vec![
                Outbound::Dump(&name.key),
                Outbound::ObjectEncoding(&name.key),
            ];
            requests.extend(expiry(&name.key, relative));
            requests
        })
        .await?;
        heavy.done();
        for (name, (stamp, replies)) in names.into_iter().zip(answers) {
            let value = value(&replies);
            bytes += value.bytes();
            read.push((stamp, (name, value)));
        }
    }
    // Nothing was read of the others, so any instant will do.
    let stamp = read.iter().find_map(|(stamp, _)| *stamp);
    let large = large.into_iter();
    let large = large.map(|(name, size)| (name, Value::TooLarge(size)));
    let unread = unread.into_iter().map(|name| (name, Value::Unread));
    let rest = large.chain(unread).map(|one| (stamp, one));
    Ok(by_moment(read.into_iter().chain(rest)))
}

/// What the replies to the reads of a value say.
fn value(replies: &[BytesFrame]) -> Value {
    let (dump, encoding, expire_ms) = match replies {
        [dump, encoding, at] => (dump, encoding, client::integer(at).filter(|ms| *ms >= 0)),
        [dump, encoding, time, left] => (dump, encoding, left_to_unix(time, left)),
        _ => return Value::Refused,
    };
    match dump {
        BytesFrame::Null => Value::Missing,
        BytesFrame::BulkString(payload) | BytesFrame::SimpleString(payload) => Value::Found {
            payload: payload.clone(),
            encoding: client::text(encoding).and_then(|name| Encoding::parse(name)),
            expire_ms,
        },
        BytesFrame::Error(_) | BytesFrame::Integer(_) | BytesFrame::Array(_) => Value::Refused,
    }
}

/// An estimate of each value's size: 0 for what is missing, `limit` for what is not told, so that it
/// is read alone.
async fn sizes(client: &mut Client, names: &[Name], limit: u64) -> Result<Vec<u64>, SideError> {
    let mut requests = Vec::with_capacity(names.len() * 2);
    for name in names {
        requests.push(Outbound::Select(name.db));
        requests.push(Outbound::MemoryUsage {
            key: &name.key,
            samples: SIZE_SAMPLES,
        });
    }
    let replies = client.ask(&requests).await?;
    let size = |reply: &BytesFrame| match client::integer(reply) {
        Some(bytes) => u64::try_from(bytes).unwrap_or(0),
        None if *reply == BytesFrame::Null => 0,
        None => limit,
    };
    Ok(replies.iter().skip(1).step_by(2).map(size).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::skim::SkimError;

    fn key(name: &str) -> Name {
        Name {
            db: 0,
            key: name.as_bytes().to_vec(),
        }
    }

    /// The batches and what is left out, as names.
    fn cut(heavy: &Heavy, keys: &[(&str, u64)]) -> String {
        let keys = keys.iter().map(|(name, size)| (key(name), *size));
        let (batches, large) = heavy.cut(keys, 100);
        let word = |keys: &Vec<Sized>| -> String {
            let names = keys.iter();
            names
                .map(|(name, _)| String::from_utf8_lossy(&name.key).into_owned())
                .collect()
        };
        let batches: Vec<String> = batches.iter().map(word).collect();
        format!("{} | {}", batches.join(" "), word(&large))
    }

    fn fail(heavy: &mut Heavy, keys: &[(&str, u64)], error: &SideError) {
        heavy.reading = keys.iter().map(|(name, size)| (key(name), *size)).collect();
        heavy.lost(error);
    }

    const TOO_MUCH: SideError = SideError::Reply(SkimError::Limit(1, "bytes"));

    #[test]
    fn a_batch_is_cut_by_what_it_takes() {
        let heavy = Heavy::default();
        let keys = [("a", 40), ("b", 60), ("c", 1), ("d", 100), ("e", 101)];
        assert_eq!(cut(&heavy, &keys), "ab c d | e");
        assert_eq!(cut(&heavy, &[("a", 101)]), " | a");
        assert_eq!(cut(&heavy, &[("a", 0), ("b", 100), ("c", 0)]), "abc | ");
    }

    #[test]
    fn a_batch_that_was_too_much_is_read_by_one_key_at_a_time() {
        let mut heavy = Heavy::default();
        fail(&mut heavy, &[("a", 10), ("b", 10)], &TOO_MUCH);
        let keys = [("a", 10), ("b", 10), ("c", 10), ("d", 10)];
        assert_eq!(cut(&heavy, &keys), "cd a b | ");
        heavy.reading = vec![(key("a"), 10)];
        heavy.done();
        fail(&mut heavy, &[("b", 10)], &TOO_MUCH);
        assert_eq!(cut(&heavy, &keys), "acd | b");
        // What shrinks is read again.
        assert_eq!(cut(&heavy, &[("b", 9), ("c", 10)]), "c b | ");
    }

    #[test]
    fn one_key_is_given_up_at_once_for_its_size_and_at_the_second_cut_otherwise() {
        let mut heavy = Heavy::default();
        fail(&mut heavy, &[("a", 10)], &TOO_MUCH);
        fail(&mut heavy, &[("b", 10)], &SideError::Closed);
        assert_eq!(cut(&heavy, &[("a", 10), ("b", 10), ("c", 1)]), "c b | a");
        fail(&mut heavy, &[("b", 10)], &SideError::Closed);
        assert_eq!(cut(&heavy, &[("a", 10), ("b", 10)]), " | ab");
    }
    #[test]
    fn what_is_remembered_is_bounded_in_bytes() {
        let mut heavy = Heavy::default();
        let long = "n".repeat(1 << 20);
        for number in 0..10 {
            fail(&mut heavy, &[(&format!("{number}{long}"), 10)], &TOO_MUCH);
        }
        assert_eq!(heavy.manners.len(), 3);
    }
}
