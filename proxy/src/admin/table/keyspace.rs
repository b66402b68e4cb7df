//! What the servers answer about keys, answered from the model.

use super::{Command, Handler};
use crate::admin::handlers::Model;
use crate::admin::points;

const READ: &[&str] = &["readonly"];
const FAST: &[&str] = &["readonly", "fast"];

pub(super) const COMMANDS: &[Command] = &[
    Command::point("exists", -2, points::exists)
        .keys(1, -1, 1)
        .syntax("key [key ...]")
        .about("generic", "1.0.0", "Counts how many of the keys exist."),
    Command::point("type", 2, points::kind).about(
        "generic",
        "1.0.0",
        "Names the type of a key's value.",
    ),
    Command::point("ttl", 2, points::ttl).about(
        "generic",
        "1.0.0",
        "Returns the seconds until a key expires.",
    ),
    Command::point("pttl", 2, points::pttl).about(
        "generic",
        "2.6.0",
        "Returns the milliseconds until a key expires.",
    ),
    Command::point("expiretime", 2, points::expiretime).about(
        "generic",
        "7.0.0",
        "Returns the unix second at which a key expires.",
    ),
    Command::point("pexpiretime", 2, points::pexpiretime).about(
        "generic",
        "7.0.0",
        "Returns the unix millisecond at which a key expires.",
    ),
    Command::new("object", -2, Handler::Container).about(
        "generic",
        "2.2.3",
        "Tells how a key's value is stored.",
    ),
    Command::point("object|encoding", 3, points::object_encoding)
        .keys(2, 2, 1)
        .about(
            "generic",
            "2.2.3",
            "Names the encoding that the master uses for a value.",
        ),
    Command::point("object|freq", 3, points::object_freq)
        .keys(2, 2, 1)
        .about(
            "generic",
            "4.0.0",
            "Returns the access counter of a key, by its writes.",
        ),
    Command::point("object|idletime", 3, points::object_idletime)
        .keys(2, 2, 1)
        .about(
            "generic",
            "2.2.3",
            "Returns the seconds since a key was last written.",
        ),
    Command::point("object|refcount", 3, points::object_refcount)
        .keys(2, 2, 1)
        .about("generic", "2.2.3", "Returns 1 for a key that exists."),
    Command::new(
        "object|help",
        2,
        Handler::Session(super::super::system::help),
    )
    .about("generic", "6.2.0", "Lists the subcommands."),
    Command::new("dbsize", 1, Handler::Model(Model::DbSize))
        .flags(FAST)
        .about(
            "server",
            "1.0.0",
            "Counts the keys of the database, over all masters.",
        ),
    Command::new("randomkey", 1, Handler::Model(Model::RandomKey))
        .flags(READ)
        .about("generic", "1.0.0", "Returns some key of the database."),
    Command::new("keys", 2, Handler::Model(Model::Keys))
        .flags(READ)
        .syntax("pattern")
        .about("generic", "1.0.0", "Returns the keys that match a pattern."),
    Command::new("scan", -2, Handler::Model(Model::Scan))
        .flags(READ)
        .syntax("cursor [MATCH pattern] [COUNT count] [TYPE type]")
        .about(
            "generic",
            "2.8.0",
            "Iterates over the keys of the database, over all masters.",
        ),
    Command::point("strlen", 2, points::strlen).about(
        "string",
        "2.2.0",
        "Returns the bytes of a string.",
    ),
    Command::point("llen", 2, points::llen).about("list", "1.0.0", "Returns the length of a list."),
    Command::point("scard", 2, points::scard).about(
        "set",
        "1.0.0",
        "Returns the members of a set.",
    ),
    Command::point("hlen", 2, points::hlen).about("hash", "2.0.0", "Returns the fields of a hash."),
    Command::point("zcard", 2, points::zcard).about(
        "sorted-set",
        "1.2.0",
        "Returns the members of a sorted set.",
    ),
    Command::point("xlen", 2, points::xlen).about(
        "stream",
        "5.0.0",
        "Returns the entries of a stream.",
    ),
    Command::new("xinfo", -2, Handler::Container).about(
        "stream",
        "5.0.0",
        "Tells about a stream, its groups and their consumers.",
    ),
    Command::new("xinfo|stream", 3, Handler::Model(Model::StreamInfo))
        .flags(READ)
        .keys(2, 2, 1)
        .syntax("key")
        .about(
            "stream",
            "5.0.0",
            "Tells about a stream, without its entries.",
        ),
    Command::new("xinfo|groups", 3, Handler::Model(Model::StreamGroups))
        .flags(READ)
        .keys(2, 2, 1)
        .syntax("key")
        .about("stream", "5.0.0", "Lists the consumer groups of a stream."),
    Command::new("xinfo|consumers", 4, Handler::Model(Model::StreamConsumers))
        .flags(READ)
        .keys(2, 2, 1)
        .syntax("key group")
        .about("stream", "5.0.0", "Lists the consumers of a group."),
    Command::new("memory", -2, Handler::Container).about("server", "4.0.0", "Tells about memory."),
    Command::point("memory|usage", -3, points::memory_usage)
        .flags(READ)
        .keys(2, 2, 1)
        .syntax("key [SAMPLES count]")
        .about(
            "server",
            "4.0.0",
            "Returns the bytes that a key takes on its master.",
        ),
    Command::new("memory|stats", 2, Handler::Model(Model::MemoryStats))
        .flags(READ)
        .about(
            "server",
            "4.0.0",
            "Returns the memory of the keys and of the model.",
        ),
    Command::new("memory|doctor", 2, Handler::Model(Model::MemoryDoctor))
        .flags(READ)
        .about(
            "server",
            "4.0.0",
            "Says in a sentence what the keys and the model take.",
        ),
    Command::new(
        "memory|help",
        2,
        Handler::Session(super::super::system::help),
    )
    .about("server", "4.0.0", "Lists the subcommands."),
    Command::new("debug", -2, Handler::Container).about(
        "server",
        "1.0.0",
        "Tells what is known of one key.",
    ),
    Command::point("debug|object", 3, points::debug_object)
        .flags(READ)
        .keys(2, 2, 1)
        .about("server", "1.0.0", "Tells what the model knows of a key."),
];
