//! Requests that say more than the SDK reads of them. Wrapped, they fit none of its methods, so that it
//! hands them on with all that they say.

use rmcp::model::{CustomRequest, JsonObject};
use serde_json::Value;

/// The method by which clients listen.
pub(super) const LISTEN: &str = "subscriptions/listen";

/// Where a wrapped request has its own params.
const WHOLE: &str = "whole";

/// The message in a form of which [`ToolSet`](super::ToolSet) gets all; `None` for what the SDK reads
/// well enough as it is. Only its `_meta` stays where it was.
///
/// Of `subscriptions/listen` the SDK drops `taskIds`, which are the tasks extension's.
pub fn wrapped(method: &str, message: &[u8]) -> Option<Vec<u8>> {
    if method != LISTEN {
        return None;
    }
    let mut message: Value = serde_json::from_slice(message).ok()?;
    let params = message.get_mut("params")?.as_object_mut()?;
    params.get("notifications")?.get("taskIds")?;
    let meta = params.remove_entry("_meta");
    let whole = std::mem::take(params);
    params.extend(meta);
    params.insert(WHOLE.to_owned(), Value::Object(whole));
    serde_json::to_vec(&message).ok()
}

/// The params that a request had before it was wrapped.
pub(super) fn unwrapped(request: &CustomRequest) -> Option<&JsonObject> {
    request.params.as_ref()?.get(WHOLE)?.as_object()
}

#[cfg(test)]
mod tests {
    use rmcp::model::{ClientJsonRpcMessage, ClientRequest, GetMeta as _, JsonRpcMessage};
    use serde_json::json;

    use super::*;

    fn message(params: &Value) -> Vec<u8> {
        let message = json!({"jsonrpc": "2.0", "id": "x", "method": LISTEN, "params": params});
        message.to_string().into_bytes()
    }

    /// Fails when an update of the SDK reads what it did not, or hands it on in another way.
    #[test]
    fn the_sdk_hands_on_all_of_what_is_wrapped() {
        let params = json!({
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
            "notifications": {"taskIds": ["a"], "toolsListChanged": true},
        });
        let wrapped = wrapped(LISTEN, &message(&params)).unwrap();
        let read: ClientJsonRpcMessage = serde_json::from_slice(&wrapped).unwrap();
        let JsonRpcMessage::Request(read) = read else {
            panic!("no request");
        };
        let ClientRequest::CustomRequest(request) = &read.request else {
            panic!("{:?}", read.request);
        };
        assert_eq!(request.method, LISTEN);
        let own = unwrapped(request).unwrap();
        assert_eq!(own.get("notifications"), params.get("notifications"));
        assert!(read.request.get_meta().protocol_version().is_some());
    }

    #[test]
    fn what_the_sdk_reads_is_left_as_it_is() {
        for params in [
            json!({"notifications": {"toolsListChanged": true}}),
            json!({"notifications": []}),
            json!({}),
            json!([]),
        ] {
            assert_eq!(wrapped(LISTEN, &message(&params)), None, "{params}");
        }
        let with_ids = message(&json!({"notifications": {"taskIds": []}}));
        assert_eq!(wrapped("tools/list", &with_ids), None);
        assert_eq!(wrapped(LISTEN, b"{"), None);
    }
}
