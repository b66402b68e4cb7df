//! Tables as they grow, shrink and crowd, beside ones that are really made.

use super::*;

#[test]
fn a_dict_doubles_and_shrinks() {
    let kind = Kind::DictTenth;
    let mut table = Table::empty(kind);
    for used in 0..1000 {
        table.insert(kind, used, 1);
    }
    while table.next != 0 {
        table.step(kind, 1000, 1);
    }
    assert_eq!(table, Table::grown(kind, 1000));
    assert_eq!(table.bytes(kind, 1000), 8 * 1024);
    for used in (0..100).rev() {
        table.remove(kind, used);
    }
    while table.next != 0 {
        table.step(kind, 1000, 1);
    }
    assert!(table.buckets() < 256);
}

#[test]
fn a_bucket_table_presizes_below_its_limit() {
    let kind = Kind::Buckets;
    assert_eq!(Table::sized(kind, 7).buckets(), 2);
    assert_eq!(Table::sized(kind, 6).buckets(), 1);
    assert_eq!(Table::grown(kind, 7).buckets(), 1);
    assert_eq!(Table::grown(kind, 8).buckets(), 2);
}

#[test]
fn packed_tables_come_back() {
    let mut table = Table::sized(Kind::DictEighth, 5000);
    table.insert(Kind::DictEighth, 8192, 1);
    let mut bytes = Vec::new();
    table.pack(&mut bytes);
    assert_eq!(Table::unpack(&mut &bytes[..]), Some(table));
}

/// A dict of Valkey 8.0 as it is, with keys that are their own hashes.
struct Real {
    tables: [Vec<Vec<u64>>; 2],
    next: usize,
    used: u64,
}

impl Real {
    fn step(&mut self, hash: u64) {
        if self.tables[1].is_empty() {
            return;
        }
        let (old, new) = (self.tables[0].len() as u64, self.tables[1].len() as u64);
        let own = usize::try_from(hash % old).expect("small");
        let mut at = own;
        if own < self.next || self.tables[0][own].is_empty() {
            let waiting = &self.tables[0][self.next..];
            let empty = waiting.iter().take_while(|bucket| bucket.is_empty());
            self.next += empty.take(10).count();
            at = self.next;
            self.next += usize::from(!self.tables[0][at].is_empty());
        }
        for key in std::mem::take(&mut self.tables[0][at]) {
            self.tables[1][usize::try_from(key % new).expect("small")].push(key);
        }
        if self.tables[0].iter().all(Vec::is_empty) {
            self.tables[0] = std::mem::take(&mut self.tables[1]);
            self.next = 0;
        }
    }

    fn add(&mut self, hash: u64) {
        self.step(hash);
        if self.tables[1].is_empty() && self.used == self.tables[0].len() as u64 {
            self.tables[1] = vec![Vec::new(); 2 * self.tables[0].len()];
        }
        let into = usize::from(!self.tables[1].is_empty());
        let len = self.tables[into].len() as u64;
        self.tables[into][usize::try_from(hash % len).expect("small")].push(hash);
        self.used += 1;
    }

    fn filled(&self) -> u64 {
        let buckets = self.tables.iter().flatten();
        buckets.filter(|bucket| !bucket.is_empty()).count() as u64
    }
}

#[test]
fn keys_that_stand_bare_are_right_on_average() {
    let kind = Kind::DictEighth;
    let mut real = Real {
        tables: [vec![Vec::new(); 4], Vec::new()],
        next: 0,
        used: 0,
    };
    let (mut table, mut seed) = (Table::empty(kind), 7u64);
    for used in 0..40_000 {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        real.add(mixed ^ (mixed >> 27));
        table.insert(kind, used, 1);
        // From here on chance is small.
        if used > 3_000 && used % 97 == 0 {
            let (filled, bare) = (real.filled() as f64, table.bare(used + 1));
            assert!(
                (bare / filled - 1.0).abs() < 0.03,
                "{used}: {bare} of {filled}"
            );
        }
    }
}

/// Small tables, each size made many times over by chance.
#[test]
fn children_are_right_on_average() {
    const MADE: u64 = 400;
    let (mut real, mut known, mut seed) = (0, 0, 11u64);
    for used in 8..=100 {
        let table = Table::grown(Kind::Buckets, used);
        for _ in 0..MADE {
            let mut keys = vec![0u64; usize::try_from(table.buckets()).expect("small")];
            for _ in 0..used {
                seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let at = (mixed ^ (mixed >> 31)) % table.buckets();
                keys[usize::try_from(at).expect("small")] += 1;
            }
            let over = keys.iter().map(|k| k.saturating_sub(BUCKET_KEYS));
            real += over.map(|k| k.div_ceil(BUCKET_KEYS - 1)).sum::<u64>();
        }
        known += MADE * table.children(used);
    }
    let off = known.abs_diff(real);
    assert!(off * 10 < real, "{known}, but {real} by chance");
}

/// While a move is no guess, a dict that is really made has as many tables as this one.
#[test]
fn what_is_no_guess_is_certain() {
    let kind = Kind::DictEighth;
    let (mut seed, mut guessed, mut wrong, mut wrong_guess) = (3u64, 0, 0, 0);
    for _ in 0..60 {
        let mut real = Real {
            tables: [vec![Vec::new(); 4], Vec::new()],
            next: 0,
            used: 0,
        };
        let mut table = Table::empty(kind);
        for used in 0..3_000 {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            real.add(mixed ^ (mixed >> 27));
            table.insert(kind, used, 1);
            let differs = (table.next == 0) != real.tables[1].is_empty();
            guessed += u32::from(table.is_guess(kind));
            wrong_guess += u32::from(table.is_guess(kind) && differs);
            wrong += u32::from(!table.is_guess(kind) && differs);
        }
    }
    assert!(wrong * 50 < wrong_guess, "{wrong} wrong without a guess");
    assert!(guessed < 60 * 3_000 / 10, "{guessed} guesses");
}
