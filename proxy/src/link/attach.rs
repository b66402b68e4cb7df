//! The way to a link: ask the server who it is, decide, wait for the right to a full sync if there
//! will be one, dial.
//!
//! The second connection comes first, because what it tells decides everything else: that this is
//! not ourselves, whether PSYNC will continue or copy, which version to announce, what an ACK is
//! to this server. Without the right to INFO the link is tried anyway.

use std::sync::Arc;
use std::time::Duration;

use analyzer::profile::{Family, Version};
use cluster_map::NodeId;
use dashmap::DashMap;
use replica_shim::{Announce, Auth, Coverage, Options, Position, Role as LinkRole};
use secrecy::ExposeSecret;

use crate::check::preflight::Flight;
use crate::clock;
use crate::discovery::ask;
use crate::fault::{AttachError, Unfit};
use crate::fleet::{Deployment, Fleet, MasterId, Role};
use crate::link::connect::{self, Connection};
use crate::link::full::Bar;
use crate::link::gate::{Gate, Host, Pass};
use crate::link::settle;
use crate::link::trail::Trail;
use crate::side::client::{Client, SideError, Target};
use crate::side::intro::{self, Intro};

/// What all links of the process share.
#[derive(Debug)]
pub struct Shared {
    /// The registry; knows our own run id.
    pub fleet: Arc<Fleet>,
    /// Few full syncs at once.
    pub gate: Gate,
    /// Which master follows the server of a run id.
    pub followed: DashMap<String, MasterId>,
    /// Seed of every digest: the same in all models, so that scans over several fit together.
    pub seed: u64,
}

/// One attempt.
#[derive(Debug)]
pub struct Plan {
    /// What all links share.
    pub shared: Arc<Shared>,
    /// The deployment, whose discovery knows of failovers.
    pub deployment: Arc<Deployment>,
    /// Which master.
    pub id: MasterId,
    /// Where.
    pub target: Target,
    /// The node of a cluster that has to be there.
    pub node: Option<NodeId>,
    /// What the server told the last time.
    pub known: Option<Arc<Intro>>,
    /// Where to continue, if anywhere.
    pub resume: Option<Position>,
    /// The way there.
    pub trail: Trail,
    /// How far back the model can go on it.
    pub undoable_from: u64,
    /// What stands against a full sync.
    pub bar: Bar,
    /// How often in a row a replica was behind us; it may never catch up.
    pub behind: u32,
}

/// Behind us this often, a replica is believed to have lost what we have.
const BEHIND_MAX: u32 = 10;

/// So often an attempt looks whether such a replica has caught up, and so far apart.
const BEHIND_LOOKS: u32 = 30;
const BEHIND_WAIT: Duration = Duration::from_millis(100);

/// Everything for a link.
#[derive(Debug)]
pub struct Attached {
    /// The second connection, if there is one already.
    pub side: Option<Client>,
    /// What the server told, now or the last time.
    pub intro: Arc<Intro>,
    /// The link's connection, nothing said on it yet.
    pub connection: Connection,
    /// What the link is told.
    pub options: Options,
    /// The host, as the gate knows it.
    pub host: Host,
    /// The right to a full sync, if one is expected.
    pub pass: Option<Pass>,
}

impl Plan {
    /// Attaches.
    ///
    /// # Errors
    /// The server cannot be reached, or should not be followed now.
    pub async fn attach(self) -> Result<Attached, AttachError> {
        let (mut side, mut intro) = self.introduce().await?;
        self.recognise(&intro)?;
        let mut resume = self.resume_or_wait(&mut side, &mut intro).await?;
        self.allowed(&intro, resume)?;
        let copies = resume.is_none() && self.resume.is_some();
        if copies || self.is_restarted(&intro) {
            // A copy for want of the right node is the one that is not needed. A process that came
            // back is about to be demoted more often than not, and its history leads nowhere then.
            settle::settle(&self.deployment, &self.target.source.addr()).await;
            (side, intro) = self.introduce().await?;
            self.recognise(&intro)?;
            resume = self.resume_or_wait(&mut side, &mut intro).await?;
            self.allowed(&intro, resume)?;
        }
        let target = &self.target;
        let host = self.shared.gate.host(&target.source).await;
        let pass = match resume {
            Some(_) => None,
            None => {
                self.tell_why(&intro);
                let pass = self.permit(&mut side, &host).await?;
                self.identify(&mut side).await?;
                Some(pass)
            }
        };
        let limit = target.link.connect_timeout;
        let connection = connect::dial(&target.source, &target.tls, limit).await?;
        let options = options(target, &intro, resume, self.shared.seed);
        Ok(Attached {
            side,
            intro,
            connection,
            options,
            host,
            pass,
        })
    }

    /// As [`Plan::resume_or_copy`], but a replica that is behind us is given a moment: links move
    /// to replicas that are some milliseconds late.
    async fn resume_or_wait(
        &self,
        side: &mut Option<Client>,
        intro: &mut Arc<Intro>,
    ) -> Result<Option<Position>, AttachError> {
        for _ in 0..BEHIND_LOOKS {
            match (self.resume_or_copy(intro), side.as_mut()) {
                (Err(Unfit::Behind), Some(side)) => {
                    tokio::time::sleep(BEHIND_WAIT).await;
                    let backlog = intro::backlog(side).await?;
                    *intro = Arc::new(Intro {
                        backlog,
                        ..Intro::clone(intro)
                    });
                }
                (decided, _) => return Ok(decided?),
            }
        }
        Ok(self.resume_or_copy(intro)?)
    }

    /// Refuses a full sync that comes too soon, and one that would be for nothing, as well as a PSYNC
    /// that may be answered with such a one.
    fn allowed(&self, intro: &Intro, resume: Option<Position>) -> Result<(), Unfit> {
        let now = clock::now();
        if resume.is_none() || intro.backlog.is_none() {
            self.bar.readable(intro.server.as_ref(), now)?;
        }
        if resume.is_none() {
            self.bar.due(now)?;
        }
        Ok(())
    }

    /// The right to a full sync, once the server can bear one.
    async fn permit(&self, side: &mut Option<Client>, host: &Host) -> Result<Pass, AttachError> {
        let due = self.bar.due(clock::now())?;
        tokio::time::sleep_until(due.into()).await;
        let flight = Flight::new(self.target.link.preflight);
        let name = self.target.source.to_string();
        loop {
            if let Some(client) = side
                && let Some(reason) = flight.clear(client, &name).await?
            {
                return Err(Unfit::Preflight(reason).into());
            }
            let pass = self.shared.gate.pass(host).await;
            let pass = pass.ok_or(Unfit::Ending)?;
            // Others may have begun to save while we waited for our turn.
            let clear = match side {
                // A connection that was closed while we waited is the session's to find.
                Some(client) => flight.is_clear(client).await.unwrap_or(true),
                None => true,
            };
            if clear {
                return Ok(pass);
            }
        }
    }

    /// Asks the server who it is. One that has told before, and breaks off now, is taken for what
    /// it was: the link itself may hold, and the second connection can come later.
    async fn introduce(&self) -> Result<(Option<Client>, Arc<Intro>), SideError> {
        let known = self.known.as_deref();
        let asked = async {
            let mut side = Client::connect(&self.target).await?;
            let intro = intro::introduce(&mut side, known).await?;
            Ok((side, intro))
        };
        match (asked.await, &self.known) {
            (Ok((side, intro)), _) => Ok((Some(side), Arc::new(intro))),
            (Err(SideError::Broken(_) | SideError::Closed | SideError::Silent), Some(known))
                if self.resume.is_some() =>
            {
                let intro = Intro {
                    backlog: None,
                    ..Intro::clone(known)
                };
                Ok((None, Arc::new(intro)))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Refuses ourselves, and a server that another link follows under another name.
    fn recognise(&self, intro: &Intro) -> Result<(), Unfit> {
        let Some(server) = &intro.server else {
            return Ok(());
        };
        if server.run_id == self.shared.fleet.build.run_id {
            return Err(Unfit::Ourselves);
        }
        if !server.run_id.is_empty() {
            let owner = *self
                .shared
                .followed
                .entry(server.run_id.clone())
                .or_insert(self.id);
            if owner != self.id {
                let masters = self.shared.fleet.masters();
                let name = masters.iter().find(|m| m.id == owner).map(|m| m.name());
                return Err(Unfit::Followed(name.unwrap_or_default()));
            }
        }
        if intro.loading {
            return Err(Unfit::Loading);
        }
        if intro.shutting_down {
            return Err(Unfit::ShuttingDown);
        }
        Ok(())
    }

    /// Says why a position is given up.
    fn tell_why(&self, intro: &Intro) {
        let (Some(position), Some(backlog)) = (self.resume, &intro.backlog) else {
            return;
        };
        tracing::warn!(
            server = %self.target.source,
            %position,
            undoable_from = self.undoable_from,
            ?backlog,
            "the server does not continue from our position: a full sync"
        );
    }

    /// True if the server we followed was another process.
    fn is_restarted(&self, intro: &Intro) -> bool {
        let known = self.known.as_ref().and_then(|known| known.server.as_ref());
        let now = intro.server.as_ref();
        let pair = known.zip(now);
        self.resume.is_some() && pair.is_some_and(|(known, now)| known.run_id != now.run_id)
    }

    /// Refuses to copy from another node than the one that is meant: addresses are given to others
    /// when their servers are gone. Who continues our history proves itself by that.
    async fn identify(&self, side: &mut Option<Client>) -> Result<(), AttachError> {
        let (Some(node), Some(side)) = (&self.node, side) else {
            return Ok(());
        };
        match ask::myself(side, &self.target.source).await? {
            Some(found) if found != *node => Err(Unfit::Stranger(found.to_string()).into()),
            // Without the right to ask the map's word is taken.
            Some(_) | None => Ok(()),
        }
    }

    /// The position to ask for; `None` for a full sync.
    fn resume_or_copy(&self, intro: &Intro) -> Result<Option<Position>, Unfit> {
        let (Some(resume), Some(backlog)) = (self.resume, &intro.backlog) else {
            if self.resume.is_none() && intro.orphan {
                return Err(Unfit::Orphan);
            }
            return Ok(self.resume);
        };
        let earlier = || self.trail.earlier(&resume, self.undoable_from, backlog);
        match resume.coverage(backlog) {
            Coverage::Continues => Ok(Some(resume)),
            Coverage::Ahead if intro.role == Role::Replica && self.behind < BEHIND_MAX => {
                Err(Unfit::Behind)
            }
            Coverage::Foreign | Coverage::Gone | Coverage::Ahead => match earlier() {
                None if intro.orphan => Err(Unfit::Orphan),
                earlier => Ok(earlier),
            },
        }
    }
}

/// What the link is told.
pub fn options(target: &Target, intro: &Intro, resume: Option<Position>, seed: u64) -> Options {
    let auth = target.credentials().map(|credentials| Auth {
        user: credentials.user.clone(),
        password: credentials.password.expose_secret().as_bytes().to_vec(),
    });
    let role = match intro.role {
        Role::Replica => LinkRole::Replica,
        Role::Master | Role::Unknown => LinkRole::Master {
            repl_timeout_ms: intro.repl_timeout_ms,
            ping_period_ms: intro.ping_period_ms,
        },
    };
    let announce = match &intro.server {
        Some(server) if server.family == Family::Valkey && server.version >= Version::new(8, 0) => {
            if server.cluster && intro.role == Role::Master {
                Announce::VersionThenLower
            } else {
                Announce::Version
            }
        }
        Some(_) => Announce::Nothing,
        // Redis answers that it does not know the option, and that is all. Another one may be the
        // master of a cluster.
        None => Announce::VersionThenLower,
    };
    Options {
        auth,
        client_name: Some(target.link.client_name.clone()),
        announce_port: i64::from(target.link.announce_port),
        announce_ip: target.link.announce_ip.clone(),
        role,
        announce,
        resume,
        seed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, raw::Raw};
    use crate::source::Spec;

    /// It may be the master of a Valkey cluster, where SETSLOT would wait for a replica of 9.0.
    #[test]
    fn a_server_that_does_not_say_what_it_is_hears_a_lower_version_too() {
        let config = Config::from_raw(Raw::default()).unwrap();
        let target = crate::app::target(&config, Spec::parse("redis://h:1").unwrap().first());
        let told = options(&target, &Intro::default(), None, 7);
        assert_eq!(told.announce, Announce::VersionThenLower);
    }
}
