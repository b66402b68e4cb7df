//! Plans of moves that are refused, because what they begin could not end.

use std::sync::Arc;

use cluster_map::Topology;

use super::deployed::{Build, nodes, report, spread};
use super::*;
use crate::fleet::View;

const FORGET: &str = "wait until it is back, or CLUSTER FORGET it on every other node";

/// What KS.REBALANCE begins with where CLUSTER NODES says this.
async fn answer(text: &str, last_error: &str) -> String {
    let mut build = Build::new();
    build.cluster("", spread());
    let view = View {
        topology: Some(Arc::new(Topology::of_cluster(&[report(text)], None))),
        last_error: last_error.to_owned(),
        ..View::default()
    };
    let post = &build.posts[0];
    post.view.send(Arc::new(view)).expect("looked at");
    let (_rig, mut stream) = build.serve().await;
    let sent = stream.write_all(b"KS.REBALANCE FORMAT TEXT\r\n").await;
    sent.expect("sent");
    let mut answer = vec![0; 4096];
    let read = stream.read(&mut answer).await.expect("an answer");
    answer.truncate(read);
    let answer = String::from_utf8(answer).expect("text");
    answer.lines().next().expect("a line").to_owned()
}

/// The usual cluster with a fourth node that has these flags and links.
fn with_last(last: &str) -> String {
    let nodes = nodes("");
    let (others, _) = nodes.rsplit_once("slave,fail").expect("a replica");
    format!("{others}{last}\n")
}

/// A master without slots that failed is the lightest of all, and would be given everything; and while
/// any node that is no replica cannot be reached, `redis-cli --cluster fix` leaves open what was opened.
#[tokio::test]
async fn no_plan_while_a_node_is_not_well() {
    let of_a = "a".repeat(40);
    for (last, expected) in [
        (
            "master,fail - 0 0 4 disconnected".to_owned(),
            format!("-ERR master 10.0.1.4:7004 has failed: {FORGET}"),
        ),
        (
            "master,fail? - 0 0 4 disconnected".to_owned(),
            "-ERR master 10.0.1.4:7004 cannot be reached by some nodes: wait until it is well"
                .to_owned(),
        ),
    ] {
        assert_eq!(answer(&with_last(&last), "").await, expected, "{last}");
    }
    for fine in [
        "master - 0 0 4 connected".to_owned(),
        format!("slave {of_a} 0 0 1 connected"),
        format!("slave,fail? {of_a} 0 0 1 connected"),
        format!("slave,fail {of_a} 0 0 1 disconnected"),
    ] {
        let answer = answer(&with_last(&fine), "").await;
        assert!(!answer.starts_with('-'), "{fine}: {answer}");
    }
}

#[tokio::test]
async fn no_plan_from_a_map_that_is_old_or_has_holes() {
    let fine = with_last("master - 0 0 4 connected");
    assert_eq!(
        answer(&fine, "10.0.1.1:7001: timed out").await,
        "-ERR how prod is now is not known: 10.0.1.1:7001: timed out; wait until its nodes answer"
    );
    assert_eq!(
        answer(&fine.replace("5461-10922", "5461-10921"), "").await,
        "-ERR the map of prod is not complete (1 slots have no owner); wait until every slot has an \
         owner again"
    );
}
