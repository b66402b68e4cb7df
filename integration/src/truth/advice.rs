//! `cargo truth -- --facts advice`: what KS.ADVISE promises to save, against servers on which the
//! remedy is carried out.
//!
//! For each rule a fresh server is filled with keys that it is about, Keyscape follows them from birth
//! and names a saving, the remedy is done, and the sum of MEMORY USAGE of all keys is compared before
//! and after. Where the remedy is a CONFIG SET it is taken from the answer, word by word.

use anyhow::{Context, Result};
use serde_json::Value;

use super::memory::as_f64;
use crate::app::App;
use crate::resp::{Client, field_of};
use crate::server::Server;
use crate::servers::{Family, Install};
use crate::wait::{self, PATIENCE};

/// How far a promise may be off of what was realised.
const BAR: f64 = 0.05;

/// How far it may be off with the C library's malloc, of the bytes of all keys: there a block may be
/// larger than asked for, by what was freed before it.
const BAR_LIBC: f64 = 0.08;

/// Surveys follow each other at once, and few keys are enough where a rule wants very many.
const CONFIG: &str = "[advice]\nsurvey_every_ms = 100\n[advice.limits]\nMEM-09 = { keys = 1000 }\n\
    MEM-11 = { keys = 1000 }\nMEM-21 = { keys = 1000 }\n";

/// What every script begins with.
const HEAD: &str = "local function t(n) return string.rep('x', n) end local r = math.random ";

/// The sum of MEMORY USAGE of all keys.
const SUM: &str = "local sum = 0 for _, k in ipairs(redis.call('KEYS','*')) do \
     sum = sum + redis.call('MEMORY','USAGE',k,'SAMPLES','0') end return sum";

/// A promise and what came of it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The rule.
    pub rule: &'static str,
    /// Keys that it named.
    pub keys: u64,
    /// Bytes of all keys before.
    pub before: u64,
    /// Bytes that were promised to be saved.
    pub promised: u64,
    /// Bytes that were.
    pub realised: i64,
    /// True if the server uses the C library's malloc.
    pub libc: bool,
}

impl Kept {
    /// The promise by what came, less one.
    #[must_use]
    pub fn error(&self) -> f64 {
        let realised = u64::try_from(self.realised).unwrap_or(0).max(1);
        as_f64(self.promised) / as_f64(realised) - 1.0
    }

    /// True if it came as promised.
    #[must_use]
    pub fn holds(&self) -> bool {
        let by_chance = self.libc && {
            let off = self.realised.abs_diff(self.promised.cast_signed());
            as_f64(off) <= BAR_LIBC * as_f64(self.before)
        };
        self.promised > 0 && (by_chance || self.error().abs() <= BAR)
    }

    /// One line of the table.
    #[must_use]
    pub fn line(&self, server: &str) -> String {
        format!(
            "| {server} | {} | {} | {} | {} | {} | {:+.2}% |{}",
            self.rule,
            self.keys,
            self.before,
            self.promised,
            self.realised,
            self.error() * 100.0,
            if self.holds() { "" } else { " missed" }
        )
    }
}

/// How a remedy is carried out.
enum Remedy {
    /// The CONFIG SET of the answer, then the server loads its own snapshot.
    Reload,
    /// The CONFIG SET of the answer, if there is one, then this script.
    Rewrite(&'static str),
}

/// A rule with keys that it is about.
struct Case {
    rule: &'static str,
    options: &'static [(&'static str, &'static str)],
    fill: &'static str,
    remedy: Remedy,
}

impl Case {
    const fn new(rule: &'static str, fill: &'static str, remedy: Remedy) -> Self {
        Self {
            rule,
            options: &[],
            fill,
            remedy,
        }
    }
}

/// Fields and members of small tables differ from key to key: Valkey's secret hash crowds the buckets
/// of the same names alike in every table, so that the error of one would be that of all.
const CASES: &[Case] = &[
    Case::new(
        "MEM-01",
        "for k=1,20000 do redis.call('SET','user:'..k,t(5+r(30))) end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do local v = redis.call('GET',k) \
             local id = string.sub(k,6) local b = tonumber(string.sub(redis.sha1hex(id),1,8),16) % 200 \
             redis.call('DEL',k) redis.call('HSET','user:'..b..'h',id,v) end",
        ),
    ),
    Case::new(
        "MEM-09",
        "for k=1,5000 do redis.call('SET','customer:address:profile:'..k,t(5+r(30))) \
         redis.call('HSET','customer:address:options:'..k,'a',t(r(30))) end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do local n = k \
             for long, short in pairs({customer='cu',address='ad',profile='pr',options='op'}) do \
             n = string.gsub(n,long,short) end redis.call('RENAME',k,n) end",
        ),
    ),
    Case::new(
        "MEM-11",
        "for k=1,3000 do redis.call('HSET','rec:'..k,'first_name',t(r(20)),'last_name',t(r(20)), \
         'birthday',k) end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do local v = redis.call('HMGET',k, \
             'first_name','last_name','birthday') redis.call('DEL',k) \
             redis.call('RPUSH',k,v[1],v[2],v[3]) end",
        ),
    ),
    Case::new(
        "MEM-02",
        "for k=1,100 do for i=1,513+r(1400) do \
         redis.call('HSET','h:'..k,'field:'..i,t(r(40))) end end",
        Remedy::Reload,
    ),
    Case::new(
        "MEM-03",
        "for k=1,1000 do for i=1,4+r(60) do redis.call('HSET','h:'..k,k..'f'..i,t(r(30))) end \
         redis.call('HSET','h:'..k,'text',t(64+r(190))) end",
        Remedy::Reload,
    ),
    Case::new(
        "MEM-04",
        "for k=1,300 do for i=1,129+r(350) do \
         redis.call('ZADD','z:'..k,r(1000000),'member:'..i) end end",
        Remedy::Reload,
    ),
    Case::new(
        "MEM-05",
        "for k=1,200 do for i=1,513+r(1400) do \
         redis.call('SADD','s:'..k,r(2000000000)) end end",
        Remedy::Reload,
    ),
    Case::new(
        "MEM-06",
        "for k=1,1000 do for i=1,4+r(80) do redis.call('SADD','s:'..k,k..'member:'..i) end \
         redis.call('SADD','s:'..k,t(64+r(190))) end",
        Remedy::Reload,
    ),
    Case::new(
        "MEM-08",
        "for k=1,1000 do for i=1,4+r(60) do redis.call('HSET','h:'..k,k..'f'..i,t(r(30))) end \
         redis.call('HSET','h:'..k,'text',t(65)) redis.call('HDEL','h:'..k,'text') end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do \
             redis.call('RESTORE',k,0,redis.call('DUMP',k),'REPLACE') end",
        ),
    ),
    Case::new(
        "MEM-12",
        "for k=1,6 do for i=1,5001+r(20000) do \
         redis.call('HSET','h:'..k,'field:'..i,t(r(30))) end end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do local all = redis.call('HGETALL',k) \
             redis.call('DEL',k) local n = math.ceil(#all / 2 / 384) for i=1,#all,2 do \
             local b = tonumber(string.sub(redis.sha1hex(all[i]),1,8),16) % n \
             redis.call('HSET',k..':'..b,all[i],all[i+1]) end end",
        ),
    ),
    Case {
        options: &[("list-max-listpack-size", "4")],
        ..Case::new(
            "MEM-18",
            "for k=1,100 do for i=1,500+r(2000) do redis.call('RPUSH','l:'..k,t(10+r(30))) end end",
            Remedy::Rewrite(
                "for _, k in ipairs(redis.call('KEYS','*')) do \
                 for _, e in ipairs(redis.call('LRANGE',k,0,-1)) do redis.call('RPUSH','new',e) end \
                 redis.call('RENAME','new',k) end",
            ),
        )
    },
    Case::new(
        "MEM-19",
        "for k=1,10 do for i=1,10001+r(20000) do redis.call('SADD','s:'..k,'member:'..i) end end",
        Remedy::Rewrite(
            "for _, k in ipairs(redis.call('KEYS','*')) do \
             for _, m in ipairs(redis.call('SMEMBERS',k)) do redis.call('PFADD','new',m) end \
             redis.call('RENAME','new',k) end",
        ),
    ),
];

/// Strings of a name of eight bytes that are up to four bytes too long for their object.
const CLIFF_44: Case = Case::new(
    "MEM-21",
    "for k=1,5000 do redis.call('SET',string.format('s:%06d',k),t(44+r(4))) end",
    Remedy::Rewrite(
        "for _, k in ipairs(redis.call('KEYS','*')) do \
         redis.call('SET',k,string.sub(redis.call('GET',k),1,44)) end",
    ),
);

/// The same where the object holds the key, too (Valkey 9).
const CLIFF_105: Case = Case::new(
    "MEM-21",
    "for k=1,5000 do redis.call('SET',string.format('s:%06d',k),t(105+r(4))) end",
    Remedy::Rewrite(
        "for _, k in ipairs(redis.call('KEYS','*')) do \
         redis.call('SET',k,string.sub(redis.call('GET',k),1,105)) end",
    ),
);

/// Carries out the advice of all rules on servers of one kind; `say` gets every line. Rules of which
/// `only` is not empty and does not have them are left out.
///
/// # Errors
/// If a server fails, or a rule does not hold where it must.
pub fn run(install: &Install, only: &[String], say: &mut impl FnMut(String)) -> Result<Vec<Kept>> {
    let (valkey, version) = (install.family == Family::Valkey, install.numbers());
    let small_sets = valkey || version >= (7, 2, 0);
    let in_object = valkey && version >= (9, 0, 0);
    let cliff = if in_object { &CLIFF_105 } else { &CLIFF_44 };
    let cases = CASES.iter().chain([cliff]);
    let has = |case: &&Case| match case.rule {
        "MEM-06" => small_sets,
        // Before, a list of one node is larger than a hash of few fields.
        "MEM-11" => small_sets,
        // Its option has another name before.
        "MEM-18" => version >= (7, 0, 0),
        // Where MEMORY USAGE leaves the name in a raw string's object out, none is smaller with it.
        "MEM-21" => !valkey || version < (8, 1, 0) || in_object,
        _ => true,
    };
    let cases = cases.filter(has);
    let wanted = |case: &&Case| only.is_empty() || only.iter().any(|rule| rule == case.rule);
    let mut all = Vec::new();
    for case in cases.filter(wanted) {
        let kept = carry_out(install, case).with_context(|| case.rule)?;
        say(kept.line(&install.name));
        all.push(kept);
    }
    Ok(all)
}

fn script(client: &mut Client, body: &str) -> Result<i64> {
    let body = format!("{HEAD}{body}");
    let reply = client.ask(&["EVAL", &body, "0"])?;
    Ok(reply.int().unwrap_or(0))
}

fn carry_out(install: &Install, case: &Case) -> Result<Kept> {
    let mut options = vec![("repl-diskless-sync-delay", "0")];
    if install.numbers() >= (7, 0, 0) {
        options.push(("enable-debug-command", "yes"));
    }
    options.extend(case.options);
    let server = Server::start(install, &options)?;
    let mut client = server.client()?;
    let app = App::start(&[format!("redis://{}", server.addr)], CONFIG)?;
    app.wait_synced(PATIENCE)?;
    // While a child saves, tables do not grow.
    wait::for_true(PATIENCE, "the child to be gone", || {
        Ok(client.info("persistence", "rdb_bgsave_in_progress")? == "0")
    })?;
    script(&mut client, case.fill)?;
    let libc = client.info("memory", "mem_allocator")? == "libc";
    if libc {
        look_at_all(&mut client, &app)?;
    }
    let advice = advice(&mut client, &app, case.rule)?;
    let finding = &advice["findings"][0];
    drop(app);
    let before = script(&mut client, SUM)?;
    follow_configuration(&mut client, &advice)?;
    match case.remedy {
        Remedy::Reload => {
            client.ask(&["DEBUG", "RELOAD"])?;
        }
        Remedy::Rewrite(body) => {
            script(&mut client, body)?;
        }
    }
    let after = script(&mut client, SUM)?;
    Ok(Kept {
        rule: case.rule,
        keys: finding["keys"].as_u64().unwrap_or(0),
        before: u64::try_from(before)?,
        promised: finding["saving"].as_u64().unwrap_or(0),
        realised: before - after,
        libc,
    })
}

/// Where formulas are expectations only, every table is looked at, which in production the audit does
/// by and by.
fn look_at_all(client: &mut Client, app: &App) -> Result<()> {
    let keys = client.ask(&["DBSIZE"])?.int();
    let mut port = app.client()?;
    wait::for_true(PATIENCE, "every key to be looked at", || {
        let reply = port.ask(&["KS.VERIFY", "ALL", "FORMAT", "JSON"])?;
        let answer: Value = serde_json::from_str(&reply.string())?;
        let total = &answer["total"];
        Ok(total["finished"] == true && total["keys"].as_i64() == keys)
    })
}

/// What a rule says of the server's keys as they are now, once it holds: on a slow machine the server
/// may not have told its configuration before it is surveyed.
fn advice(client: &mut Client, app: &App, rule: &str) -> Result<Value> {
    let info = client.ask(&["INFO", "replication"])?.string();
    let offset = field_of(&info, "master_repl_offset").context("an offset")?;
    let offset: u64 = offset.parse()?;
    let mut port = app.client()?;
    let mut last = Value::Null;
    let held = wait::for_true(PATIENCE, "the rule to hold", || {
        let reply = port.ask(&["KS.ADVISE", "RULE", rule, "FORMAT", "JSON"])?;
        last = serde_json::from_str(&reply.string())?;
        let from = last["survey"][0]["offset_from"].as_u64();
        let holds = last["findings"][0]["rule"] == rule;
        Ok(holds && from.is_some_and(|from| from >= offset))
    });
    held.with_context(|| format!("{last:#}"))?;
    Ok(last)
}

/// Runs what the remedy says about the configuration.
fn follow_configuration(client: &mut Client, advice: &Value) -> Result<()> {
    let steps = advice["remedy"].as_array().map_or(&[][..], Vec::as_slice);
    let steps = steps.iter().filter_map(|row| row["step"].as_str());
    for step in steps.filter(|step| step.starts_with("CONFIG SET ")) {
        let words: Vec<&str> = step.split(' ').collect();
        client.ask(&words)?;
    }
    Ok(())
}
