//! KS.REBALANCE: which slots of a cluster to move so that its masters are even, what that comes to,
//! and the commands that do it.
//!
//! The plan itself is `cluster_map::rebalance`. Here it gets its weights from the models, and is told
//! what must stay: slots that are on their way already, and slots with a key so large that the move
//! would block both masters (rule CLU-04). The commands declare each move on both sides and have
//! `redis-cli --cluster fix` carry them out, which every version can and no key name breaks. There is
//! no plan while the cluster is not whole (`whole`), for then the commands would end half-way.

mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use analyzer::heat::{By, Window, Work};
use analyzer::slots::skew as ratio;
use cluster_map::rebalance::{Load, Move, rebalance as plan};
use cluster_map::{Addr, NodeId, Slot, Topology};

use super::hot;
use super::layout::{Cell, Format, Table};
use super::refuse::SYNTAX;
use super::reply::Reply;
use super::report::{finish, limit, named_format, pairs};
use super::request::Request;
use super::scope::Scope;
use super::session::Session;
use crate::fleet::{Deployment, Master};
use crate::model::analytic::Analytic;
use crate::model::ask::{Ask, Filter, Freshness, Measure, Row, SlotTotal};
use crate::model::hot::{Subject, Wanted, What};

/// Moves by default, and at most.
const MOVES_DEFAULT: usize = 100;
const MOVES_MAX: usize = 16_384;

/// A key of so many bytes blocks both masters while it moves.
const HAZARD_BYTES: u64 = 100_000_000;

/// Largest keys of each master that are looked at for that: 100 GB of them.
const LARGEST: usize = 1000;

/// Writes of a shorter time are not reckoned up to a longer one.
const HEARD_MIN_MS: u64 = 10_000;

/// Slots that are on their way at the same time.
const BATCH: usize = 16;

const ONE_CLUSTER: Reply =
    Reply::error("ERR KS.REBALANCE is about one whole cluster; KS.TARGET chooses its deployment");

const NO_PLAN: Reply = Reply::error("ERR the moves could not be planned; the log says why");

struct Options {
    by: By,
    window: Window,
    max: usize,
    format: Format,
}

fn parse(request: &Request) -> Result<Options, Reply> {
    let mut options = Options {
        by: By::Bytes,
        window: Window::Hour,
        max: MOVES_DEFAULT,
        format: Format::Resp,
    };
    pairs(request, 1, |at| {
        if request.is(at, "BY") {
            options.by = hot::by(request, at + 1)?;
        } else if request.is(at, "WINDOW") {
            options.window = hot::window(request, at + 1)?;
        } else if request.is(at, "MAX") {
            options.max = limit(request, at + 1, MOVES_MAX)?;
        } else if request.is(at, "FORMAT") {
            options.format = named_format(request, at + 1)?;
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    })?;
    Ok(options)
}

/// A slot with all that is known of it.
#[derive(Clone, Copy, Debug, Default)]
struct Stock {
    keys: u64,
    bytes: u64,
    work: Work,
}

impl Stock {
    fn add(&mut self, more: Stock) {
        self.keys = self.keys.saturating_add(more.keys);
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.work.writes = self.work.writes.saturating_add(more.work.writes);
        self.work.bytes = self.work.bytes.saturating_add(more.work.bytes);
    }

    fn weight(&self, by: By) -> u64 {
        match by {
            By::Bytes => self.bytes,
            By::Writes => self.work.writes,
        }
    }
}

/// A master of the plan.
struct Shard {
    node: NodeId,
    addr: Addr,
    slots: BTreeMap<Slot, Stock>,
}

impl Shard {
    fn sum(&self) -> Stock {
        let mut sum = Stock::default();
        self.slots.values().for_each(|stock| sum.add(*stock));
        sum
    }
}

/// Everything that a plan is made of.
struct Ground {
    shards: Vec<Shard>,
    /// Slots that are on their way.
    open: BTreeSet<Slot>,
    /// Keys that make a move dangerous, by slot.
    hazards: Vec<(Slot, Row, String)>,
    sources: Vec<(Arc<Master>, Option<Freshness>)>,
    /// The longest time that writes were counted for, milliseconds.
    heard_ms: u64,
    /// True if those of some masters were counted for clearly less, and are stretched to it.
    stretched: bool,
}

/// KS.REBALANCE [BY <BYTES | WRITES>] [WINDOW ..] [MAX n] [FORMAT ..]
pub(crate) async fn rebalance(session: &Session, request: &Request) -> Result<Reply, Reply> {
    let options = parse(request)?;
    let scope = session.scope()?;
    let (cluster, topology) = cluster(&scope)?;
    let own = scope.of_deployment(&cluster);
    let ground = Ground::gather(&own, &topology, options.window).await?;
    let held: BTreeSet<Slot> = (ground.open.iter().copied())
        .chain(ground.hazards.iter().map(|(slot, ..)| *slot))
        .collect();
    let loads = ground.shards.iter().map(|shard| {
        let slots = shard.slots.iter();
        let load = |(slot, stock): (&Slot, &Stock)| Load {
            slot: *slot,
            weight: stock.weight(options.by),
            held: held.contains(slot),
        };
        slots.map(load).collect()
    });
    let loads: Vec<Vec<Load>> = loads.collect();
    let max = options.max;
    // Thousands of slots on hundreds of masters take a while.
    let moves = tokio::task::spawn_blocking(move || plan(&loads, max)).await;
    let moves = moves.map_err(|_| NO_PLAN)?;
    let notes = notes(&options, &ground, &moves);
    let tables = vec![
        skew(&options, &ground, &moves),
        masters(&ground, &moves),
        steps(&ground, &moves),
        hazards(&ground),
        commands(&ground, &moves),
    ];
    Ok(finish(&own, &ground.sources, tables, notes, options.format))
}

/// The only cluster of the scope and its map, if it is whole.
fn cluster(scope: &Scope) -> Result<(Arc<Deployment>, Arc<Topology>), Reply> {
    let mut clusters = scope.clusters();
    let cluster = clusters.next().filter(|_| clusters.next().is_none());
    let cluster = cluster.filter(|_| !scope.is_single()).ok_or(ONE_CLUSTER)?;
    let view = cluster.view();
    let none = || Reply::error("LOADING the cluster's map is not known yet");
    let topology = view.topology.clone().ok_or_else(none)?;
    whole::check(cluster, &view, &topology)?;
    Ok((cluster.clone(), topology))
}

impl Ground {
    async fn gather(scope: &Scope, topology: &Topology, window: Window) -> Result<Ground, Reply> {
        let wanted = Wanted {
            what: What::Slots,
            by: By::Writes,
            window,
            limit: usize::MAX,
        };
        let (totals, heat, largest) = tokio::join!(
            scope.ask_everyone(|reply| Ask::Slots { db: None, reply }),
            scope.ask_everyone(|reply| Ask::Analytic(Analytic::Hot { wanted, reply })),
            scope.ask_everyone(|reply| Ask::Top {
                by: Measure::Bytes,
                k: LARGEST,
                filter: Filter::default(),
                reply,
            }),
        );
        let (totals, heat, largest) = (totals?, heat?, largest?);
        let mut shards = shards(topology);
        let mut sources = Vec::new();
        for (master, answer) in totals {
            if let Some(shard) = shard_of(&mut shards, &master, topology) {
                shard.take_totals(&answer.value);
            }
            sources.push((master, Some(answer.fresh)));
        }
        let times = heat.iter().map(|(_, answer)| answer.value.covered_ms);
        let heard_ms = times.clone().max().unwrap_or(0);
        let stretched = times.min().is_some_and(|least| is_short(least, heard_ms));
        for (master, answer) in heat {
            let Some(shard) = shard_of(&mut shards, &master, topology) else {
                continue;
            };
            let times = (heard_ms, answer.value.covered_ms);
            for row in answer.value.rows {
                shard.take_work(&row.subject, over(row.work, times));
            }
        }
        let groups = topology.groups().iter();
        let open = groups.flat_map(|group| group.migrating.iter().chain(&group.importing));
        let large = largest.into_iter().flat_map(|(master, answer)| {
            let rows = answer.value.into_iter();
            let rows = rows.filter(|row| row.facts.memory >= HAZARD_BYTES);
            rows.map(move |row| (Slot::of(&row.key), row, master.name()))
        });
        Ok(Ground {
            shards,
            open: open.map(|(slot, _)| *slot).collect(),
            hazards: large.collect(),
            sources,
            heard_ms,
            stretched,
        })
    }
}

/// True for a time that is shorter by more than a tenth: spans do not end together.
fn is_short(ms: u64, longest_ms: u64) -> bool {
    ms < longest_ms / 10 * 9
}

/// Work as if it had gone on for the longest time in which any master was heard: one that is followed
/// for a minute is not colder than one that is for an hour. A few seconds say nothing of an hour.
fn over(work: Work, (longest_ms, ms): (u64, u64)) -> Work {
    if ms < HEARD_MIN_MS {
        return work;
    }
    let stretch = |count: u64| {
        let all = u128::from(count) * u128::from(longest_ms) / u128::from(ms);
        u64::try_from(all).unwrap_or(u64::MAX)
    };
    Work {
        writes: stretch(work.writes),
        bytes: stretch(work.bytes),
    }
}

/// The masters of the map, those without slots too.
fn shards(topology: &Topology) -> Vec<Shard> {
    let shard = |group: &cluster_map::Group| {
        let master = group.master()?;
        Some(Shard {
            node: master.id.clone(),
            addr: master.addr.clone()?,
            slots: group
                .slots
                .iter()
                .map(|slot| (slot, Stock::default()))
                .collect(),
        })
    };
    topology.groups().iter().filter_map(shard).collect()
}

fn shard_of<'a>(
    shards: &'a mut [Shard],
    master: &Master,
    topology: &Topology,
) -> Option<&'a mut Shard> {
    let group = topology.group(&master.place().group)?;
    let node = &group.master()?.id;
    shards.iter_mut().find(|shard| shard.node == *node)
}

impl Shard {
    /// Keys of slots that are another master's are not its own.
    fn take_totals(&mut self, totals: &[SlotTotal]) {
        for total in totals {
            let stock = Slot::new(total.slot).and_then(|slot| self.slots.get_mut(&slot));
            if let Some(stock) = stock {
                stock.keys = total.keys;
                stock.bytes = total.memory;
            }
        }
    }

    fn take_work(&mut self, subject: &Subject, work: Work) {
        let slot = match subject {
            Subject::Slot(slot) => Slot::new(*slot),
            Subject::Named(..) | Subject::Command(_) => None,
        };
        if let Some(stock) = slot.and_then(|slot| self.slots.get_mut(&slot)) {
            stock.work = work;
        }
    }
}

/// What each master has now, and what it would have.
fn sums(ground: &Ground, moves: &[Move]) -> Vec<(Stock, Stock)> {
    let sum = |shard: &Shard| (shard.sum(), shard.sum());
    let mut sums: Vec<(Stock, Stock)> = ground.shards.iter().map(sum).collect();
    for step in moves {
        let stock = stock(ground, step);
        if let Some((_, after)) = sums.get_mut(step.from) {
            after.keys = after.keys.saturating_sub(stock.keys);
            after.bytes = after.bytes.saturating_sub(stock.bytes);
            after.work.writes = after.work.writes.saturating_sub(stock.work.writes);
            after.work.bytes = after.work.bytes.saturating_sub(stock.work.bytes);
        }
        if let Some((_, after)) = sums.get_mut(step.to) {
            after.add(stock);
        }
    }
    sums
}

fn stock(ground: &Ground, step: &Move) -> Stock {
    let shard = ground.shards.get(step.from);
    let stock = shard.and_then(|shard| shard.slots.get(&step.slot));
    stock.copied().unwrap_or_default()
}

/// How uneven the masters are, and would be: see [`ratio`]. A master that has no slots yet is not among
/// them now, and is when the plan gives it some.
fn skew(options: &Options, ground: &Ground, moves: &[Move]) -> Table {
    let sums = sums(ground, moves);
    let slots = slots_then(ground, moves);
    let owns = |at: usize, then: bool| match then {
        true => slots.get(at).is_some_and(|slots| *slots > 0),
        false => (ground.shards.get(at)).is_some_and(|shard| !shard.slots.is_empty()),
    };
    let weights = |weight: fn(&Stock) -> u64, then: bool| {
        let of = sums.iter().enumerate().filter(|(at, _)| owns(*at, then));
        let stocks = of.map(|(_, (now, later))| if then { later } else { now });
        Cell::rate(ratio(stocks.map(weight)))
    };
    let mut all = Stock::default();
    moves.iter().for_each(|step| all.add(stock(ground, step)));
    let by = match options.by {
        By::Bytes => "bytes",
        By::Writes => "writes",
    };
    Table::single(
        "skew",
        vec![
            ("by", Cell::text(by)),
            ("moves", Cell::Count(moves.len() as u64)),
            ("moved_keys", Cell::Count(all.keys)),
            ("moved_bytes", Cell::Count(all.bytes)),
            ("bytes_now", weights(|s| s.bytes, false)),
            ("bytes_then", weights(|s| s.bytes, true)),
            ("keys_now", weights(|s| s.keys, false)),
            ("keys_then", weights(|s| s.keys, true)),
            ("writes_now", weights(|s| s.work.writes, false)),
            ("writes_then", weights(|s| s.work.writes, true)),
        ],
    )
}

/// How many slots each master would have.
fn slots_then(ground: &Ground, moves: &[Move]) -> Vec<usize> {
    let mut slots: Vec<usize> = ground.shards.iter().map(|s| s.slots.len()).collect();
    for step in moves {
        if let Some(from) = slots.get_mut(step.from) {
            *from = from.saturating_sub(1);
        }
        if let Some(to) = slots.get_mut(step.to) {
            *to += 1;
        }
    }
    slots
}

fn masters(ground: &Ground, moves: &[Move]) -> Table {
    let rows = ground.shards.iter().zip(sums(ground, moves));
    let rows = rows.zip(slots_then(ground, moves));
    let row = |((shard, (now, then)), slots_then): ((&Shard, (Stock, Stock)), usize)| {
        vec![
            ("master", Cell::Text(shard.addr.to_string())),
            ("slots_now", Cell::Count(shard.slots.len() as u64)),
            ("slots_then", Cell::Count(slots_then as u64)),
            ("keys_now", Cell::Count(now.keys)),
            ("keys_then", Cell::Count(then.keys)),
            ("bytes_now", Cell::Count(now.bytes)),
            ("bytes_then", Cell::Count(then.bytes)),
            ("writes_now", Cell::Count(now.work.writes)),
            ("writes_then", Cell::Count(then.work.writes)),
        ]
    };
    Table::rows("masters", rows.map(row).collect())
}

fn addr(ground: &Ground, at: usize) -> Cell {
    let shard = ground.shards.get(at);
    shard.map_or(Cell::Nothing, |shard| Cell::Text(shard.addr.to_string()))
}

fn steps(ground: &Ground, moves: &[Move]) -> Table {
    let row = |step: &Move| {
        let stock = stock(ground, step);
        vec![
            ("slot", Cell::Count(step.slot.number().into())),
            ("from", addr(ground, step.from)),
            ("to", addr(ground, step.to)),
            ("keys", Cell::Count(stock.keys)),
            ("bytes", Cell::Count(stock.bytes)),
            ("writes", Cell::Count(stock.work.writes)),
        ]
    };
    Table::rows("moves", moves.iter().map(row).collect())
}

fn hazards(ground: &Ground) -> Table {
    let row = |(slot, row, master): &(Slot, Row, String)| {
        vec![
            ("key", Cell::Name(row.key.clone())),
            ("type", Cell::text(row.facts.kind.name())),
            ("bytes", Cell::Count(row.facts.memory)),
            ("slot", Cell::Count(slot.number().into())),
            ("master", Cell::text(master)),
        ]
    };
    Table::rows("hazards", ground.hazards.iter().map(row).collect())
}

/// The lines to paste, in their order. The first asks every node whether a slot is open (it ends with
/// 1 then): the map learns of that a few nodes at a time, and what it knows is of when it was asked.
fn command_lines(ground: &Ground, moves: &[Move]) -> Vec<String> {
    let first = moves.first().and_then(|step| ground.shards.get(step.from));
    let mut lines: Vec<String> = first
        .map(|shard| cluster_wide("check", &shard.addr))
        .into_iter()
        .collect();
    for batch in moves.chunks(BATCH) {
        let mut source = None;
        for step in batch {
            let (Some(from), Some(to)) = (ground.shards.get(step.from), ground.shards.get(step.to))
            else {
                continue;
            };
            lines.push(setslot(&to.addr, step.slot, "IMPORTING", &from.node));
            lines.push(setslot(&from.addr, step.slot, "MIGRATING", &to.node));
            source = Some(&from.addr);
        }
        if let Some(addr) = source {
            lines.push(cluster_wide("fix", addr));
        }
    }
    lines
}

fn commands(ground: &Ground, moves: &[Move]) -> Table {
    let row = |line| vec![("command", Cell::Text(line))];
    let lines = command_lines(ground, moves).into_iter();
    Table::rows("commands", lines.map(row).collect())
}

/// What the whole cluster is asked through one node. Host and port are two words: in `host:port`
/// `redis-cli` takes the brackets of an IPv6 address for a part of its name.
fn cluster_wide(what: &str, through: &Addr) -> String {
    let (host, port) = (quoted(&through.host), through.port);
    format!("redis-cli --cluster {what} {host} {port} --cluster-yes || exit 1")
}

/// One side of a move, on which the script ends unless it is answered with OK: `redis-cli` itself exits
/// with 0 behind an error reply, and knows `-e` only from 7.0 on.
fn setslot(on: &Addr, slot: Slot, state: &str, other: &NodeId) -> String {
    let (host, port, other) = (quoted(&on.host), on.port, quoted(other.as_str()));
    format!(
        "redis-cli -h {host} -p {port} CLUSTER SETSLOT {slot} {state} {other} | tee -a /dev/stderr | \
         grep -qx OK || exit 1"
    )
}

/// A word as a shell takes it: names come from the nodes, and these lines are pasted.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn notes(options: &Options, ground: &Ground, moves: &[Move]) -> Vec<String> {
    let mut notes = Vec::new();
    if moves.is_empty() && options.max == 0 {
        notes.push("MAX 0 asks for no moves".to_owned());
    } else if moves.is_empty() {
        notes.push("no move makes the masters more even by more than 1% of the mean".to_owned());
    } else {
        notes.push(
            "the commands see that no slot is open yet, open up to 16 at a time on both sides and let \
             `redis-cli --cluster fix` move their keys and give them away; add --user, -a or --tls as \
             your cluster needs; run them as one script, because open slots are answered with ASK; it \
             ends at the first failure, and `fix` then closes what is open once the cause is gone"
                .to_owned(),
        );
    }
    if moves.len() == options.max && options.max > 0 {
        notes.push(format!(
            "MAX {} ends the plan: there may be more to move",
            options.max
        ));
    }
    if !ground.open.is_empty() {
        notes.push(format!(
            "{} slots are on their way already: they are not in the plan, and the script does not \
             begin before they have arrived, for `fix` would end their moves too",
            ground.open.len()
        ));
    }
    if !ground.hazards.is_empty() {
        notes.push(format!(
            "the slots of {} keys above 100 MB stay where they are: moving one blocks both masters \
             (CLU-04); divide them first",
            ground.hazards.len()
        ));
    }
    if let By::Writes = options.by {
        notes.push(hot::READS.to_owned());
    }
    if ground.stretched {
        notes.push(format!(
            "some masters were heard for a shorter time: their writes are reckoned up to {} s, if \
             that was {} s at least",
            ground.heard_ms / 1000,
            HEARD_MIN_MS / 1000
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_of_masters_count_over_the_same_time() {
        let work = Work {
            writes: 60,
            bytes: 600,
        };
        let stretched = Work {
            writes: 3_600,
            bytes: 36_000,
        };
        assert_eq!(over(work, (3_600_000, 60_000)), stretched);
        assert_eq!(over(work, (3_600_000, 3_600_000)), work);
        assert_eq!(over(work, (3_600_000, 9_999)), work, "just begun");
        assert!(is_short(60_000, 3_600_000) && !is_short(3_590_000, 3_600_000));
        assert!(!is_short(0, 0));
    }

    /// Two masters of which the first gives a slot to the second.
    fn lines(hosts: [&str; 2]) -> Vec<String> {
        let shard = |(host, port, id): (&str, u64, &str)| Shard {
            node: NodeId::new(id).unwrap(),
            addr: Addr::new(host, port).unwrap(),
            slots: BTreeMap::new(),
        };
        let [one, two] = hosts;
        let ground = Ground {
            shards: vec![shard((one, 7000, "aa")), shard((two, 7001, "bb"))],
            open: BTreeSet::new(),
            hazards: Vec::new(),
            sources: Vec::new(),
            heard_ms: 0,
            stretched: false,
        };
        let slot = Slot::new(5).unwrap();
        let step = Move {
            slot,
            weight: 0,
            from: 0,
            to: 1,
        };
        command_lines(&ground, &[step])
    }

    /// A `fix` that cannot reach a node ends at once; slots that lines behind it open stay open.
    #[test]
    fn the_script_ends_at_the_first_failure() {
        let [check, import, migrate, fix] = lines(["10.0.0.1", "10.0.0.2"]).try_into().unwrap();
        // A slot that the map does not know to be open is known to its masters.
        assert_eq!(
            check,
            "redis-cli --cluster check 10.0.0.1 7000 --cluster-yes || exit 1"
        );
        assert_eq!(
            import,
            "redis-cli -h 10.0.0.2 -p 7001 CLUSTER SETSLOT 5 IMPORTING aa | tee -a /dev/stderr | \
             grep -qx OK || exit 1"
        );
        assert_eq!(
            migrate,
            "redis-cli -h 10.0.0.1 -p 7000 CLUSTER SETSLOT 5 MIGRATING bb | tee -a /dev/stderr | \
             grep -qx OK || exit 1"
        );
        assert_eq!(
            fix,
            "redis-cli --cluster fix 10.0.0.1 7000 --cluster-yes || exit 1"
        );
    }

    /// `redis-cli --cluster fix '[::1]:7000'` looks for a host of the name `[::1]`.
    #[test]
    fn ipv6_addresses_have_no_brackets_for_redis_cli() {
        let [check, import, migrate, fix] = lines(["fd00::1", "::1"]).try_into().unwrap();
        assert!(check.starts_with("redis-cli --cluster check fd00::1 7000 "));
        assert!(import.starts_with("redis-cli -h ::1 -p 7001 CLUSTER SETSLOT"));
        assert!(migrate.starts_with("redis-cli -h fd00::1 -p 7000 CLUSTER SETSLOT"));
        assert_eq!(
            fix,
            "redis-cli --cluster fix fd00::1 7000 --cluster-yes || exit 1"
        );
    }

    #[test]
    fn names_of_nodes_are_words_to_a_shell() {
        for (word, safe) in [
            ("10.0.0.1", "10.0.0.1"),
            ("node-1.example", "node-1.example"),
            ("fe80::1%eth0", "'fe80::1%eth0'"),
            ("a;reboot", "'a;reboot'"),
            ("$(id)'x", r"'$(id)'\''x'"),
        ] {
            assert_eq!(quoted(word), safe);
        }
    }
}
