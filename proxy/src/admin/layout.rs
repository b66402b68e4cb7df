//! How a report looks: RESP maps, an aligned table, or JSON, from the same rows.

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement};

use super::monitor::quote;
use super::reply::Reply;

/// How a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Maps in RESP3, flat arrays in RESP2.
    Resp,
    /// Aligned columns for people.
    Text,
    /// One JSON object.
    Json,
}

/// A value of a report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    /// Words of ours, or names that are text by nature.
    Text(String),
    /// A key's name: any bytes.
    Name(Vec<u8>),
    /// A number.
    Count(u64),
    /// A number that may be negative.
    Signed(i64),
    /// A part of a whole, 0 to 1.
    Share(f64),
    /// A quotient or a rate, two digits behind the point.
    Ratio(f64),
    /// A relative error, shown with three digits of its percentage.
    Error(f64),
    /// Yes or no.
    Bool(bool),
    /// Not known.
    Nothing,
}

impl Cell {
    pub(crate) fn text(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }

    /// `part` of `whole`, to four digits.
    #[expect(clippy::cast_precision_loss, reason = "four digits are kept")]
    pub(crate) fn share(part: u64, whole: u64) -> Cell {
        let share = part as f64 / whole.max(1) as f64;
        Cell::Share((share * 10_000.0).round() / 10_000.0)
    }

    /// `count` for each of `of`, to two digits; nothing where there is none of those.
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    pub(crate) fn per(count: u64, of: u64) -> Cell {
        match of {
            0 => Cell::Nothing,
            of => Cell::Ratio((count as f64 / of as f64 * 100.0).round() / 100.0),
        }
    }

    /// A rate, to two digits; nothing where there is none.
    pub(crate) fn rate(rate: Option<f64>) -> Cell {
        rate.map_or(Cell::Nothing, |rate| {
            Cell::Ratio((rate * 100.0).round() / 100.0)
        })
    }

    fn is_number(&self) -> bool {
        match self {
            Cell::Count(_) | Cell::Signed(_) | Cell::Share(_) | Cell::Ratio(_) | Cell::Error(_) => {
                true
            }
            Cell::Text(_) | Cell::Name(_) | Cell::Bool(_) | Cell::Nothing => false,
        }
    }

    fn reply(self) -> Reply {
        match self {
            Cell::Text(text) => text.into(),
            Cell::Name(name) => name.into(),
            Cell::Count(count) => Reply::count(count),
            Cell::Signed(number) => Reply::Int(number),
            Cell::Share(share) | Cell::Ratio(share) | Cell::Error(share) => Reply::Double(share),
            Cell::Bool(truth) => Reply::Bool(truth),
            Cell::Nothing => Reply::Null,
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Cell::Text(text) => text.as_str().into(),
            Cell::Name(name) => readable(name).into(),
            Cell::Count(count) => (*count).into(),
            Cell::Signed(number) => (*number).into(),
            Cell::Share(share) | Cell::Ratio(share) | Cell::Error(share) => (*share).into(),
            Cell::Bool(truth) => (*truth).into(),
            Cell::Nothing => serde_json::Value::Null,
        }
    }

    fn show(&self) -> String {
        match self {
            Cell::Text(text) => harmless(text),
            Cell::Name(name) => readable(name),
            Cell::Count(count) => count.to_string(),
            Cell::Signed(number) => number.to_string(),
            Cell::Ratio(ratio) => format!("{ratio:.2}"),
            Cell::Error(error) => format!("{:+.3}%", error * 100.0),
            Cell::Share(share) => format!("{:.1}%", share * 100.0),
            Cell::Bool(truth) => if *truth { "yes" } else { "no" }.to_owned(),
            Cell::Nothing => "-".to_owned(),
        }
    }
}

/// A key's name as text: itself if it is printable, else quoted and escaped as redis-cli does.
pub(crate) fn readable(name: &[u8]) -> String {
    let printable = |text: &&str| !text.chars().any(char::is_control);
    match std::str::from_utf8(name).ok().filter(printable) {
        Some(text) => text.to_owned(),
        None => {
            let mut text = String::new();
            quote(name, &mut text);
            text
        }
    }
}

/// `count` in `ms` milliseconds as a rate per second; none without a time.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn per_second(count: u64, ms: u64) -> Option<f64> {
    (ms > 0).then(|| count as f64 * 1000.0 / ms as f64)
}

/// Words for a terminal: what servers and configurations name may hold what steers one.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

type Line = Vec<(&'static str, Cell)>;

/// One part of a report.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    name: &'static str,
    lines: Vec<Line>,
    /// There is exactly one line: a map, not a list of maps.
    single: bool,
}

impl Table {
    pub(crate) fn rows(name: &'static str, lines: Vec<Line>) -> Table {
        Table {
            name,
            lines,
            single: false,
        }
    }

    pub(crate) fn single(name: &'static str, line: Line) -> Table {
        Table {
            name,
            lines: vec![line],
            single: true,
        }
    }

    fn reply(self) -> Reply {
        let map = |line: Line| {
            let pairs = line.into_iter();
            Reply::Map(
                pairs
                    .map(|(name, cell)| (Reply::text(name), cell.reply()))
                    .collect(),
            )
        };
        let mut maps: Vec<Reply> = self.lines.into_iter().map(map).collect();
        match maps.pop() {
            Some(only) if self.single => only,
            last => {
                maps.extend(last);
                Reply::Array(maps)
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let map = |line: &Line| {
            let pairs = line
                .iter()
                .map(|(name, cell)| ((*name).to_owned(), cell.json()));
            serde_json::Value::Object(pairs.collect())
        };
        match (&self.lines[..], self.single) {
            ([only], true) => map(only),
            (lines, _) => lines.iter().map(map).collect(),
        }
    }

    fn show(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(NOTHING);
        table.set_content_arrangement(ContentArrangement::Disabled);
        if let Some(first) = self.lines.first() {
            table.set_header(first.iter().map(|(name, _)| *name));
            for (column, (_, cell)) in table.column_iter_mut().zip(first) {
                if cell.is_number() {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        for line in &self.lines {
            table.add_row(line.iter().map(|(_, cell)| cell.show()));
        }
        let body: String = table
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let body = if self.lines.is_empty() {
            " (none)\n"
        } else {
            &body
        };
        format!("{}\n{body}", self.name)
    }
}

/// An answer of one of our own verbs.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What keeps it from being the whole truth.
    pub notes: Vec<String>,
    pub tables: Vec<Table>,
}

impl Report {
    pub(crate) fn show(self, format: Format) -> Reply {
        match format {
            Format::Resp => self.reply(),
            Format::Text => Reply::Lines(self.text()),
            Format::Json => self.json().to_string().into(),
        }
    }

    fn reply(self) -> Reply {
        let notes = self.notes.into_iter().map(Reply::from).collect();
        let mut pairs = vec![(Reply::text("notes"), Reply::Array(notes))];
        let tables = self.tables.into_iter();
        pairs.extend(tables.map(|table| (Reply::text(table.name), table.reply())));
        Reply::Map(pairs)
    }

    fn json(&self) -> serde_json::Value {
        let mut object = serde_json::Map::new();
        object.insert("notes".to_owned(), self.notes.clone().into());
        for table in &self.tables {
            object.insert(table.name.to_owned(), table.json());
        }
        object.into()
    }

    fn text(&self) -> String {
        let notes = self
            .notes
            .iter()
            .map(|note| format!("! {}\n", harmless(note)));
        let tables = self.tables.iter().map(Table::show);
        let mut parts: Vec<String> = tables.collect();
        if !self.notes.is_empty() {
            parts.insert(0, notes.collect());
        }
        parts.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_text_steers_a_terminal() {
        let odd = "\x1b]0;title\x07\nnext";
        let line = vec![
            ("words", Cell::text(odd)),
            ("name", Cell::Name(odd.as_bytes().to_vec())),
        ];
        let report = Report {
            notes: vec![odd.to_owned()],
            tables: vec![Table::rows("t", vec![line])],
        };
        let text = report.text();
        let steers = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(text.chars().find(steers), None, "{text:?}");
        assert_eq!(text.lines().count(), 5, "{text:?}");
    }
}
