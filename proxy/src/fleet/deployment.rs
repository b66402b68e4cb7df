//! One configured source, seen from outside its discovery: what was found, what is not followed and
//! why, and a bell that makes discovery look at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_map::{Addr, NodeId, Topology};
use tokio::sync::{Notify, watch};

use crate::source::Kind;

/// A deployment.
#[derive(Debug)]
pub struct Deployment {
    /// Index of its source in the configuration.
    pub source: usize,
    /// What its masters carry as label `cluster`; empty for plain servers.
    pub label: Arc<str>,
    /// What it is.
    pub kind: Kind,
    view: watch::Receiver<Arc<View>>,
    bell: Arc<Notify>,
}

/// Discovery's ends of a [`Deployment`].
#[derive(Debug)]
pub struct Post {
    /// Where the view is published.
    pub view: watch::Sender<Arc<View>>,
    /// Rings when it is time to look.
    pub bell: Arc<Notify>,
}

/// What discovery sees.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The map that was last agreed on; `None` before the first, and always for plain servers.
    pub topology: Option<Arc<Topology>>,
    /// Nodes that no link is on, and why.
    pub not_followed: Vec<NotFollowed>,
    /// Masters that another instance is to follow (`--shard`).
    pub unowned: usize,
    /// Everyone who is asked: those that the source names and those that were found.
    pub seeds: Vec<Seed>,
    /// Who watches each master, by its name with Sentinel; empty elsewhere.
    pub guards: BTreeMap<Box<str>, Guard>,
    /// Why the last look failed, for people; empty if it did not.
    pub last_error: String,
    /// When somebody last answered, unix milliseconds; 0 if nobody ever did.
    pub refreshed_ms: u64,
    /// How many maps have been read.
    pub looks: u64,
}

/// The Sentinels of one master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// How many must agree that it has failed.
    pub quorum: u64,
    /// Where they are: those that answered, and those that they know.
    pub sentinels: BTreeSet<Addr>,
}

/// A node without a link of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFollowed {
    /// Its id.
    pub node: NodeId,
    /// Where it is, if known.
    pub addr: Option<Addr>,
    /// Why, for people.
    pub why: String,
}

/// A server that is asked about the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Where it is.
    pub addr: Addr,
    /// How it was the last time.
    pub reach: Reach,
}

/// How a server was when it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It answered.
    Answered,
    /// It did not, or not with anything of use.
    Failed(String),
}

impl Deployment {
    /// A deployment and the ends that its discovery holds.
    pub fn new(source: usize, label: Arc<str>, kind: Kind) -> (Arc<Deployment>, Post) {
        let (view_in, view) = watch::channel(Arc::new(View::default()));
        let bell = Arc::new(Notify::new());
        let deployment = Deployment {
            source,
            label,
            kind,
            view,
            bell: bell.clone(),
        };
        let post = Post {
            view: view_in,
            bell,
        };
        (Arc::new(deployment), post)
    }

    /// What discovery saw last.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// A receiver that wakes when the view changes.
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Makes discovery look now. Several calls in a row are one look.
    pub fn look(&self) {
        self.bell.notify_one();
    }
}
