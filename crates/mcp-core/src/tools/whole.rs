//! Requests that say more than the SDK reads of them. Wrapped, they fit none of its methods, so that it
//! hands them on with all that they say.

use rmcp::model::{CustomRequest, CustomResult, JsonObject, ProtocolVersion, ServerResult};
use serde_json::Value;

use super::background::experimental::capability;

/// The method by which clients listen.
pub(super) const LISTEN: &str = "subscriptions/listen";

/// Where a wrapped request has its own params.
const WHOLE: &str = "whole";

/// How the methods begin of wrapped requests of 2025-11-25, whose tasks the SDK does not know.
const OF_2025_11_25: &str = "2025-11-25/";

/// The message in a form of which [`ToolSet`](super::ToolSet) gets all; `None` for what the SDK reads
/// well enough as it is. Only its id and `_meta` stay where they were.
///
/// Of `subscriptions/listen` the SDK drops `taskIds`, which are the tasks extension's. What 2025-11-25
/// has of tasks it does not know: neither in requests nor in its answers.
pub fn wrapped(method: &str, is_modern: bool, message: &[u8]) -> Option<Vec<u8>> {
    match method {
        LISTEN if is_modern => with_ids(message),
        // A client that writes such a name itself means no method that there is.
        _ if !is_modern && method.starts_with(OF_2025_11_25) => {
            renamed(method, serde_json::from_slice(message).ok()?)
        }
        "initialize" | "tools/list" | "tasks/get" | "tasks/cancel" | "tasks/result"
        | "tasks/list"
            if !is_modern =>
        {
            renamed(method, serde_json::from_slice(message).ok()?)
        }
        // Seldom, and then most often in an argument: most calls are read once only.
        "tools/call" if !is_modern && message.windows(TASK.len()).any(|it| it == TASK) => {
            let message: Value = serde_json::from_slice(message).ok()?;
            let task = message.get("params")?.get("task")?;
            task.is_object().then(|| renamed(method, message))?
        }
        _ => None,
    }
}

const TASK: &[u8] = b"\"task\"";

/// Under a name that the SDK does not know.
fn renamed(method: &str, mut message: Value) -> Option<Vec<u8>> {
    *message.get_mut("method")? = format!("{OF_2025_11_25}{method}").into();
    serde_json::to_vec(&message).ok()
}

/// With params that have no filter where the SDK looks for it. Its method must stay that of the header.
fn with_ids(message: &[u8]) -> Option<Vec<u8>> {
    let mut message: Value = serde_json::from_slice(message).ok()?;
    let params = message.get_mut("params")?.as_object_mut()?;
    params.get("notifications")?.get("taskIds")?;
    let meta = params.remove_entry("_meta");
    let whole = std::mem::take(params);
    params.extend(meta);
    params.insert(WHOLE.to_owned(), Value::Object(whole));
    serde_json::to_vec(&message).ok()
}

/// Whether who asks this, in whatever form, only waits for something: nothing is lost when nobody waits
/// any more.
pub fn only_waits(method: &str) -> bool {
    let own = method.strip_prefix(OF_2025_11_25).unwrap_or(method);
    matches!(own, LISTEN | "tasks/result")
}

/// The method that a request of 2025-11-25 had before it was wrapped.
pub(super) fn own_method(request: &CustomRequest) -> Option<String> {
    let method = request.method.strip_prefix(OF_2025_11_25)?;
    Some(method.to_owned())
}

/// The answer to a handshake with all that it says in 2025-11-25; any other as it is.
pub fn filled_in(result: ServerResult) -> ServerResult {
    let ServerResult::InitializeResult(agreed) = &result else {
        return result;
    };
    if agreed.protocol_version != ProtocolVersion::V_2025_11_25
        || !agreed.capabilities.supports_tasks()
    {
        return result;
    }
    let mut filled = serde_json::to_value(agreed).unwrap_or_default();
    let capabilities = filled
        .get_mut("capabilities")
        .and_then(Value::as_object_mut);
    let Some(capabilities) = capabilities else {
        return result;
    };
    capabilities.insert("tasks".to_owned(), capability());
    ServerResult::CustomResult(CustomResult::new(filled))
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
        let wrapped = wrapped(LISTEN, true, &message(&params)).unwrap();
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
    fn tasks_of_2025_11_25_are_asked_for_under_names_that_the_sdk_does_not_know() {
        let request = |method: &str, params: Value| {
            let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
            let message = message.to_string();
            let wrapped = wrapped(method, false, message.as_bytes())?;
            let read = serde_json::from_slice::<ClientJsonRpcMessage>(&wrapped).unwrap();
            let JsonRpcMessage::Request(read) = read else {
                panic!("no request");
            };
            let ClientRequest::CustomRequest(request) = read.request else {
                panic!("{:?}", read.request);
            };
            assert_eq!(own_method(&request).as_deref(), Some(method));
            request.params
        };
        let params = json!({"taskId": "a"});
        for method in ["tasks/get", "tasks/cancel", "tasks/result", "tasks/list"] {
            assert_eq!(request(method, params.clone()), Some(params.clone()));
        }
        let params = json!({"name": "x", "task": {"ttl": 1}});
        assert_eq!(request("tools/call", params.clone()), Some(params));
        for params in [
            json!({"name": "x", "arguments": {"task": {}}}),
            json!({"name": "task", "task": null}),
            json!({"name": "x"}),
        ] {
            assert_eq!(request("tools/call", params), None);
        }
    }

    #[test]
    fn the_name_of_a_wrapped_request_is_none_that_clients_may_use() {
        let method = "2025-11-25/tools/call";
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        let wrapped = wrapped(method, false, message.to_string().as_bytes()).unwrap();
        let read: CustomRequest = serde_json::from_slice(&wrapped).unwrap();
        assert_eq!(own_method(&read).as_deref(), Some(method));
    }

    #[test]
    fn what_the_sdk_reads_is_left_as_it_is() {
        for params in [
            json!({"notifications": {"toolsListChanged": true}}),
            json!({"notifications": []}),
            json!({}),
            json!([]),
        ] {
            assert_eq!(wrapped(LISTEN, true, &message(&params)), None, "{params}");
        }
        let with_ids = message(&json!({"notifications": {"taskIds": []}}));
        assert_eq!(wrapped("tools/list", true, &with_ids), None);
        assert_eq!(wrapped(LISTEN, true, b"{"), None);
    }
}
