//! A log line as a JSON object, written in one go. The general formatter goes through a serializer
//! and a writer that checks each piece again, which made the access line the dearest part of a
//! request that was ours.

use std::fmt::{self, Debug, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Time, level, the fields of the event, target; no spans.
pub(super) struct JsonLine;

/// Most lines are shorter.
const USUAL: usize = 512;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(USUAL);
        line.push_str("{\"timestamp\":\"");
        write!(line, "{:.6}", jiff::Timestamp::now())?;
        line.push_str("\",\"level\":\"");
        line.push_str(event.metadata().level().as_str());
        line.push('"');
        event.record(&mut Fields(&mut line));
        line.push_str(",\"target\":");
        push_text(&mut line, event.metadata().target());
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Adds fields to the object that is being written.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        let name = field.name();
        self.0.push_str(",\"");
        // A field that is called like a keyword.
        self.0.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.0.push_str("\":");
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        // A String takes whatever is written.
        let _ = write!(self.0, "{value}");
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        push_text(self.0, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.name(field);
        let begin = self.0.len();
        let _ = write!(self.0, "\"{value:?}\"");
        let text = self.0.get(begin + 1..self.0.len() - 1).unwrap_or_default();
        if !is_all_plain(text) {
            let text = serde_json::Value::from(text).to_string();
            self.0.replace_range(begin.., &text);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        // Most numbers are of this kind, and this way is half as long as the general one.
        self.0.push_str(&value.to_string());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.plain(field, value);
        } else {
            self.plain(field, "null");
        }
    }
}

/// A JSON string (RFC 8259 section 7).
fn push_text(line: &mut String, text: &str) {
    if is_all_plain(text) {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        line.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn is_all_plain(text: &str) -> bool {
    // To the end, whatever is found: without a branch, many bytes are looked at in one step.
    let bytes = text.bytes();
    bytes.fold(true, |plain, byte| plain & is_plain(byte))
}

/// Whether it stands for itself in a JSON string.
fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Captured {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_its_fields_as_they_are() {
        let captured = Captured::default();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(JsonLine)
            .with_writer(captured.clone());
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                target: "access",
                text = "a \"b\"\n\\ \u{7} é",
                shown = %"x y",
                number = 7_u64,
                below = -7_i64,
                yes = true,
                half = 0.5,
                none = Option::<u64>::None,
                infinite = f64::INFINITY,
                r#type = "t",
                "said {}", 1
            );
        });
        let text = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
        assert!(
            text.ends_with("}\n") && text.matches('\n').count() == 1,
            "{text}"
        );
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let timestamp = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(timestamp.as_str().unwrap().ends_with('Z'), "{timestamp}");
        let expected = json!({
            "level": "INFO", "target": "access", "message": "said 1", "shown": "x y",
            "text": "a \"b\"\n\\ \u{7} é", "number": 7, "below": -7, "yes": true, "half": 0.5,
            "infinite": null, "type": "t",
        });
        assert_eq!(line, expected);
    }
}
