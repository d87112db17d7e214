//! Requests with params that no method has.
//!
//! The SDK cannot read them, and would answer without the id of the request, or as if nothing had been
//! asked for. So they are taken out of the input, and put to the handler as what they are: requests of
//! their method without params that it could read.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rmcp::{
    RoleServer,
    model::{
        ClientRequest, CustomRequest, GetMeta as _, JsonRpcMessage, RequestId, RequestMetaObject,
    },
    service::RxJsonRpcMessage,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncBufRead as _, AsyncRead, BufReader, ReadBuf},
    sync::mpsc::UnboundedSender,
};

/// Longer lines are handed on as they are, in bytes.
const LONGEST: usize = 1024 * 1024;

/// An input without its misfits, which go another way. After each of them it waits until it is read
/// again, so that they keep their place among the messages.
pub(crate) struct Sifted<R> {
    input: BufReader<R>,
    misfits: UnboundedSender<RxJsonRpcMessage<RoleServer>>,
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
    pub(crate) fn new(input: R, misfits: UnboundedSender<RxJsonRpcMessage<RoleServer>>) -> Self {
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
                let misfit = (!this.is_tail).then(|| misfit(&this.line)).flatten();
                this.is_tail = false;
                if let Some(misfit) = misfit
                    && this.misfits.send(misfit).is_ok()
                {
                    this.line.clear();
                    // Whoever receives it is the one who reads.
                    return Poll::Pending;
                }
                this.is_ready = true;
            } else if this.line.len() > LONGEST {
                (this.is_ready, this.is_tail) = (true, true);
            }
        }
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    id: RequestId,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: &'a RawValue,
}

/// Of params that are an object, what the SDK needs to be of a kind.
#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, rename = "_meta", default)]
    meta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    cursor: Option<&'a RawValue>,
}

/// The request that this line is, if its params fit no method.
fn misfit(line: &[u8]) -> Option<RxJsonRpcMessage<RoleServer>> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let request: Request<'_> = serde_json::from_slice(line).ok()?;
    let mut meta = None;
    match request.params.get() {
        _ if request.jsonrpc != "2.0" => return None,
        "null" => return None,
        object if object.starts_with('{') => {
            let params: Params<'_> = serde_json::from_str(object).ok()?;
            let is = |value: Option<&RawValue>, begin| {
                value.is_none_or(|value| value.get().starts_with(begin))
            };
            let is_list = request.method.ends_with("/list");
            if is(params.meta, '{') && (!is_list || is(params.cursor, '"')) {
                return None;
            }
            meta = params.meta;
        }
        _ => {}
    }
    let mut unread = ClientRequest::CustomRequest(CustomRequest::new(request.method, None));
    let meta = meta.and_then(|meta| serde_json::from_str::<RequestMetaObject>(meta.get()).ok());
    *unread.get_meta_mut() = meta.unwrap_or_default();
    Some(JsonRpcMessage::request(unread, request.id))
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, sync::mpsc};

    use super::*;

    fn line(method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
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
            let is_misfit = |method| misfit(line(method, params).as_bytes()).is_some();
            assert_eq!(is_misfit("tools/list"), list, "{params}");
            assert_eq!(is_misfit("tools/call"), call, "{params}");
        }
        for other in [
            r#"{"jsonrpc":"2.0","method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"x","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"x"}"#,
            "[]",
            "x",
            "",
        ] {
            assert!(misfit(other.as_bytes()).is_none(), "{other}");
        }
        let marked = format!("\u{feff}{}\r\n", line("x", "[]"));
        assert!(misfit(marked.as_bytes()).is_some(), "as Windows writes it");
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
        assert!(matches!(misfit, JsonRpcMessage::Request(it) if it.request.method() == "b"));
        through.clear();
        sifted.read_to_end(&mut through).await.unwrap();
        assert_eq!(through, format!("{}\n", line("c", "{}")).as_bytes());
    }
}
