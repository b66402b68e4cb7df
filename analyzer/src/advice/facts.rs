//! What is known of one master when its rules are asked: plain data that the proxy gathered.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::standing::Standing;
use super::survey::{Groups, Survey};
use crate::Keyspace;
use crate::acl::{User, Users};
use crate::census::Storm;
use crate::flows::{Flow, Slope, slope};
use crate::heat::{By, Hot, Window, Work};
use crate::keyspace::Detail;
use crate::patterns::PatternRow;
use crate::profile::Profile;
use crate::view::{DbTotals, FormTotals};

/// Why a rule cannot be told, as a clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cannot(pub String);

/// An answer of the server, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked<T> {
    /// It was not asked yet.
    #[default]
    NotYet,
    /// Our user may not ask.
    Denied,
    /// What it said.
    Known(T),
}

/// What the server told of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When, unix milliseconds of our clock; 0 if it never did.
    pub at_ms: u64,
    /// When, by its own clock, where that is permitted.
    pub time_ms: Option<u64>,
    /// How long its slowest answer to a PING or a poll took lately, microseconds; `None` if it never
    /// gave one.
    pub slowest_us: Option<u64>,
    /// Fields of INFO.
    pub info: Asked<BTreeMap<String, String>>,
    /// Options; never a password.
    pub config: Asked<BTreeMap<String, String>>,
    /// Who may do what.
    pub users: Users,
    /// Counters of INFO at an earlier look of the same process, if there was one.
    pub before: Option<Before>,
}

/// Counters at an earlier look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// When, unix milliseconds of our clock.
    pub at_ms: u64,
    /// By name.
    pub counters: BTreeMap<&'static str, u64>,
}

/// The hottest keys by writes, of the last minute or hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heat {
    /// Milliseconds that it covers.
    pub covered_ms: u64,
    /// All writes in that time.
    pub total: Work,
    /// The keys written most often, at most a thousand.
    pub by_writes: Vec<Hot>,
    /// The keys written with most bytes.
    pub by_bytes: Vec<Hot>,
    /// The slots written most often, at most twenty; none where keys are not counted by slot.
    pub slots: Vec<(u16, Work)>,
    /// Commands of the stream that were DEL.
    pub dels: u64,
}

impl Heat {
    /// What a keyspace saw in that time.
    pub fn of(keyspace: &Keyspace, window: Window) -> Heat {
        const BY_WRITES: usize = 1000;
        const BY_BYTES: usize = 100;
        const SLOTS: usize = 20;
        let often = keyspace.hot_keys(window, By::Writes, BY_WRITES);
        let large = keyspace.hot_keys(window, By::Bytes, BY_BYTES);
        let mut slots = keyspace.hot_slots(window).rows;
        slots.sort_by_key(|(_, work)| std::cmp::Reverse(work.writes));
        slots.truncate(SLOTS);
        let commands = keyspace.hot_commands(window).rows;
        let dels = commands.iter().find(|(name, _)| name == "DEL");
        Heat {
            dels: dels.map_or(0, |(_, work)| work.writes),
            slots,
            covered_ms: often.covered_ms,
            total: often.total,
            by_writes: often.rows,
            by_bytes: large.rows,
        }
    }
}

/// What happened to keys lately, by pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// Seconds that it covers, an hour at most.
    pub covered_s: u64,
    /// By database and pattern, as a glob.
    pub by_pattern: Vec<((u32, Vec<u8>), Flow)>,
    /// To all keys.
    pub all: Flow,
    /// Every pattern with what is in it now.
    pub patterns: Vec<PatternRow>,
    /// By how many bytes a day all keys surely grow; `None` if that cannot be told from chance.
    pub bytes_per_day: Option<u64>,
}

impl Flows {
    /// What a keyspace saw.
    pub fn of(keyspace: &mut Keyspace) -> Flows {
        const HOUR_S: u32 = 3600;
        let growth = keyspace.growth(HOUR_S);
        let mut all = Flow::default();
        growth.kinds.iter().for_each(|row| all.add(&row.flow));
        let surely = slope(&growth.points).filter(Slope::rises);
        let rows = growth.patterns_of_dbs.into_iter();
        let mut patterns = keyspace.patterns();
        let detail = keyspace.detail();
        patterns.iter_mut().for_each(|row| row.scale(&detail));
        Flows {
            covered_s: growth.covered_s,
            by_pattern: rows.map(|row| (row.of, row.flow)).collect(),
            all,
            patterns,
            bytes_per_day: surely.map(|slope| a_day(slope.median)),
        }
    }
}

/// Bytes a day of bytes a second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate that rises, from differences of sums of bytes"
)]
fn a_day(bytes_per_s: f64) -> u64 {
    const DAY_S: f64 = 86_400.0;
    (bytes_per_s * DAY_S) as u64
}

/// Another master of the deployment, or this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its keys.
    pub keys: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of those that are in its own slots; `None` if it has no slots.
    pub own_bytes: Option<u64>,
    /// By how many bytes a day they surely grow.
    pub bytes_per_day: Option<u64>,
}

/// Everything that rules decide from, of one master.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub master: String,
    /// Unix milliseconds.
    pub now_ms: u64,
    /// What its memory formulas depend on.
    pub profile: Profile,
    /// What it told of itself.
    pub told: Told,
    /// Sums by database.
    pub dbs: Vec<DbTotals>,
    /// Sums by database, type and encoding.
    pub totals: Vec<FormTotals>,
    /// How many of its keys the sums below were added up over.
    pub detail: Detail,
    /// The last walk over all keys; in words, why there is none.
    pub survey: Result<Arc<Survey>, String>,
    /// Its hottest keys of the last minute.
    pub heat: Heat,
    /// And of the last hour.
    pub heat_hour: Heat,
    /// Bytes by slot, estimates where some keys have no record; none where keys are not counted by
    /// slot.
    pub slots: BTreeMap<u16, u64>,
    /// What happened to its keys lately.
    pub flows: Flows,
    /// The minutes of the next day in which too much expires; in words, why that is not known.
    pub storms: Result<Vec<Storm>, String>,
    /// The masters of its deployment, itself included, that answered.
    pub peers: Arc<[Peer]>,
    /// Where it stands among others.
    pub standing: Standing,
}

impl Facts {
    /// The last walk over all keys.
    ///
    /// # Errors
    /// There was none yet.
    pub fn survey(&self) -> Result<&Survey, Cannot> {
        match &self.survey {
            Ok(survey) => Ok(survey),
            Err(why) => Err(Cannot(why.clone())),
        }
    }

    /// Keys by pattern, as that walk met them.
    ///
    /// # Errors
    /// As [`Facts::survey`], or keys are not counted by pattern.
    pub fn groups(&self) -> Result<&Groups, Cannot> {
        let survey = self.survey()?;
        let why = match survey.groups.is_full() {
            true => "most keys are of patterns beyond the first 1024 that the last survey met",
            false => "keys were not counted by pattern at the last survey",
        };
        survey.groups().ok_or_else(|| Cannot(why.to_owned()))
    }

    fn map<'a>(
        asked: &'a Asked<BTreeMap<String, String>>,
        what: &str,
        right: &str,
    ) -> Result<&'a BTreeMap<String, String>, Cannot> {
        match asked {
            Asked::Known(map) => Ok(map),
            Asked::Denied => Err(Cannot(format!("needs {right}"))),
            Asked::NotYet => Err(Cannot(format!("{what} was not asked yet"))),
        }
    }

    /// An option's value; `None` if this server has no such option.
    ///
    /// # Errors
    /// CONFIG GET is not permitted.
    pub fn config(&self, name: &str) -> Result<Option<&str>, Cannot> {
        let map = Facts::map(&self.told.config, "CONFIG", "+config|get")?;
        Ok(map.get(name).map(String::as_str))
    }

    /// An option's value as a number.
    ///
    /// # Errors
    /// As [`Facts::config`].
    pub fn config_number(&self, name: &str) -> Result<Option<u64>, Cannot> {
        Ok(self.config(name)?.and_then(|text| text.parse().ok()))
    }

    /// A field of INFO; `None` if this server has no such field.
    ///
    /// # Errors
    /// INFO is not permitted.
    pub fn info(&self, field: &str) -> Result<Option<&str>, Cannot> {
        let map = Facts::map(&self.told.info, "INFO", "+info")?;
        Ok(map.get(field).map(String::as_str))
    }

    /// A field of INFO as a number.
    ///
    /// # Errors
    /// As [`Facts::info`].
    pub fn info_number(&self, field: &str) -> Result<Option<u64>, Cannot> {
        Ok(self.info(field)?.and_then(|text| text.parse().ok()))
    }

    /// How much a counter of INFO grew since the earlier look, and over how many milliseconds;
    /// `None` if it is not told, or the server restarted in between.
    ///
    /// # Errors
    /// As [`Facts::info`].
    pub fn grown(&self, field: &str) -> Result<Option<(u64, u64)>, Cannot> {
        let Some(now) = self.info_number(field)? else {
            return Ok(None);
        };
        let Some(earlier) = &self.told.before else {
            return Err(Cannot("needs a second look at INFO".to_owned()));
        };
        let took = self.told.at_ms.saturating_sub(earlier.at_ms);
        let before = earlier.counters.get(field).copied();
        let grown = before.filter(|before| *before <= now && took > 0);
        Ok(grown.map(|before| (now - before, took)))
    }

    /// The users of the server.
    ///
    /// # Errors
    /// ACL LIST is not permitted.
    pub fn users(&self) -> Result<&[User], Cannot> {
        match &self.told.users {
            Users::Listed(users) => Ok(users),
            Users::Refused => Err(Cannot("needs +acl|list".to_owned())),
            Users::Untold => Err(Cannot("ACL LIST was not asked yet".to_owned())),
        }
    }

    /// Keys in all databases.
    pub fn keys(&self) -> u64 {
        self.dbs.iter().map(|db| db.keys).sum()
    }

    /// Sum of MEMORY USAGE of all keys.
    pub fn bytes(&self) -> u64 {
        self.dbs.iter().map(|db| db.bytes).sum()
    }
}
