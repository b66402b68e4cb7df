//! What a server says about itself: INFO, CONFIG, COMMAND and the commands of Sentinel.

use super::{Command, Handler};
use crate::admin::handlers::Model;
use crate::admin::{client, cluster, docs, sentinel, system};

const FAST: &[&str] = &["loading", "stale", "fast"];
const PLAIN: &[&str] = &["loading", "stale"];
const READ: &[&str] = &["readonly"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("info", -1, Handler::Model(Model::Info))
        .flags(PLAIN)
        .syntax("[section [section ...]]")
        .about(
            "server",
            "1.0.0",
            "Describes this process and the masters it follows.",
        ),
    Command::new("time", 1, Handler::Session(system::time))
        .flags(FAST)
        .about("server", "2.6.0", "Returns the time of this machine."),
    Command::new("role", 1, Handler::Session(sentinel::role))
        .flags(FAST)
        .about(
            "server",
            "2.8.12",
            "Says that this is a replica, of whom, and how far.",
        ),
    Command::new("command", -1, Handler::Container)
        .flags(PLAIN)
        .about("server", "2.8.13", "Describes the commands of this port."),
    Command::new("command|count", 2, Handler::Session(docs::count))
        .flags(PLAIN)
        .about("server", "2.8.13", "Counts the commands."),
    Command::new("command|list", -2, Handler::Session(docs::list))
        .flags(PLAIN)
        .syntax("[FILTERBY PATTERN pattern]")
        .about("server", "7.0.0", "Lists the names of the commands."),
    Command::new("command|info", -2, Handler::Session(docs::info))
        .flags(PLAIN)
        .syntax("[command-name [command-name ...]]")
        .about(
            "server",
            "2.8.13",
            "Describes commands for client libraries.",
        ),
    Command::new("command|docs", -2, Handler::Session(docs::docs))
        .flags(PLAIN)
        .syntax("[command-name [command-name ...]]")
        .about("server", "7.0.0", "Documents commands."),
    Command::new("command|getkeys", -3, Handler::Session(docs::getkeys))
        .flags(PLAIN)
        .syntax("command [arg [arg ...]]")
        .about("server", "2.8.13", "Returns the keys that a command names."),
    Command::new("command|help", 2, Handler::Session(system::help))
        .flags(PLAIN)
        .about("server", "5.0.0", "Lists the subcommands."),
    Command::new("config", -2, Handler::Container).about(
        "server",
        "2.0.0",
        "Shows the settings of this process.",
    ),
    Command::new("config|get", -3, Handler::Session(system::config_get))
        .flags(PLAIN)
        .syntax("parameter [parameter ...]")
        .about("server", "2.0.0", "Returns settings by name or pattern."),
    Command::new("config|rewrite", 2, Handler::Session(client::accepted))
        .flags(PLAIN)
        .about(
            "server",
            "2.8.0",
            "Is accepted from Sentinel; nothing is written.",
        ),
    Command::new("config|help", 2, Handler::Session(system::help))
        .flags(PLAIN)
        .about("server", "5.0.0", "Lists the subcommands."),
    Command::new("latency", -2, Handler::Container).about(
        "server",
        "2.8.13",
        "Tells about latency events, of which there are none.",
    ),
    Command::new("latency|latest", 2, Handler::Session(system::empty_array))
        .flags(PLAIN)
        .about(
            "server",
            "2.8.13",
            "Lists the last latency events: none are recorded.",
        ),
    Command::new("latency|histogram", -2, Handler::Session(system::empty_map))
        .flags(PLAIN)
        .syntax("[command [command ...]]")
        .about(
            "server",
            "7.0.0",
            "Is empty: /metrics has the histogram of answers.",
        ),
    Command::new("latency|reset", -2, Handler::Session(system::zero))
        .flags(PLAIN)
        .syntax("[event [event ...]]")
        .about("server", "2.8.13", "Returns 0: there are no events."),
    Command::new(
        "latency|doctor",
        2,
        Handler::Session(system::latency_doctor),
    )
    .flags(PLAIN)
    .about("server", "2.8.13", "Says where to look for latency."),
    Command::new("slowlog", -2, Handler::Container).about(
        "server",
        "2.2.12",
        "Tells about slow commands, which nobody records here.",
    ),
    Command::new("slowlog|get", -2, Handler::Session(system::empty_array))
        .flags(PLAIN)
        .syntax("[count]")
        .about(
            "server",
            "2.2.12",
            "Is empty: the masters' slow logs are theirs.",
        ),
    Command::new("slowlog|len", 2, Handler::Session(system::zero))
        .flags(PLAIN)
        .about("server", "2.2.12", "Returns 0."),
    Command::new("slowlog|reset", 2, Handler::Session(client::accepted))
        .flags(PLAIN)
        .about(
            "server",
            "2.2.12",
            "Is accepted: there is nothing to forget.",
        ),
    Command::new("module", -2, Handler::Container).about(
        "server",
        "4.0.0",
        "Tells about modules, of which there are none.",
    ),
    Command::new("module|list", 2, Handler::Session(system::empty_array))
        .flags(PLAIN)
        .about("server", "4.0.0", "Is empty."),
    Command::new("readonly", 1, Handler::Session(client::accepted))
        .flags(FAST)
        .about("cluster", "3.0.0", "Is accepted: only reads are served."),
    Command::new("readwrite", 1, Handler::Session(client::accepted))
        .flags(FAST)
        .about("cluster", "3.0.0", "Is accepted, and changes nothing."),
    Command::new("cluster", -2, Handler::Container).about(
        "cluster",
        "3.0.0",
        "Tells about the slots and nodes of the cluster that is followed.",
    ),
    Command::new("cluster|keyslot", 3, Handler::Session(cluster::keyslot))
        .flags(PLAIN)
        .syntax("key")
        .about("cluster", "3.0.0", "Returns the slot of a key name."),
    Command::new(
        "cluster|countkeysinslot",
        3,
        Handler::Model(Model::CountInSlot),
    )
    .flags(READ)
    .syntax("slot")
    .about("cluster", "3.0.0", "Counts the keys of a slot."),
    Command::new(
        "cluster|getkeysinslot",
        4,
        Handler::Model(Model::KeysInSlot),
    )
    .flags(READ)
    .syntax("slot count")
    .about("cluster", "3.0.0", "Returns some key names of a slot."),
    Command::new("cluster|info", 2, Handler::Session(cluster::info))
        .flags(PLAIN)
        .about(
            "cluster",
            "3.0.0",
            "Sums up the cluster that is followed; this port is no node of it.",
        ),
    Command::new("cluster|myid", 2, Handler::Session(cluster::myid))
        .flags(PLAIN)
        .about(
            "cluster",
            "3.0.0",
            "Returns the id of this process, or of the master of KS.TARGET.",
        ),
    Command::new("cluster|nodes", 2, Handler::Session(cluster::nodes))
        .flags(PLAIN)
        .about(
            "cluster",
            "3.0.0",
            "Lists the nodes of the cluster that is followed.",
        ),
    Command::new("cluster|shards", 2, Handler::Session(cluster::shards))
        .flags(PLAIN)
        .about(
            "cluster",
            "7.0.0",
            "Lists the shards with their slots and nodes.",
        ),
    Command::new("cluster|slots", 2, Handler::Session(cluster::slots))
        .flags(PLAIN)
        .about(
            "cluster",
            "3.0.0",
            "Lists the ranges of slots with their nodes.",
        ),
    Command::new("cluster|help", 2, Handler::Session(system::help))
        .flags(PLAIN)
        .about("cluster", "5.0.0", "Lists the subcommands."),
    Command::new("wait", 3, Handler::Session(system::zero))
        .flags(PLAIN)
        .syntax("numreplicas timeout")
        .about(
            "generic",
            "3.0.0",
            "Returns 0 at once: nothing can be written here.",
        ),
    Command::new("replicaof", 3, Handler::Session(sentinel::replicaof))
        .flags(PLAIN)
        .syntax("<host port | NO ONE>")
        .about(
            "server",
            "5.0.0",
            "Is taken from Sentinel as the notice of a failover.",
        ),
    Command::new("slaveof", 3, Handler::Session(sentinel::replicaof))
        .flags(PLAIN)
        .syntax("<host port | NO ONE>")
        .about("server", "1.0.0", "Is REPLICAOF by its old name."),
    Command::new("script", -2, Handler::Container).about(
        "scripting",
        "2.6.0",
        "Is answered so that scripting clients fall back.",
    ),
    Command::new("script|exists", -3, Handler::Session(system::script_exists))
        .flags(PLAIN)
        .syntax("sha1 [sha1 ...]")
        .about("scripting", "2.6.0", "Returns 0 for every script."),
    Command::new("script|kill", 2, Handler::Session(system::script_kill))
        .flags(PLAIN)
        .about("scripting", "2.6.0", "Says that no script is running."),
];
