//! Requests and replies under any bytes, in any pieces: nothing panics, and the pieces do not
//! matter.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica_shim::resp::Fault;
use replica_shim::resp::reply::{Reply, ReplyReader};
use replica_shim::resp::request::{Limits, Scanned, Scanner};

fn requests(input: &[u8], size: usize) -> Result<Vec<Vec<Vec<u8>>>, Fault> {
    let mut scanner = Scanner::new(Limits::client(16, 64, 512));
    let (mut from, mut to) = (0, 0);
    let mut out = Vec::new();
    loop {
        match scanner.scan(&input[from..to])? {
            Scanned::Done { len } => {
                assert!(len > 0 && from + len <= to);
                let args = scanner.args(&input[from..to]);
                assert!(args.len() <= 512);
                out.push((0..args.len()).map(|i| args.bytes(i).expect("kept").to_vec()).collect());
                from += len;
            }
            Scanned::More if to == input.len() => return Ok(out),
            Scanned::More => to = (to + size).min(input.len()),
            Scanned::Large { .. } => panic!("nothing is large to a port"),
        }
    }
}

fn replies(input: &[u8], size: usize) -> Result<Vec<Reply>, Fault> {
    let mut reader = ReplyReader::new(256, 32);
    let (mut from, mut to) = (0, 0);
    let mut out = Vec::new();
    loop {
        let (taken, reply) = reader.read(&input[from..to])?;
        assert!(from + taken <= to);
        from += taken;
        match reply {
            Some(reply) => out.push(reply),
            None if to == input.len() => return Ok(out),
            None => to = (to + size).min(input.len()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [size, data @ ..] = data else {
        return;
    };
    let size = usize::from(*size).max(1);
    let len = data.len().max(1);
    assert_eq!(requests(data, len), requests(data, size));
    assert_eq!(replies(data, len), replies(data, size));
});
