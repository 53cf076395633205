//! The only way out: requests to addresses that tenants choose. They reach public addresses only,
//! and networks that the operator allows; they follow no redirect, and end after seconds.

mod address;
mod failure;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kgrca_core::tenancy::{Network, TenantId};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use tokio::sync::Semaphore;
use url::{Host, Url};

use crate::places::{Limits, Places};

pub use failure::Failure;

/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for a request with its answer.
const WHOLE: Duration = Duration::from_secs(10);
/// Requests at a time that callers wait for.
const TESTS: usize = 8;
/// Names that are resolved at a time: a lookup holds a thread, also when its request has ended.
const LOOKUPS: usize = 128;
/// What receivers see as the sender.
const AGENT: &str = concat!("kgrca/", env!("CARGO_PKG_VERSION"));

/// Sends requests to addresses that tenants choose.
pub struct Outbound {
    /// Places for requests that a caller waits for.
    pub tests: Places<TenantId>,
    allowed: Arc<Vec<Network>>,
    /// Made at the first use: daemons that notify no one do not read certificates.
    http: OnceLock<reqwest::Client>,
}

impl Outbound {
    /// `allowed` are networks that tenants may reach although they are not public.
    pub fn new(allowed: &[Network]) -> Self {
        Self {
            tests: Places::new(Limits {
                total: TESTS,
                per_key: 1,
                kept: 0,
            }),
            allowed: Arc::new(allowed.to_vec()),
            http: OnceLock::new(),
        }
    }

    /// Posts JSON. The answer's body is not read: it may be of any length, and nothing in it is
    /// needed.
    ///
    /// # Errors
    /// [`Failure`] says why, and whether to try again.
    pub async fn post(&self, url: &str, headers: HeaderMap, body: String) -> Result<(), Failure> {
        let url = self.checked(url)?;
        let request = self
            .http()?
            .post(url)
            .headers(headers)
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await.map_err(|e| Failure::of(&e))?;
        Failure::of_answer(answer.status(), answer.headers())
    }

    fn http(&self) -> Result<&reqwest::Client, Failure> {
        if let Some(http) = self.http.get() {
            return Ok(http);
        }
        let resolver = Arc::new(PublicOnly {
            allowed: Arc::clone(&self.allowed),
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        });
        let built = reqwest::Client::builder()
            .dns_resolver(resolver)
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .no_proxy()
            .user_agent(AGENT)
            .redirect(reqwest::redirect::Policy::none())
            // A connection that stays open is one that a tenant holds.
            .pool_max_idle_per_host(0)
            .build();
        let built = built.map_err(|e| Failure::of(&e))?;
        Ok(self.http.get_or_init(|| built))
    }

    /// A URL that may be asked. Names are checked when they are resolved.
    fn checked(&self, text: &str) -> Result<Url, Failure> {
        let url = Url::parse(text).map_err(|e| Failure::lasting(format!("invalid URL: {e}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::lasting("the URL is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Failure::lasting("the URL has a user name or a password"));
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(Failure::lasting("the URL has no host")),
        };
        match address {
            Some(address) if !address::may_reach(address, &self.allowed) => {
                Err(Failure::forbidden_address())
            }
            _ => Ok(url),
        }
    }
}

/// Resolves names to addresses that may be reached. What is connected to is what was checked: the
/// name is not resolved again.
struct PublicOnly {
    allowed: Arc<Vec<Network>>,
    lookups: Arc<Semaphore>,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, lookups) = (Arc::clone(&self.allowed), Arc::clone(&self.lookups));
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let lookup = tokio::spawn(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await;
                drop(permit);
                found.map(Iterator::collect::<Vec<SocketAddr>>)
            });
            let mut found = lookup.await??;
            found.retain(|at| address::may_reach(at.ip(), &allowed));
            if found.is_empty() {
                return Err(failure::ForbiddenAddress.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
