//! What is answered, as a value, and its two spellings on the wire.
//!
//! Handlers build a [`Reply`] without knowing the client's protocol. RESP3 has maps, sets, doubles,
//! pushes and verbatim text of its own; in RESP2 the first two become flat arrays, a double its
//! decimal text, a push an array, and text a bulk string, as Redis does for its own replies. Maps
//! and sets keep the order they were built in, so two answers about the same facts are the same
//! bytes.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

/// Which protocol a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// RESP2, until HELLO 3.
    #[default]
    Resp2,
    /// RESP3.
    Resp3,
}

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    /// `+text`
    Simple(Cow<'static, str>),
    /// `-CODE text`
    Error(Cow<'static, str>),
    /// `:n`
    Int(i64),
    /// `$len` and bytes.
    Bulk(Bytes),
    /// Text for people, marked as such in RESP3.
    Verbatim(String),
    /// A table for people: text as above in RESP3; in RESP2 an array of status lines, because that is
    /// what redis-cli on a terminal shows in lines instead of one quoted string.
    Lines(String),
    /// A double; text in RESP2.
    Double(f64),
    /// A truth value; 1 or 0 in RESP2.
    Bool(bool),
    /// Nothing: a null bulk in RESP2.
    Null,
    /// No array: a null array in RESP2.
    NullArray,
    /// Values in order.
    Array(Vec<Reply>),
    /// Pairs in order; flattened in RESP2.
    Map(Vec<(Reply, Reply)>),
    /// Distinct values; an array in RESP2.
    Set(Vec<Reply>),
    /// Out-of-band data; an array in RESP2.
    Push(Vec<Reply>),
    /// Several answers to one request (SUBSCRIBE a b), or none.
    Several(Vec<Reply>),
}

impl Reply {
    /// `+OK`
    pub(crate) const OK: Reply = Reply::Simple(Cow::Borrowed("OK"));

    /// An error of fixed text, its code included.
    pub(crate) const fn error(text: &'static str) -> Reply {
        Reply::Error(Cow::Borrowed(text))
    }

    /// A bulk string that copies its text.
    pub(crate) fn text(text: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(Bytes::copy_from_slice(text.as_ref()))
    }

    /// A status that is part of the program.
    pub(crate) const fn status(text: &'static str) -> Reply {
        Reply::Simple(Cow::Borrowed(text))
    }

    /// A count; at the end of i64 it stays there.
    pub(crate) fn count(count: u64) -> Reply {
        Reply::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// A map from names to values.
    pub(crate) fn fields<const N: usize>(fields: [(&'static str, Reply); N]) -> Reply {
        Reply::Map(
            fields
                .into_iter()
                .map(|(name, value)| (Reply::Bulk(Bytes::from_static(name.as_bytes())), value))
                .collect(),
        )
    }

    /// Bytes that the reply takes on the wire, roughly: what the output cap counts.
    pub(crate) fn weight(&self) -> usize {
        const HEAD: usize = 16;
        match self {
            Reply::Simple(text) | Reply::Error(text) => text.len() + HEAD,
            Reply::Bulk(bytes) => bytes.len() + HEAD,
            Reply::Verbatim(text) | Reply::Lines(text) => text.len() + HEAD,
            Reply::Int(_) | Reply::Double(_) | Reply::Bool(_) | Reply::Null | Reply::NullArray => {
                HEAD
            }
            Reply::Array(items)
            | Reply::Set(items)
            | Reply::Push(items)
            | Reply::Several(items) => HEAD + items.iter().map(Reply::weight).sum::<usize>(),
            Reply::Map(pairs) => {
                let pair = |(name, value): &(Reply, Reply)| name.weight() + value.weight();
                HEAD + pairs.iter().map(pair).sum::<usize>()
            }
        }
    }

    /// Appends the wire form.
    pub(crate) fn encode(&self, protocol: Protocol, out: &mut BytesMut) {
        let resp3 = protocol == Protocol::Resp3;
        match self {
            Reply::Simple(text) => line(b'+', text, out),
            Reply::Error(text) => line(b'-', text, out),
            Reply::Int(n) => head(b':', *n, out),
            Reply::Bulk(bytes) => bulk(bytes, out),
            Reply::Verbatim(text) | Reply::Lines(text) if resp3 => {
                head(b'=', text.len() + 4, out);
                out.put_slice(b"txt:");
                out.put_slice(text.as_bytes());
                out.put_slice(b"\r\n");
            }
            Reply::Verbatim(text) => bulk(text.as_bytes(), out),
            Reply::Lines(text) => {
                head(b'*', text.lines().count(), out);
                text.lines().for_each(|text| line(b'+', text, out));
            }
            Reply::Double(number) if resp3 => line(b',', &double(*number), out),
            Reply::Double(number) => bulk(double(*number).as_bytes(), out),
            Reply::Bool(truth) if resp3 => {
                out.put_slice(if *truth { b"#t\r\n" } else { b"#f\r\n" })
            }
            Reply::Bool(truth) => head(b':', u8::from(*truth), out),
            Reply::Null | Reply::NullArray if resp3 => out.put_slice(b"_\r\n"),
            Reply::Null => out.put_slice(b"$-1\r\n"),
            Reply::NullArray => out.put_slice(b"*-1\r\n"),
            Reply::Array(items) => list(b'*', items, protocol, out),
            Reply::Set(items) => list(if resp3 { b'~' } else { b'*' }, items, protocol, out),
            Reply::Push(items) => list(if resp3 { b'>' } else { b'*' }, items, protocol, out),
            Reply::Map(pairs) => {
                match resp3 {
                    true => head(b'%', pairs.len(), out),
                    false => head(b'*', pairs.len() * 2, out),
                }
                for (name, value) in pairs {
                    name.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            Reply::Several(replies) => replies.iter().for_each(|r| r.encode(protocol, out)),
        }
    }
}

impl From<String> for Reply {
    fn from(text: String) -> Reply {
        Reply::Bulk(text.into())
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Reply {
        Reply::Bulk(bytes.into())
    }
}

fn list(kind: u8, items: &[Reply], protocol: Protocol, out: &mut BytesMut) {
    head(kind, items.len(), out);
    items.iter().for_each(|item| item.encode(protocol, out));
}

fn bulk(bytes: &[u8], out: &mut BytesMut) {
    head(b'$', bytes.len(), out);
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

/// Status and error lines must not contain a line end: what a client sent can be quoted in them.
fn line(kind: u8, text: &str, out: &mut BytesMut) {
    out.put_u8(kind);
    out.extend(text.bytes().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        other => other,
    }));
    out.put_slice(b"\r\n");
}

fn head(kind: u8, number: impl std::fmt::Display, out: &mut BytesMut) {
    use std::fmt::Write;
    out.put_u8(kind);
    // Writing to a growing buffer cannot fail.
    let _ = write!(out, "{number}\r\n");
}

fn double(number: f64) -> String {
    match number {
        n if n.is_nan() => "nan".to_owned(),
        f64::INFINITY => "inf".to_owned(),
        f64::NEG_INFINITY => "-inf".to_owned(),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis_protocol::resp2::decode::decode_bytes as decode2;
    use redis_protocol::resp3::decode::complete::decode_bytes as decode3;

    fn wire(reply: &Reply, protocol: Protocol) -> Bytes {
        let mut out = BytesMut::new();
        reply.encode(protocol, &mut out);
        out.freeze()
    }

    #[track_caller]
    fn check(reply: &Reply, resp2: &str, resp3: &str) {
        assert_eq!(wire(reply, Protocol::Resp2), resp2);
        assert_eq!(wire(reply, Protocol::Resp3), resp3);
        let two = decode2(&wire(reply, Protocol::Resp2))
            .expect("valid")
            .expect("whole");
        assert_eq!(two.1, resp2.len());
        let three = decode3(&wire(reply, Protocol::Resp3))
            .expect("valid")
            .expect("whole");
        assert_eq!(three.1, resp3.len());
    }

    #[test]
    fn every_reply_has_both_spellings() {
        check(&Reply::OK, "+OK\r\n", "+OK\r\n");
        check(
            &Reply::error("ERR a\r\nb"),
            "-ERR a  b\r\n",
            "-ERR a  b\r\n",
        );
        check(&Reply::Int(-7), ":-7\r\n", ":-7\r\n");
        check(&Reply::text(b"a\r\n"), "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n");
        check(
            &Reply::Verbatim("hi".into()),
            "$2\r\nhi\r\n",
            "=6\r\ntxt:hi\r\n",
        );
        check(
            &Reply::Lines("a\n\nb\n".into()),
            "*3\r\n+a\r\n+\r\n+b\r\n",
            "=9\r\ntxt:a\n\nb\n\r\n",
        );
        check(&Reply::Double(1.5), "$3\r\n1.5\r\n", ",1.5\r\n");
        check(&Reply::Bool(true), ":1\r\n", "#t\r\n");
        check(&Reply::Null, "$-1\r\n", "_\r\n");
        check(&Reply::NullArray, "*-1\r\n", "_\r\n");
        check(
            &Reply::Array(vec![Reply::Int(1), Reply::Null]),
            "*2\r\n:1\r\n$-1\r\n",
            "*2\r\n:1\r\n_\r\n",
        );
        check(
            &Reply::fields([("a", Reply::Int(1))]),
            "*2\r\n$1\r\na\r\n:1\r\n",
            "%1\r\n$1\r\na\r\n:1\r\n",
        );
        check(
            &Reply::Set(vec![Reply::status("x")]),
            "*1\r\n+x\r\n",
            "~1\r\n+x\r\n",
        );
        check(
            &Reply::Push(vec![Reply::text("m"), Reply::Int(1)]),
            "*2\r\n$1\r\nm\r\n:1\r\n",
            ">2\r\n$1\r\nm\r\n:1\r\n",
        );
    }
}
