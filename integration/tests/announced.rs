//! Our admin port announced to a master that Sentinels watch: they find a replica there that they
//! hide, never choose, and never wait for.

use integration::app::App;
use integration::sentinel::{NAME, Watched};
use integration::server::free_addr;
use integration::{servers, wait};

use crate::scene::{self, PATIENCE};

fn announced(name: &str) {
    let install = servers::get(name).expect("the server can be had");
    let mut watched = Watched::start(&install).expect("Sentinels and servers start");
    // Time enough for the real replicas on a busy machine, which must not take any of them, or us, for
    // down either.
    for (option, ms) in [
        ("failover-timeout", "60000"),
        ("down-after-milliseconds", "20000"),
    ] {
        watched.set(option, ms).expect("SENTINEL SET");
    }
    let admin = free_addr().expect("a port");
    let http = free_addr().expect("a port");
    let config = format!("[link]\nannounce_port = {}\n", admin.port());
    let app = App::start_at(&[watched.url()], (admin, http), &config).expect("keyscape starts");
    app.wait_synced(PATIENCE).expect("keyscape syncs");
    let us = format!("slave {admin} ");
    wait::for_true(PATIENCE, "every Sentinel to find our port", || {
        let found = |log: String| log.contains(&format!("+slave {us}"));
        let told = app.client()?.ask(&["CLIENT", "LIST"])?.string();
        // Each has a connection for its questions, and one for hellos.
        let here = told.matches("name=sentinel-").count() == 6;
        Ok(here && watched.sentinels.iter().all(|s| found(s.log())))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watched.sentinels[0].log()));
    // Once each has read our INFO, nobody is told of us.
    wait::for_true(PATIENCE, "our port to be hidden", || {
        let mut hidden = true;
        for sentinel in &watched.sentinels {
            let told = sentinel.client()?.ask(&["SENTINEL", "REPLICAS", NAME])?;
            hidden &= told.items().len() == 2;
        }
        Ok(hidden)
    })
    .expect("it is hidden");
    let master = watched.wait_agreed(PATIENCE).expect("a master");
    scene::set(&mut watched.servers[0].client().expect("connect"), "before");
    let index = watched.index_of(master).expect("one of the servers");
    watched.servers[index].kill().expect("killed");
    let mut next = master;
    wait::for_true(PATIENCE, "another master", || {
        next = watched.agreed()?.unwrap_or(master);
        Ok(next != master)
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", watched.sentinels[0].log()));
    // The leader turns the replicas to the new master one after the other, then ends.
    let mut logs = String::new();
    wait::for_true(PATIENCE, "the failover to end", || {
        logs = watched.sentinels.iter().map(|s| s.log()).collect();
        Ok(logs.contains("+failover-end"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{logs}"));
    assert!(logs.contains(&format!("+slave-reconf-done {us}")), "{logs}");
    assert!(!logs.contains(&format!("+selected-{us}")), "{logs}");
    assert!(!logs.contains("+failover-end-for-timeout"), "{logs}");
    assert!(!logs.contains(&format!("+fix-slave-config {us}")), "{logs}");
    wait::for_true(PATIENCE, "the new master to be followed", || {
        let mut client = app.client()?;
        let place = [
            client.info("replication", "master_host")?,
            client.info("replication", "master_port")?,
        ];
        let found = place.join(":") == next.to_string();
        Ok(found && app.status()?.synced && client.ask(&["DBSIZE"])?.int() == Some(1))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", app.log_tail()));
    assert_eq!(app.status().expect("status").full_syncs, 1);
}

#[test]
fn an_announced_port_holds_no_failover_up_on_redis() {
    announced("redis-7.0");
}

#[test]
fn an_announced_port_holds_no_failover_up_on_valkey() {
    announced("valkey-9.1");
}
