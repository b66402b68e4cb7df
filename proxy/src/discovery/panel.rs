//! Who is asked about a deployment, and how each of them was the last time.
//!
//! The seeds of the configuration are where it begins; from the first answer on, those that were
//! found are asked, so a dead seed never matters. A few at a time, in rotation: enough to outvote
//! one that sees the world through a hole, few enough to be no load. A seed that is not among those
//! found is tried now and then, and all seeds are when nobody else answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cluster_map::Addr;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::ask::{AskError, Witness};
use crate::fault::chain;
use crate::fleet::{Reach, Seed};
use crate::side::client::Target;
use crate::source::Source;

/// Asked in one look.
pub const ASKED_MAX: usize = 8;

/// Longest wait for an answer; also for a connection.
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// Once somebody has answered, the others have so long.
const REST_LIMIT: Duration = Duration::from_secs(1);

/// Those who are asked.
#[derive(Debug)]
pub struct Panel {
    seeds: Vec<Addr>,
    found: Vec<Addr>,
    /// How to connect; the address is each one's own.
    target: Target,
    connected: BTreeMap<Addr, Witness>,
    reach: BTreeMap<Addr, Reach>,
    turn: usize,
}

impl Panel {
    /// A panel of seeds; `target` says how to connect.
    pub fn new(seeds: Vec<Addr>, target: Target) -> Panel {
        Panel {
            reach: seeds
                .iter()
                .map(|seed| (seed.clone(), Reach::Unknown))
                .collect(),
            seeds,
            found: Vec::new(),
            target,
            connected: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Those that were found; who is no more among them is forgotten.
    pub fn found(&mut self, mut found: Vec<Addr>) {
        found.sort_unstable();
        found.dedup();
        self.reach
            .retain(|addr, _| self.seeds.contains(addr) || found.binary_search(addr).is_ok());
        self.found = found;
    }

    /// How many there are: those that were found, else the seeds.
    pub fn len(&self) -> usize {
        match self.found.len() {
            0 => self.seeds.len(),
            found => found,
        }
    }

    /// True if nobody can be asked, which a source with a seed never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True for an address of the configuration.
    pub fn is_seed(&self, addr: &Addr) -> bool {
        self.seeds.contains(addr)
    }

    /// True if the last attempt at it did not end with an answer.
    pub fn is_failed(&self, addr: &Addr) -> bool {
        matches!(self.reach.get(addr), Some(Reach::Failed(_)))
    }

    /// Everyone, and how each one was.
    pub fn seats(&self) -> Vec<Seed> {
        let seat = |(addr, reach): (&Addr, &Reach)| Seed {
            addr: addr.clone(),
            reach: reach.clone(),
        };
        self.reach.iter().map(seat).collect()
    }

    /// Asks some of them, all seeds as well if `seeds`; the answers in the order of the addresses.
    /// Nobody found answers: then every seed is asked.
    pub async fn ask<T, F, Q>(&mut self, seeds: Ask, question: Q) -> Vec<(Addr, T)>
    where
        T: Send + 'static,
        F: Future<Output = (Witness, Result<T, AskError>)> + Send + 'static,
        Q: Fn(Witness) -> F + Send + Sync + 'static,
    {
        let question = Arc::new(question);
        let chosen = self.choose(seeds);
        let mut answers = self.put(chosen.clone(), &question).await;
        if answers.is_empty() {
            let rest = self.seeds.iter().filter(|seed| !chosen.contains(seed));
            let rest = rest.cloned().collect();
            answers = self.put(rest, &question).await;
        }
        answers.sort_by(|(a, _), (b, _)| a.cmp(b));
        answers
    }

    /// Whose turn it is.
    fn choose(&mut self, seeds: Ask) -> Vec<Addr> {
        if self.found.is_empty() {
            return self.seeds.clone();
        }
        self.turn = self.turn.wrapping_add(1);
        let few = self.found.len().min(ASKED_MAX);
        let from = self.turn % self.found.len();
        let turn = self.found.iter().cycle().skip(from).take(few);
        let mut chosen: Vec<Addr> = turn.cloned().collect();
        let strange = |seed: &&Addr| !self.found.contains(seed);
        match seeds {
            Ask::All => {
                let seeds = self.seeds.iter().filter(|seed| !chosen.contains(seed));
                let seeds: Vec<Addr> = seeds.cloned().collect();
                chosen.extend(seeds);
            }
            Ask::Some if self.turn.is_multiple_of(SEED_TURNS) => {
                let at = (self.turn / SEED_TURNS) % self.seeds.len().max(1);
                chosen.extend(self.seeds.iter().skip(at).take(1).filter(strange).cloned());
            }
            Ask::Some => {}
        }
        chosen
    }

    async fn put<T, F, Q>(&mut self, chosen: Vec<Addr>, question: &Arc<Q>) -> Vec<(Addr, T)>
    where
        T: Send + 'static,
        F: Future<Output = (Witness, Result<T, AskError>)> + Send + 'static,
        Q: Fn(Witness) -> F + Send + Sync + 'static,
    {
        let mut asking = JoinSet::new();
        let mut open: Vec<Addr> = chosen.clone();
        for addr in chosen {
            let known = self.connected.remove(&addr);
            let (target, question) = (self.target_of(&addr), question.clone());
            asking.spawn(async move { (addr, put(known, &target, &*question).await) });
        }
        // Those that are not asked in this look keep no connection.
        self.connected.clear();
        let mut deadline = Instant::now() + ASK_LIMIT;
        let mut answers = Vec::new();
        while let Ok(Some(joined)) = timeout_at(deadline, asking.join_next()).await {
            // A task that panicked held nothing of ours; its server counts as silent.
            let Ok((addr, result)) = joined else {
                continue;
            };
            open.retain(|other| *other != addr);
            match result {
                Ok((witness, answer)) => {
                    deadline = deadline.min(Instant::now() + REST_LIMIT);
                    self.connected.insert(addr.clone(), witness);
                    self.reach.insert(addr.clone(), Reach::Answered);
                    answers.push((addr, answer));
                }
                Err(error) => {
                    self.reach.insert(addr, Reach::Failed(chain(&error)));
                }
            }
        }
        for addr in open {
            let text = "no answer in time".to_owned();
            self.reach.insert(addr, Reach::Failed(text));
        }
        answers
    }

    /// How to connect to one of them.
    pub fn target_of(&self, addr: &Addr) -> Target {
        Target {
            source: Source {
                host: addr.host.clone(),
                port: addr.port,
                ..self.target.source.clone()
            },
            ..self.target.clone()
        }
    }
}

/// One look in so many tries a seed that is not among those found.
const SEED_TURNS: usize = 12;

/// Which seeds are asked beside those whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// One now and then.
    Some,
    /// Every one.
    All,
}

/// One question to one server, on the connection there is, or on a new one: a server closes those
/// that were silent for long.
async fn put<T, F, Q>(
    known: Option<Witness>,
    target: &Target,
    question: &Q,
) -> Result<(Witness, T), AskError>
where
    F: Future<Output = (Witness, Result<T, AskError>)>,
    Q: Fn(Witness) -> F,
{
    if let Some(witness) = known {
        match question(witness).await {
            (witness, Ok(answer)) => return Ok((witness, answer)),
            (_, Err(AskError::Side(_))) => {}
            (_, Err(error @ AskError::Answer(_))) => return Err(error),
        }
    }
    let witness = Witness::connect(target).await?;
    let (witness, answer) = question(witness).await;
    Ok((witness, answer?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, raw::Raw};
    use crate::source::Spec;

    fn addrs(ports: impl IntoIterator<Item = u16>) -> Vec<Addr> {
        let addr = |port| Addr {
            host: "h".to_owned(),
            port,
        };
        ports.into_iter().map(addr).collect()
    }

    fn panel(seeds: &[u16]) -> Panel {
        let config = Config::from_raw(Raw::default()).unwrap();
        let spec = Spec::parse("redis-cluster://h:1").unwrap();
        let target = crate::app::target(&config, spec.first());
        Panel::new(addrs(seeds.iter().copied()), target)
    }

    #[test]
    fn seeds_are_asked_until_somebody_is_found() {
        let mut panel = panel(&[1, 2]);
        assert_eq!(panel.choose(Ask::Some), addrs([1, 2]));
        panel.found(addrs([7, 8, 7]));
        assert_eq!(panel.len(), 2);
        let mut chosen = panel.choose(Ask::Some);
        chosen.sort_unstable();
        assert_eq!(chosen, addrs([7, 8]));
    }

    #[test]
    fn everyone_found_and_every_seed_has_a_turn() {
        let mut panel = panel(&[1, 2, 100]);
        panel.found(addrs(100..150));
        let mut asked: Vec<Addr> = Vec::new();
        for _ in 0..100 {
            let chosen = panel.choose(Ask::Some);
            assert!(chosen.len() <= ASKED_MAX + 1);
            asked.extend(chosen);
        }
        for addr in addrs([1, 2].into_iter().chain(100..150)) {
            assert!(asked.contains(&addr), "{addr}");
        }
        // Those too that are found, and whose turn it is not.
        for _ in 0..50 {
            let all = panel.choose(Ask::All);
            for seed in addrs([1, 2, 100]) {
                assert_eq!(
                    all.iter().filter(|addr| **addr == seed).count(),
                    1,
                    "{all:?}"
                );
            }
        }
    }

    #[test]
    fn who_is_no_more_found_is_forgotten() {
        let mut panel = panel(&[1]);
        panel.found(addrs([7, 8]));
        for port in [1, 7, 8] {
            let reach = Reach::Failed("refused".to_owned());
            panel.reach.insert(addrs([port]).remove(0), reach);
        }
        panel.found(addrs([8]));
        let seats = panel.seats().into_iter().map(|seat| seat.addr.port);
        assert_eq!(seats.collect::<Vec<_>>(), [1, 8]);
    }

    /// A dead seed, one that refuses and nobody else: no answer, and each says why.
    #[tokio::test]
    async fn seeds_that_cannot_be_reached_say_why() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let free = listener.local_addr().unwrap().port();
        drop(listener);
        let mut panel = panel(&[]);
        panel.seeds = vec![
            format!("127.0.0.1:{free}").parse().unwrap(),
            format!("no-such-host.invalid:{free}").parse().unwrap(),
        ];
        let answers = panel.ask(Ask::Some, |mut witness| async move {
            let report = witness.cluster().await;
            (witness, report)
        });
        assert!(answers.await.is_empty());
        for seat in panel.seats() {
            assert!(matches!(seat.reach, Reach::Failed(_)), "{seat:?}");
        }
    }
}
