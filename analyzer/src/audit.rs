//! A second opinion: everything that is kept by deltas, computed again from the records. For tests
//! and for doubt in the field; it visits every key.

use crate::aggregate::Totals;
use crate::keyspace::Keyspace;
use crate::keyspace::db::Db;
use crate::slots::SlotSums;
use crate::store::record::Body;
use crate::store::weigh::Scale;

impl Keyspace {
    /// Computes all totals and places anew and compares.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn audit(&self) -> Result<(), String> {
        for (number, db) in self.live().all() {
            audit_db(db, self.scale()).map_err(|what| format!("db {number}: {what}"))?;
        }
        Ok(())
    }
}

fn audit_db(db: &Db, scale: &Scale) -> Result<(), String> {
    let table = &db.table;
    let mut totals = Totals::new(db.totals.slots().map(SlotSums::function));
    let mut large = 0;
    let (counted, kept) = table.count_page_heap();
    if counted != kept {
        return Err(format!("pages allocate {counted} bytes, {kept} are kept"));
    }
    for page in 0..table.pages() {
        for record in table.records(page) {
            let name = table.name(&record);
            let digest = table.digest(name);
            let weight = table.weigh(&record, scale);
            totals.turn(name, None, Some(&weight));
            if table.page_of(digest) != page || table.digest_of(&record) != digest {
                return Err(format!("a key of digest {digest:016x} is in page {page}"));
            }
            if table.find(digest, name).is_none() {
                return Err(format!("a key of digest {digest:016x} is not found"));
            }
            for bounds in [table.page(page).bounds, table.bounds_around(page)] {
                if weight.bytes > bounds.bytes || weight.count > bounds.count {
                    return Err(format!("page {page} has {weight:?} above its bounds"));
                }
            }
            if let Body::Elsewhere(handle) = record.body() {
                let entry = table.large().get(handle).ok_or("a large value is lost")?;
                let of_entry = (entry.doubt, entry.expire_ms, entry.extra);
                if of_entry != (record.doubt, record.expire_ms, record.extra) {
                    return Err(format!("{weight:?} differs from its large value"));
                }
                large += 1;
            }
        }
    }
    if totals != db.totals {
        return Err(format!("totals are {:?}, should be {totals:?}", db.totals));
    }
    db.census.audit(table, scale)?;
    if totals.keys != table.len() {
        return Err(format!("{} keys, {} counted", totals.keys, table.len()));
    }
    if large != table.large().used() {
        let used = table.large().used();
        return Err(format!("{used} large values, {large} in use"));
    }
    Ok(())
}
