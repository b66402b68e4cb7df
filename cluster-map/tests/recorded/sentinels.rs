//! Sentinels, and the master and the replica that they watch.

use cluster_map::sentinel::{self, Report, Watched};
use cluster_map::{Addr, Asked, Error, Group, Health, Role, Topology, Value, info_text};

use crate::SERVERS;
use crate::answers::{Answers, asked};

fn reports(answers: &Answers, state: &str) -> Vec<Report> {
    let report = |n: u64| {
        let get = |what: &str| answers.get(&format!("{state}{n}.{what}"));
        let masters = sentinel::masters(get("masters")).unwrap();
        let watched = masters.into_iter().map(|master| Watched {
            master,
            addr: sentinel::addr(get("addr")).unwrap(),
            replicas: sentinel::replicas(get("replicas")).unwrap(),
        });
        Report {
            asked: Addr::new("sentinel", n + 1).unwrap(),
            masters: watched.collect(),
        }
    };
    (0..3).map(report).collect()
}

fn shape(group: &Group) -> String {
    let word = |node: &cluster_map::Node| {
        let port = node.addr.as_ref().unwrap().port % 10;
        format!("{port}={}", node.health.name())
    };
    group.nodes.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_master_and_its_replica_change_places() {
    for server in SERVERS {
        let answers = Answers::of(server);
        for (state, expected, epoch) in [
            ("steady", "0=online 1=online", 0),
            ("switched", "1=online 0=failed", 1),
        ] {
            let map = Topology::of_sentinels(&reports(&answers, state), &["main"], 3);
            let [group] = map.groups() else {
                panic!("{server}: {map:?}");
            };
            assert_eq!(map.complaints(), [], "{server}");
            assert!(map.is_complete(), "{server}");
            assert_eq!((&*group.id, group.epoch), ("main", epoch), "{server}");
            assert_eq!(shape(group), expected, "{server}");
        }
    }
}

#[test]
fn both_protocols_say_the_same() {
    type Parse = fn(&Value) -> Result<Vec<sentinel::Row>, Error>;
    for server in SERVERS {
        let answers = Answers::of(server);
        let parsers: [(&str, Parse); 3] = [
            ("masters", sentinel::masters),
            ("replicas", sentinel::replicas),
            ("sentinels", sentinel::sentinels),
        ];
        for state in ["steady0", "switched0"] {
            for (name, parse) in parsers {
                let name = format!("{state}.{name}");
                let two = parse(answers.get(&name)).unwrap();
                assert!(!two.is_empty(), "{server} {name}");
                let three = parse(answers.resp3(&name).unwrap()).unwrap();
                assert_eq!(two, three, "{server} {name}");
            }
        }
        let others = sentinel::sentinels(answers.get("steady0.sentinels")).unwrap();
        assert_eq!(others.len(), 2, "{server}");
        let master = sentinel::master(answers.get("master")).unwrap();
        assert_eq!((&*master.name, master.others), ("main", 2), "{server}");
    }
}

#[test]
fn a_name_that_is_not_watched_is_refused_or_null() {
    for server in SERVERS {
        let answers = Answers::of(server);
        let refused = sentinel::master(answers.get("nomaster"));
        assert!(matches!(refused, Err(Error::Refused(_))), "{server}");
        assert_eq!(sentinel::addr(answers.get("noaddr")), Ok(None), "{server}");
    }
}

#[test]
fn a_plain_master_tells_its_replicas_and_a_replica_its_master() {
    for server in SERVERS {
        let answers = Answers::of(server);
        for (name, expected) in [
            ("plain", "0m 3r"),
            ("replica", "0m 3r"),
            ("master", "0m 1r"),
        ] {
            let Value::Text(text) = answers.get(&format!("{name}.info")) else {
                panic!("{server}: {name} is text");
            };
            // The replica's own port is the one that was dialled.
            let port = if name == "replica" { 3 } else { 10 };
            let asked = Asked {
                addr: Addr::new("127.0.0.1", port).unwrap(),
                ..asked()
            };
            let map = Topology::of_info(info_text::parse(text, &asked).unwrap());
            let nodes = map.groups()[0].nodes.iter().map(|node| {
                let role = if node.role == Role::Master { 'm' } else { 'r' };
                assert_eq!(node.health, Health::Online, "{server} {name}");
                format!("{}{role}", node.addr.as_ref().unwrap().port % 10)
            });
            assert_eq!(
                nodes.collect::<Vec<_>>().join(" "),
                expected,
                "{server} {name}"
            );
        }
    }
}
