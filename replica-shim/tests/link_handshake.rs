//! Handshakes, one table row per server flavour: what is asked, what it answers, what that means.
#![allow(
    clippy::too_many_lines,
    clippy::wildcard_enum_match_arm,
    reason = "a table is as long as what it lists"
)]

mod link_kit;

use link_kit::{Drive, ID, ID2, at, options};
use replica_shim::{Announce, Auth, Error, Link, Options, Refusal, Role, Verdict};

/// Plays a dialogue: each answer is given to the question that must have been asked.
fn play(options: Options, dialogue: &[(&str, &str)]) -> Drive {
    let mut drive = Drive::new(Link::new(options, 0));
    for (asked, answer) in dialogue {
        assert_eq!(drive.said(), *asked);
        drive.feed(answer.as_bytes());
    }
    drive
}

fn full() -> String {
    format!("+FULLRESYNC {ID} 100\r\n")
}

#[test]
fn redis_without_password() {
    let drive = play(
        options(),
        &[
            ("PING", "+PONG\r\n"),
            ("REPLCONF listening-port 65536", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            ("PSYNC ? -1", &full()),
        ],
    );
    assert_eq!(drive.events, [format!("full {ID}:100")]);
    assert_eq!(drive.link.position(), None);
}

#[test]
fn redis_with_a_password_and_a_name() {
    let auth = Some(Auth {
        user: None,
        password: b"pw d".to_vec(),
    });
    let name = Some("keyscape".to_string());
    let ip = Some("10.0.0.9".to_string());
    let options = Options {
        auth,
        client_name: name,
        announce_ip: ip,
        announce_port: 7,
        ..options()
    };
    let drive = play(
        options,
        &[
            ("PING", "-NOAUTH Authentication required.\r\n"),
            ("AUTH pw d", "+OK\r\n"),
            ("CLIENT SETNAME keyscape", "+OK\r\n"),
            ("REPLCONF listening-port 7", "+OK\r\n"),
            ("REPLCONF ip-address 10.0.0.9", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            ("PSYNC ? -1", &full()),
        ],
    );
    assert_eq!(drive.error, None);
}

#[test]
fn an_acl_user_without_ping_and_setname() {
    let auth = Some(Auth {
        user: Some("repl".into()),
        password: b"pw".to_vec(),
    });
    let options = Options {
        auth,
        client_name: Some("k".into()),
        ..options()
    };
    let drive = play(
        options,
        &[
            ("PING", "-NOAUTH Authentication required.\r\n"),
            ("AUTH repl pw", "+OK\r\n"),
            (
                "CLIENT SETNAME k",
                "-NOPERM this user has no permissions to run this\r\n",
            ),
            ("REPLCONF listening-port 65536", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            ("PSYNC ? -1", &full()),
        ],
    );
    assert_eq!(
        drive.events,
        [
            "declined CLIENT SETNAME".to_string(),
            format!("full {ID}:100")
        ]
    );
}

#[test]
fn a_server_that_wants_no_password() {
    for text in [
        "-ERR Client sent AUTH, but no password is set\r\n",
        "-ERR AUTH <password> called without any password configured for the default user. Are \
         you sure your configuration is correct?\r\n",
    ] {
        let auth = Some(Auth {
            user: None,
            password: b"pw".to_vec(),
        });
        let options = Options { auth, ..options() };
        let drive = play(
            options,
            &[
                ("PING", "+PONG\r\n"),
                ("AUTH pw", text),
                ("REPLCONF listening-port 65536", "+OK\r\n"),
            ],
        );
        assert_eq!(drive.events, ["declined AUTH"]);
    }
}

#[test]
fn valkey_hears_a_version_and_a_cluster_master_a_lower_one_later() {
    let options = Options {
        announce: Announce::VersionThenLower,
        resume: Some(at(41, 3)),
        ..options()
    };
    let mut drive = play(
        options,
        &[
            ("PING", "+PONG\r\n"),
            ("REPLCONF listening-port 65536", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            ("REPLCONF version 9.0.0", "+OK\r\n"),
            (&format!("PSYNC {ID} 42"), &format!("+CONTINUE {ID2}\r\n")),
        ],
    );
    assert_eq!(
        drive.events,
        [format!("continued {ID2}:41 db=3 renamed=true")]
    );
    assert_eq!(drive.said(), "REPLCONF version 7.2.0 ACK 0");
}

#[test]
fn redis_does_not_know_versions_and_is_forgiven() {
    let options = Options {
        announce: Announce::Version,
        ..options()
    };
    let drive = play(
        options,
        &[
            ("PING", "+PONG\r\n"),
            (
                "REPLCONF listening-port 65536",
                "-ERR Unrecognized REPLCONF option: x\r\n",
            ),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            (
                "REPLCONF version 9.0.0",
                "-ERR Unrecognized REPLCONF option: version\r\n",
            ),
            ("PSYNC ? -1", &full()),
        ],
    );
    let expected = [
        "declined REPLCONF listening-port".to_string(),
        "declined REPLCONF version".to_string(),
        format!("full {ID}:100"),
    ];
    assert_eq!(drive.events, expected);
}

#[test]
fn continue_without_a_new_name_keeps_the_old_one() {
    let options = Options {
        resume: Some(at(9, 0)),
        role: Role::Replica,
        ..options()
    };
    let mut drive = play(
        options,
        &[
            ("PING", "+PONG\r\n"),
            ("REPLCONF listening-port 65536", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            (&format!("PSYNC {ID} 10"), "\n\n+CONTINUE\r\n"),
        ],
    );
    assert_eq!(
        drive.events,
        [format!("continued {ID}:9 db=0 renamed=false")]
    );
    assert_eq!(drive.link.position(), Some(at(9, 0)));
    assert_eq!(
        drive.said(),
        "",
        "a replica hears the true offset when it is known to be one still"
    );
}

#[test]
fn a_renamed_psync_acts_as_sync() {
    let mut drive = play(
        options(),
        &[
            ("PING", "+PONG\r\n"),
            ("REPLCONF listening-port 65536", "+OK\r\n"),
            ("REPLCONF capa eof capa psync2", "+OK\r\n"),
            ("PSYNC ? -1", "\n"),
        ],
    );
    let rdb = link_kit::snapshot(ID, 500, 2);
    drive
        .feed(format!("${}\r\n", rdb.len()).as_bytes())
        .feed(&rdb);
    let began = format!("began Some({})", rdb.len());
    assert_eq!(
        drive.events,
        ["full ?".to_string(), began, format!("ended {ID}:500 db=2")]
    );
}

#[test]
fn every_refusal_of_psync_has_its_verdict() {
    let table = [
        (
            "LOADING Redis is loading the dataset in memory",
            Refusal::Loading,
            Verdict::RetryLater,
        ),
        (
            "BUSY Redis is busy running a script.",
            Refusal::Busy,
            Verdict::RetryLater,
        ),
        (
            "MASTERDOWN Link with MASTER is down",
            Refusal::MasterDown,
            Verdict::RetryLater,
        ),
        (
            "NOMASTERLINK Can't SYNC while not connected with my master",
            Refusal::NoMasterLink,
            Verdict::RetryLater,
        ),
        (
            "NOAUTH Authentication required.",
            Refusal::NoAuth,
            Verdict::Credentials,
        ),
        (
            "NOPERM this user has no permissions",
            Refusal::NoPermission,
            Verdict::Credentials,
        ),
        (
            "DENIED Redis is running in protected mode",
            Refusal::Denied,
            Verdict::Credentials,
        ),
        (
            "ERR max number of clients reached",
            Refusal::TooManyClients,
            Verdict::RetryLater,
        ),
        (
            "ERR unknown command 'PSYNC', with args",
            Refusal::UnknownCommand,
            Verdict::GiveUp,
        ),
        (
            "ERR BGSAVE failed, replication can't continue",
            Refusal::SaveFailed,
            Verdict::RetryLater,
        ),
        (
            "ERR value is not an integer or out of range",
            Refusal::Unlisted,
            Verdict::RetryLater,
        ),
        (
            "ERR SYNC and PSYNC are invalid with pending output",
            Refusal::Unlisted,
            Verdict::RetryLater,
        ),
        ("LOADINGX", Refusal::Unlisted, Verdict::RetryLater),
        ("", Refusal::Unlisted, Verdict::RetryLater),
    ];
    for (text, refusal, verdict) in table {
        let mut drive = Drive::new(Link::new(options(), 0));
        drive.feed(b"+PONG\r\n").feed(b"+OK\r\n").feed(b"+OK\r\n");
        drive.feed(format!("-{text}\r\n").as_bytes());
        let error = drive.error.take().expect("refused");
        assert_eq!(error.verdict(), verdict, "{text}");
        match error {
            Error::Refused {
                refusal: got,
                text: words,
                ..
            } => {
                assert_eq!(got, refusal, "{text}");
                assert_eq!(words, text.as_bytes().escape_ascii().to_string());
            }
            other => panic!("{text}: {other}"),
        }
        drive.feed(b"+OK\r\n");
        assert_eq!(
            drive.link.next(b"", &mut drive.items).expect_err("dead"),
            Error::Ended
        );
    }
}

#[test]
fn refusals_before_psync() {
    let auth = || {
        Some(Auth {
            user: None,
            password: b"pw".to_vec(),
        })
    };
    let table: &[(&[&str], Verdict)] = &[
        (&["-NOAUTH Authentication required."], Verdict::Credentials),
        (&["-LOADING"], Verdict::RetryLater),
        (&["-ERR max number of clients reached"], Verdict::RetryLater),
        (&["-DENIED protected"], Verdict::Credentials),
        (&["+PONG", "-NOPERM REPLCONF"], Verdict::Credentials),
        (&["+PONG", "+OK", "-NOAUTH"], Verdict::Credentials),
    ];
    for (answers, verdict) in table {
        let mut drive = Drive::new(Link::new(options(), 0));
        for answer in *answers {
            drive.feed(format!("{answer}\r\n").as_bytes());
        }
        assert_eq!(
            drive.error.expect("refused").verdict(),
            *verdict,
            "{answers:?}"
        );
    }
    for answer in [
        "-WRONGPASS invalid",
        "-ERR invalid password",
        "-ERR wrong number of arguments",
    ] {
        let mut drive = Drive::new(Link::new(
            Options {
                auth: auth(),
                ..options()
            },
            0,
        ));
        drive
            .feed(b"-NOAUTH x\r\n")
            .feed(format!("{answer}\r\n").as_bytes());
        assert_eq!(
            drive.error.expect("refused").verdict(),
            Verdict::Credentials,
            "{answer}"
        );
    }
}

#[test]
fn a_server_that_says_ok_and_nothing_else() {
    let mut drive = Drive::new(Link::new(options(), 0));
    for _ in 0..4 {
        drive.feed(b"+OK\r\n");
    }
    assert!(
        matches!(drive.error, Some(Error::Unexpected { .. })),
        "{:?}",
        drive.error
    );
}

#[test]
fn answers_that_cannot_be() {
    for answer in [
        "+FULLRESYNC\r\n",
        "+FULLRESYNC 123 5\r\n",
        &format!("+FULLRESYNC {ID}\r\n"),
        &format!("+FULLRESYNC {ID} -1\r\n"),
        &format!("+FULLRESYNC {ID} 5 6\r\n"),
        &format!("+FULLRESYNC {ID} 99999999999999999999\r\n"),
        &format!("+FULLRESYNC {ID} 9223372036854775808\r\n"),
        "+CONTINUE\r\n",
        &format!("+CONTINUE {ID}\r\n"),
        "+RDBCHANNELSYNC 7\r\n",
        "+DUALCHANNELSYNC\r\n",
        ":1\r\n",
        "*1\r\n",
        "+X\n",
        "$-1\r\n",
        "$99999999999999999999\r\n",
        "$EOF:abc\r\n",
        "$\r\n",
    ] {
        let mut drive = Drive::new(Link::new(options(), 0));
        drive
            .feed(b"+PONG\r\n")
            .feed(b"+OK\r\n")
            .feed(b"+OK\r\n")
            .feed(answer.as_bytes());
        let error = drive.error.expect(answer);
        assert_eq!(error.verdict(), Verdict::RetryLater, "{answer} {error}");
    }
}

#[test]
fn no_secret_is_shown() {
    let auth = Some(Auth {
        user: Some("u".into()),
        password: b"hunter2".to_vec(),
    });
    let mut link = Link::new(Options { auth, ..options() }, 0);
    assert!(!format!("{link:?}").contains("hunter2"));
    assert!(!format!("{:?}", b"hunter2").is_empty());
    let _ = link.poll_transmit();
    let mut items = link_kit::Items::default();
    link.next(b"+PONG\r\n", &mut items).expect("pong");
    let shown = format!("{:?}", link.poll_transmit());
    assert!(shown.contains("Auth") && !shown.contains("104"), "{shown}");
}
