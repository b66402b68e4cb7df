//! Names of keys from templates that are known, and how well patterns find those again.
//!
//! A template is a name with kinds of tokens in angle brackets; `(a|b)` makes it several. Beside the
//! names of templates there is noise: words, odd separators, bytes that are no text.

#![allow(dead_code, reason = "tests and benches use their parts of it")]

use std::collections::BTreeMap;

use super::dice::Dice;

/// Templates that the rules were made with.
pub(crate) const KNOWN: &[&str] = &[
    "user:<int>:cart",
    "user:<int>:profile",
    "user:<int>",
    "session:<uuid>",
    "sess/<hash>/data",
    "cache:page:<hash>",
    "order_<int>_items",
    "rate:<ip>:<timestamp>",
    "geo:(paris|london|rome):<ulid>",
    "stats.<date>.visits",
    "mail:<email>:verified",
    "token:<base64url>",
    "lock:{<word>}",
    "post:<slug>:views",
    "feed:<name>:latest",
    "job#<int>#result",
    "{<int>}.friends",
    "blob|<hex>|meta",
    "device:<random>:state",
    "shard<suffix>:queue",
    "app-(web|api)-<word>-hits",
    "inv:<base64>",
    "event:<iso>:raw",
    "v2:tenant:<name>:user:<int>:settings",
];

/// Templates that they were not made with.
pub(crate) const UNKNOWN: &[&[&str]] = &[
    &[
        "tmp:<uuid>:<int>",
        "account/<int>/ledger/<date>",
        "acct:<base64url>:bal",
        "products:<slug>",
        "products:<slug>:stock",
        "chat:room:<random>:members",
        "chat:user:<email>",
        "push_token_<hash>",
        "idx.<word>.terms",
        "q:(high|low|bulk):<ulid>",
        "node-<suffix>-load",
        "flag#<name>#on",
        "ip|<ip>",
        "h:<hex>:<hex>",
        "trace:<hash>:span:<hex>",
        "day:<date>:user:<int>",
        "seen:<timestamp>",
        "loc:{<uuid>}:lat",
        "loc:{<uuid>}:lng",
        "img/<random>/thumb",
        "wallet<suffix>",
    ],
    &[
        "s<int>",
        "u/<name>/inbox",
        "u/<name>/sent/<int>",
        "resque:job:<uuid>:meta",
        "celery-task-meta-<uuid>",
        "sidekiq:stat:processed:<date>",
        "laravel_cache_<hash>",
        "wp_posts_<int>_meta",
        "spring:session:sessions:<uuid>",
        "spring:session:expirations:<timestamp>",
        "bull:(mail|pdf|sms|video):<int>",
        "oauth2:access:<base64url>",
        "throttle:<ip>:<word>",
        "leaderboard:(daily|weekly):<date>",
        "presence.<email>",
        "catalog:<word>:<slug>",
        "sensor:<random>:temp",
        "sensor:<random>:hum",
        "graph:<int>-<int>:edge",
        "audit:<iso>:<ulid>",
        "file:<base64>:sum",
        "{<word>}:lock",
    ],
    &[
        "basket:<int>",
        "basket:<int>:items",
        "basket:<int>:coupon:<random>",
        "otp:<email>",
        "jwt:blacklist:<hash>",
        "ws:conn:<uuid>:meta",
        "ws:room:<name>",
        "price:(eur|usd|gbp|jpy):<int>",
        "stock_<int>_<date>",
        "menu/<slug>/items",
        "sms.<timestamp>.<int>",
        "req:<ulid>:headers",
        "geo:{<hex>}:near",
        "zone<suffix>:<int>:tile",
        "score:<date>:<name>",
        "vote|<int>|<word>",
        "cdn:<base64url>",
        "bucket:<ip>",
        "user_settings_<int>",
        "doc:<uuid>:rev:<int>:body",
        "topic.<name>.offset",
        "cron:<iso>",
        "k8s-<word>-pod-<suffix>",
    ],
    &[
        "a:<int>",
        "b:<uuid>",
        "c/<hash>",
        "d.<word>.x.<word>.y",
        "e_<int>",
        "f:<random>",
        "g:<slug>:comments:<int>",
        "h#<timestamp>",
        "tenant-<int>:(orders|invoices|users):<int>",
        "tenant-<int>:stats:<date>",
        "queue:<word>:(pending|done|failed)",
        "log:<date>:<ulid>",
        "mac:<hex>:last",
        "login:<email>:attempts",
        "avatar/<base64url>",
        "proto|v1|<int>|<hash>",
        "bloom:<name>:<suffix>",
        "rl:{<ip>}:minute",
        "ns1:ns2:ns3:<int>:leaf",
        "ns1:ns2:ns4:<name>:leaf",
        "hist<suffix>:<date>",
    ],
];

/// A template in its single forms, each with the glob that it should be found as.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    text: String,
    pub(crate) glob: String,
    /// How often it is drawn, beside the others.
    weight: u64,
}

/// A set of templates with weights.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) templates: Vec<Template>,
    total: u64,
    /// Noise, in a hundred.
    noise: u64,
}

impl Source {
    /// Templates drawn equally often, or the n-th of a random order 1/n as often as the first.
    pub(crate) fn new(texts: &[&str], skewed: bool, dice: &mut Dice) -> Source {
        let mut templates: Vec<Template> = texts.iter().flat_map(|text| expanded(text)).collect();
        let count = templates.len();
        for rank in 0..count {
            let other = rank + usize::try_from(dice.below((count - rank) as u64)).unwrap_or(0);
            templates.swap(rank, other);
            templates[rank].weight = if skewed {
                1 + 600 / (rank as u64 + 1)
            } else {
                100
            };
        }
        let total = templates.iter().map(|template| template.weight).sum();
        Source {
            templates,
            total,
            noise: 10,
        }
    }

    /// A name, and the template that it is of; `None` for noise.
    pub(crate) fn draw(&self, dice: &mut Dice) -> (Vec<u8>, Option<usize>) {
        if dice.below(100) < self.noise {
            return (noise(dice), None);
        }
        let mut at = dice.below(self.total);
        for (number, template) in self.templates.iter().enumerate() {
            if at < template.weight {
                return (render(&template.text, dice), Some(number));
            }
            at -= template.weight;
        }
        (Vec::new(), None)
    }
}

fn expanded(text: &str) -> Vec<Template> {
    let (texts, rest) = match (text.find('('), text.find(')')) {
        (Some(from), Some(to)) => {
            let words = text[from + 1..to].split('|');
            let texts = words.map(|word| format!("{}{word}{}", &text[..from], &text[to + 1..]));
            (texts.collect(), true)
        }
        _ => (vec![text.to_owned()], false),
    };
    assert!(!rest || texts.iter().all(|text| !text.contains('(')));
    texts.into_iter().map(single).collect()
}

fn single(text: String) -> Template {
    let mut glob = String::new();
    for (at, part) in text.split('<').enumerate() {
        match part.split_once('>') {
            Some((_, rest)) if at > 0 => glob.extend(["*", rest]),
            _ => glob.push_str(part),
        }
    }
    // Ids with a weak separator between them are one.
    let glob = ["*-*", "*_*", "*.*"]
        .iter()
        .fold(glob, |glob, ids| glob.replace(ids, "*"));
    Template {
        text,
        glob,
        weight: 0,
    }
}

fn render(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut name = String::new();
    for (at, part) in text.split('<').enumerate() {
        match part.split_once('>') {
            Some((kind, rest)) if at > 0 => {
                token(kind, dice, &mut name);
                name.push_str(rest);
            }
            _ => name.push_str(part),
        }
    }
    name.into_bytes()
}

fn drawn(alphabet: &[u8], len: u64, dice: &mut Dice) -> String {
    let letter = |at: u64| char::from(alphabet[usize::try_from(at).unwrap_or(0)]);
    (0..len)
        .map(|_| letter(dice.below(alphabet.len() as u64)))
        .collect()
}

const HEX: &[u8] = b"0123456789abcdef";
const BASE62: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE36: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const URL: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
const BASE64: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+";
const CROCKFORD: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn token(kind: &str, dice: &mut Dice, out: &mut String) {
    let token = match kind {
        "int" => {
            let most = 1 << (8 + dice.below(24));
            dice.below(most).to_string()
        }
        "uuid" => [8, 4, 4, 4, 12].map(|len| drawn(HEX, len, dice)).join("-"),
        "ulid" => format!("01{}", drawn(CROCKFORD, 24, dice)),
        "hash" => {
            let len = [32, 40, 64][usize::try_from(dice.below(3)).unwrap_or(0)];
            drawn(HEX, len, dice)
        }
        "hex" => drawn(HEX, 10 + dice.below(6), dice),
        "date" => date(dice),
        "iso" => format!(
            "{}T{:02}:{:02}:07Z",
            date(dice),
            dice.below(24),
            dice.below(60)
        ),
        "timestamp" => (1_600_000_000 + dice.below(200_000_000)).to_string(),
        "ip" => {
            let group = |dice: &mut Dice| dice.below(256).to_string();
            [group(dice), group(dice), group(dice), group(dice)].join(".")
        }
        "email" => format!(
            "{}.{}@{}.com",
            word(dice, 900),
            word(dice, 900),
            word(dice, 40)
        ),
        "base64url" => drawn(URL, 22, dice),
        "base64" => format!("{}==", drawn(BASE64, 22, dice)),
        "random" => {
            let alphabet = if dice.below(2) == 0 { BASE62 } else { BASE36 };
            drawn(alphabet, 9 + dice.below(4), dice)
        }
        "word" => word(dice, 5000),
        "name" => {
            // A few names have most of the keys.
            let most = 1 << dice.below(12);
            word(dice, most)
        }
        "slug" => {
            let words = 1 + dice.below(4);
            let words: Vec<String> = (0..words).map(|_| word(dice, 3000)).collect();
            words.join("-")
        }
        "suffix" => (1 + dice.below(400)).to_string(),
        other => other.to_owned(),
    };
    out.push_str(&token);
}

fn date(dice: &mut Dice) -> String {
    let (year, month, day) = (2019 + dice.below(7), 1 + dice.below(12), 1 + dice.below(28));
    format!("{year}-{month:02}-{day:02}")
}

/// One of so many words.
fn word(dice: &mut Dice, most: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "ko", "mi", "tu", "re", "sha", "lin", "go", "pen", "dor", "va", "qui", "nex", "fal",
        "hy", "zo",
    ];
    let mut n = dice.below(most).wrapping_mul(40_503);
    let mut word = String::new();
    for _ in 0..4 {
        word.push_str(SYLLABLES[usize::try_from(n % 16).unwrap_or(0)]);
        n /= 16;
    }
    word
}

fn noise(dice: &mut Dice) -> Vec<u8> {
    match dice.below(5) {
        0 => word(dice, 1 << 40).into_bytes(),
        1 => {
            let words = [word(dice, 1 << 40), word(dice, 1 << 40)];
            let separators = [":", "_", "/", ".", "-", "|"];
            words
                .join(separators[usize::try_from(dice.below(6)).unwrap_or(0)])
                .into_bytes()
        }
        2 => drawn(BASE62, 4 + dice.below(20), dice).into_bytes(),
        3 => {
            let mut bytes: Vec<u8> = (0..8).map(|_| dice.roll().to_le_bytes()[0]).collect();
            bytes.push(0xff);
            bytes
        }
        _ => {
            let mut name = word(dice, 300);
            name.push(':');
            name.push_str(&drawn(BASE62, 6, dice));
            name.push_str("::");
            name.into_bytes()
        }
    }
}

/// How well the patterns of a set of keys are those of its templates.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Of the templates, how many have at least 95% of their keys in the pattern of that name.
    pub(crate) recall: f64,
    /// Of the patterns with at least one key in 10,000 that are not noise, how many are templates.
    pub(crate) precision: f64,
    /// Of the keys of templates, how many are in the pattern of that name.
    pub(crate) keys: f64,
    /// Patterns in all.
    pub(crate) patterns: usize,
    pub(crate) missed: Vec<String>,
    pub(crate) wrong: Vec<String>,
}

/// What was drawn and where it was found.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By pattern and template.
    found: BTreeMap<(Vec<u8>, Option<usize>), u64>,
}

impl Ledger {
    pub(crate) fn note(&mut self, pattern: Vec<u8>, template: Option<usize>) {
        *self.found.entry((pattern, template)).or_default() += 1;
    }

    pub(crate) fn score(&self, templates: &[Template]) -> Score {
        let all: u64 = self.found.values().sum();
        let mut rows: BTreeMap<&[u8], (u64, u64)> = BTreeMap::new();
        let mut met: Vec<(u64, u64)> = vec![(0, 0); templates.len()];
        for ((pattern, template), keys) in &self.found {
            let row = rows.entry(pattern).or_default();
            row.0 += keys;
            match template {
                Some(number) => {
                    met[*number].0 += keys;
                    if *pattern == templates[*number].glob.as_bytes() {
                        met[*number].1 += keys;
                    }
                }
                None => row.1 += keys,
            }
        }
        let mut score = Score {
            patterns: rows.len(),
            ..Score::default()
        };
        for (template, (keys, right)) in templates.iter().zip(&met) {
            if right * 100 < keys * 95 {
                score
                    .missed
                    .push(format!("{} {right}/{keys}", template.glob));
            }
        }
        let globs: Vec<&[u8]> = templates
            .iter()
            .map(|template| template.glob.as_bytes())
            .collect();
        let shown = rows
            .iter()
            .filter(|(_, (keys, noise))| keys * 10_000 >= all && noise * 100 < keys * 95);
        let shown: Vec<_> = shown.collect();
        for (pattern, (keys, noise)) in &shown {
            if !globs.contains(*pattern) {
                let pattern = pattern.escape_ascii();
                score
                    .wrong
                    .push(format!("{pattern} {keys} ({noise} noise)"));
            }
        }
        let share = |bad: usize, of: usize| 1.0 - bad as f64 / of.max(1) as f64;
        score.recall = share(score.missed.len(), templates.len());
        score.precision = share(score.wrong.len(), shown.len());
        let (keys, right) = met
            .iter()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        score.keys = right as f64 / keys.max(1) as f64;
        score
    }
}
