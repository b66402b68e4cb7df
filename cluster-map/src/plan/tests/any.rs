//! Any map, any links, any policy.

use super::*;

/// A tiny generator, so that a failure names the round that brings it back.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        const FACTOR: u64 = 6_364_136_223_846_793_005;
        self.0 = self.0.wrapping_mul(FACTOR).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn random_map(dice: &mut Dice) -> Topology {
    let mut free: Vec<usize> = (0..12).collect();
    let mut groups = Vec::new();
    for group in 0..dice.roll(5) {
        let mut nodes = Vec::new();
        for at in 0..=dice.roll(4) {
            if free.is_empty() {
                break;
            }
            let id = free.swap_remove(dice.roll(free.len()));
            let role = if at == 0 && dice.roll(8) > 0 {
                "m"
            } else {
                "r"
            };
            let health = ["", "", "", "loading", "suspect", "failed", "lost"];
            let health = health[dice.roll(7)];
            nodes.push(format!("n{id}:{role}:{health}:{}", dice.roll(3) * 1000));
        }
        groups.push(format!(
            "g{} {}",
            group + dice.roll(2) * 10,
            nodes.join(" ")
        ));
    }
    build(&groups.join(";"), dice.roll(4) > 0)
}

fn carry_out(made: &Plan, links: &[Link], topology: &Topology, next_id: &mut u32) -> Vec<Link> {
    let mut after: Vec<_> = links
        .iter()
        .filter_map(|link| made.next(link, topology))
        .collect();
    for action in &made.actions {
        if let Action::Open { group, node, addr } = action {
            *next_id += 1;
            after.push(Link::open(
                *next_id,
                topology.group(group).unwrap(),
                node,
                addr,
            ));
        }
    }
    after
}

/// Whatever the map, the links and the policy: a plan that was carried out leaves nothing to do,
/// but to close what stays missing; no group has two links; no link dials what it must not.
#[test]
fn a_plan_carried_out_leaves_nothing_to_do() {
    let modes = [
        Follow::Master,
        Follow::Replica,
        Follow::PreferReplica,
        Follow::Local,
    ];
    for seed in 0..3000 {
        let dice = &mut Dice(seed);
        let [own, local, avoid] = [(); 3].map(|()| format!("n{}", dice.roll(12)));
        let (own, local, avoid) = ([addr(&own)], [addr(&local)], [id_of(&avoid)]);
        let policy = Policy {
            follow: modes[dice.roll(4)],
            local: &local,
            own: &own,
            avoid: &avoid,
            shard: Share::new(0, 2).filter(|_| dice.roll(4) == 0),
        };
        let mut links = Vec::new();
        let mut next_id = 0;
        for _ in 0..8 {
            let topology = random_map(dice);
            for link in &mut links {
                let Link { state, offset, .. } = link;
                *state = [LinkState::Live, LinkState::Loading, LinkState::Down][dice.roll(3)];
                *offset = Some(dice.roll(3) as u64 * BEHIND_BYTES_MAX);
                link.overdue = link.missing > 0 && dice.roll(2) == 0;
            }
            let first = plan(&topology, &links, &policy);
            assert_eq!(first, plan(&topology, &links, &policy), "seed {seed}");
            let before: Vec<_> = links.iter().map(|link| (link.id, link.settled)).collect();
            links = carry_out(&first, &links, &topology, &mut next_id);
            let settled: Vec<_> = links.iter().map(|link| link.settled).collect();
            // Time stands still for the second plan.
            for (id, settled) in before {
                let link = links.iter_mut().find(|link| link.id == id);
                if let Some(link) = link {
                    link.settled = link.settled.min(settled);
                }
            }
            let second = plan(&topology, &links, &policy);
            let closes = |action: &&Action| {
                !matches!(
                    action,
                    Action::Close {
                        why: Cause::Gone,
                        ..
                    }
                )
            };
            let more: Vec<_> = second.actions.iter().filter(closes).collect();
            assert!(
                more.is_empty(),
                "seed {seed}: {topology:?} {links:?} {more:?}"
            );
            for (link, settled) in links.iter_mut().zip(settled) {
                link.settled = settled;
            }
            let mut groups: Vec<_> = links.iter().map(|link| &link.group).collect();
            groups.sort();
            groups.dedup();
            assert_eq!(groups.len(), links.len(), "seed {seed}");
            let opened =
                |action: &Action| matches!(action, Action::Open { addr, .. } if own.contains(addr));
            assert!(
                !first.actions.iter().any(opened) || policy.follow == Follow::Local,
                "seed {seed}"
            );
        }
    }
}
