//! A whole link under any bytes, in any pieces: nothing panics, the same comes out whatever the
//! pieces, what is consumed was there, and an ended link stays ended.
//!
//! The first bytes choose the beginning (a handshake, a stand-by link, or a stream to continue) and
//! the size of the pieces; thresholds are small, so that short inputs reach every path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica_shim::rdb::Item;
use replica_shim::{
    Announce, Batch, Error, Event, Link, Offset, Options, Position, ReplId, Role, Streamed, Text,
    Thresholds,
};

const ID: &[u8] = b"0123456789abcdef0123456789abcdef01234567";

fn link(mode: u8) -> Link {
    let replid = ReplId::parse(ID).expect("40 digits");
    let resume = Some(Position { replid, offset: Offset(100), db: 1 });
    let options = Options {
        auth: None,
        client_name: None,
        announce_port: 1,
        announce_ip: None,
        role: if mode & 4 == 0 { Role::DEFAULT_MASTER } else { Role::Replica },
        announce: if mode & 8 == 0 { Announce::Nothing } else { Announce::VersionThenLower },
        resume: if mode & 3 == 0 { None } else { resume },
        seed: 3,
    };
    let thresholds = Thresholds { long_bytes: 16, spill_bytes: 32, transaction_bytes: 256 };
    if mode & 3 == 2 {
        return Link::sync_only(options, mode & 16 == 0, 0).with_thresholds(thresholds);
    }
    Link::new(options, 0).with_thresholds(thresholds)
}

/// Everything that came of it, as numbers.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    events: Vec<(u64, u64)>,
    items: usize,
    position: Option<Position>,
    error: Option<Error>,
}

fn weigh(event: &Event) -> (u64, u64) {
    match event {
        Event::Declined { .. } => (5, 0),
        Event::FullResync { .. } => (6, 0),
        Event::Continued { position, .. } => (7, position.offset.get()),
        Event::SnapshotBegan { bytes } => (8, bytes.unwrap_or(0)),
        Event::SnapshotEnded { position } => (9, position.offset.get()),
        Event::StandsBy { offset, .. } => (10, offset.get()),
    }
}

fn weigh_streamed(streamed: &Streamed<'_>) -> (u64, u64) {
    match streamed {
        Streamed::Command(command) => {
            let sum = command.args.iter().fold(u64::from(command.db), |sum, text| {
                let value = match text {
                    Text::Bytes(bytes) => bytes.iter().fold(bytes.len() as u64, |sum, byte| {
                        sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
                    }),
                    Text::Int(value) => value.unsigned_abs(),
                    Text::Long { len, digest } => len ^ digest,
                };
                sum.wrapping_mul(131).wrapping_add(value)
            });
            (command.end_offset.get(), sum)
        }
        Streamed::Multi => (1, 0),
        Streamed::Exec { end_offset } => (2, end_offset.get()),
        Streamed::Ping { end_offset } => (3, end_offset.get()),
        Streamed::GetAck { end_offset } => (4, end_offset.get()),
    }
}

/// Reads what there is of the stream, if it is one, and follows it; an odd number of bytes by a
/// reader that is lent. Returns how many were consumed.
fn follow(link: &mut Link, input: &[u8], seen: &mut Seen) -> usize {
    let mut consumed = 0;
    let mut batch = Batch::default();
    loop {
        batch.clear();
        consumed += match link.lend() {
            Some(mut reader) if input.len() % 2 == 1 => {
                let read = reader.read(&input[consumed..], &mut batch);
                link.take_back(reader);
                read
            }
            Some(reader) => {
                link.take_back(reader);
                link.read(&input[consumed..], &mut batch)
            }
            None => 0,
        };
        for index in 0..=batch.len() {
            match link.follow(&batch, index) {
                Ok(streamed) => seen.events.extend(streamed.as_ref().map(weigh_streamed)),
                Err(error) => seen.error = Some(error),
            }
        }
        if !batch.is_full() {
            return consumed;
        }
    }
}

/// Feeds `data` in pieces; a stream to continue is answered first.
fn run(mode: u8, data: &[u8], size: usize) -> Seen {
    let mut link = link(mode);
    let mut seen = Seen::default();
    let mut head: Vec<&[u8]> = vec![b"+PONG\r\n", b"+OK\r\n", b"+OK\r\n"];
    if mode & 8 != 0 {
        head.push(b"+OK\r\n");
    }
    match mode & 3 {
        1 => head.push(b"+CONTINUE\r\n"),
        2 if mode & 16 == 0 => head.push(b"+OK\r\n"),
        _ => {}
    }
    let mut buffer = Vec::new();
    let mut out = Vec::new();
    while let Some(outbound) = link.poll_transmit() {
        outbound.encode(&mut out);
    }
    let mut now = 0;
    for piece in head.into_iter().chain(data.chunks(size)) {
        buffer.extend_from_slice(piece);
        now += 1;
        link.arrived(now);
        loop {
            let mut items = 0;
            let taken = {
                let mut sink = |_: Item<'_>| items += 1;
                match link.next(&buffer, &mut sink) {
                    Err(error) => {
                        seen.error = Some(error);
                        None
                    }
                    Ok(step) => {
                        assert!(step.consumed <= buffer.len());
                        let mut takes_over = None;
                        if let Some(event) = &step.event {
                            seen.events.push(weigh(event));
                            if let Event::StandsBy { replid, offset } = event {
                                takes_over = Some(Position { replid: *replid, offset: *offset, db: 0 });
                            }
                        }
                        Some((step.consumed, step.is_stuck(), takes_over))
                    }
                }
            };
            seen.items += items;
            let Some((consumed, is_stuck, takes_over)) = taken else {
                assert_eq!(link.next(&[], &mut |_: Item<'_>| {}).err(), Some(Error::Ended));
                seen.position = link.position();
                return seen;
            };
            buffer.drain(..consumed);
            if let Some(position) = takes_over {
                link.take_over(&position).expect("its own position");
            }
            while let Some(outbound) = link.poll_transmit() {
                outbound.encode(&mut out);
            }
            if is_stuck {
                let consumed = follow(&mut link, &buffer, &mut seen);
                buffer.drain(..consumed);
                if seen.error.is_some() {
                    assert_eq!(link.next(&[], &mut |_: Item<'_>| {}).err(), Some(Error::Ended));
                    seen.position = link.position();
                    return seen;
                }
                while let Some(outbound) = link.poll_transmit() {
                    outbound.encode(&mut out);
                }
                break;
            }
        }
    }
    let position = link.position();
    let _ = link.closed();
    assert_eq!(link.position(), position);
    seen.position = position;
    seen
}

fuzz_target!(|data: &[u8]| {
    let [mode, size, data @ ..] = data else {
        return;
    };
    let size = usize::from(*size).max(1);
    let whole = run(*mode, data, data.len().max(1));
    let pieces = run(*mode, data, size);
    // Bytes of an error may be counted in other pieces of the handshake; the kind is the same.
    assert_eq!(whole.events, pieces.events);
    assert_eq!(whole.items, pieces.items);
    assert_eq!(whole.position, pieces.position);
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
});
