//! What a load makes of a hash.

use super::survey::{Part, Survey};
use super::{Becomes, Frame, Guess, SAMPLE_MAX};
use crate::profile::{Family, Profile};
use crate::value::Encoding;
use crate::value::elements::{Block, Field, Sizes, Table, expiry_entry};
use crate::value::hash::{Hash, loaded_table};

/// The hash on the other server. A blob stays one unless it has too many fields; a table becomes one
/// if few and short fields allow it, but not on Valkey if fields expire. Blocks have no room left
/// by expiries or values that are gone.
pub(super) fn becomes(hash: &Hash, frame: &Frame) -> Becomes {
    let (from, to) = (Sizes::of(&frame.from), Sizes::of(&frame.to));
    let (n, now, profile) = (hash.count(), hash.encoding(), &frame.to);
    let lost = hash.expiring() > 0 && !profile.field_ttl();
    let expiring = if lost { 0 } else { hash.expiring() };
    let (mut survey, mut long) = (Survey::new(n), 0);
    hash.some(|field| {
        let loaded = Field {
            expire_ms: field.expire_ms.filter(|_| !lost),
            block: Block::Usual,
            ..field
        };
        let longest = field.name.len.max(field.value.len);
        long += u64::from(longest > profile.hash_value_max);
        survey.take(Part {
            integer: false,
            longest,
            now: weigh(&field, now, from),
            entry: weigh(&loaded, packed_form(expiring), to),
            block: to.field_block(&loaded),
        })
    });
    let known = hash.known_sum();
    let form = form_of(hash, expiring, survey.longest, profile);
    let same = form == now && frame.same_blobs();
    let bytes = if same { known } else { survey.entries(known) };
    let memory = if form == Encoding::Hashtable {
        let table = table_of(hash, (long, expiring > 0), profile);
        to.hash_table(table, n, survey.blocks(known), expiring)
    } else if form == Encoding::ListpackEx {
        to.blob_ex(bytes)
    } else {
        to.blob(bytes)
    };
    let ordered = form == Encoding::Hashtable && now == form && long > 0;
    let guess = match () {
        () if survey.is_sample() => Some(Guess::Sampled),
        () if lost => Some(Guess::FieldExpiry),
        () if ordered && n <= profile.hash_entries_max => Some(Guess::FieldOrder),
        () => None,
    };
    Becomes {
        encoding: form,
        memory,
        guess,
    }
}

/// Entries of all fields in a packed blob; `None` if one is too long for that, or fields expire.
pub(super) fn packed_bytes(hash: &Hash, profile: &Profile) -> Option<u64> {
    let sizes = Sizes::of(profile);
    let (mut seen, mut bytes, mut longest) = (0, 0, 0);
    hash.some(|field| {
        seen += 1;
        bytes += sizes.entry(&field.name) + sizes.entry(&field.value);
        longest = longest.max(field.name.len).max(field.value.len);
        seen < SAMPLE_MAX
    });
    let fits = longest <= profile.hash_value_max && hash.expiring() == 0 && seen > 0;
    let all = u128::from(bytes) * u128::from(hash.count()) / u128::from(seen.max(1));
    fits.then(|| u64::try_from(all).unwrap_or(u64::MAX))
}

/// The blob of a hash with so many expiring fields.
fn packed_form(expiring: u64) -> Encoding {
    if expiring > 0 {
        Encoding::ListpackEx
    } else {
        Encoding::Listpack
    }
}

fn weigh(field: &Field, form: Encoding, sizes: Sizes) -> u64 {
    if form == Encoding::Hashtable {
        return sizes.field_block(field);
    }
    let expiry = if form == Encoding::ListpackEx {
        expiry_entry(field.expire_ms)
    } else {
        0
    };
    sizes.entry(&field.name) + sizes.entry(&field.value) + expiry
}

fn form_of(hash: &Hash, expiring: u64, longest: u64, profile: &Profile) -> Encoding {
    let blob = hash.encoding() != Encoding::Hashtable;
    let few = hash.count() <= profile.hash_entries_max;
    let fits = few && (blob || longest <= profile.hash_value_max);
    let tables_only = expiring > 0 && profile.family == Family::Valkey;
    if !fits || tables_only {
        return Encoding::Hashtable;
    }
    // A blob with room for expiries keeps it, even if none is left.
    if hash.encoding() == Encoding::ListpackEx
        && profile.field_ttl()
        && profile.family == Family::Redis
    {
        return Encoding::ListpackEx;
    }
    packed_form(expiring)
}

fn table_of(hash: &Hash, (long, expiring): (u64, bool), profile: &Profile) -> Table {
    let (kind, n) = (Sizes::of(profile).kind, hash.count());
    if hash.encoding() == Encoding::Hashtable {
        return loaded_table(n, long, expiring, profile);
    }
    if profile.ziplists() {
        // A blob that is unpacked: before 7.0 its table is not made for as many.
        return Table::filled(kind, n);
    }
    Table::sized(kind, n)
}
