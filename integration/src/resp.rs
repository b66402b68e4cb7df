//! A plain RESP2 client: binary safe, pipelining, blocking, exact. It drives servers and reads the
//! truth; it is not the code under test and shares nothing with it.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait::PATIENCE;

/// One command: name and arguments.
pub type Command = Vec<Vec<u8>>;

/// A reply as RESP2 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Status(Vec<u8>),
    /// `-ERR ...`
    Error(Vec<u8>),
    /// `:1`
    Int(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`
    Nil,
    /// `*2`
    Array(Vec<Self>),
}

impl Reply {
    /// The text of a status, bulk or error.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Status(text) | Self::Error(text) | Self::Bulk(text) => Some(text),
            Self::Int(_) | Self::Nil | Self::Array(_) => None,
        }
    }

    /// The text, lossily as a string; a number as its digits; empty for the rest.
    #[must_use]
    pub fn string(&self) -> String {
        match self {
            Self::Status(text) | Self::Error(text) | Self::Bulk(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
            Self::Int(n) => n.to_string(),
            Self::Nil | Self::Array(_) => String::new(),
        }
    }

    /// The number of an integer reply.
    #[must_use]
    pub const fn int(&self) -> Option<i64> {
        if let Self::Int(n) = self {
            Some(*n)
        } else {
            None
        }
    }

    /// The items of an array; none for the rest.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Self::Array(items) = self {
            items
        } else {
            &[]
        }
    }

    /// True for `-...`.
    #[must_use]
    pub const fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    at: usize,
}

impl Client {
    /// Connects; neither that nor a read may take longer than [`PATIENCE`].
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE)
            .with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            out: Vec::new(),
            input: Vec::new(),
            at: 0,
        })
    }

    /// Changes how long a read may take.
    ///
    /// # Errors
    /// If the socket refuses.
    pub fn read_timeout(&self, timeout: Duration) -> Result<()> {
        Ok(self.stream.set_read_timeout(Some(timeout))?)
    }

    /// Queues a command.
    pub fn push<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        encode(&mut self.out, args);
    }

    /// Queues bytes as they are.
    pub fn push_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Sends what is queued.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn flush(&mut self) -> Result<()> {
        self.stream.write_all(&self.out).context("send commands")?;
        self.out.clear();
        Ok(())
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// If the connection ends, stalls, or says what is no RESP.
    pub fn read(&mut self) -> Result<Reply> {
        let line = self.line()?;
        let (&kind, rest) = line.split_first().context("an empty reply line")?;
        match kind {
            b'+' => Ok(Reply::Status(rest.to_vec())),
            b'-' => Ok(Reply::Error(rest.to_vec())),
            b':' => Ok(Reply::Int(number(rest)?)),
            b'$' => self.bulk(number(rest)?),
            b'*' => self.array(number(rest)?),
            other => bail!("a reply of kind {:?}", char::from(other)),
        }
    }

    /// Sends one command and reads its reply.
    ///
    /// # Errors
    /// As [`Self::flush`] and [`Self::read`].
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply> {
        self.push(args);
        self.flush()?;
        self.read()
    }

    /// As [`Self::call`], but an error reply is an error.
    ///
    /// # Errors
    /// As [`Self::call`], and if the server answers with an error.
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Result<Reply> {
        let reply = self.call(args)?;
        if reply.is_error() {
            let name = args
                .first()
                .map(|arg| String::from_utf8_lossy(arg.as_ref()).into_owned());
            bail!("{}: {}", name.unwrap_or_default(), reply.string());
        }
        Ok(reply)
    }

    /// Sends all commands at once and reads all replies.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn pipeline(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        for command in commands {
            self.push(command);
        }
        self.flush()?;
        commands.iter().map(|_| self.read()).collect()
    }

    /// One field of an INFO section, such as `("replication", "master_repl_offset")`.
    ///
    /// # Errors
    /// As [`Self::ask`], and if the field is not there.
    pub fn info(&mut self, section: &str, field: &str) -> Result<String> {
        let text = self.ask(&["INFO", section])?.string();
        field_of(&text, field).with_context(|| format!("INFO {section} has no {field}"))
    }

    /// One field of `CLUSTER INFO`.
    ///
    /// # Errors
    /// As [`Self::ask`], and if the field is not there.
    pub fn info_of_cluster(&mut self, field: &str) -> Result<String> {
        let text = self.ask(&["CLUSTER", "INFO"])?.string();
        field_of(&text, field).with_context(|| format!("CLUSTER INFO has no {field}"))
    }

    /// Reads over the snapshot that follows `+FULLRESYNC`: keepalive newlines, a length, and that
    /// many bytes.
    ///
    /// # Errors
    /// If something else comes.
    pub fn skip_snapshot(&mut self) -> Result<()> {
        loop {
            let line = self.line()?;
            if line.is_empty() {
                continue;
            }
            let len = usize::try_from(number(line.strip_prefix(b"$").context("a length")?)?)?;
            while self.input.len() - self.at < len {
                self.fill()?;
            }
            self.at += len;
            return Ok(());
        }
    }

    fn bulk(&mut self, len: i64) -> Result<Reply> {
        let Ok(len) = usize::try_from(len) else {
            return Ok(Reply::Nil);
        };
        while self.input.len() - self.at < len + 2 {
            self.fill()?;
        }
        let bytes = self.input[self.at..self.at + len].to_vec();
        self.at += len + 2;
        Ok(Reply::Bulk(bytes))
    }

    fn array(&mut self, len: i64) -> Result<Reply> {
        let Ok(len) = usize::try_from(len) else {
            return Ok(Reply::Nil);
        };
        (0..len)
            .map(|_| self.read())
            .collect::<Result<_>>()
            .map(Reply::Array)
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        let mut from = self.at;
        loop {
            let found = self.input[from..].iter().position(|&byte| byte == b'\n');
            if let Some(index) = found {
                let end = from + index;
                let line = self.input[self.at..end].to_vec();
                self.at = end + 1;
                return Ok(line.strip_suffix(b"\r").map(<[u8]>::to_vec).unwrap_or(line));
            }
            // Filling moves what is unread to the front.
            let seen = self.input.len() - self.at;
            self.fill()?;
            from = self.at + seen;
        }
    }

    fn fill(&mut self) -> Result<()> {
        if self.at > 0 {
            self.input.drain(..self.at);
            self.at = 0;
        }
        let len = self.input.len();
        self.input.resize(len + 64 * 1024, 0);
        // A read with a limit is interrupted when the process is stopped and goes on.
        let got = loop {
            match self.stream.read(&mut self.input[len..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                got => break got,
            }
        };
        self.input
            .truncate(len + got.as_ref().copied().unwrap_or(0));
        match got.context("read a reply")? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

/// Appends a command in RESP.
pub fn encode<A: AsRef<[u8]>>(out: &mut Vec<u8>, args: &[A]) {
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}

/// The value of a `field:value` line of INFO.
#[must_use]
pub fn field_of(info: &str, field: &str) -> Option<String> {
    info.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.trim().to_owned())
}

fn number(text: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(text).context("a number in a reply")?;
    text.parse()
        .with_context(|| format!("a number in a reply: {text:?}"))
}
