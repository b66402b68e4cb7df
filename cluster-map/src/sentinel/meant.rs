//! Which of the Sentinels that answer are of the deployment that is meant.
//!
//! A Sentinel is asked where it was found, and another deployment's may be there by now, as with the
//! addresses of pods: it, too, watches a master of that name (`mymaster` is what all call it), and its
//! votes would be counted. So of each name those views are joined that share a node, a master or a
//! replica, and one such side is taken:
//!
//! - the one that shares a node with the group of the map before;
//! - else the one that a seed of the configuration tells of; without one the group of the map before
//!   stays, for nobody has meant those who answer;
//! - for a name that is new, that of a seed, else that of the most.
//!
//! A Sentinel of which nothing is taken but what it alone says is a stranger, and its other masters are
//! not ours either.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{Report, Watched};
use crate::node::{Addr, Group};
use crate::topology::{Complaint, Topology};

/// What is left of some reports, and what stays of the map before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meant {
    /// The reports, without what is of other deployments.
    pub reports: Vec<Report>,
    /// Groups of the map before that only strangers tell of.
    pub(super) kept: Vec<Group>,
    /// Whose views were left out.
    pub(super) complaints: Vec<Complaint>,
}

impl Meant {
    /// Leaves out what is of another deployment than the map before, or than the seeds.
    pub fn of(reports: Vec<Report>, previous: Option<&Topology>, seeds: &[Addr]) -> Meant {
        let mut named: BTreeMap<&str, Vec<View<'_>>> = BTreeMap::new();
        for (at, report) in reports.iter().enumerate() {
            for view in &report.masters {
                let views = named.entry(&view.master.name).or_default();
                views.push((at, &report.asked, view));
            }
        }
        let mut meant = Meant::default();
        let mut left_out: BTreeSet<(usize, Box<str>)> = BTreeSet::new();
        let mut ours: BTreeSet<usize> = BTreeSet::new();
        for (name, views) in named {
            let before = previous.and_then(|map| map.group(name));
            let mut sides = sides(views);
            sides.sort_by_cached_key(|side| side.worth(before, seeds));
            let Some(best) = sides.last() else {
                continue;
            };
            let is_meant = best.knows(before) || best.has_seed(seeds);
            if is_meant {
                ours.extend(best.views.iter().map(|(at, ..)| *at));
                sides.pop();
            } else if let Some(before) = before {
                meant.kept.push(before.clone());
            } else {
                sides.pop();
            }
            let others = sides.iter().flat_map(|side| &side.views);
            left_out.extend(others.map(|(at, ..)| (*at, name.into())));
        }
        for (at, mut report) in reports.into_iter().enumerate() {
            let before = report.masters.len();
            let is_left = |view: &Watched| left_out.contains(&(at, view.master.name.clone()));
            report.masters.retain(|view| !is_left(view));
            if report.masters.len() < before {
                meant.complaints.push(Complaint::Foreign {
                    asked: report.asked.clone(),
                });
                if !ours.contains(&at) {
                    continue;
                }
            }
            meant.reports.push(report);
        }
        meant
    }

    /// True if a group of the map before stays because only strangers tell of it. Whoever was
    /// configured should be asked next.
    pub(super) fn stands_in(&self) -> bool {
        !self.kept.is_empty()
    }
}

/// The index of a report, who was asked, and what it says of one master.
type View<'a> = (usize, &'a Addr, &'a Watched);

/// Views of one name that share nodes.
struct Side<'a> {
    views: Vec<View<'a>>,
    nodes: BTreeSet<&'a Addr>,
}

fn sides(views: Vec<View<'_>>) -> Vec<Side<'_>> {
    let mut sides: Vec<Side<'_>> = Vec::new();
    for view in views {
        let (.., watched) = view;
        let rows = watched.replicas.iter().chain([&watched.master]);
        let addrs = rows.filter_map(|row| row.addr.as_ref());
        let mut joined = Side {
            views: vec![view],
            nodes: addrs.chain(&watched.addr).collect(),
        };
        // One that names no node is of no side, and has no vote.
        if joined.nodes.is_empty() {
            continue;
        }
        let (near, far): (Vec<_>, Vec<_>) = sides
            .into_iter()
            .partition(|side| !side.nodes.is_disjoint(&joined.nodes));
        for side in near {
            joined.views.extend(side.views);
            joined.nodes.extend(side.nodes);
        }
        sides = far;
        sides.push(joined);
    }
    sides
}

impl Side<'_> {
    /// Better ones are greater.
    fn worth(&self, before: Option<&Group>, seeds: &[Addr]) -> impl Ord + use<> {
        let epochs = self.views.iter().map(|(.., view)| view.master.epoch);
        let first = self.nodes.first().map(|addr| (*addr).clone());
        (
            self.knows(before),
            self.has_seed(seeds),
            self.views.len(),
            epochs.max(),
            Reverse(first),
        )
    }

    /// True if it has a node of the group; by their ids, for the addresses of a map are those that can
    /// be reached from here, and these are those that are announced.
    fn knows(&self, before: Option<&Group>) -> bool {
        let nodes = before.map_or(&[][..], |group| &group.nodes);
        let mut ids = nodes.iter().map(|node| node.id.as_str());
        ids.any(|id| self.nodes.iter().any(|addr| addr.to_string() == id))
    }

    fn has_seed(&self, seeds: &[Addr]) -> bool {
        self.views.iter().any(|(_, asked, _)| seeds.contains(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Row;
    use super::*;
    use crate::node::Health;

    fn addr(host: &str) -> Addr {
        Addr::new(host, 1).unwrap()
    }

    fn row(name: &str, host: &str, epoch: u64) -> Row {
        Row {
            name: name.into(),
            addr: Some(addr(host)),
            health: Health::Online,
            epoch,
            offset: None,
            others: 2,
            quorum: 2,
        }
    }

    /// A Sentinel that watches masters: words `name=master,replica,..`.
    fn report(asked: &str, epoch: u64, words: &str) -> Report {
        let view = |word: &str| {
            let (name, hosts) = word.split_once('=').unwrap();
            let mut hosts = hosts.split(',');
            Watched {
                master: row(name, hosts.next().unwrap(), epoch),
                addr: None,
                replicas: hosts.map(|host| row(host, host, 0)).collect(),
            }
        };
        Report {
            asked: addr(asked),
            masters: words.split_whitespace().map(view).collect(),
        }
    }

    /// Masters by name, `!` where the map before stands in, and whom it complains of.
    fn shape(map: &Topology) -> String {
        let group = |group: &Group| format!("{}={}", group.id, group.master().unwrap().id);
        let mut words: Vec<_> = map.groups().iter().map(group).collect();
        words.extend(map.stands_in().then(|| "!".to_owned()));
        words.extend(map.complaints().iter().map(|complaint| {
            if let Complaint::Foreign { asked } = complaint {
                return format!("-{}", asked.host);
            }
            complaint.name().to_owned()
        }));
        words.join(" ")
    }

    fn map(reports: &[Report], previous: Option<&Topology>, seeds: &[&str]) -> Topology {
        let seeds: Vec<Addr> = seeds.iter().copied().map(addr).collect();
        let meant = Meant::of(reports.to_vec(), previous, &seeds);
        Topology::of_meant(&meant, &[], reports.len())
    }

    fn ours() -> Topology {
        map(&["s1", "s2"].map(|at| report(at, 1, "main=a,b")), None, &[])
    }

    /// The addresses of two of our Sentinels are those of another deployment's now, which has failed over
    /// more often: its master was taken for ours, by votes or by its epoch.
    #[test]
    fn sentinels_of_another_master_of_that_name_have_no_vote() {
        let own = ["s1", "s2", "s3"].map(|at| report(at, 1, "main=a,b"));
        let foreign = ["x1", "x2", "x3"].map(|at| report(at, 9, "main=f,g"));
        let all = [own.as_slice(), foreign.as_slice()].concat();
        let after = map(&all, Some(&ours()), &[]);
        assert_eq!(shape(&after), "main=a:1 -x1 -x2 -x3");
        assert_eq!(after.groups()[0].nodes.len(), 2);
        // One of ours is enough, and its failover is followed.
        let one = [&foreign[..], &[report("s1", 2, "main=b,a")]].concat();
        let after = map(&one, Some(&ours()), &["x1"]);
        assert_eq!(shape(&after), "main=b:1 -x1 -x2 -x3");
    }

    #[test]
    fn strangers_alone_are_ours_only_if_a_seed_says_so() {
        let foreign = ["x1", "x2"].map(|at| report(at, 9, "main=f,g"));
        let stays = map(&foreign, Some(&ours()), &["s1"]);
        assert_eq!(shape(&stays), "main=a:1 ! -x1 -x2");
        assert!(!stays.is_complete());
        let stays = map(&foreign, Some(&stays), &["s1"]);
        assert_eq!(shape(&stays), "main=a:1 ! -x1 -x2");
        // Its operator gave the name to other servers.
        let seed = [&foreign[..], &[report("s1", 1, "main=f")]].concat();
        assert_eq!(shape(&map(&seed, Some(&stays), &["s1"])), "main=f:1");
        // Before the first map the seeds decide, else the most.
        let mixed = [&foreign[..], &[report("s1", 1, "main=a")]].concat();
        assert_eq!(shape(&map(&mixed, None, &["s1"])), "main=a:1 -x1 -x2");
        assert_eq!(shape(&map(&mixed, None, &[])), "main=f:1 -s1");
    }

    #[test]
    fn the_other_masters_of_a_stranger_are_not_ours() {
        let own = report("s1", 1, "main=a,b more=c");
        let foreign = report("x1", 9, "main=f,g own=h");
        let reports = [own.clone(), foreign];
        assert_eq!(
            shape(&map(&reports, Some(&ours()), &[])),
            "main=a:1 more=c:1 -x1"
        );
        // A Sentinel may watch masters that no other does.
        let alone = [own, report("s2", 1, "own=h")];
        assert_eq!(
            shape(&map(&alone, Some(&ours()), &[])),
            "main=a:1 more=c:1 own=h:1"
        );
    }

    /// Views that share a node through a third are of one deployment.
    #[test]
    fn sentinels_that_disagree_are_no_strangers() {
        let reports = [
            report("s1", 1, "main=a"),
            report("s2", 3, "main=c"),
            report("s3", 2, "main=b,a,c"),
        ];
        let after = map(&reports, Some(&ours()), &[]);
        assert_eq!(shape(&after), "main=c:1 disagreement disagreement");
    }
}
