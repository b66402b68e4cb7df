//! Whether a cluster is whole, which a plan of moves needs: every slot owned, and every node there.
//!
//! A master that failed is no target. Nor does `redis-cli --cluster fix` do anything while it cannot
//! reach a node that is not flagged `slave`, as an old master that failed over and never came back is
//! not: it ends with exit(1) (Redis 7.0 `clusterManagerFixOpenSlot`, `unreachable_masters`), and the
//! slots that the lines before it have opened stay open. The map has such a master among the replicas
//! of its group, and knows what it is flagged as. A replica is never in the way.

use cluster_map::{Group, Health, Node, Role, Topology};

use super::super::reply::Reply;
use crate::fleet::{Deployment, View};

/// What to do about a node that failed.
const FORGET: &str = "wait until it is back, or CLUSTER FORGET it on every other node";

const WAIT: &str = "wait until it is well";

/// Nothing, or the error that says what is in the way and what to do about it.
pub(super) fn check(cluster: &Deployment, view: &View, topology: &Topology) -> Result<(), Reply> {
    let label = &cluster.label;
    if view.unowned > 0 {
        let unowned = view.unowned;
        // Without what those have they would look empty, and the plan would move everything there.
        return Err(error(&format!(
            "{unowned} masters of {label} are followed by other instances, and what they have is \
             not known here; ask an instance that follows the whole cluster"
        )));
    }
    if !view.last_error.is_empty() {
        let why = &view.last_error;
        return Err(error(&format!(
            "how {label} is now is not known: {why}; wait until its nodes answer"
        )));
    }
    if let Some((what, next)) = topology.groups().iter().find_map(obstacle) {
        return Err(error(&format!("{what}: {next}")));
    }
    if !topology.is_complete() {
        let why = topology.complaints().first();
        let why = why.map_or_else(String::new, |complaint| format!(" ({complaint})"));
        return Err(error(&format!(
            "the map of {label} is not complete{why}; wait until every slot has an owner again"
        )));
    }
    Ok(())
}

fn error(text: &str) -> Reply {
    Reply::Error(format!("ERR {text}").into())
}

/// What is in the way in a group, and what to do about it.
fn obstacle(group: &Group) -> Option<(String, &'static str)> {
    let obstacle = |node: &Node| {
        if node.flagged == Role::Replica {
            return None;
        }
        let Some(addr) = &node.addr else {
            let id = &node.id;
            return Some((format!("nobody knows the address of master {id}"), FORGET));
        };
        let (how, next) = match node.health {
            Health::Failed => ("has failed", FORGET),
            Health::Suspect => ("cannot be reached by some nodes", WAIT),
            Health::Loading => ("reads its data", WAIT),
            Health::Online => return None,
        };
        Some((format!("master {addr} {how}"), next))
    };
    group.nodes.iter().find_map(obstacle)
}
