//! Looks: what the server says of a key, all of it at one offset (`analyzer::keyspace::look` has why).
//!
//! ```text
//! depth Size   OBJECT ENCODING, expiry, MEMORY USAGE          touches nothing in the server
//! depth All    the same, TYPE, STRLEN or LLEN or ..           counts as an access where the server
//!                                                             has no CLIENT NO-TOUCH
//! ```

use analyzer::keyspace::{Question, Seen};
use analyzer::value::{Encoding, Kind, Samples, Usage};
use redis_protocol::resp2::types::BytesFrame;
use replica_shim::Outbound;
use replica_shim::outbound::LengthOf;

use super::client::{self, SideError};
use super::task::{Moment, Name, by_moment, expiry, left_to_unix};
use super::{batch, client::Client};
use crate::fleet::Server;

/// A key to look at.
#[derive(Clone, Debug)]
pub struct Look {
    /// The key.
    pub name: Name,
    /// How.
    pub question: Question,
    /// What is asked.
    pub depth: Depth,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// What a snapshot leaves open.
    Size,
    /// Every fact.
    All,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// No such key, or one that is expired.
    Missing,
    /// What was told.
    Found(Seen),
    /// The server answered with errors.
    Refused,
}

/// What our user may ask on a connection. One refused command makes EXEC refuse all, so what is
/// refused must not be asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    /// MEMORY USAGE.
    usage: bool,
    /// TYPE, STRLEN, LLEN and the like: all of them.
    lengths: bool,
}

impl Rights {
    /// Asks for what is needed, of the empty name: rights are looked at first.
    pub(super) async fn of(client: &mut Client) -> Result<Rights, SideError> {
        let key = b"";
        let mut requests = vec![
            Outbound::MemoryUsage { key, samples: 1 },
            Outbound::Type(key),
        ];
        let lengths = Kind::ALL.into_iter().filter_map(length_of);
        requests.extend(lengths.map(|of| Outbound::Length(of, key)));
        let replies = client.ask(&requests).await?;
        let mut allowed = replies.iter().map(|reply| !is_forbidden(reply));
        let rights = Rights {
            usage: allowed.next().unwrap_or(false),
            lengths: allowed.all(|allowed| allowed),
        };
        if !rights.usage {
            tracing::warn!("without the right to MEMORY USAGE bytes are those of formulas alone");
        }
        if !rights.lengths {
            tracing::warn!("without the rights to TYPE, STRLEN and the like they are not audited");
        }
        Ok(rights)
    }
}

/// True if the user lacks the command, which is not the same as the key.
fn is_forbidden(reply: &BytesFrame) -> bool {
    let text = client::error_text(reply);
    text.is_some_and(|text| text.starts_with("NOPERM") && text.contains(" to run the "))
}

/// Asks for all of it; `relative` where expiries are told as what is left.
pub(super) async fn looks(
    client: &mut Client,
    (server, relative, rights): (&Server, bool, Rights),
    looks: Vec<Look>,
) -> Result<Vec<Moment<Sight>>, SideError> {
    let names: Vec<Name> = looks.iter().map(|look| look.name.clone()).collect();
    let answers = batch::read(client, server, &names, |i, name| {
        requests(&name.key, &looks[i], (relative, rights))
    })
    .await?;
    let found = looks.iter().zip(&names).zip(answers);
    Ok(by_moment(found.map(|((look, name), (stamp, replies))| {
        (stamp, (name.clone(), sight(look, rights, &replies)))
    })))
}

fn requests<'a>(
    key: &'a [u8],
    look: &Look,
    (relative, rights): (bool, Rights),
) -> Vec<Outbound<'a>> {
    let mut requests = vec![Outbound::ObjectEncoding(key)];
    if rights.usage {
        requests.push(Outbound::MemoryUsage {
            key,
            samples: match look.question.samples {
                Samples::All => 0,
                Samples::One => 1,
            },
        });
    }
    requests.extend(expiry(key, relative));
    if look.depth == Depth::All && rights.lengths {
        requests.push(Outbound::Type(key));
        let length = length_of(look.question.kind);
        requests.extend(length.map(|of| Outbound::Length(of, key)));
    }
    requests
}

fn length_of(kind: Kind) -> Option<LengthOf> {
    match kind {
        Kind::String => Some(LengthOf::String),
        Kind::List => Some(LengthOf::List),
        Kind::Set => Some(LengthOf::Set),
        Kind::Zset => Some(LengthOf::Zset),
        Kind::Hash => Some(LengthOf::Hash),
        Kind::Stream => Some(LengthOf::Stream),
        Kind::Module => None,
    }
}

/// What the replies to [`requests`] say.
fn sight(look: &Look, rights: Rights, replies: &[BytesFrame]) -> Sight {
    let (encoding, usage, rest) = match replies {
        [encoding, usage, rest @ ..] if rights.usage => (encoding, Some(usage), rest),
        [encoding, rest @ ..] => (encoding, None, rest),
        [] => return Sight::Refused,
    };
    if *encoding == BytesFrame::Null {
        return Sight::Missing;
    }
    let Some(encoding) = client::text(encoding) else {
        return Sight::Refused;
    };
    let number = |reply: &BytesFrame| client::integer(reply).and_then(|n| u64::try_from(n).ok());
    let mut seen = Seen {
        encoding: Encoding::parse(encoding),
        usage: usage.and_then(number).map(|bytes| Usage {
            bytes,
            samples: look.question.samples,
        }),
        ..Seen::default()
    };
    // TIME is an array, PEXPIRETIME a number.
    let rest = match rest {
        [
            time @ BytesFrame::Array(_),
            left @ BytesFrame::Integer(_),
            rest @ ..,
        ] => {
            seen.expire_ms = Some(left_to_unix(time, left));
            rest
        }
        [BytesFrame::Integer(at), rest @ ..] => {
            seen.expire_ms = Some(Some(*at).filter(|at| *at >= 0));
            rest
        }
        _ => return Sight::Refused,
    };
    if let [kind, rest @ ..] = rest {
        seen.kind = client::text(kind).and_then(|name| {
            let mut kinds = Kind::ALL.into_iter();
            kinds.find(|kind| kind.name().as_bytes() == name.as_ref())
        });
        seen.count = rest.first().and_then(number);
    }
    Sight::Found(seen)
}
