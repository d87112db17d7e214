//! Requests that say what is needed, and something besides that the SDK cannot read.

use rmcp::model::{
    CallToolRequestParams, ClientCapabilities, CustomRequest, Implementation,
    InitializeRequestParams, ProtocolVersion,
};
use serde_json::Value;

/// The handshake in these params. Of a client nothing but the revision is used: what else it says of
/// itself is taken where it can be read.
///
/// # Errors
/// With what is missing.
pub fn initialize(params: Option<&Value>) -> Result<InitializeRequestParams, &'static str> {
    let member = |name: &str| params.and_then(|params| params.get(name));
    let version = member("protocolVersion")
        .and_then(|version| serde_json::from_value::<ProtocolVersion>(version.clone()).ok())
        .ok_or("protocolVersion is needed, a text such as \"2025-11-25\"")?;
    let text = |name: &str| {
        let text = member("clientInfo").and_then(|client| client.get(name)?.as_str());
        text.unwrap_or_default()
    };
    let client = Implementation::new(text("name"), text("version"));
    let capabilities = member("capabilities")
        .and_then(|them| serde_json::from_value::<ClientCapabilities>(them.clone()).ok())
        .unwrap_or_default();
    Ok(InitializeRequestParams::new(capabilities, client).with_protocol_version(version))
}

/// The call of a tool whose arguments are an object written as a text, as some models write them.
pub(super) fn call(request: &CustomRequest) -> Option<CallToolRequestParams> {
    let mut params = request.params.clone()?;
    let arguments = params.get_mut("arguments")?;
    *arguments = serde_json::from_str(arguments.as_str()?).ok()?;
    serde_json::from_value(params).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_handshake_needs_its_revision_only() {
        for params in [
            json!({"protocolVersion": "2025-06-18"}),
            json!({"protocolVersion": "2025-06-18", "capabilities": null, "clientInfo": 7}),
            json!({"protocolVersion": "2025-06-18", "capabilities": {"roots": 7},
                   "clientInfo": {"name": "x", "version": "1", "icons": 7}}),
        ] {
            let read = initialize(Some(&params)).unwrap();
            assert_eq!(read.protocol_version.as_str(), "2025-06-18", "{params}");
        }
        for params in [json!({}), json!({"protocolVersion": 7}), json!([])] {
            let missing = initialize(Some(&params)).unwrap_err();
            assert!(missing.contains("protocolVersion"), "{params}");
        }
        assert!(initialize(None).is_err());
    }
}
