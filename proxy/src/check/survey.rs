//! Finding out a deployment once, with the panel that `serve` asks again and again.

use std::collections::BTreeMap;

use cluster_map::{Addr, Follow, Report, Topology};

use crate::app::target;
use crate::config::Config;
use crate::discovery::panel::{Ask, Panel};
use crate::discovery::sentinel_target;
use crate::fleet::Seed;
use crate::side::client::Target;
use crate::source::{Kind, Source, Spec};

/// What was found out.
#[derive(Debug)]
pub(super) struct Survey {
    /// The map; `None` if nobody said anything of use.
    pub(super) map: Option<Topology>,
    /// Who was asked, and how it went.
    pub(super) seats: Vec<Seed>,
    nodes: Target,
}

impl Survey {
    /// Asks the seeds, and then some of those that they name.
    pub(super) async fn make(config: &Config, spec: &Spec) -> Survey {
        let nodes = target(config, spec.first());
        let asked = match spec.kind {
            Kind::Standalone | Kind::Cluster => nodes.clone(),
            Kind::Sentinel => sentinel_target(config, nodes.clone()),
        };
        let seeds = spec.seeds.iter().map(Source::addr).collect();
        let mut panel = Panel::new(seeds, asked);
        let mut map = None;
        for _ in 0..2 {
            map = match spec.kind {
                Kind::Standalone => None,
                Kind::Cluster => cluster(config, &mut panel, map.as_ref()).await,
                Kind::Sentinel => sentinels(config, &mut panel, &spec.names).await,
            };
        }
        Survey {
            map,
            seats: panel.seats(),
            nodes,
        }
    }

    /// How to connect to a node.
    pub(super) fn target(&self, addr: &Addr) -> Target {
        let mut target = self.nodes.clone();
        target.source.host.clone_from(&addr.host);
        target.source.port = addr.port;
        target
    }
}

async fn cluster(
    config: &Config,
    panel: &mut Panel,
    before: Option<&Topology>,
) -> Option<Topology> {
    let answers = panel.ask(Ask::All, |mut witness| async move {
        let report = witness.cluster().await;
        (witness, report)
    });
    let mut dialled = BTreeMap::new();
    let mut reports: Vec<Report> = Vec::new();
    for (asked, report) in answers.await {
        let myself = report.myself().and_then(|id| report.nodes().get(id));
        if let Some(announced) = myself.and_then(|told| told.addr.clone()) {
            dialled.insert(announced, asked);
        }
        // Two addresses of one node are one witness.
        let known = |other: &Report| other.myself().is_some() && other.myself() == report.myself();
        if !reports.iter().any(known) {
            reports.push(report);
        }
    }
    if reports.is_empty() {
        return None;
    }
    let mut map = Topology::of_cluster(&reports, before);
    map.map_addrs(|addr| match dialled.get(addr) {
        // The instance at our side announces an address that the mode does not know it by.
        Some(dialled) if config.follow == Follow::Local => dialled.clone(),
        Some(_) | None => config.discovery.nat.reachable(addr),
    });
    let nodes = map.groups().iter().flat_map(|group| &group.nodes);
    panel.found(nodes.filter_map(|node| node.addr.clone()).collect());
    Some(map)
}

async fn sentinels(config: &Config, panel: &mut Panel, names: &[String]) -> Option<Topology> {
    let wanted = names.to_vec();
    let answers = panel.ask(Ask::All, move |mut witness| {
        let names = wanted.clone();
        async move {
            let report = witness.sentinel(&names).await;
            (witness, report)
        }
    });
    let nat = &config.discovery.nat;
    let mut found = Vec::new();
    let mut reports = Vec::new();
    for (asked, survey) in answers.await {
        found.extend(
            survey
                .others
                .values()
                .flatten()
                .map(|addr| nat.reachable(addr)),
        );
        found.push(asked);
        reports.push(survey.report);
    }
    if reports.is_empty() {
        return None;
    }
    panel.found(found);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut map = Topology::of_sentinels(&reports, &names, panel.len());
    map.map_addrs(|addr| nat.reachable(addr));
    Some(map)
}
