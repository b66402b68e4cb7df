//! Geohashes of 52 bits: 26 of the latitude in the even bits, 26 of the longitude in the odd ones
//! (geohash.c and geohash_helper.c, in EPSG:900913 limits).

/// Bits per coordinate.
const STEP: u32 = 26;
const CELLS: f64 = (1u64 << STEP) as f64;
const LATITUDE_MAX: f64 = 85.051_128_78;
const LONGITUDE_MAX: f64 = 180.0;
/// Metres.
const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// A point on the globe, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    pub(super) longitude: f64,
    pub(super) latitude: f64,
}

impl Position {
    /// The middle of the cell that a score names.
    pub(super) fn of(score: f64) -> Position {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a score that is no geohash saturates, and is somewhere on the globe"
        )]
        let bits = score as u64;
        let middle = |cell: u32, max: f64| {
            let edge = |cell: f64| -max + cell / CELLS * (2.0 * max);
            let cell = f64::from(cell);
            f64::midpoint(edge(cell), edge(cell + 1.0)).clamp(-max, max)
        };
        Position {
            longitude: middle(squash(bits >> 1), LONGITUDE_MAX),
            latitude: middle(squash(bits), LATITUDE_MAX),
        }
    }

    /// The score of the cell that has this point.
    pub(super) fn score(self) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates for points outside the limits, which servers refuse"
        )]
        let cell = |degrees: f64, max: f64| ((degrees + max) / (2.0 * max) * CELLS) as u32;
        let bits = spread(cell(self.latitude, LATITUDE_MAX))
            | spread(cell(self.longitude, LONGITUDE_MAX)) << 1;
        bits as f64
    }

    /// Metres along the great circle (haversine).
    pub(super) fn distance(self, other: Position) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let u = ((b - a) / 2.0).sin();
        let v = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        2.0 * EARTH_RADIUS * (u * u + a.cos() * b.cos() * v * v).sqrt().asin()
    }

    /// Metres between the two latitudes.
    pub(super) fn latitude_distance(self, other: Position) -> f64 {
        EARTH_RADIUS * (other.latitude.to_radians() - self.latitude.to_radians()).abs()
    }

    /// Metres between the two longitudes, at the latitude of the other.
    pub(super) fn longitude_distance(self, other: Position) -> f64 {
        let level = Position {
            latitude: other.latitude,
            ..self
        };
        level.distance(other)
    }
}

/// The even bits, side by side.
fn squash(bits: u64) -> u32 {
    let mut x = bits & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    x = (x | x >> 16) & 0x0000_0000_ffff_ffff;
    u32::try_from(x).unwrap_or(u32::MAX)
}

/// The inverse of `squash`.
fn spread(bits: u32) -> u64 {
    let mut x = u64::from(bits);
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_s_example_comes_out() {
        let palermo = Position {
            longitude: 13.361_389,
            latitude: 38.115_556,
        };
        let catania = Position {
            longitude: 15.087_269,
            latitude: 37.502_669,
        };
        assert_eq!(palermo.score(), 3_479_099_956_230_698.0);
        assert_eq!(catania.score(), 3_479_447_370_796_909.0);
        let distance = Position::of(palermo.score()).distance(Position::of(catania.score()));
        assert!((distance - 166_274.151_6).abs() < 0.0001, "{distance}");
        let back = Position::of(palermo.score());
        assert!((back.longitude - palermo.longitude).abs() < 1e-5);
        assert!((back.latitude - palermo.latitude).abs() < 1e-5);
    }
}
