//! Before the position is given up for a full sync: is this still the server to follow?
//!
//! A master that comes back empty, or demoted, is there before the map says that another node took
//! over, and that other node continues our history. So discovery is made to look a few times, and
//! has to find the server well; a new order ends the attempt from outside. If it stays the one to
//! follow, or nobody can say, the copy is made all the same.

use std::time::Duration;

use cluster_map::{Addr, Health};
use tokio::time::{Instant, timeout_at};

use crate::fleet::{Deployment, Kind, View};

/// Maps that must be read after the server was found to know nothing of our position.
const LOOKS: u64 = 3;

/// Longest wait.
const LIMIT: Duration = Duration::from_secs(20);

/// Returns when discovery had the time to see a failover, if there was one.
pub(crate) async fn settle(deployment: &Deployment, server: &Addr) {
    match deployment.kind {
        Kind::Standalone => return,
        Kind::Cluster | Kind::Sentinel => {}
    }
    let deadline = Instant::now() + LIMIT;
    let mut views = deployment.watch();
    let enough = views.borrow_and_update().looks + LOOKS;
    loop {
        deployment.look();
        let waited = timeout_at(deadline, views.changed()).await;
        if !matches!(waited, Ok(Ok(()))) {
            return;
        }
        let view = views.borrow_and_update();
        if view.looks >= enough && is_well(&view, server) {
            return;
        }
    }
}

/// True if nobody suspects the server.
fn is_well(view: &View, server: &Addr) -> bool {
    let groups = view.topology.iter().flat_map(|map| map.groups());
    let mut nodes = groups.flat_map(|group| &group.nodes);
    let node = nodes.find(|node| node.addr.as_ref() == Some(server));
    // One that the map does not have is nobody's to judge.
    node.is_none_or(|node| match node.health {
        Health::Online | Health::Loading => true,
        Health::Suspect | Health::Failed => false,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cluster_map::Topology;

    use super::*;
    use crate::fleet::Post;

    fn view(looks: u64, addr: &Addr) -> Arc<View> {
        Arc::new(View {
            topology: Some(Arc::new(Topology::plain(std::slice::from_ref(addr)))),
            looks,
            ..View::default()
        })
    }

    fn deployment(kind: Kind) -> (Arc<Deployment>, Post) {
        Deployment::new(0, Arc::from("d"), kind)
    }

    #[tokio::test]
    async fn a_plain_server_is_nobody_elses_to_judge() {
        let (deployment, _post) = deployment(Kind::Standalone);
        // Nobody looks: it returns all the same.
        settle(&deployment, &"a:1".parse().unwrap()).await;
    }

    #[tokio::test]
    async fn it_waits_until_discovery_has_looked_often_enough() {
        let (deployment, post) = deployment(Kind::Cluster);
        let addr: Addr = "a:1".parse().unwrap();
        let looks = async {
            for look in 1..=LOOKS {
                // Every look is asked for.
                post.bell.notified().await;
                post.view.send_replace(view(look, &addr));
            }
        };
        tokio::join!(settle(&deployment, &addr), looks);
        assert_eq!(deployment.view().looks, LOOKS);
    }
}
