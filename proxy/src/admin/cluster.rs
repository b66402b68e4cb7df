//! CLUSTER: questions about slots from the models, about nodes from the map.
//!
//! Our port is no node of a cluster and must not be taken for one: INFO says `cluster_enabled:0`, and
//! CLUSTER INFO has no field `cluster_state`, which RedisInsight would take for a cluster's node, and
//! then go to the real ones. What the nodes would say there stands behind `keyscape_`. The shapes of
//! the other answers are those of Redis 7.0 and later; the addresses are those of the real nodes. A
//! client library in cluster mode that is pointed here finds them, as it would anywhere else.

use std::fmt::Write;
use std::sync::Arc;

use cluster_map::node::{Group, Health, Node};
use cluster_map::slots::SLOTS;
use cluster_map::{Role, Slot, Slots, Topology};

use super::keys::answer_names;
use super::reply::Reply;
use super::request::Request;
use super::session::Session;
use super::strays::Strays;
use crate::model::ask::{Ask, WALK_MAX};

/// redis-cli knows this text.
const DISABLED: Reply = Reply::error("ERR This instance has cluster support disabled");

/// The cluster that a client means.
struct Cluster {
    topology: Arc<Topology>,
    /// The node that answers, if the client chose one master.
    myself: Option<String>,
}

fn cluster(session: &Session) -> Result<Cluster, Reply> {
    let scope = session.scope()?;
    let clusters: Vec<_> = scope.clusters().collect();
    let cluster = match &clusters[..] {
        [] => return Err(DISABLED),
        [one] => one,
        _ => {
            let text = "ERR several clusters are followed; KS.TARGET chooses one";
            return Err(Reply::error(text));
        }
    };
    let view = cluster.view();
    let topology = view.topology.clone();
    let topology = topology.ok_or(Reply::error("CLUSTERDOWN the cluster has no map yet"))?;
    let single = scope.masters.first().filter(|_| scope.is_single());
    let myself = single.and_then(|master| {
        let group = topology.group(&master.place().group)?;
        Some(group.master()?.id.to_string())
    });
    Ok(Cluster { topology, myself })
}

fn slot(request: &Request, at: usize) -> Result<Slot, Reply> {
    let number: i64 = request
        .number(at)
        .ok_or(Reply::error("ERR value is not an integer or out of range"))?;
    let slot = u16::try_from(number).ok().and_then(Slot::new);
    slot.ok_or(Reply::error("ERR Invalid slot"))
}

/// CLUSTER KEYSLOT key
pub(crate) fn keyslot(_: &mut Session, request: &Request) -> Reply {
    Reply::Int(i64::from(Slot::of(request.arg(2)).number()))
}

/// CLUSTER COUNTKEYSINSLOT slot: of the selected database, each key once.
pub(crate) async fn count(session: &Session, request: &Request) -> Result<Reply, Reply> {
    cluster(session)?;
    let (slot, db) = (slot(request, 2)?.number(), Some(session.db));
    let scope = session.scope()?;
    let ask = |reply| Ask::CountInSlot { db, slot, reply };
    let answers = scope.ask_everyone(ask).await?;
    let mut keys: u64 = answers.iter().map(|(_, answer)| answer.value).sum();
    let holders = answers.iter().filter(|(_, answer)| answer.value > 0);
    if holders.count() > 1 {
        let strays = Strays::counted_twice(&scope, db).await;
        keys = keys.saturating_sub(strays.hidden_in(slot).keys);
    }
    Ok(Reply::count(keys))
}

/// CLUSTER GETKEYSINSLOT slot count
pub(crate) async fn keys(session: &Session, request: &Request) -> Result<Reply, Reply> {
    const INVALID: Reply = Reply::error("ERR Invalid slot or number of keys");
    cluster(session)?;
    let slots = Slots::from_iter([slot(request, 2).map_err(|_| INVALID)?]);
    let most: i64 = request.number(3).ok_or(INVALID)?;
    let limit = usize::try_from(most).map_err(|_| INVALID)?.min(WALK_MAX);
    let db = session.db;
    let ask = |reply| Ask::KeysInSlots {
        db,
        slots: slots.clone(),
        limit,
        reply,
    };
    let answers = session.scope()?.ask_everyone(ask).await?;
    let names = answers.into_iter().flat_map(|(_, answer)| answer.value);
    answer_names(names, limit)
}

/// CLUSTER MYID: the id of this process, or of the master that was chosen.
pub(crate) fn myid(session: &mut Session, _: &Request) -> Reply {
    let own = session.port.fleet.build.run_id.clone();
    match cluster(session) {
        Ok(cluster) => cluster.myself.unwrap_or(own).into(),
        Err(error) => error,
    }
}

/// CLUSTER SLOTS: start, end, the master, its replicas.
pub(crate) fn slots(session: &mut Session, _: &Request) -> Reply {
    let cluster = match cluster(session) {
        Ok(cluster) => cluster,
        Err(error) => return error,
    };
    let range = |(start, end, group): (Slot, Slot, &Group)| {
        let bound = |slot: Slot| Reply::Int(i64::from(slot.number()));
        let nodes = group.nodes.iter().filter(|n| n.health != Health::Failed);
        let mut row = vec![bound(start), bound(end)];
        row.extend(nodes.map(endpoint));
        Reply::Array(row)
    };
    Reply::Array(cluster.topology.owners().map(range).collect())
}

fn host(node: &Node) -> Reply {
    let addr = node.addr.as_ref();
    addr.map_or(Reply::Null, |addr| Reply::text(&addr.host))
}

fn port(node: &Node) -> Reply {
    Reply::Int(node.addr.as_ref().map_or(0, |addr| i64::from(addr.port)))
}

fn endpoint(node: &Node) -> Reply {
    Reply::Array(vec![
        host(node),
        port(node),
        Reply::text(node.id.as_str()),
        Reply::Map(Vec::new()),
    ])
}

/// CLUSTER SHARDS: a map for each shard.
pub(crate) fn shards(session: &mut Session, _: &Request) -> Reply {
    let cluster = match cluster(session) {
        Ok(cluster) => cluster,
        Err(error) => return error,
    };
    let shard = |group: &Group| {
        let bounds = group.slots.ranges().iter();
        let bounds = bounds.flat_map(|(start, end)| [start.number(), end.number()]);
        Reply::fields([
            (
                "slots",
                Reply::Array(bounds.map(|n| Reply::Int(i64::from(n))).collect()),
            ),
            (
                "nodes",
                Reply::Array(group.nodes.iter().map(shard_node).collect()),
            ),
            ("id", Reply::text(&*group.id)),
        ])
    };
    Reply::Array(cluster.topology.groups().iter().map(shard).collect())
}

fn shard_node(node: &Node) -> Reply {
    let health = match node.health {
        Health::Online | Health::Suspect => "online",
        Health::Loading => "loading",
        Health::Failed => "failed",
    };
    Reply::fields([
        ("id", Reply::text(node.id.as_str())),
        ("port", port(node)),
        ("ip", host(node)),
        ("endpoint", host(node)),
        ("role", Reply::text(node.role.name())),
        ("replication-offset", Reply::count(node.offset.unwrap_or(0))),
        ("health", Reply::text(health)),
    ])
}

/// CLUSTER NODES. Nobody is `myself` unless the client chose a master; ports of the cluster's bus
/// and times of its pings are not known here and stand as 0.
pub(crate) fn nodes(session: &mut Session, _: &Request) -> Reply {
    let cluster = match cluster(session) {
        Ok(cluster) => cluster,
        Err(error) => return error,
    };
    let mut text = String::new();
    for group in cluster.topology.groups() {
        for node in &group.nodes {
            line(&cluster, group, node, &mut text);
        }
    }
    Reply::Verbatim(text)
}

fn line(cluster: &Cluster, group: &Group, node: &Node, text: &mut String) {
    let addr = node.addr.as_ref();
    // IPv6 hosts stand without brackets there.
    let place = addr.map_or_else(|| ":0".to_owned(), |a| format!("{}:{}", a.host, a.port));
    let myself = cluster.myself.as_deref() == Some(node.id.as_str());
    let mut flags: Vec<&str> = Vec::new();
    flags.extend(myself.then_some("myself"));
    flags.push(match node.role {
        Role::Master => "master",
        Role::Replica => "slave",
    });
    flags.extend(match node.health {
        Health::Online | Health::Loading => None,
        Health::Suspect => Some("fail?"),
        Health::Failed => Some("fail"),
    });
    flags.extend(addr.is_none().then_some("noaddr"));
    let master = match (node.role, group.master()) {
        (Role::Replica, Some(master)) => master.id.as_str(),
        (Role::Replica, None) | (Role::Master, _) => "-",
    };
    let link = match node.health {
        Health::Online | Health::Loading => "connected",
        Health::Suspect | Health::Failed => "disconnected",
    };
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        text,
        "{} {place}@0 {} {master} 0 0 {} {link}",
        node.id,
        flags.join(","),
        group.epoch
    );
    if node.role == Role::Master {
        if !group.slots.is_empty() {
            let _ = write!(text, " {}", group.slots);
        }
        // As servers do: only the node that answers tells what it moves.
        if myself {
            for (slot, to) in &group.migrating {
                let _ = write!(text, " [{slot}->-{to}]");
            }
            for (slot, from) in &group.importing {
                let _ = write!(text, " [{slot}-<-{from}]");
            }
        }
    }
    text.push('\n');
}

/// CLUSTER INFO, without what would make us a node.
pub(crate) fn info(session: &mut Session, _: &Request) -> Reply {
    let cluster = match cluster(session) {
        Ok(cluster) => cluster,
        Err(error) => return error,
    };
    let groups = cluster.topology.groups();
    let with = |health: &[Health]| -> usize {
        let of = groups.iter().filter(|group| match group.master() {
            Some(node) => health.contains(&node.health),
            None => health.contains(&Health::Failed),
        });
        of.map(|group| group.slots.count()).sum()
    };
    let covered = cluster.topology.covered();
    let failed = with(&[Health::Failed]);
    let whole = covered == usize::from(SLOTS) && failed == 0;
    let nodes: usize = groups.iter().map(|group| group.nodes.len()).sum();
    let size = groups
        .iter()
        .filter(|group| !group.slots.is_empty())
        .count();
    let epoch = groups.iter().map(|group| group.epoch).max().unwrap_or(0);
    Reply::Verbatim(format!(
        "cluster_enabled:0\r\n\
         keyscape_cluster_state:{}\r\n\
         cluster_slots_assigned:{covered}\r\n\
         cluster_slots_ok:{}\r\n\
         cluster_slots_pfail:{}\r\n\
         cluster_slots_fail:{failed}\r\n\
         cluster_known_nodes:{nodes}\r\n\
         cluster_size:{size}\r\n\
         cluster_current_epoch:{epoch}\r\n\
         cluster_my_epoch:0\r\n",
        if whole { "ok" } else { "fail" },
        with(&[Health::Online, Health::Loading]),
        with(&[Health::Suspect]),
    ))
}
