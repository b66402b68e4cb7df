//! The connection itself: who the client is, what it speaks, what it waits for.

use super::{Command, Handler};
use crate::admin::handlers::Model;
use crate::admin::{client, hello, pubsub, sentinel, transaction};

const FAST: &[&str] = &["loading", "stale", "fast"];
const NO_AUTH: &[&str] = &["noscript", "loading", "stale", "fast", "no_auth"];
const PLAIN: &[&str] = &["noscript", "loading", "stale"];
const PUBSUB: &[&str] = &["pubsub", "noscript", "loading", "stale"];

pub(super) const COMMANDS: &[Command] = &[
    Command::new("ping", -1, Handler::Session(hello::ping))
        .flags(FAST)
        .syntax("[message]")
        .about("connection", "1.0.0", "Returns PONG, or the message."),
    Command::new("echo", 2, Handler::Session(hello::echo))
        .flags(FAST)
        .syntax("message")
        .about("connection", "1.0.0", "Returns the message."),
    Command::new("quit", -1, Handler::Session(hello::quit))
        .flags(NO_AUTH)
        .about("connection", "1.0.0", "Closes the connection."),
    Command::new("reset", 1, Handler::Session(hello::reset))
        .flags(NO_AUTH)
        .about(
            "connection",
            "6.2.0",
            "Resets the connection to what it was at first.",
        ),
    Command::new("auth", -2, Handler::Session(hello::auth))
        .flags(NO_AUTH)
        .syntax("[username] password")
        .about("connection", "1.0.0", "Authenticates the connection."),
    Command::new("hello", -1, Handler::Session(hello::hello))
        .flags(NO_AUTH)
        .syntax("[protover [AUTH username password] [SETNAME clientname]]")
        .about(
            "connection",
            "6.0.0",
            "Chooses the protocol, and says who answers.",
        ),
    Command::new("select", 2, Handler::Model(Model::Select))
        .flags(FAST)
        .syntax("index")
        .about("connection", "1.0.0", "Chooses the database."),
    Command::new("client", -2, Handler::Container).about(
        "connection",
        "2.4.0",
        "Tells about client connections.",
    ),
    Command::new("client|id", 2, Handler::Session(client::id))
        .flags(PLAIN)
        .about(
            "connection",
            "5.0.0",
            "Returns the number of this connection.",
        ),
    Command::new("client|getname", 2, Handler::Session(client::getname))
        .flags(PLAIN)
        .about(
            "connection",
            "2.6.9",
            "Returns the name of this connection.",
        ),
    Command::new("client|setname", 3, Handler::Session(client::setname))
        .flags(PLAIN)
        .syntax("connection-name")
        .about("connection", "2.6.9", "Names this connection."),
    Command::new("client|setinfo", 4, Handler::Session(client::setinfo))
        .flags(PLAIN)
        .syntax("<LIB-NAME libname | LIB-VER libver>")
        .about("connection", "7.2.0", "Says which library the client uses."),
    Command::new("client|info", 2, Handler::Session(client::info))
        .flags(PLAIN)
        .about("connection", "6.2.0", "Describes this connection."),
    Command::new("client|list", -2, Handler::Session(client::list))
        .flags(PLAIN)
        .syntax("[TYPE type] [ID client-id [client-id ...]]")
        .about(
            "connection",
            "2.4.0",
            "Describes every connection to this port.",
        ),
    Command::new("client|kill", -3, Handler::Session(client::kill))
        .flags(PLAIN)
        .syntax("<ip-port | ID client-id | ADDR ip-port | TYPE type>")
        .about(
            "connection",
            "2.4.0",
            "Closes connections by ID or ADDR; TYPE closes none.",
        ),
    Command::new("client|no-evict", 3, Handler::Session(client::accepted))
        .flags(PLAIN)
        .syntax("<ON | OFF>")
        .about(
            "connection",
            "7.0.0",
            "Is accepted: no client is ever evicted.",
        ),
    Command::new("client|no-touch", 3, Handler::Session(client::accepted))
        .flags(PLAIN)
        .syntax("<ON | OFF>")
        .about("connection", "7.2.0", "Is accepted: no read touches a key."),
    Command::new("client|tracking", -3, Handler::Session(client::tracking))
        .flags(PLAIN)
        .syntax("OFF")
        .about(
            "connection",
            "6.0.0",
            "Is accepted with OFF: invalidations are not sent.",
        ),
    Command::new(
        "client|help",
        2,
        Handler::Session(super::super::system::help),
    )
    .flags(PLAIN)
    .about("connection", "5.0.0", "Lists the subcommands."),
    Command::new("multi", 1, Handler::Session(transaction::multi))
        .flags(PLAIN)
        .about("transactions", "1.2.0", "Begins to queue commands."),
    Command::new("exec", 1, Handler::Model(Model::Exec))
        .flags(PLAIN)
        .about("transactions", "1.2.0", "Answers the queued commands."),
    Command::new("discard", 1, Handler::Session(transaction::discard))
        .flags(PLAIN)
        .about("transactions", "2.0.0", "Forgets the queued commands."),
    Command::new("watch", -2, Handler::Session(transaction::watch))
        .flags(PLAIN)
        .keys(1, -1, 1)
        .syntax("key [key ...]")
        .about(
            "transactions",
            "2.2.0",
            "Is accepted: nothing can be written here.",
        ),
    Command::new("unwatch", 1, Handler::Session(client::accepted))
        .flags(PLAIN)
        .about("transactions", "2.2.0", "Is accepted: nothing is watched."),
    Command::new("subscribe", -2, Handler::Session(pubsub::subscribe))
        .flags(PUBSUB)
        .syntax("channel [channel ...]")
        .about(
            "pubsub",
            "2.0.0",
            "Waits for events: ks.bigkey, ks.growth, ks.alert.<condition>.",
        ),
    Command::new("psubscribe", -2, Handler::Session(pubsub::psubscribe))
        .flags(PUBSUB)
        .syntax("pattern [pattern ...]")
        .about(
            "pubsub",
            "2.0.0",
            "Waits for events on channels that match, as ks.alert.*.",
        ),
    Command::new("unsubscribe", -1, Handler::Session(pubsub::unsubscribe))
        .flags(PUBSUB)
        .syntax("[channel [channel ...]]")
        .about("pubsub", "2.0.0", "Waits no longer on channels."),
    Command::new("punsubscribe", -1, Handler::Session(pubsub::punsubscribe))
        .flags(PUBSUB)
        .syntax("[pattern [pattern ...]]")
        .about("pubsub", "2.0.0", "Waits no longer on patterns."),
    Command::new("publish", 3, Handler::Session(sentinel::publish))
        .flags(FAST)
        .syntax("channel message")
        .about("pubsub", "2.0.0", "Is taken from Sentinel; reaches nobody."),
    Command::new("monitor", 1, Handler::Model(Model::Monitor))
        .flags(PLAIN)
        .about(
            "server",
            "1.0.0",
            "Shows the writes of every master, sizes for values.",
        ),
];
