//! What is sent for a request.

use std::sync::Arc;

use tracing::debug;

use crate::pglog::SessionId;
use crate::pglog::statement::Protocol;
use crate::postgres::Batch;
use crate::replay::session::context::Restore;
use crate::replay::session::request::{ParseMode, Request};
use crate::replay::work::Work;

pub(super) fn work_of(request: &Request) -> Option<&Arc<Work>> {
    match request {
        Request::Simple(work)
        | Request::ParseOnly(work)
        | Request::BindOnly(work)
        | Request::Extended { work, .. }
        | Request::DrawOnly { work, .. } => Some(work),
        Request::Pipelined { request, .. } => work_of(request),
        Request::Text(_) | Request::Inspect(_) | Request::Restore(_) | Request::Sync => None,
    }
}

/// Whether its statement is run for what it draws alone: limits of its own end it.
pub(super) fn draws_only(request: &Request) -> bool {
    match request {
        Request::Pipelined { request, .. } => draws_only(request),
        request => matches!(request, Request::DrawOnly { .. }),
    }
}

pub(super) fn trace_statement(session: SessionId, work: &Work) {
    debug!(%session, seq = work.seq.0, sql = %work.statement.sql, "send");
    if let Protocol::Extended { parameters, .. } = &work.statement.protocol {
        tracing::trace!(%session, seq = work.seq.0, ?parameters, "send");
    }
}

/// Sets a setting for the session.
const SET: &str = "SELECT pg_catalog.set_config($1, $2, false)";
/// Makes a custom setting exist that nothing has set in this session.
const SET_AS_AT_BEGINNING: &str = "SELECT pg_catalog.set_config($1, \
    COALESCE(pg_catalog.current_setting($1, true), ''), false)";

/// The messages of a request that is not a simple query.
pub(super) fn batch(request: &Request, rewritten: Option<&str>) -> Batch {
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
        Request::Restore(restore) => match restore {
            Restore::Text(text) => drop(batch.command(text)),
            Restore::Setting { name, value } => {
                let parameters = [Some(name), Some(value)];
                batch.parse("", SET, &[]).bind("", "", &parameters).execute("", 0);
            }
            Restore::Placeholder(name) => {
                batch
                    .parse("", SET_AS_AT_BEGINNING, &[])
                    .bind("", "", &[Some(name)])
                    .execute("", 0);
            }
            Restore::Parse { name, sql } => drop(batch.parse(name, sql, &[])),
        },
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
