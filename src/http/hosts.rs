//! By which names a browser may ask for the report: a guard against DNS rebinding.
//!
//! A page of anybody's has a browser send requests to the name that it came from. Where that name comes to mean
//! this machine, the browser takes kreplay's answers for that page's own, and lets it read them: no
//! firewall and no listening on 127.0.0.1 helps. So the name that was asked for has to be known. An address is not
//! a name: no DNS gives it another meaning. What sends no name at all is no browser.
//!
//! Only `/` and `/report` are guarded, which tell of queries. `/metrics`, `/livez` and `/readyz` hold counts
//! and are for machines, which ask by whatever name they have found: a service, a pod, a container.

use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, HOST};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError};

use super::Views;
use crate::{escape, metrics};

/// Names besides addresses and `localhost`, as `--http-host` gives them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts(Arc<[String]>);

impl Hosts {
    /// These names, in lower case.
    pub(crate) fn new(names: &[String]) -> Self {
        Self(names.into())
    }

    /// Whether a request for this host, as the header says it, may see the report.
    fn allow(&self, host: &str) -> bool {
        if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
            return true;
        }
        let is_v6 = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is = |known: &str| known.eq_ignore_ascii_case(name);
        is_v6(host).is_some() || is("localhost") || self.0.iter().any(|known| is(known))
    }

    /// The first name of a request by which it may not be asked.
    fn refuse(&self, request: &HttpRequest) -> Option<String> {
        let authority = request.uri().authority().map(|it| it.as_str().as_bytes());
        let headers = request.headers().get_all(HOST).map(|host| host.as_bytes());
        let names = authority.into_iter().chain(headers).map(String::from_utf8_lossy);
        names.into_iter().find(|name| !self.allow(name)).map(Into::into)
    }
}

/// A request by a known name, or by none.
pub(super) struct KnownHost;

impl FromRequest for KnownHost {
    type Error = UnknownHost;
    type Future = Ready<Result<Self, UnknownHost>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let views = request.app_data::<Data<Views>>();
        ready(match views.and_then(|views| views.hosts.refuse(request)) {
            None => Ok(Self),
            Some(name) => Err(UnknownHost(name)),
        })
    }
}

/// The name is not known.
#[derive(Debug, thiserror::Error)]
#[error(
    "kreplay does not know itself as {}, and shows its report under no other name (a guard against \
     DNS rebinding): ask by its address, or start it with --http-host NAME", shown(.0)
)]
pub(super) struct UnknownHost(String);

/// So much of a name as a line has room for.
fn shown(name: &str) -> String {
    escape::line(name).chars().take(100).collect()
}

impl ResponseError for UnknownHost {
    fn status_code(&self) -> StatusCode {
        StatusCode::MISDIRECTED_REQUEST
    }

    fn error_response(&self) -> HttpResponse {
        metrics::http_refused(metrics::HttpRefusal::Host);
        HttpResponse::build(self.status_code())
            .content_type(ContentType::plaintext())
            .body(format!("{self}\n"))
    }
}

#[cfg(test)]
mod tests;
