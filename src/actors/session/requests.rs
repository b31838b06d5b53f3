//! By which messages a request is sent.

use crate::pglog::statement::Protocol;
use crate::postgres::{self, Batch};
use crate::replay::session::context::Restore;
use crate::replay::session::request::{ParseMode, Request};
use crate::replay::session::rewriting::Outgoing;

/// The message of a request of which this is sent.
pub(super) fn wire_request<'a>(
    request: &'a Request,
    outgoing: &'a Outgoing,
) -> postgres::Request<'a> {
    let rewritten = match outgoing {
        Outgoing::Own => None,
        Outgoing::Rewritten(text, _) => Some(&**text),
        Outgoing::Withheld(..) => Some(""),
    };
    let is_withheld = matches!(outgoing, Outgoing::Withheld(..));
    match request {
        Request::Text(text) => postgres::Request::Simple(text),
        Request::Simple(work) => {
            postgres::Request::Simple(rewritten.unwrap_or(&work.statement.sql))
        }
        // An empty query stands for a statement that must not be sent.
        Request::Extended { .. } if is_withheld => postgres::Request::Simple(""),
        Request::Pipelined { syncs, .. } if is_withheld => {
            let request = Box::new(Request::Text("".into()));
            postgres::Request::Batch(batch(&Request::Pipelined { request, syncs: *syncs }, None))
        }
        _ => postgres::Request::Batch(batch(request, rewritten)),
    }
}

/// Sets a setting for the session.
const SET: &str = "SELECT pg_catalog.set_config($1, $2, false)";
/// Makes a custom setting exist that nothing has set in this session.
const SET_AS_AT_BEGINNING: &str = "SELECT pg_catalog.set_config($1, \
    COALESCE(pg_catalog.current_setting($1, true), ''), false)";

/// The messages of a request that is not a simple query.
fn batch(request: &Request, rewritten: Option<&str>) -> Batch {
    let mut batch = Batch::new();
    match request {
        Request::Extended { work, parse, types } => {
            let Protocol::Extended { name, portal, parameters, .. } = &work.statement.protocol
            else {
                return batch;
            };
            let sql = rewritten.unwrap_or(&work.statement.sql);
            match parse {
                ParseMode::Unnamed => drop(batch.parse("", sql, types)),
                ParseMode::Named => drop(batch.close_statement(name).parse(name, sql, types)),
                ParseMode::Prepared => {}
            }
            if !portal.is_empty() {
                // The source's driver closed what had this name: that is never logged.
                batch.close_portal(portal);
            }
            batch.bind(portal, name, parameters).execute(portal, 0);
        }
        Request::DrawOnly { work, types, limits, failure } => {
            let Protocol::Extended { parameters, .. } = &work.statement.protocol else {
                return batch;
            };
            batch.command(limits).parse("", &work.statement.sql, types);
            batch.bind("", "", parameters).execute("", 0).command(failure);
        }
        Request::ParseOnly(work) => drop(batch.parse("", &work.statement.sql, &[])),
        Request::BindOnly(work) => {
            let Protocol::BindOnly { parameters } = &work.statement.protocol else { return batch };
            batch.parse("", &work.statement.sql, &[]).bind("", "", parameters);
        }
        Request::Restore(context) => restore(&mut batch, context),
        Request::Text(text) => drop(batch.command(text)),
        Request::Simple(work) => drop(batch.command(rewritten.unwrap_or(&work.statement.sql))),
        Request::Pipelined { request, syncs } => {
            batch = self::batch(request, rewritten);
            if !syncs {
                batch.leave_open();
            }
        }
        Request::Inspect(_) | Request::Sync => {}
    }
    batch
}

/// Adds the messages that make part of a session's context.
pub(crate) fn restore(batch: &mut Batch, context: &Restore) {
    match context {
        Restore::Text(text) => drop(batch.command(text)),
        Restore::Setting { name, value } => {
            let parameters = [Some(name), Some(value)];
            batch.parse("", SET, &[]).bind("", "", &parameters).execute("", 0);
        }
        Restore::Placeholder(name) => {
            batch.parse("", SET_AS_AT_BEGINNING, &[]).bind("", "", &[Some(name)]).execute("", 0);
        }
        Restore::Parse { name, sql } => drop(batch.parse(name, sql, &[])),
    }
}
