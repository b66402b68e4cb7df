//! KS.TARGET: which masters a connection asks.

use std::collections::BTreeSet;

use super::refuse::SYNTAX;
use super::reply::Reply;
use super::request::Request;
use super::scope::Target;
use super::session::Session;
use crate::config::raw::distance;
use crate::fleet::{Fleet, Kind};

/// Names that an error suggests.
const NEAREST_MAX: usize = 3;

/// KS.TARGET [master | deployment | ALL]
pub(crate) fn target(session: &mut Session, request: &Request) -> Result<Reply, Reply> {
    match request.len() {
        1 => Ok(Reply::from(show(&session.port.fleet, &session.target))),
        2 => {
            session.target = find(&session.port.fleet, &request.text(1))?;
            Ok(Reply::OK)
        }
        _ => Err(SYNTAX),
    }
}

/// The target as it could be given again.
pub(crate) fn show(fleet: &Fleet, target: &Target) -> String {
    match target {
        Target::All => "ALL".to_owned(),
        Target::Deployment(label) => label.to_string(),
        Target::Master(id) => match fleet.master(*id) {
            Some(master) => master.name(),
            None => "a master that is not followed any more".to_owned(),
        },
    }
}

/// What a word names: a master by its name, its shard or the address or id of any of its nodes, or a
/// deployment by its label.
fn find(fleet: &Fleet, word: &str) -> Result<Target, Reply> {
    if word.eq_ignore_ascii_case("all") {
        return Ok(Target::All);
    }
    let mut names = BTreeSet::new();
    for master in fleet.masters() {
        let place = master.place();
        let mut own = vec![place.name.clone(), master.shard.to_string()];
        own.push(place.group.to_string());
        let addrs = place.nodes.iter().filter_map(|node| node.addr.as_ref());
        own.extend(addrs.map(ToString::to_string));
        own.extend(place.nodes.iter().map(|node| node.id.to_string()));
        own.extend(place.following.iter().map(ToString::to_string));
        if own.iter().any(|name| name == word) {
            return Ok(Target::Master(master.id));
        }
        names.extend(own);
    }
    for deployment in fleet.deployments() {
        if deployment.kind != Kind::Standalone && *deployment.label == *word {
            return Ok(Target::Deployment(deployment.label.clone()));
        }
        names.insert(deployment.label.to_string());
    }
    names.remove("");
    Err(Reply::Error(unknown(word, names).into()))
}

fn unknown(word: &str, names: BTreeSet<String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by_key(|name| distance(word, name));
    names.truncate(NEAREST_MAX);
    let near = match &names[..] {
        [] => "none is known".to_owned(),
        names => format!("the nearest are {}", names.join(", ")),
    };
    /// Characters of the word that are repeated.
    const SHOWN_MAX: usize = 64;
    let word: String = word.chars().take(SHOWN_MAX).collect();
    format!("ERR no master, node or deployment '{word}'; {near}")
}
