//! An owner whose server is this test: it is fed what a server would send, and nobody dials.

use analyzer::profile::{Family, Version};
use replica_shim::position::ReplId;
use replica_shim::{Announce, Offset};
use tokio::io::{DuplexStream, duplex, split};
use tokio::sync::Semaphore;

use super::*;
use crate::config::raw::Raw;
use crate::fleet::{Build, Fleet, Kind, Role, Server, testing};
use crate::link::attach::options;
use crate::link::driver::Chunk;
use crate::link::gate::{Gate, Pass};
use crate::memory::Memory;
use crate::model::ask::Generation;
use crate::model::fixture;
use crate::side::task::SideAnswer;

/// What the links of a test share.
fn given(cap: Option<u64>) -> (Given, Seat) {
    let build = Build {
        version: "test",
        run_id: "f".repeat(40),
        started_ms: 0,
    };
    let config = Config::from_raw(Raw::default()).expect("the defaults");
    let (master, seat) = testing::master(0);
    let (deployment, _) = Deployment::new(0, Arc::from("d"), Kind::Standalone);
    let given = Given {
        shared: Arc::new(Shared {
            fleet: Fleet::within((Memory::new(cap), config.containers.clone()), build),
            gate: Gate::new(1),
            followed: dashmap::DashMap::with_shard_amount(2),
            seed: 7,
        }),
        master,
        deployment,
        config: Arc::new(config),
        shutdown: CancellationToken::new(),
    };
    (given, seat)
}

fn at(offset: u64) -> Position {
    Position {
        replid: ReplId::parse(&[b'a'; 40]).unwrap(),
        offset: Offset(offset),
        db: 0,
    }
}

/// What a server of that version tells of itself.
fn intro(version: Version) -> Intro {
    Intro {
        server: Some(Server {
            family: Family::Redis,
            version,
            run_id: "b".repeat(40),
            cluster: false,
            upstream: None,
            used_memory: None,
        }),
        role: Role::Master,
        repl_timeout_ms: 60_000,
        ping_period_ms: 10_000,
        ..Intro::default()
    }
}

impl Owner<'_> {
    /// Gives the owner a model of one key as of offset 9.
    fn with_model(mut self) -> Self {
        fixture::load(&mut self.mirror.keyspace, [(0, "k".to_owned())].into_iter());
        self.mirror.position = Some(at(9));
        self.mirror.generation = 1;
        self
    }

    /// Gives the owner a link whose handshake is behind it, up to the answer to PSYNC.
    async fn link(&mut self, intro: Intro, pass: Option<Pass>) -> DuplexStream {
        let (ours, theirs) = duplex(1 << 16);
        let (reader, writer) = split(ours);
        let intro = Arc::new(intro);
        let options = options(&self.target, &intro, self.mirror.position, 7);
        // To PING, and to what we say of ourselves.
        let answers: &[u8] = match options.announce {
            Announce::Nothing => b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n",
            Announce::Version | Announce::VersionThenLower => {
                b"+PONG\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"
            }
        };
        self.attached(Attached {
            side: None,
            intro,
            connection: Connection {
                reader: Box::new(reader),
                writer: Box::new(writer),
            },
            options,
            host: self.given.shared.gate.host(&self.target.source).await,
            pass,
        });
        // Nobody is there for a second connection.
        if let Some(session) = &mut self.session {
            session.side = None;
        }
        for answer in answers.split_inclusive(|byte| *byte == b'\n') {
            self.feed(answer);
        }
        theirs
    }

    /// Received bytes.
    fn feed(&mut self, bytes: &[u8]) {
        let room = Arc::new(Semaphore::new(1));
        self.chunk(&Chunk {
            bytes: bytes.to_vec().into(),
            at: clock::now(),
            room: room.try_acquire_owned().expect("room"),
        });
    }

    async fn pass(&self) -> Option<Pass> {
        let gate = &self.given.shared.gate;
        gate.try_pass(&gate.host(&self.target.source).await)
    }
}

const CONTINUE: &[u8] = b"+CONTINUE\r\n";
const FULL_RESYNC: &[u8] = b"+FULLRESYNC aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 20\r\n";

#[tokio::test]
async fn a_full_sync_without_a_pass_costs_no_model() {
    let (given, mut seat) = given(Some(1));
    let mut owner = Owner::new(given, &mut seat, Counters::default()).with_model();
    let others = owner.pass().await;
    assert!(others.is_some());
    let _server = owner.link(intro(Version::new(7, 0)), None).await;
    owner.feed(FULL_RESYNC);
    assert!(owner.session.is_none(), "{:?}", owner.status.state);
    assert_eq!(owner.mirror.keyspace.keys(), 1);
    // With one the former model makes room.
    drop(others);
    let pass = owner.pass().await;
    let _server = owner.link(intro(Version::new(7, 0)), pass).await;
    owner.feed(FULL_RESYNC);
    assert_eq!(owner.mirror.keyspace.keys(), 0);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_read_is_remembered_with_its_server() {
    let (given, mut seat) = given(None);
    let mut owner = Owner::new(given, &mut seat, Counters::default());
    let pass = owner.pass().await;
    let intro = intro(Version::new(7, 0));
    let _server = owner.link(intro.clone(), pass).await;
    owner.feed(FULL_RESYNC);
    owner.feed(b"$100\r\nREDIS0099\xfe\x00\x7f\x01k\x01v");
    let state = owner.status.state.clone();
    assert_eq!(
        state,
        State::Failed {
            reason: Loss::Unsupported
        }
    );
    let server = intro.server.as_ref();
    let refused = owner.full_syncs.bar().readable(server, clock::now());
    let error = refused.expect_err("it would be the same");
    owner.not_attached(&error.into());
    assert_eq!(owner.status.state, state);
    let told = &owner.status.last_error;
    assert!(
        told.contains("no full sync for another") && told.contains("127"),
        "{told}"
    );
}

#[tokio::test]
async fn a_position_outlives_a_full_sync_that_was_not_foreseen() {
    let (given, mut seat) = given(None);
    let mut owner = Owner::new(given, &mut seat, Counters::default()).with_model();
    let _others = owner.pass().await;
    let intro = intro(Version::new(7, 0));
    let _server = owner.link(intro.clone(), None).await;
    owner.feed(FULL_RESYNC);
    assert!(owner.session.is_none());
    assert_eq!(owner.mirror.position, Some(at(9)), "another may continue");
    // Declined again, it leads nowhere here.
    let _server = owner.link(intro.clone(), None).await;
    owner.feed(FULL_RESYNC);
    assert_eq!(owner.mirror.position, None);
    // Without INFO nobody would foresee it the next time either.
    let mut owner = owner.with_model();
    owner.mirror.position = Some(at(8));
    let blind = Intro {
        server: None,
        ..intro
    };
    let _server = owner.link(blind, None).await;
    owner.feed(FULL_RESYNC);
    assert_eq!(owner.mirror.position, None);
}

/// It pings nobody, so that its silence alone means nothing; when it answers nothing either it was
/// told as current for ever.
#[tokio::test]
async fn a_frozen_replica_is_left() {
    for (role, answers, stays) in [
        (Role::Replica, false, false),
        (Role::Replica, true, true),
        (Role::Master, false, true),
    ] {
        let (given, mut seat) = given(None);
        let mut owner = Owner::new(given, &mut seat, Counters::default()).with_model();
        let intro = Intro {
            role,
            ..intro(Version::new(7, 0))
        };
        let _server = owner.link(intro, None).await;
        owner.feed(CONTINUE);
        assert!(owner.is_live());
        let silence = owner.given.config.link.silence + Duration::from_secs(2);
        let session = owner.session.as_mut().expect("a link");
        session.heard -= silence;
        session.answered -= silence;
        if answers {
            owner.side(SideAnswer::Shutdown(false));
        }
        owner.timers(clock::now());
        assert_eq!(owner.is_live(), stays, "{role:?} {answers}");
        let told = owner.mirror.worth(owner.is_live()) == Generation::Current;
        assert_eq!(told, stays, "{role:?} {answers}");
        assert_eq!(owner.mirror.position, Some(at(9)));
    }
}

/// An owner that has nothing to do and believes that it has wakes a thousand times a second.
#[tokio::test]
async fn what_is_loaded_leaves_nothing_to_do() {
    for cap in [None, Some(1 << 30)] {
        let (given, mut seat) = given(cap);
        let mut owner = Owner::new(given, &mut seat, Counters::default()).with_model();
        let _server = owner.link(intro(Version::new(7, 0)), None).await;
        owner.feed(CONTINUE);
        assert!(owner.is_live());
        // A former generation is freed without anybody waking the owner for it.
        fixture::load(
            &mut owner.mirror.keyspace,
            [(0, "l".to_owned())].into_iter(),
        );
        assert!(!owner.mirror.keyspace.is_tidy());
        let rests = (0..1000).any(|_| {
            owner.between();
            owner.wake_at() > clock::now()
        });
        assert!(rests, "{cap:?}");
        assert!(owner.mirror.keyspace.is_tidy());
    }
}
