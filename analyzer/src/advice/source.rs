//! Where each rule comes from: other tools, with the name or number that they have for it, the
//! documentation and source of the servers, or our own thought.

/// One of a rule's sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A recommendation of RedisInsight, by the name in its source.
    Insight(&'static str),
    /// The recommendations of rdbtools, which became RedisInsight 1.
    Rdbtools,
    /// A row of the classic table of metrics and alerts, by its number in the catalogue.
    Row(u8),
    /// MEMORY DOCTOR.
    MemoryDoctor,
    /// LATENCY DOCTOR.
    LatencyDoctor,
    /// The alerts that come with redis_exporter.
    Mixin,
    /// redis_exporter.
    Exporter,
    /// x-pipe.
    Xpipe,
    /// The servers' documentation of persistence.
    Persistence,
    /// The servers' documentation of replication.
    Replication,
    /// What is taught to operators, of which many tell the same.
    Practice,
    /// Limits of cloud vendors: Tair, DBbrain.
    Clouds,
    /// Source, options and defaults of the servers.
    Server,
    /// An issue of somebody: repository and number.
    Issue(&'static str, u32),
    /// Nobody else has it, or not so.
    Ours,
}

use Source::{
    Clouds, Exporter, Insight, Issue, LatencyDoctor, MemoryDoctor, Mixin, Ours, Persistence,
    Practice, Rdbtools, Replication, Row, Server, Xpipe,
};

const INSIGHT: &str = "https://github.com/RedisInsight/RedisInsight/blob/main/redisinsight/api/src/constants/recommendations.ts";
const RDBTOOLS: &str = "https://docs.redis.com/latest/ri/memory-optimizations/";
const COMMANDS: &str = "https://redis.io/docs/latest/commands";
const MANAGEMENT: &str = "https://redis.io/docs/latest/operate/oss_and_stack/management";
const EXPORTER: &str = "https://github.com/oliver006/redis_exporter";
const XPIPE: &str = "https://github.com/ctripcorp/x-pipe";
const SERVER: &str = "https://github.com/valkey-io/valkey/blob/unstable/valkey.conf";

impl Source {
    /// In Markdown.
    pub(super) fn text(self) -> String {
        match self {
            Insight(name) => format!("[RedisInsight]({INSIGHT}) `{name}`"),
            Rdbtools => format!("[rdbtools]({RDBTOOLS})"),
            Row(number) => format!("row ALR-{number:02} of the classic monitoring table"),
            MemoryDoctor => format!("[MEMORY DOCTOR]({COMMANDS}/memory-doctor/)"),
            LatencyDoctor => format!("[LATENCY DOCTOR]({COMMANDS}/latency-doctor/)"),
            Mixin => format!("[redis-mixin]({EXPORTER}/tree/master/contrib/redis-mixin)"),
            Exporter => format!("[redis_exporter]({EXPORTER})"),
            Xpipe => format!("[x-pipe]({XPIPE})"),
            Persistence => format!("[documentation of persistence]({MANAGEMENT}/persistence/)"),
            Replication => format!("[documentation of replication]({MANAGEMENT}/replication/)"),
            Practice => "common practice of operators".to_owned(),
            Clouds => "limits of cloud vendors (Tair, DBbrain)".to_owned(),
            Server => format!("[options and defaults of the servers]({SERVER})"),
            Issue(repository, number) => {
                format!("[{repository}#{number}](https://github.com/{repository}/issues/{number})")
            }
            Ours => "ours".to_owned(),
        }
    }
}

/// By rule, in the order of the catalogue.
const SOURCES: &[(&str, &[Source])] = &[
    (
        "MEM-01",
        &[Insight("combineSmallStringsToHashes"), Rdbtools],
    ),
    ("MEM-02", &[Insight("hashHashtableToZiplist"), Rdbtools]),
    ("MEM-03", &[Rdbtools, Ours]),
    ("MEM-04", &[Insight("zSetHashtableToZiplist"), Rdbtools]),
    (
        "MEM-05",
        &[Insight("increaseSetMaxIntsetEntries"), Rdbtools],
    ),
    ("MEM-06", &[Server]),
    ("MEM-07", &[Ours]),
    ("MEM-08", &[Ours]),
    ("MEM-09", &[Insight("useSmallerKeys"), Rdbtools]),
    ("MEM-10", &[Insight("compressHashFieldNames"), Rdbtools]),
    ("MEM-11", &[Rdbtools]),
    ("MEM-12", &[Insight("bigHashes"), Rdbtools]),
    ("MEM-13", &[Rdbtools, Ours]),
    ("MEM-14", &[Rdbtools]),
    ("MEM-15", &[Ours]),
    ("MEM-16", &[Insight("stringToJson")]),
    ("MEM-17", &[Insight("compressionForList"), Rdbtools]),
    ("MEM-18", &[Ours]),
    ("MEM-19", &[Insight("bigSets"), Rdbtools]),
    ("MEM-20", &[Ours]),
    ("MEM-21", &[Ours, Server]),
    ("MEM-22", &[Ours]),
    ("MEM-23", &[Insight("RTS")]),
    (
        "MEM-24",
        &[
            Insight("searchIndexes"),
            Insight("searchHash"),
            Insight("searchJSON"),
        ],
    ),
    ("MEM-25", &[Ours]),
    ("MEM-26", &[MemoryDoctor]),
    ("MEM-27", &[Row(19), MemoryDoctor]),
    ("MEM-28", &[Row(6)]),
    ("MEM-29", &[Insight("luaScript"), Rdbtools, MemoryDoctor]),
    ("MEM-30", &[MemoryDoctor]),
    ("MEM-31", &[Insight("avoidLogicalDatabases")]),
    ("MEM-32", &[Rdbtools]),
    ("KEY-01", &[Insight("bigStrings"), Clouds]),
    (
        "KEY-02",
        &[Clouds, Insight("bigHashes"), Insight("bigSets")],
    ),
    ("KEY-03", &[Server, LatencyDoctor]),
    ("KEY-04", &[Ours]),
    ("KEY-05", &[Clouds, Ours]),
    ("KEY-06", &[Ours]),
    ("KEY-07", &[Ours]),
    ("KEY-08", &[Ours]),
    ("KEY-09", &[Ours]),
    ("KEY-10", &[Exporter, Ours]),
    ("TTL-01", &[Issue("HDT3213/rdb", 31), Ours]),
    ("TTL-02", &[Ours]),
    ("TTL-03", &[Rdbtools, Ours]),
    ("TTL-04", &[Ours]),
    ("TTL-05", &[Ours]),
    ("TTL-06", &[Ours]),
    ("EVI-01", &[Practice, Server]),
    ("EVI-02", &[Ours]),
    ("EVI-03", &[Practice, Mixin]),
    ("EVI-04", &[Practice, Ours]),
    ("EVI-05", &[Row(18), Practice]),
    ("EVI-06", &[Practice]),
    ("EVI-07", &[Row(20)]),
    ("EVI-08", &[Server]),
    ("PER-01", &[Row(13)]),
    ("PER-02", &[Persistence, Practice]),
    ("PER-03", &[Persistence, Practice]),
    ("PER-04", &[Persistence, LatencyDoctor]),
    ("PER-05", &[Exporter, Practice]),
    ("PER-06", &[Persistence, LatencyDoctor]),
    ("PER-07", &[Persistence]),
    ("PER-08", &[Replication]),
    ("REP-01", &[Row(15)]),
    ("REP-02", &[Row(16), Row(24)]),
    ("REP-03", &[Replication, Server, Xpipe]),
    (
        "REP-04",
        &[Issue("tair-opensource/RedisShake", 958), Server],
    ),
    ("REP-05", &[Replication, Practice]),
    ("REP-06", &[Ours]),
    ("REP-07", &[Replication, Practice, Xpipe]),
    ("REP-08", &[Replication]),
    ("REP-09", &[Practice]),
    ("CLU-01", &[Issue("redis/redis", 14087), Ours]),
    ("CLU-02", &[Server]),
    ("CLU-03", &[Practice, Ours]),
    ("CLU-04", &[Ours]),
    ("CLU-05", &[Mixin, Practice]),
    ("CLU-06", &[Practice]),
    (
        "CLI-01",
        &[Insight("bigAmountOfConnectedClients"), Mixin, Row(9)],
    ),
    ("CLI-02", &[Insight("bigAmountOfConnectedClients")]),
    ("CLI-03", &[Row(22)]),
    ("TRF-01", &[LatencyDoctor, Clouds]),
    ("TRF-02", &[Ours]),
    ("TRF-03", &[Row(12)]),
    ("ALR-23", &[Row(23)]),
    ("SEC-01", &[Insight("setPassword"), Practice]),
    ("SEC-02", &[Server]),
    ("SEC-03", &[Server]),
    ("SEC-04", &[Ours]),
    ("OPS-01", &[Insight("redisVersion"), Rdbtools]),
    ("ALR-02", &[Row(2)]),
    ("ALR-17", &[Row(17)]),
    ("ALR-01", &[Row(1)]),
    ("ALR-03", &[Row(3)]),
    ("ALR-06", &[Row(6)]),
    ("ALR-08", &[Row(8)]),
];

/// Where the rule of that id comes from.
pub(super) fn sources(id: &str) -> &'static [Source] {
    let row = SOURCES.iter().find(|row| row.0 == id);
    row.map_or(&[], |row| row.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::rules;
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_has_sources_and_every_row_a_rule() {
        let named: BTreeSet<&str> = SOURCES.iter().map(|row| row.0).collect();
        let all: BTreeSet<&str> = rules().map(|rule| rule.id).collect();
        assert_eq!(named, all);
        assert_eq!(SOURCES.len(), all.len());
        assert!(SOURCES.iter().all(|row| !row.1.is_empty()));
    }
}
