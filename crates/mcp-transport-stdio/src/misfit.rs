//! Messages that the SDK cannot read, and would answer without their id, or where no answer is owed.
//!
//! They are taken out of the input. Requests with params that no method has are put to the handler as
//! what they are: requests of their method without params that it could read. What is no request, but
//! has an id, is refused under it. Notifications get no answer, whatever is in them (JSON-RPC 2.0,
//! section 4.1).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use mcp_core::{initialize, wrapped};
use rmcp::{
    RoleServer,
    model::{
        ClientRequest, CustomRequest, GetMeta as _, InitializeRequest, JsonRpcMessage, RequestId,
        RequestMetaObject,
    },
    service::RxJsonRpcMessage,
};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufRead as _, AsyncRead, BufReader, ReadBuf},
    sync::mpsc::UnboundedSender,
};

/// Longer lines are handed on as they are, in bytes.
const LONGEST: usize = 1024 * 1024;

/// What was taken out of the input, and is owed an answer.
#[derive(Debug)]
pub(crate) enum Misfit {
    /// For the handler, which knows its method.
    Request(Box<RxJsonRpcMessage<RoleServer>>),
    /// No request: to be refused under this id.
    Invalid(RequestId),
}

/// Where a line goes.
#[derive(Debug)]
enum Way {
    Through,
    /// In this form, of which the handler gets all.
    Wrapped(Vec<u8>),
    Out(Misfit),
    /// Nobody is owed an answer.
    Nowhere,
}

/// An input without its misfits, which go another way. After each of them it waits until it is read
/// again, so that they keep their place among the messages.
pub(crate) struct Sifted<R> {
    input: BufReader<R>,
    misfits: UnboundedSender<Misfit>,
    /// A line, or a piece of a long one.
    line: Vec<u8>,
    /// Bytes of it that were handed on.
    given: usize,
    /// Whether it is to be handed on.
    is_ready: bool,
    /// Whether its beginning was handed on before.
    is_tail: bool,
}

impl<R: AsyncRead> Sifted<R> {
    pub(crate) fn new(input: R, misfits: UnboundedSender<Misfit>) -> Self {
        Self {
            input: BufReader::new(input),
            misfits,
            line: Vec::new(),
            given: 0,
            is_ready: false,
            is_tail: false,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Sifted<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.is_ready {
                let left = this.line.get(this.given..).unwrap_or_default();
                let (now, _) = left.split_at(left.len().min(buffer.remaining()));
                buffer.put_slice(now);
                this.given += now.len();
                if this.given == this.line.len() {
                    this.line.clear();
                    (this.given, this.is_ready) = (0, false);
                }
                return Poll::Ready(Ok(()));
            }
            let read = ready!(Pin::new(&mut this.input).poll_fill_buf(context))?;
            if read.is_empty() {
                if this.line.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.is_ready = true;
                continue;
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let (taken, _) = read.split_at(end.map_or(read.len(), |end| end + 1));
            this.line.extend_from_slice(taken);
            let taken = taken.len();
            Pin::new(&mut this.input).consume(taken);
            if end.is_some() {
                let is_tail = std::mem::take(&mut this.is_tail);
                match if is_tail {
                    Way::Through
                } else {
                    way(&this.line)
                } {
                    Way::Through => this.is_ready = true,
                    Way::Wrapped(line) => {
                        this.line = line;
                        this.line.push(b'\n');
                        this.is_ready = true;
                    }
                    Way::Nowhere => this.line.clear(),
                    Way::Out(misfit) => {
                        this.line.clear();
                        if this.misfits.send(misfit).is_ok() {
                            // Whoever receives it is the one who reads.
                            return Poll::Pending;
                        }
                    }
                }
            } else if this.line.len() > LONGEST {
                (this.is_ready, this.is_tail) = (true, true);
            }
        }
    }
}

/// Raw, so that one strange member does not hide the others.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Tells what is absent from what is there and null.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Of params that are an object, what the SDK needs to be of a kind.
#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta", default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cursor: Option<&'a RawValue>,
}

fn way(line: &[u8]) -> Way {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    // An array is no message, though it could be read as one.
    let is_object = line.trim_ascii_start().starts_with(b"{");
    let message = is_object.then(|| serde_json::from_slice::<Message<'_>>(line));
    let Some(Ok(message)) = message else {
        return Way::Through;
    };
    let is_response = message.result.is_some() || message.error.is_some();
    let text = |value: Option<&RawValue>| {
        serde_json::from_str::<String>(value.map_or("null", RawValue::get)).ok()
    };
    let is_current = text(message.jsonrpc).is_some_and(|version| version == "2.0");
    let method = text(message.method).filter(|_| is_current);
    let id = message.id.map(|id| serde_json::from_str(id.get()).ok());
    match (id, method) {
        (Some(Some(id)), Some(method)) if method == "initialize" && !is_handshake(line) => {
            handshake(id, method, message.params)
        }
        // The SDK must see that a connection is opened.
        (Some(Some(_)), Some(method)) if method == "initialize" => Way::Through,
        (Some(Some(id)), Some(method)) => match request(id, &method, message.params) {
            Way::Through => {
                let is_modern = revision(message.params).is_some();
                wrapped(&method, is_modern, line).map_or(Way::Through, Way::Wrapped)
            }
            way => way,
        },
        (Some(Some(id)), None) if !is_response => Way::Out(Misfit::Invalid(id)),
        (None, Some(_)) if !is_read(line) => Way::Nowhere,
        _ => Way::Through,
    }
}

/// The revision that a request itself names.
fn revision(params: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "_meta")]
        meta: Meta,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
        version: String,
    }
    let params: Params = serde_json::from_str(params?.get()).ok()?;
    Some(params.meta.version)
}

/// Whether the SDK can read it.
fn is_read(line: &[u8]) -> bool {
    serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line).is_ok()
}

/// Whether the SDK sees that a connection is opened.
fn is_handshake(line: &[u8]) -> bool {
    let message = serde_json::from_slice::<RxJsonRpcMessage<RoleServer>>(line);
    let Ok(JsonRpcMessage::Request(message)) = message else {
        return false;
    };
    matches!(message.request, ClientRequest::InitializeRequest(_))
}

/// The handshake without what cannot be read of it and is not needed.
fn handshake(id: RequestId, method: String, params: Option<&RawValue>) -> Way {
    let value = params.and_then(|params| serde_json::from_str(params.get()).ok());
    let Ok(read) = initialize(value.as_ref()) else {
        return request(id, &method, params);
    };
    let opened = ClientRequest::InitializeRequest(InitializeRequest::new(read));
    let opened = JsonRpcMessage::request(opened, id);
    Way::Out(Misfit::Request(Box::new(opened)))
}

/// Out with a request whose params fit no method.
fn request(id: RequestId, method: &str, params: Option<&RawValue>) -> Way {
    let mut meta = None;
    match params.map(RawValue::get) {
        None | Some("null") => return Way::Through,
        Some(object) if object.starts_with('{') => {
            let Ok(params) = serde_json::from_str::<Params<'_>>(object) else {
                return Way::Through;
            };
            let is = |value: Option<&RawValue>, begin| {
                value.is_none_or(|value| value.get().starts_with(begin))
            };
            let is_list = method.ends_with("/list");
            if is(params.meta, '{') && (!is_list || is(params.cursor, '"')) {
                return Way::Through;
            }
            meta = params.meta;
        }
        Some(_) => {}
    }
    let mut unread = ClientRequest::CustomRequest(CustomRequest::new(method, None));
    let meta = meta.and_then(|meta| serde_json::from_str::<RequestMetaObject>(meta.get()).ok());
    *unread.get_meta_mut() = meta.unwrap_or_default();
    let request = JsonRpcMessage::request(unread, id);
    Way::Out(Misfit::Request(Box::new(request)))
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, sync::mpsc};

    use super::*;

    fn line(method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    }

    fn is_request(line: &str) -> bool {
        matches!(way(line.as_bytes()), Way::Out(Misfit::Request(_)))
    }

    #[test]
    fn a_misfit_is_a_request_whose_params_no_method_has() {
        for (params, list, call) in [
            ("{}", false, false),
            ("null", false, false),
            (r#"{"cursor":"x","_meta":{}}"#, false, false),
            (r#"{"cursor":null,"_meta":null}"#, false, false),
            ("[]", true, true),
            ("[{}]", true, true),
            (r#""{}""#, true, true),
            ("7", true, true),
            ("true", true, true),
            (r#"{"_meta":[]}"#, true, true),
            (r#"{"cursor":7}"#, true, false),
            (r#"{"cursor":7,"_meta":{"x":1}}"#, true, false),
        ] {
            let is_misfit = |method| is_request(&line(method, params));
            assert_eq!(is_misfit("tools/list"), list, "{params}");
            assert_eq!(is_misfit("tools/call"), call, "{params}");
        }
        let marked = format!("\u{feff}{}\r\n", line("x", "[]"));
        assert!(is_request(&marked), "as Windows writes it");
    }

    #[test]
    fn what_is_no_request_is_refused_under_its_id() {
        for (line, id) in [
            (r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, "7"),
            (r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#, "7"),
            (r#"{"id":"7","method":"ping"}"#, r#""7""#),
            (r#"{"jsonrpc":"2.0","id":7,"method":7}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7,"method":null}"#, "7"),
            (r#"{"jsonrpc":"2.0","id":7,"params":[]}"#, "7"),
        ] {
            let Way::Out(Misfit::Invalid(refused)) = way(line.as_bytes()) else {
                panic!("{line}");
            };
            assert_eq!(serde_json::to_string(&refused).unwrap(), id, "{line}");
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#,
            r#"["2.0",1,"x",[]]"#,
            "[]",
            "x",
            "",
        ] {
            assert!(matches!(way(other.as_bytes()), Way::Through), "{other}");
        }
    }

    #[tokio::test]
    async fn what_the_sdk_reads_too_little_of_is_wrapped() {
        let filter = r#"{"notifications":{"taskIds":["a"]},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;
        let input = line("subscriptions/listen", filter) + "\n" + &line("b", "{}");
        let (misfits, _found) = mpsc::unbounded_channel();
        let mut through = String::new();
        let mut sifted = Sifted::new(input.as_bytes(), misfits);
        sifted.read_to_string(&mut through).await.unwrap();
        let (listen, next) = through.split_once('\n').unwrap();
        let listen: serde_json::Value = serde_json::from_str(listen).unwrap();
        let ids = &listen["params"]["whole"]["notifications"]["taskIds"];
        assert_eq!(ids[0], "a", "{listen}");
        assert_eq!(next, line("b", "{}"));
    }

    #[test]
    fn a_notification_that_nobody_can_read_goes_nowhere() {
        for method in [
            "notifications/cancelled",
            "notifications/progress",
            "ping",
            "tools/list",
        ] {
            for params in ["[]", "7", r#""x""#, "true"] {
                let line = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
                assert!(matches!(way(line.as_bytes()), Way::Nowhere), "{line}");
            }
        }
        let read =
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
        assert!(matches!(way(read.as_bytes()), Way::Through));
    }

    #[tokio::test]
    async fn all_else_comes_through_as_it_was() {
        // A long line is no message of its own in the middle, whatever stands there.
        let long = format!("{}{}", "x".repeat(3 * LONGEST), line("x", "[]"));
        let kept = [&*line("a", "{}"), "\r", "", &*long, "\u{feff}y", "no end"].join("\n");
        let (misfits, mut found) = mpsc::unbounded_channel();
        let mut sifted = Sifted::new(kept.as_bytes(), misfits);
        let mut through = Vec::new();
        sifted.read_to_end(&mut through).await.unwrap();
        assert!(through == kept.as_bytes(), "{} bytes", through.len());
        assert!(found.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_misfit_keeps_its_place() {
        let input = [line("a", "{}"), line("b", "[]"), line("c", "{}")].join("\n") + "\n";
        let (misfits, mut found) = mpsc::unbounded_channel();
        let mut sifted = Sifted::new(input.as_bytes(), misfits);
        let mut through = Vec::new();
        let misfit = loop {
            tokio::select! {
                biased;
                Some(misfit) = found.recv() => break misfit,
                read = sifted.read_buf(&mut through) => assert!(read.unwrap() > 0),
            }
        };
        assert_eq!(through, format!("{}\n", line("a", "{}")).as_bytes());
        let Misfit::Request(misfit) = misfit else {
            panic!("{misfit:?}");
        };
        assert!(matches!(*misfit, JsonRpcMessage::Request(it) if it.request.method() == "b"));
        through.clear();
        sifted.read_to_end(&mut through).await.unwrap();
        assert_eq!(through, format!("{}\n", line("c", "{}")).as_bytes());
    }
}
