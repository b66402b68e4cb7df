//! What a command is to the link: most are nothing but a command.

use super::Broken;
use crate::limits;
use crate::resp::{self, Args};

/// The commands that mean something to the link itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ordinary,
    Ping,
    GetAck,
    Select(u32),
    Multi,
    Exec,
}

impl Kind {
    /// Names come in any case: scripts pass theirs through, and 7.0 pings in lower case.
    #[inline]
    pub(super) fn of(args: &Args<'_>) -> Result<Kind, Broken> {
        let name = args.name();
        match name {
            [b'p' | b'P', _, _, _]
            | [b'e' | b'E', _, _, _]
            | [b'm' | b'M', _, _, _, _]
            | [b's' | b'S', _, _, _, _, _]
            | [b'r' | b'R', _, _, _, _, _, _, _] => Kind::control(args, name),
            [] => Err(empty()),
            _ => Ok(Kind::Ordinary),
        }
    }

    fn control(args: &Args<'_>, name: &[u8]) -> Result<Kind, Broken> {
        if name.eq_ignore_ascii_case(b"PING") {
            return Ok(Kind::Ping);
        }
        if name.eq_ignore_ascii_case(b"EXEC") {
            return Ok(Kind::Exec);
        }
        if name.eq_ignore_ascii_case(b"MULTI") {
            return Ok(Kind::Multi);
        }
        if name.eq_ignore_ascii_case(b"SELECT") {
            let db = args
                .bytes(1)
                .and_then(resp::unsigned)
                .and_then(|db| u32::try_from(db).ok());
            let expected = "SELECT with the number of a database";
            return db.map(Kind::Select).ok_or(Broken::Order {
                expected,
                got: "another argument",
            });
        }
        let is_getack = name.eq_ignore_ascii_case(b"REPLCONF")
            && args
                .bytes(1)
                .is_some_and(|option| option.eq_ignore_ascii_case(b"GETACK"));
        Ok(if is_getack {
            Kind::GetAck
        } else {
            Kind::Ordinary
        })
    }
}

#[cold]
fn empty() -> Broken {
    Broken::Order {
        expected: "a command",
        got: "a request without a name",
    }
}

/// Whether argument `index`, being large, is needed whole, as what, and up to which size. The
/// command's name and the arguments before are known.
pub(super) fn whole_up_to(args: &Args<'_>, index: usize) -> Option<(&'static str, u64)> {
    const KEY: (&str, u64) = ("key", limits::KEY_BYTES_MAX as u64);
    match (args.upper_name().as_bytes(), index) {
        (_, 0) => Some(("command name", limits::LONG_BYTES as u64)),
        (b"RESTORE" | b"RESTORE-ASKING", 3) => Some(("payload", limits::PAYLOAD_BYTES_MAX as u64)),
        (_, 1) | (b"DEL" | b"UNLINK" | b"RENAME" | b"RENAMENX" | b"COPY", _) => Some(KEY),
        _ => None,
    }
}
