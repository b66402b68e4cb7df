//! Deployments to be asked: fleets whose masters answer from lists.

use std::sync::Arc;

use cluster_map::node::Addr;
use cluster_map::report::Report;
use cluster_map::{Topology, Value, nodes_text};

use super::*;
use crate::fleet::{
    self, Deployment, Kind as DeploymentKind, Master, NotFollowed, Place, Reach, Seed, View,
    testing,
};

/// CLUSTER NODES of a cluster at 10.0.1.x: three masters, a replica of the first, which failed.
pub(super) fn nodes(extra: &str) -> String {
    let [a, b, c, r] = ["a", "b", "c", "d"].map(|digit| digit.repeat(40));
    format!(
        "{a} 10.0.1.1:7001@17001 myself,master - 0 0 1 connected 0-5460{extra}\n\
         {b} 10.0.1.2:7002@17002 master - 0 0 2 connected 5461-10922\n\
         {c} 10.0.1.3:7003@17003 master - 0 0 3 connected 10923-16383\n\
         {r} 10.0.1.4:7004@17004 slave,fail {a} 0 0 1 disconnected\n"
    )
}

pub(super) fn report(text: &str) -> Report {
    let asked = cluster_map::Asked {
        addr: "10.0.1.1:7001".parse::<Addr>().expect("an address"),
        tls: false,
    };
    nodes_text::parse(&Value::text(text), &asked).expect("a report")
}

pub(super) fn topology(extra: &str) -> Topology {
    Topology::of_cluster(&[report(&nodes(extra))], None)
}

/// A fleet to be filled.
pub(super) struct Build {
    pub(super) fleet: Arc<Fleet>,
    /// The view of the first deployment.
    pub(super) posts: Vec<fleet::Post>,
}

impl Build {
    pub(super) fn new() -> Build {
        let fleet = Fleet::new(fleet::Build {
            version: "0.1.0",
            run_id: "e".repeat(40),
            started_ms: 1,
        });
        Build {
            fleet,
            posts: Vec::new(),
        }
    }

    pub(super) fn deploy(&mut self, label: &str, kind: DeploymentKind, view: View) -> usize {
        let source = self.posts.len();
        let (deployment, post) = Deployment::new(source, label.into(), kind);
        post.view.send(Arc::new(view)).expect("the fleet looks");
        self.fleet.deploy(deployment);
        self.posts.push(post);
        source
    }

    pub(super) fn master(
        &mut self,
        named: (usize, &str, &str),
        place: Place,
        keys: Keys,
    ) -> Arc<Master> {
        self.master_in(Generation::Current, named, place, keys)
    }

    pub(super) fn master_in(
        &mut self,
        generation: Generation,
        (source, cluster, shard): (usize, &str, &str),
        place: Place,
        keys: Keys,
    ) -> Arc<Master> {
        let id = u32::try_from(self.fleet.masters().len()).expect("few");
        let (master, seat) = testing::master_at((id, source), (cluster, shard), place);
        let status = Status {
            state: State::Synced,
            generation,
            offset: 1000 + u64::from(id),
            ..Status::default()
        };
        seat.status.send(Arc::new(status)).expect("looked at");
        self.fleet.add(master.clone());
        tokio::spawn(owner(seat, keys));
        master
    }

    /// A cluster of three masters with these keys.
    pub(super) fn cluster(&mut self, extra: &str, keys: [Keys; 3]) {
        self.cluster_in([Generation::Current; 3], extra, keys);
    }

    pub(super) fn cluster_in(
        &mut self,
        generations: [Generation; 3],
        extra: &str,
        keys: [Keys; 3],
    ) {
        let topology = topology(extra);
        let replica = topology.groups().iter().flat_map(|group| &group.nodes);
        let replica = replica.last().expect("nodes").clone();
        let view = View {
            topology: Some(Arc::new(topology.clone())),
            not_followed: vec![NotFollowed {
                node: "d".repeat(40).parse_id(),
                addr: replica.addr,
                why: "failed".to_owned(),
            }],
            seeds: vec![Seed {
                addr: "10.0.1.4:7004".parse().expect("an address"),
                reach: Reach::Failed("connection refused".to_owned()),
            }],
            ..View::default()
        };
        let source = self.deploy("prod", DeploymentKind::Cluster, view);
        let mut keys = keys.into_iter();
        for (group, generation) in topology.groups().iter().zip(generations) {
            let node = group.master().expect("a master");
            let addr = node.addr.clone().expect("an address");
            let place = Place {
                group: group.id.clone(),
                slots: group.slots.clone(),
                nodes: group.nodes.clone(),
                ..Place::of(&addr)
            };
            let keys = keys.next().expect("three");
            self.master_in(generation, (source, "prod", &group.id), place, keys);
        }
    }

    pub(super) async fn serve(&self) -> (Rig, TcpStream) {
        let rig = serve(self.fleet.clone(), config::Admin::default()).await;
        let stream = TcpStream::connect(rig.address).await.expect("accepted");
        (rig, stream)
    }
}

pub(super) trait ParseId {
    fn parse_id(&self) -> cluster_map::NodeId;
}

impl ParseId for String {
    fn parse_id(&self) -> cluster_map::NodeId {
        cluster_map::NodeId::new(self).expect("an id")
    }
}

pub(super) fn keys(names: &[(&str, u64)]) -> Keys {
    let one = |&(name, memory): &(&str, u64)| {
        let name = name.as_bytes().to_vec();
        ((0, name), key(Kind::String, 5, memory, None))
    };
    names.iter().map(one).collect()
}

/// Two keys on each shard.
pub(super) fn spread() -> [Keys; 3] {
    [
        keys(&[("{b}1", 10), ("{b}2", 20)]),
        keys(&[("{c}1", 30), ("{c}2", 40)]),
        keys(&[("{a}1", 50), ("{a}2", 60)]),
    ]
}

pub(super) async fn cluster(extra: &str, keys: [Keys; 3]) -> (Rig, TcpStream) {
    let mut build = Build::new();
    build.cluster(extra, keys);
    build.serve().await
}

pub(super) async fn json(stream: &mut TcpStream, send: &str) -> serde_json::Value {
    let body = text(stream, &format!("{send} FORMAT JSON\r\n")).await;
    serde_json::from_str(&body).expect("JSON")
}
