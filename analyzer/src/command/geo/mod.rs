//! Commands on positions, which are members of sorted sets with a geohash as score. GEOADD comes as
//! ZADD; searches that store come as they were given and are repeated on the decoded scores.
//!
//! What a search finds is certain where every distance is clear of the limit; otherwise, and with
//! ANY or STOREDIST, the destination is left in doubt.

mod hash;

use super::set::{inherited, store};
use super::zset::score;
use super::{Args, Context, Doubt, Handler, Malformed, zset};
use crate::text::Text;
use crate::value::Value;
use crate::value::elements::Scored;
use crate::value::zset::Zset;
use hash::Position;

pub(crate) fn handler(name: &[u8]) -> Option<Handler> {
    Some(match name {
        b"GEOADD" => geoadd,
        b"GEORADIUS" => |ctx, args| georadius(ctx, args, false),
        b"GEORADIUSBYMEMBER" => |ctx, args| georadius(ctx, args, true),
        b"GEOSEARCHSTORE" => geosearchstore,
        _ => return None,
    })
}

/// GEOADD key [NX | XX] [CH] longitude latitude member ...
fn geoadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let key = args.key(1)?;
    let mut options = zset::Options::default();
    let mut i = 2;
    loop {
        if args.is(i, "NX") {
            options.only_new = true;
        } else if args.is(i, "XX") {
            options.only_old = true;
        } else if !args.is(i, "CH") {
            break;
        }
        i += 1;
    }
    let mut scored = Vec::new();
    let triples = args.from(i);
    if triples.is_empty() || !triples.len().is_multiple_of(3) {
        return Err(Malformed);
    }
    for triple in triples.chunks_exact(3) {
        let [longitude, latitude, member] = triple else {
            continue;
        };
        let position = Position {
            longitude: score::score(longitude)?,
            latitude: score::score(latitude)?,
        };
        scored.push((position.score(), *member));
    }
    zset::add(ctx, key, &scored, options);
    Ok(())
}

/// Where a search is centred.
enum Center<'a> {
    Position(Position),
    Member(Text<'a>),
}

/// What is near enough, metres.
enum Area {
    Circle { radius: f64 },
    Box { width: f64, height: f64 },
}

/// A search that stores.
struct Search<'a> {
    source: &'a [u8],
    center: Center<'a>,
    area: Area,
    /// Most or least distant first.
    descending: bool,
    count: Option<u64>,
    /// ANY or STOREDIST: the result is not a function of what is known.
    unsure: bool,
}

fn metres(length: &Text<'_>, unit: &Text<'_>) -> Result<f64, Malformed> {
    let factor = match unit {
        unit if unit.is("M") => 1.0,
        unit if unit.is("KM") => 1000.0,
        unit if unit.is("FT") => 0.3048,
        unit if unit.is("MI") => 1609.34,
        _ => return Err(Malformed),
    };
    Ok(score::score(length)? * factor)
}

fn position_at(args: Args<'_>, i: usize) -> Result<Position, Malformed> {
    Ok(Position {
        longitude: score::score(&args.get(i)?)?,
        latitude: score::score(&args.get(i + 1)?)?,
    })
}

fn georadius(ctx: &mut Context<'_>, args: Args<'_>, by_member: bool) -> Result<(), Malformed> {
    let (center, i) = if by_member {
        (Center::Member(args.get(2)?), 3)
    } else {
        (Center::Position(position_at(args, 2)?), 4)
    };
    let mut search = Search {
        source: args.key(1)?,
        center,
        area: Area::Circle {
            radius: metres(&args.get(i)?, &args.get(i + 1)?)?,
        },
        descending: false,
        count: None,
        unsure: false,
    };
    let mut dest = None;
    let mut i = i + 2;
    while i < args.len() {
        if args.is(i, "STORE") || args.is(i, "STOREDIST") {
            dest = Some(args.key(i + 1)?);
            search.unsure |= args.is(i, "STOREDIST");
            i += 1;
        } else if !["WITHCOORD", "WITHDIST", "WITHHASH"]
            .iter()
            .any(|word| args.is(i, word))
        {
            i += search.option(args, i)?;
        }
        i += 1;
    }
    if let Some(dest) = dest {
        run(ctx, dest, &search);
    }
    Ok(())
}

fn geosearchstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), Malformed> {
    let (dest, source) = (args.key(1)?, args.key(2)?);
    let (mut center, mut area) = (None, None);
    let mut options = Search {
        source,
        center: Center::Member(Text::Bytes(b"")),
        area: Area::Circle { radius: 0.0 },
        descending: false,
        count: None,
        unsure: false,
    };
    let mut i = 3;
    while i < args.len() {
        if args.is(i, "FROMMEMBER") {
            center = Some(Center::Member(args.get(i + 1)?));
            i += 1;
        } else if args.is(i, "FROMLONLAT") {
            center = Some(Center::Position(position_at(args, i + 1)?));
            i += 2;
        } else if args.is(i, "BYRADIUS") {
            let radius = metres(&args.get(i + 1)?, &args.get(i + 2)?)?;
            area = Some(Area::Circle { radius });
            i += 2;
        } else if args.is(i, "BYBOX") {
            let unit = args.get(i + 3)?;
            area = Some(Area::Box {
                width: metres(&args.get(i + 1)?, &unit)?,
                height: metres(&args.get(i + 2)?, &unit)?,
            });
            i += 3;
        } else if args.is(i, "STOREDIST") {
            options.unsure = true;
        } else {
            i += options.option(args, i)?;
        }
        i += 1;
    }
    match (center, area) {
        (Some(center), Some(area)) => {
            options.center = center;
            options.area = area;
        }
        // A form that is not known here (BYPOLYGON): let the value be read.
        _ => options.unsure = true,
    }
    run(ctx, dest, &options);
    Ok(())
}

impl Search<'_> {
    /// Takes an option that all searches have; how many arguments it has beyond its name. One that
    /// is not known makes the search unsure.
    fn option(&mut self, args: Args<'_>, i: usize) -> Result<usize, Malformed> {
        if args.is(i, "COUNT") {
            self.count = Some(args.count(i + 1)?);
            return Ok(1);
        }
        match () {
            () if args.is(i, "ASC") => self.descending = false,
            () if args.is(i, "DESC") => self.descending = true,
            () => self.unsure = true,
        }
        Ok(0)
    }
}

fn run(ctx: &mut Context<'_>, dest: &[u8], search: &Search<'_>) {
    let seed = ctx.seed();
    let profile = ctx.profile();
    let mut result = Zset::create(0, 0, profile);
    let doubt = ctx.read(search.source, |entry| {
        let doubt = inherited(entry);
        let Some(Value::Zset(zset)) = entry.map(|entry| &entry.value) else {
            return if entry.is_some() { Doubt::Value } else { doubt };
        };
        let (found, sure) = find(zset, search, seed);
        for (digest, scored) in found {
            result.add(digest, scored.text, scored.score, profile);
        }
        if sure { doubt } else { Doubt::Value }
    });
    result.settle(profile);
    store(ctx, dest, Value::Zset(result), doubt);
}

/// Half-width of the band around a limit in which the last bit of a distance could decide.
const BAND: f64 = 1e-7;
/// Searches beyond these are subject to how the server divides the globe into cells.
const FAR: f64 = 1_000_000.0;
const POLAR: f64 = 66.0;

type Found = Vec<(u64, Scored)>;

fn find(zset: &Zset, search: &Search<'_>, seed: u64) -> (Found, bool) {
    let center = match &search.center {
        Center::Position(position) => Some(*position),
        Center::Member(member) => zset
            .get(member.digest(seed))
            .map(|scored| Position::of(scored.score)),
    };
    let Some(center) = center else {
        return (Found::new(), false);
    };
    let mut sure = !search.unsure && center.latitude.abs() < POLAR;
    let mut near: Vec<(f64, u64, Scored)> = Vec::new();
    zset.each(|digest, scored| {
        let position = Position::of(scored.score);
        let distance = center.distance(position);
        let limits = match search.area {
            Area::Circle { radius } => [(distance, radius), (0.0, f64::INFINITY)],
            Area::Box { width, height } => [
                (center.latitude_distance(position), height / 2.0),
                (center.longitude_distance(position), width / 2.0),
            ],
        };
        let clear = limits
            .iter()
            .all(|&(length, limit)| (length - limit).abs() > BAND * (1.0 + length));
        let within = limits.iter().all(|&(length, limit)| length <= limit);
        let outside = limits
            .iter()
            .any(|&(length, limit)| length > limit && (length - limit) > BAND * (1.0 + length));
        sure &= clear || outside;
        if within {
            sure &= distance < FAR;
            near.push((distance, digest, scored));
        }
    });
    if let Some(count) = search.count.and_then(|n| usize::try_from(n).ok()) {
        near.sort_by(|a, b| a.0.total_cmp(&b.0));
        if search.descending {
            near.reverse();
        }
        if let (Some(last), Some(next)) = (near.get(count.wrapping_sub(1)), near.get(count)) {
            sure &= (last.0 - next.0).abs() > BAND * (1.0 + last.0);
        }
        near.truncate(count);
    }
    let found = near.into_iter().map(|(_, digest, s)| (digest, s)).collect();
    (found, sure)
}
