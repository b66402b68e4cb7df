//! Section 5: connections, commands, rights, the server itself.

use integration::resp::Client;
use integration::wait::{self, PATIENCE};

use super::SERVERS;
use super::ward::{self, Ward};

fn connect(ward: &Ward, count: usize) -> Vec<Client> {
    let connect = |_| ward.server.client().expect("a connection");
    (0..count).map(connect).collect()
}

#[test]
fn clients_that_are_many_brief_or_refused() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        ward.quiet("CLI-01");
        let many = connect(&ward, 120);
        ward.holds("CLI-01");
        drop(many);
        ward.quiet("CLI-01");

        ward.run(&["CONFIG RESETSTAT"]);
        ward.quiet("CLI-02");
        ward.holds_after("CLI-02", |ward| {
            for mut brief in connect(ward, 200) {
                brief.ask(&["PING"]).expect("PONG");
            }
        });
        ward.run(&["CONFIG RESETSTAT"]);
        ward.quiet("CLI-02");

        ward.quiet("CLI-03");
        ward.run(&["CONFIG SET maxclients 12"]);
        // The kernel connects at once; the server refuses only when it comes to accept them, for
        // which a limit that is lifted again may be too short.
        wait::for_true(PATIENCE, "connections to be refused", || {
            let refused: Vec<_> = (0..20).map(|_| ward.server.client()).collect();
            let count = ward.client.info("stats", "rejected_connections")?;
            drop(refused);
            Ok(count != "0")
        })
        .unwrap_or_else(|error| panic!("{name}: {error:#}\n{}", ward.server.log()));
        ward.run(&["CONFIG SET maxclients 1000"]);
        ward.holds("CLI-03");
    }
}

#[test]
fn commands_that_are_slow_failing_or_in_vain() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "enable = ['ALR-23']\n");
        ward.run(&["CONFIG RESETSTAT", "SET k v"]);
        ward.quiet("TRF-01");
        ward.quiet("TRF-02");
        ward.quiet("ALR-23");
        ward.run(&["KEYS *"]);
        ward.holds("TRF-01");
        ward.holds_after("TRF-02", |ward| {
            for _ in 0..500 {
                ward.client.call(&["LPUSH", "k", "v"]).expect("an error");
            }
        });
        let miss = |ward: &mut Ward| (0..2000).for_each(|_| ward.run(&["GET nothing"]));
        miss(&mut ward);
        ward.quiet("TRF-03");
        ward.run(&[
            "CONFIG SET maxmemory 1gb",
            "CONFIG SET maxmemory-policy allkeys-lru",
        ]);
        ward.holds_after("TRF-03", miss);
        ward.holds("ALR-23");
        // Whoever waits for elements misses as well, and means no harm.
        ward.run(&["RPUSH l 1", "BLPOP l 1"]);
        ward.quiet("ALR-23");
        ward.run(&["CONFIG RESETSTAT", "GET k"]);
        ward.quiet("TRF-01");
        ward.quiet("TRF-02");
        ward.quiet("TRF-03");
    }
}

#[test]
fn users_that_may_too_much() {
    for name in SERVERS {
        let mut ward = Ward::start_with(name, &[("enable-debug-command", "local")], "");
        let found = ward.holds("SEC-01");
        assert_eq!(found["severity"], "critical");
        ward.run(&["ACL SETUSER default resetpass >secret"]);
        ward.quiet("SEC-01");

        ward.quiet("SEC-02");
        ward.run(&["ACL SETUSER app on >x ~* +@all"]);
        ward.holds("SEC-02");
        ward.run(&["ACL SETUSER app -@dangerous -@admin"]);
        ward.quiet("SEC-02");
        // What rules read has no hash.
        let mut own = ward.app.client().expect("a connection");
        let told = own
            .ask(&["KS.ADVISE", "FORMAT", "JSON"])
            .expect("an answer");
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        assert!(!told.string().contains(hash) && !ward.app.log().contains(hash));
    }
}

#[test]
fn rights_that_are_missing_leave_rules_open() {
    for name in SERVERS {
        let ward = Ward::start(name, "");
        let mut client = ward.server.client().expect("a connection");
        let rights = "ACL SETUSER watcher on >pw ~* +@all -acl -config";
        let words: Vec<&str> = rights.split(' ').collect();
        client.ask(&words).expect("ACL SETUSER");
        let url = format!("redis://watcher:pw@{}", ward.server.addr);
        let app = ward::follow(&url, "");
        ward::undecided(&app, "SEC-01", "needs +acl|list");
        ward::undecided(&app, "PER-03", "needs +config|get");
        ward::holds(&app, "ALR-02");
    }
}

#[test]
fn lines_and_names_that_give_secrets_away() {
    for name in SERVERS {
        let mut ward = Ward::start(name, "");
        ward.quiet("SEC-03");
        let away = ward.replica(&[("replica-announce-ip", "10.9.9.9")]);
        ward.holds("SEC-03");
        drop(away);
        ward.quiet("SEC-03");

        ward.run(&["SET user:12345 x"]);
        ward.quiet("SEC-04");
        ward.run(&["SET cart:jane@example.com x"]);
        let found = ward.holds("SEC-04");
        assert_eq!(found["keys"], 1);
        assert!(!found.to_string().contains("jane"), "{found}");
        ward.run(&["DEL cart:jane@example.com"]);
        ward.quiet("SEC-04");
    }
}

#[test]
fn servers_that_are_old_young_or_slow() {
    for (name, is_old) in [
        ("redis-7.0", true),
        ("redis-6.2", false),
        ("valkey-9.1", false),
    ] {
        let options: &[(&str, &str)] = match name {
            "redis-6.2" => &[],
            _ => &[("enable-debug-command", "yes")],
        };
        const LIMITS: &str = "[advice.limits.ALR-02]\nuptime_s = 86400\n\
                              [advice.limits.ALR-17]\nms = 1000\n";
        let mut ward = Ward::start_plain(name, options, LIMITS);
        ward.holds("ALR-02");
        if is_old {
            ward.holds("OPS-01");
        } else {
            ward.quiet("OPS-01");
        }
        ward.quiet("ALR-17");
        // A look has to come while it sleeps.
        let mut sleeps = false;
        ward.holds_after("ALR-17", |ward| {
            if std::mem::replace(&mut sleeps, true) {
                ward.client.read().expect("the end of a sleep");
            }
            ward.begin("DEBUG SLEEP 1.5");
        });
        ward.quiet("ALR-17");
        let soon = ward::follow(&ward.server.url(), "[advice.limits.ALR-02]\nuptime_s = 1\n");
        ward::quiet(&soon, "ALR-02");
    }
}
