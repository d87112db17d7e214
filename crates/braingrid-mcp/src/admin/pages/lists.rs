//! The pages with lists: who is connected, who is no longer let in, what is worked on.

use bytes::Bytes;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::super::answer::Problem;
use super::super::revocations::{Revocation, RevocationList, State};
use super::super::sessions::{Connected, SessionList, Sought};
use super::super::tasks::{Task, TaskList};
use super::layout::View;
use super::{REVOCATIONS, ROWS, SESSIONS, TASKS};
use crate::whom::About;

/// Who is connected to this instance.
pub(super) fn sessions(view: &View<'_>, page: &SessionList, sought: &Sought) -> Response<Bytes> {
    let row = |session| connected(view, session);
    let rows: Vec<_> = page.sessions.iter().map(row).collect();
    let named = [
        ("subject", sought.subject.as_deref()),
        ("organization", sought.organization.as_deref()),
    ];
    let main = html! {
        p.quiet { "The sessions in the memory of this instance. Other instances have their own." }
        form.card method="get" action=(SESSIONS) role="search" aria-label="Connected users" {
            div.fields {
                (field("subject", "User", sought.subject.as_deref(), false))
                (field("organization", "Organization", sought.organization.as_deref(), false))
            }
            div.buttons { button type="submit" { "Show only these" } }
        }
        (list(view, &["User", "Organization", "Client", "Since", "Expires"], &rows))
        (others(SESSIONS, (page.offset, rows.len(), page.total), &named))
    };
    view.page(StatusCode::OK, &main)
}

fn connected(view: &View<'_>, session: &Connected) -> Vec<Markup> {
    let subject = &session.subject;
    let change = html! {
        form.row method="post" action=(SESSIONS) {
            (view.form_field())
            input type="hidden" name="issuer" value=(session.issuer);
            input type="hidden" name="subject" value=(subject);
            button type="submit" name="do" value="revoke" aria-label={ "Sign out " (subject) } { "Sign out" }
            button type="submit" name="do" value="suspend" aria-label={ "Suspend " (subject) } { "Suspend" }
        }
    };
    vec![
        person(subject, &session.issuer),
        named(session.organization.as_deref()),
        named(session.client.as_deref()),
        time(&session.since),
        time(&session.expires),
        change,
    ]
}

/// Who is signed out or suspended.
pub(super) fn revocations(
    view: &View<'_>,
    page: &RevocationList,
    issuers: &[String],
) -> Response<Bytes> {
    let row = |one| revocation(view, one);
    let rows: Vec<_> = page.revocations.iter().map(row).collect();
    let main = html! {
        p.quiet {
            "Who is signed out or suspended, on all instances. Who is signed out may log in again; who is \
             suspended may not."
        }
        @if view.may_change() { (deny(view, issuers)) }
        (list(view, &["Whom", "State", "Cause", "Said at"], &rows))
        (others(REVOCATIONS, (page.offset, rows.len(), page.total), &[]))
    };
    view.page(StatusCode::OK, &main)
}

/// The form to name somebody.
fn deny(view: &View<'_>, issuers: &[String]) -> Markup {
    html! {
        form.card method="post" action=(REVOCATIONS) {
            (view.form_field())
            fieldset {
                legend { "Sign out or suspend" }
                p.quiet { "A user, or a user in one organization; or an organization, a client or a token alone." }
                div.fields {
                    (field("subject", "User", None, false))
                    (field("organization", "Organization", None, false))
                    (field("client", "Client", None, false))
                    (field("token_id", "Token (jti)", None, false))
                    @if issuers.len() > 1 {
                        div.field {
                            label for="issuer" { "Issuer" }
                            select #issuer name="issuer" {
                                @for issuer in issuers { option value=(issuer) { (issuer) } }
                            }
                        }
                    }
                }
                div.buttons {
                    button.primary type="submit" name="do" value="revoke" { "Sign out" }
                    button type="submit" name="do" value="suspend" { "Suspend" }
                }
            }
        }
    }
}

fn revocation(view: &View<'_>, one: &Revocation) -> Vec<Markup> {
    let names = names(&one.whom);
    let whom = html! {
        @for (at, (word, _, name)) in names.iter().enumerate() {
            @if at > 0 { br; }
            (word) " " bdi { (name) }
        }
    };
    let state = match (one.state, &one.issued_before) {
        (State::SignedOut, Some(at)) => html! { "signed out: tokens issued until " (time(at)) },
        (State::SignedOut, None) => html! { "signed out" },
        (State::Suspended, _) => html! { strong.badge.bad { "suspended" } },
        (State::Resumed, _) => html! { "let in again" },
    };
    let is_of_form = !matches!(one.whom, About::Issuer { .. });
    let change = html! {
        @if one.state == State::Suspended && is_of_form {
            form.row method="post" action=(REVOCATIONS) {
                (view.form_field())
                @for (_, field, name) in &names { input type="hidden" name=(field) value=(name); }
                button type="submit" name="do" value="resume"
                    aria-label={ "Let in again: " (names.first().map_or("", |it| it.2)) }
                    { "Let in again" }
            }
        }
    };
    vec![
        whom,
        state,
        html! { (one.cause.replace('_', " ")) },
        time(&one.said_at),
        change,
    ]
}

/// What somebody is called: a word, the field of the form, and the name.
fn names(whom: &About) -> Vec<(&'static str, &'static str, &str)> {
    let subject = |name| ("user", "subject", name);
    let organization = |name| ("organization", "organization", name);
    let (mut names, issuer) = match whom {
        About::User {
            issuer,
            subject: it,
        } => (vec![subject(it.as_str())], issuer.as_ref()),
        About::Member {
            issuer,
            subject: it,
            organization: in_it,
        } => (
            vec![subject(it.as_str()), organization(in_it.as_str())],
            issuer.as_ref(),
        ),
        About::Organization { organization: it } => (vec![organization(it.as_str())], None),
        About::Client { issuer, client } => {
            (vec![("client", "client", client.as_str())], issuer.as_ref())
        }
        About::Token { issuer, token_id } => (
            vec![("token", "token_id", token_id.as_str())],
            issuer.as_ref(),
        ),
        About::Issuer { issuer } => (Vec::new(), issuer.as_ref()),
    };
    names.extend(issuer.map(|issuer| ("of", "issuer", issuer.as_str())));
    names
}

/// What this instance works on.
pub(super) fn tasks(view: &View<'_>, page: &TaskList) -> Response<Bytes> {
    let rows: Vec<_> = page.tasks.iter().map(|one| task(view, one)).collect();
    let main = html! {
        p.quiet { "What this instance works on while nobody waits for it. Other instances have their own." }
        (list(view, &["Tool", "User", "Organization", "Since"], &rows))
        (others(TASKS, (page.offset, rows.len(), page.total), &[]))
    };
    view.page(StatusCode::OK, &main)
}

fn task(view: &View<'_>, task: &Task) -> Vec<Markup> {
    let change = html! {
        form.row method="post" action=(TASKS) {
            (view.form_field())
            input type="hidden" name="task" value=(task.id);
            button type="submit" aria-label={ "Cancel " (task.tool) " of " (task.subject) } { "Cancel" }
        }
    };
    vec![
        html! { (task.tool) br; small { (task.id) } },
        person(&task.subject, &task.issuer),
        named(task.organization.as_deref()),
        time(&task.since),
        change,
    ]
}

/// Why a change was not made.
pub(super) fn problem(view: &View<'_>, why: &Problem, back: &str) -> Response<Bytes> {
    let main = html! {
        p.problem role="alert" { (why.error) }
        a.back href=(back) { "Back" }
    };
    view.page(why.status, &main)
}

pub(super) fn field(name: &str, label: &str, value: Option<&str>, required: bool) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            input id=(name) name=(name) value=[value] required[required] autocomplete="off" spellcheck="false";
        }
    }
}

/// Rows, whose last cell is for those who may change something.
fn list(view: &View<'_>, columns: &[&str], rows: &[Vec<Markup>]) -> Markup {
    let change = view.may_change().then_some("Change");
    let columns: Vec<_> = columns.iter().copied().chain(change).collect();
    if rows.is_empty() {
        return html! { p { "There is none." } };
    }
    view.table(&columns, rows)
}

fn person(subject: &str, issuer: &str) -> Markup {
    html! { bdi { (subject) } br; small { (issuer) } }
}

fn named(name: Option<&str>) -> Markup {
    html! { bdi { (name.unwrap_or("–")) } }
}

/// Which part of a list this is (what is before it, shown, there), and the way to the others.
fn others(
    path: &str,
    (offset, shown, total): (usize, usize, usize),
    sought: &[(&str, Option<&str>)],
) -> Markup {
    let link = |offset: usize| {
        let mut query = url::form_urlencoded::Serializer::new(format!("{path}?"));
        query.extend_pairs(sought.iter().filter_map(|(name, it)| Some((name, (*it)?))));
        query.append_pair("offset", &offset.to_string());
        query.finish()
    };
    html! {
        div.count {
            p {
                @if shown < total && shown > 0 { (offset + 1) "–" (offset + shown) " of " }
                (total) " in all"
            }
            @if offset > 0 { a href=(link(offset.saturating_sub(ROWS))) { "Those before" } }
            @if offset.saturating_add(shown) < total { a href=(link(offset + shown)) { "Those after" } }
        }
    }
}

/// A moment, for people and for programs.
fn time(time: &impl ToString) -> Markup {
    let time = time.to_string();
    let short = time.get(..16).unwrap_or(&time).replace('T', " ");
    html! { time datetime=(time) { (short) " UTC" } }
}
