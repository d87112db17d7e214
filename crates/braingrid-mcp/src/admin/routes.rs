//! The one table of what the admin listener answers. The router, the index, the `OpenAPI` document and
//! the audit log are made of it; a file for each kind of thing has its part.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;

use super::access::Needs;
use super::answer::Problem;
use super::{Admin, log_level, openapi, revocations, sessions, status, tasks};

/// What is answered on a path.
pub(super) struct Route {
    pub(super) method: Method,
    /// May end in a name in braces, which stands for any one step.
    pub(super) path: &'static str,
    pub(super) needs: Needs,
    /// What the document and the audit log call it.
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// What may stand in the query.
    pub(super) query: &'static [Parameter],
    /// The JSON that it takes.
    pub(super) body: Option<SchemaOf>,
    /// What it answers where all is well.
    pub(super) content: Content,
    pub(super) answer: fn(Arc<Admin>, Call) -> Answering,
}

/// A part of a query.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// A whole number, else a text.
    pub(super) is_number: bool,
}

/// What an answer is.
pub(super) enum Content {
    Json(SchemaOf),
    /// The same, which comes with another status in a case.
    JsonOr(SchemaOf, StatusCode, &'static str),
    /// Anything else, of this media type.
    Other(&'static str),
}

/// The schema of a type, as a part of a document.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

pub(super) fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

pub(super) type Answered = Result<Response<Bytes>, Problem>;

/// An answer that is made.
pub(super) type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A request to a route.
pub(super) struct Call {
    pub(super) request: Request<Bytes>,
    /// What stands for the name in braces.
    pub(super) step: String,
}

/// Every route, in the order in which they are listed.
pub(super) fn all() -> impl Iterator<Item = &'static Route> {
    let groups = [
        status::ROUTES,
        log_level::ROUTES,
        openapi::ROUTES,
        sessions::ROUTES,
        revocations::ROUTES,
        tasks::ROUTES,
    ];
    groups.into_iter().flatten()
}

/// The route of a request, or the methods that its path has instead.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, String), Vec<Method>> {
    let method = if method == Method::HEAD {
        Method::GET
    } else {
        method.clone()
    };
    let there = || all().filter_map(|route| Some((route, route.step(path)?)));
    there()
        .find(|(route, _)| route.method == method)
        .ok_or_else(|| there().map(|(route, _)| route.method.clone()).collect())
}

impl Route {
    /// What stands for the name in braces, if this is the path.
    fn step(&self, path: &str) -> Option<String> {
        let Some((begin, _)) = self.path.split_once('{') else {
            return (self.path == path).then(String::new);
        };
        let step = path.strip_prefix(begin)?;
        let is_one = !step.is_empty() && !step.contains('/');
        is_one.then(|| step.to_owned())
    }
}

impl Call {
    /// Refuses what the route does not know: a part that is misspelled would be as if it were not there.
    pub(super) fn check_query(&self, route: &Route) -> Result<(), Problem> {
        let Some((name, _)) = self
            .query()
            .find(|(name, _)| !route.query.iter().any(|known| known.name == name))
        else {
            return Ok(());
        };
        let known: Vec<_> = route.query.iter().map(|known| known.name).collect();
        let name: String = name.chars().take(40).collect();
        Err(Problem::bad_request(format!(
            "{name:?} is nothing that can be asked for here; there is {}",
            if known.is_empty() {
                "no query".to_owned()
            } else {
                known.join(", ")
            }
        )))
    }

    fn query(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let query = self.request.uri().query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes())
    }

    /// A part of the query, which may be there once; an empty one is not there.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.query().filter(|(given, _)| given == name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Problem::bad_request(format!("{name} is there twice"))),
            (value, None) => Ok(value
                .map(|(_, value)| value.into_owned())
                .filter(|value| !value.is_empty())),
        }
    }

    /// The same for a whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let number = text.parse();
        number
            .map(Some)
            .map_err(|_| Problem::bad_request(format!("{name} is no whole number")))
    }

    /// The JSON of the body.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(self.request.body())
            .map_err(|error| Problem::bad_request(format!("the body cannot be read: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_route_has_a_name_and_a_place_of_its_own() {
        let places: HashSet<_> = all().map(|route| (&route.method, route.path)).collect();
        let names: HashSet<_> = all().map(|route| route.id).collect();
        assert_eq!((places.len(), names.len()), (all().count(), all().count()));
    }

    #[test]
    fn a_change_always_needs_the_right_to_change() {
        use crate::operators::Right;
        for route in all().filter(|route| route.method != Method::GET) {
            assert_eq!(route.needs, Needs::Right(Right::Write), "{}", route.id);
        }
    }
}
