//! From what several Sentinels say to one map.

use std::collections::BTreeMap;

use super::{Meant, Report, Row, Watched};
use crate::node::{Addr, Group, Health, Node, NodeId, Role};
use crate::slots::Slots;
use crate::topology::{Complaint, Topology};

impl Topology {
    /// The map of the masters of those names, of all if there are none, from what some of `known`
    /// Sentinels say. It is complete if more than half of them have answered.
    pub fn of_sentinels(reports: &[Report], names: &[&str], known: usize) -> Topology {
        let meant = Meant {
            reports: reports.to_vec(),
            ..Meant::default()
        };
        Topology::of_meant(&meant, names, known)
    }

    /// The same without what other deployments say. Where a group stays because only strangers tell
    /// of it, the map is not complete.
    pub fn of_meant(meant: &Meant, names: &[&str], known: usize) -> Topology {
        let reports = &meant.reports;
        let mut watched: BTreeMap<&str, Vec<&Watched>> = BTreeMap::new();
        for master in reports.iter().flat_map(|report| &report.masters) {
            if names.is_empty() || names.contains(&&*master.master.name) {
                watched.entry(&master.master.name).or_default().push(master);
            }
        }
        let mut complaints = meant.complaints.clone();
        let group = |(name, views): (&str, Vec<&Watched>)| group(name, &views, &mut complaints);
        let groups = watched.into_iter().map(group);
        let groups: Vec<Group> = meant.kept.iter().cloned().chain(groups).collect();
        let complete = reports.len() > known / 2 && !meant.stands_in();
        let map = Topology::build(groups, complaints, complete);
        map.standing_in(meant.stands_in())
    }
}

fn group(name: &str, views: &[&Watched], complaints: &mut Vec<Complaint>) -> Group {
    let (master, others) = vote(views);
    if let Some(taken) = master {
        complaints.extend(others.iter().map(|other| Complaint::Disagreement {
            name: name.into(),
            taken: taken.clone(),
            other: Addr::clone(other),
        }));
    }
    let rows = || views.iter().flat_map(|view| &view.replicas);
    let mut nodes: BTreeMap<&Addr, Vec<&Row>> = BTreeMap::new();
    for row in rows().chain(views.iter().map(|view| &view.master)) {
        if let Some(addr) = &row.addr {
            nodes.entry(addr).or_default().push(row);
        }
    }
    if let Some(master) = master {
        nodes.entry(master).or_default();
    }
    let node = |(addr, rows): (&Addr, Vec<&Row>)| {
        let is_master = Some(addr) == master;
        let role = if is_master {
            Role::Master
        } else {
            Role::Replica
        };
        Node {
            id: NodeId::of(addr),
            addr: Some(addr.clone()),
            role,
            flagged: role,
            health: health(&rows, is_master),
            offset: rows.iter().filter_map(|row| row.offset).max(),
        }
    };
    let of_master = views.iter().filter(|view| view.named() == master);
    Group {
        id: name.into(),
        nodes: nodes.into_iter().map(node).collect(),
        slots: Slots::default(),
        epoch: of_master.map(|view| view.master.epoch).max().unwrap_or(0),
        migrating: Vec::new(),
        importing: Vec::new(),
    }
}

impl Watched {
    /// Where the master is, to this Sentinel.
    fn named(&self) -> Option<&Addr> {
        self.addr.as_ref().or(self.master.addr.as_ref())
    }
}

/// The address that is taken, and those that are not.
fn vote<'a>(views: &[&'a Watched]) -> (Option<&'a Addr>, Vec<&'a Addr>) {
    let mut votes: BTreeMap<&Addr, (usize, u64)> = BTreeMap::new();
    for view in views {
        if let Some(addr) = view.named() {
            let (count, epoch) = votes.entry(addr).or_default();
            *count = count.saturating_add(1);
            *epoch = view.master.epoch.max(*epoch);
        }
    }
    let mut ranked: Vec<_> = votes.into_iter().collect();
    ranked.sort_by_key(|(addr, votes)| (std::cmp::Reverse(*votes), *addr));
    let mut ranked = ranked.into_iter().map(|(addr, _)| addr);
    (ranked.next(), ranked.collect())
}

/// How a node is to several Sentinels. One that most cannot reach has failed: of replicas no
/// Sentinel says `o_down`.
fn health(rows: &[&Row], is_master: bool) -> Health {
    let down = rows.iter().filter(|row| row.health >= Health::Suspect);
    let agreed = rows.iter().any(|row| row.health == Health::Failed);
    if agreed || down.clone().count() > rows.len() / 2 {
        return Health::Failed;
    }
    if down.count() > 0 {
        return Health::Suspect;
    }
    let loading = rows.iter().filter(|row| row.health == Health::Loading);
    if !is_master && loading.count() > rows.len() / 2 {
        Health::Loading
    } else {
        Health::Online
    }
}
