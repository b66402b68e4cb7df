//! The Prometheus text format, with a cap on series.

use std::fmt::{Display, Write};

/// Series that one scrape may have; the rest is left out and counted.
pub(super) const SERIES_MAX: usize = 250_000;

/// Kind of a family.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A scrape that is being written.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub body: String,
    series: usize,
    /// Series left out.
    pub truncated: u64,
}

impl Text {
    /// A scrape that begins with this text and will be about so long, in bytes.
    pub(super) fn new(mut body: String, length: usize) -> Text {
        body.reserve(length.saturating_sub(body.len()));
        Text {
            body,
            ..Text::default()
        }
    }

    /// Begins a family; its series follow at once.
    pub(super) fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(self.body, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { text: self, name }
    }
}

/// Labels that are written already, and others.
type Labels<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// One family of a scrape.
pub(super) struct Family<'a> {
    text: &'a mut Text,
    name: &'a str,
}

impl Family<'_> {
    /// One series. Label values are escaped here.
    pub(super) fn put(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.put_of("", labels, value);
    }

    /// One series whose first labels are written already ([`written`]).
    pub(super) fn put_of(&mut self, head: &str, labels: &[(&str, &str)], value: impl Display) {
        self.line("", (head, labels), value);
    }

    /// One histogram: so many in each class, the last figure of each class but the last, and the
    /// sum of all figures.
    pub(super) fn histogram(
        &mut self,
        (head, labels): Labels<'_>,
        (classes, ends): (&[u64], &[u64]),
        sum: u64,
    ) {
        let mut all = 0u64;
        let ends = ends.iter().map(u64::to_string);
        let ends = ends.chain(std::iter::once("+Inf".to_owned()));
        for (keys, end) in classes.iter().zip(ends) {
            all = all.saturating_add(*keys);
            let mut with = labels.to_vec();
            with.push(("le", &end));
            self.line("_bucket", (head, &with), all);
        }
        self.line("_sum", (head, labels), sum);
        self.line("_count", (head, labels), all);
    }

    fn line(&mut self, suffix: &str, (head, labels): Labels<'_>, value: impl Display) {
        if self.text.series >= SERIES_MAX {
            self.text.truncated += 1;
            return;
        }
        self.text.series += 1;
        let body = &mut self.text.body;
        body.push_str(self.name);
        body.push_str(suffix);
        if !head.is_empty() || !labels.is_empty() {
            body.push('{');
            body.push_str(head);
            if !head.is_empty() && !labels.is_empty() {
                body.push(',');
            }
            write(labels, body);
            body.push('}');
        }
        let _ = writeln!(body, " {value}");
    }
}

/// Labels as they stand between the braces: for those that many series share.
pub(super) fn written(labels: &[(&str, &str)]) -> String {
    let mut text = String::new();
    write(labels, &mut text);
    text
}

fn write(labels: &[(&str, &str)], body: &mut String) {
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            body.push(',');
        }
        body.push_str(name);
        body.push_str("=\"");
        escape(value, body);
        body.push('"');
    }
}

fn escape(value: &str, body: &mut String) {
    if !value.contains(['\\', '"', '\n']) {
        return body.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => body.push_str("\\\\"),
            '"' => body.push_str("\\\""),
            '\n' => body.push_str("\\n"),
            other => body.push(other),
        }
    }
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time in seconds is shown as a double"
    )]
    let ms = ms as f64;
    ms / 1000.0
}
