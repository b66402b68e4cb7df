//! Links that end while received bytes wait to be followed: the next one begins behind all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;
use integration::app::App;
use integration::fake_master::{FakeMaster, Identity, Peer, Snapshot};
use integration::wait;

use crate::scene::{EAGER, PATIENCE};

/// Copies of a set: much work for the model, and little for the wire.
const COPIES: usize = 20_000;

/// Members of the set.
const MEMBERS: usize = 300;

/// Copies between two questions of the master, each of which is answered.
const COPIES_A_QUESTION: usize = 50;

/// Sends a stream that is received at once and followed for long; returns its end.
fn send_stream(peer: &mut Peer, identity: &Identity) -> Result<u64> {
    peer.full_resync(identity, &Snapshot::new(11).db(0).string("k", "v").end())?;
    let members: Vec<String> = (0..MEMBERS).map(|n| format!("m{n}")).collect();
    let mut add = vec!["SADD", "set"];
    add.extend(members.iter().map(String::as_str));
    let mut commands: Vec<&[&str]> = vec![&["SELECT", "0"], &add];
    for n in 0..COPIES {
        commands.push(&["SUNIONSTORE", "copy", "set"]);
        if n % COPIES_A_QUESTION == 0 {
            commands.push(&["REPLCONF", "GETACK", "*"]);
        }
    }
    Ok(identity.offset + peer.stream(&commands)?)
}

#[test]
fn of_a_master_that_shuts_down_all_is_followed() {
    let identity = Identity::default();
    let links = Arc::new(AtomicUsize::new(0));
    let (sent, asked) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let told = (links, sent.clone(), asked.clone());
    let master = FakeMaster::start(move |_, peer| {
        let (links, sent, asked) = &told;
        // It tells the same history in the end as in the beginning.
        let offset = identity.offset.max(sent.load(Ordering::SeqCst));
        let now = Identity {
            offset,
            ..identity.clone()
        };
        let Some(psync) = peer.greet(&now)? else {
            return Ok(());
        };
        if links.fetch_add(1, Ordering::SeqCst) == 0 {
            sent.store(send_stream(peer, &identity)?, Ordering::SeqCst);
            identity.shuts_down.store(true, Ordering::SeqCst);
            let listened = peer.listen_on();
            identity.shuts_down.store(false, Ordering::SeqCst);
            return listened;
        }
        asked.store(u64::try_from(psync.offset).unwrap_or(1), Ordering::SeqCst);
        peer.listen_on()
    })
    .expect("a fake master");
    let app = App::start(&[master.url()], EAGER).expect("keyscape starts");
    wait::for_true(PATIENCE, "another link", || {
        Ok(asked.load(Ordering::SeqCst) > 0)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    let (sent, asked) = (sent.load(Ordering::SeqCst), asked.load(Ordering::SeqCst));
    assert_eq!(asked, sent + 1, "{}", app.log_tail());
}
