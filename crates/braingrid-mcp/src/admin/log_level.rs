//! The log level of the running process.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::Admin;
use super::access::Needs;
use super::answer::{Problem, json};
use super::routes::{Answered, Content, Route, schema};
use crate::audit::Target;
use crate::operators::Right;

pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/log-level",
        needs: Needs::Metrics,
        id: "log_level",
        summary: "The log level, or the filter, that is in force",
        query: &[],
        body: None,
        content: Content::Json(schema::<Level>),
        answer: |admin, _| Box::pin(async move { Ok(admin.level()) }),
    },
    Route {
        method: Method::PUT,
        path: "/log-level",
        needs: Needs::Right(Right::Write),
        id: "set_log_level",
        summary: "Puts a level or filter directives in force, until the process ends",
        query: &[],
        body: Some(schema::<Level>),
        content: Content::Json(schema::<Level>),
        answer: |admin, call| Box::pin(async move { admin.set_level(call.request.body()) }),
    },
];

/// What is logged.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Level {
    /// `error`, `warn`, `info`, `debug`, `trace`, `off`, or directives such as `info,mcp_session=debug`.
    level: String,
}

impl Admin {
    fn level(&self) -> Response<Bytes> {
        let level = self.log.current();
        json(StatusCode::OK, &Level { level })
    }

    /// The body: a level or directives, bare or as `{"level": "debug"}`.
    fn set_level(&self, body: &[u8]) -> Answered {
        let given = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => fields
                .get("level")
                .and_then(Value::as_str)
                .map(str::to_owned),
            Ok(Value::String(level)) => Some(level),
            _ => std::str::from_utf8(body).ok().map(str::to_owned),
        };
        let set = self.log.set(given.as_deref().unwrap_or_default());
        set.map_err(|error| Problem::bad_request(error.to_string()))?;
        let level = self.log.current();
        tracing::warn!(level, "the log level was changed");
        let mut response = self.level();
        response
            .extensions_mut()
            .insert(Target::from([("level", level)]));
        Ok(response)
    }
}
