//! Reads what Prometheus would scrape, strictly: the text format, version 0.0.4.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

/// A scrape.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    /// The kind of every metric: `counter`, `gauge`, `histogram`.
    pub kinds: BTreeMap<String, String>,
    /// Every sample.
    pub samples: Vec<Sample>,
}

/// One line with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name, with the ending that histograms add.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// The number.
    pub value: f64,
}

impl Exposition {
    /// Reads a scrape.
    ///
    /// # Errors
    /// What Prometheus would refuse: a sample without a kind, a name or label that is none, a
    /// series twice, buckets that do not add up.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        ensure!(text.ends_with('\n'), "the last line has no end");
        let mut read = Self::default();
        for line in text.lines() {
            read.line(line).with_context(|| line.to_owned())?;
        }
        read.check_histograms()?;
        Ok(read)
    }

    /// The sum over all series of this name that carry these labels.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            let has = |(label, value): &(&str, &str)| {
                sample
                    .labels
                    .get(*label)
                    .is_some_and(|found| found == value)
            };
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(fits).map(|it| it.value).sum()
    }

    fn line(&mut self, line: &str) -> anyhow::Result<()> {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("no kind")?;
            ensure!(is_name(name), "no name");
            let known = ["counter", "gauge", "histogram"].contains(&kind);
            ensure!(known, "unknown kind");
            let before = self.kinds.insert(name.to_owned(), kind.to_owned());
            ensure!(before.is_none(), "a kind twice");
            return Ok(());
        }
        if line.starts_with("# HELP ") {
            return Ok(());
        }
        ensure!(!line.starts_with('#'), "a comment of no kind");
        let sample = sample(line)?;
        ensure!(
            self.family(&sample.name).is_some(),
            "a sample without a kind"
        );
        let twice = self
            .samples
            .iter()
            .any(|it| it.name == sample.name && it.labels == sample.labels);
        ensure!(!twice, "a series twice");
        self.samples.push(sample);
        Ok(())
    }

    /// The metric that a sample belongs to.
    fn family(&self, name: &str) -> Option<&str> {
        let of_histogram = ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|ending| name.strip_suffix(ending))
            .find(|base| {
                self.kinds
                    .get(*base)
                    .is_some_and(|kind| kind == "histogram")
            });
        let plain = self
            .kinds
            .get_key_value(name)
            .map(|(name, _)| name.as_str());
        plain.or_else(|| {
            of_histogram
                .and_then(|base| self.kinds.get_key_value(base))
                .map(|(name, _)| name.as_str())
        })
    }

    fn check_histograms(&self) -> anyhow::Result<()> {
        for sample in &self.samples {
            let Some(base) = sample.name.strip_suffix("_bucket") else {
                continue;
            };
            if sample.labels.get("le").is_some_and(|le| le == "+Inf") {
                let mut labels = sample.labels.clone();
                labels.remove("le");
                let count = format!("{base}_count");
                let count = self
                    .samples
                    .iter()
                    .find(|it| it.name == count && it.labels == labels);
                let same = count.is_some_and(|count| (count.value - sample.value).abs() < 0.5);
                ensure!(same, "{base}: the last bucket is not the count");
            }
        }
        Ok(())
    }
}

fn sample(line: &str) -> anyhow::Result<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' ']).context("no value")?);
    ensure!(is_name(name), "no name");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let value = value.trim();
    let value = match value {
        "+Inf" => f64::INFINITY,
        value => value.parse().context("no number")?,
    };
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> anyhow::Result<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = rest.split_once("=\"").context("no label")?;
        ensure!(is_name(name) && !name.contains(':'), "no label name");
        let (value, after) = quoted(after)?;
        let before = labels.insert(name.to_owned(), value);
        ensure!(before.is_none(), "a label twice");
        rest = after.strip_prefix(',').unwrap_or(after);
    }
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> anyhow::Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, text.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                _ => bail!("an unknown escape"),
            },
            c => value.push(c),
        }
    }
    bail!("a value without an end")
}

fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(|c| c.is_ascii_alphabetic() || "_:".contains(c))
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_:".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prometheus_would_refuse_is_refused() {
        let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"\\n\"} 1\n";
        let read = Exposition::parse(good).unwrap();
        assert!((read.sum("a_total", &[("b", "c\"\n")]) - 1.0).abs() < f64::EPSILON);
        for bad in [
            "a_total 1\n",
            "# TYPE a-b counter\na-b 1\n",
            "# TYPE a counter\na{b=c} 1\n",
            "# TYPE a counter\na{b=\"c\"} x\n",
            "# TYPE a counter\na 1\na 2\n",
            "# TYPE a counter\na 1",
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 1\n",
        ] {
            assert!(Exposition::parse(bad).is_err(), "{bad}");
        }
    }
}
