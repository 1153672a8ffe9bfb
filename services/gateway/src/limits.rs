//! How much one client may ask for: reads of the store, writes, and tokens that were not known.
//!
//! Invariant: each client has a bucket of its own for each kind, refilled evenly; memory is bounded, and when it is full
//! newcomers share one bucket. A client is an IPv4 address or an IPv6 network of 64 bits: whoever has one has all of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use crate::config;
use crate::problem::Problem;

/// Buckets at the same time.
const CLIENTS_MAX: usize = 50_000;
/// All clients for whom there was no room.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Who is connected: the address of the other end, put on each request by the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Read,
    Write,
    Refused,
}

/// What is left of what a client may ask for.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// All buckets.
#[derive(Debug)]
pub struct Limits {
    config: config::Limits,
    buckets: Mutex<HashMap<(Kind, IpAddr), Bucket>>,
}

impl Limits {
    /// By these rules.
    #[must_use]
    pub fn new(config: config::Limits) -> Self {
        Self { config, buckets: Mutex::default() }
    }

    /// Who asks: the other end, or whom a proxy of ours names.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_ours = |address: &IpAddr| self.config.proxies.contains(address);
        let named = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
        let named: Vec<IpAddr> =
            named.flat_map(|value| value.split(',')).filter_map(|address| address.trim().parse().ok()).collect();
        // The last one that is not ours: what stands before it can be made up.
        let last = named.iter().rev().find(|address| !is_ours(address)).filter(|_| is_ours(&peer.to_canonical()));
        match last.copied().unwrap_or(peer).to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
            address => address,
        }
    }

    const fn per_minute(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Read => self.config.reads_per_minute,
            Kind::Write => self.config.writes_per_minute,
            Kind::Refused => self.config.refused_tokens_per_minute,
        }
    }

    /// Takes `n` out of a bucket that has at least one in it; otherwise the seconds until it has.
    fn take(&self, kind: Kind, client: IpAddr, n: f64, now: Instant) -> Result<(), u32> {
        let most = f64::from(self.per_minute(kind));
        let filled = |bucket: &Bucket, most: f64| {
            (bucket.left + now.duration_since(bucket.at).as_secs_f64() * most / 60.0).min(most)
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS_MAX && !buckets.contains_key(&(kind, client)) {
            buckets.retain(|(kind, _), bucket| {
                let most = f64::from(self.per_minute(*kind));
                filled(bucket, most) < most
            });
        }
        let is_full = buckets.len() >= CLIENTS_MAX && !buckets.contains_key(&(kind, client));
        let client = if is_full { OTHERS } else { client };
        let bucket = buckets.entry((kind, client)).or_insert(Bucket { left: most, at: now });
        *bucket = Bucket { left: filled(bucket, most), at: now };
        if bucket.left < 1.0 {
            return Err(((1.0 - bucket.left) * 60.0 / most.max(1.0)).ceil() as u32);
        }
        bucket.left -= n;
        Ok(())
    }
}

/// Bounds what one client asks for: reads, or writes and the tokens among them that were not known.
pub async fn bound(State(limits): State<Arc<Limits>>, request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().map_or(OTHERS, |peer| peer.0);
    let client = limits.client(peer, request.headers());
    let take = |kind, n| limits.take(kind, client, n, Instant::now());
    let too_many = |what: &str, seconds: u32| {
        Problem::too_many(format!("too many {what} from this address; come back in {seconds} seconds"), seconds)
    };
    if request.method() != Method::POST {
        take(Kind::Read, 1.0).map_err(|seconds| too_many("requests", seconds))?;
        return Ok(next.run(request).await);
    }
    take(Kind::Refused, 0.0).map_err(|seconds| too_many("tokens that are not known", seconds))?;
    take(Kind::Write, 1.0).map_err(|seconds| too_many("writes", seconds))?;
    let answer = next.run(request).await;
    if answer.status() == StatusCode::UNAUTHORIZED {
        // Whoever was let in may try once; the next one waits.
        let _ = take(Kind::Refused, 1.0);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(reads: u32, proxies: &[&str]) -> Limits {
        let proxies = proxies.iter().map(|address| address.parse().expect("an address")).collect();
        let (reads_per_minute, writes_per_minute, refused_tokens_per_minute) = (reads, 2, 1);
        Limits::new(config::Limits { reads_per_minute, writes_per_minute, refused_tokens_per_minute, proxies })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_client_has_so_many_and_gets_them_back_evenly() {
        let (limits, now) = (limits(6, &[]), Instant::now());
        let taken =
            |client: &str, after_s: u64| limits.take(Kind::Read, ip(client), 1.0, now + Duration::from_secs(after_s));
        assert_eq!((0..7).filter(|_| taken("192.0.2.1", 0).is_ok()).count(), 6);
        assert_eq!(taken("192.0.2.1", 0), Err(10));
        assert_eq!(taken("192.0.2.2", 0), Ok(()), "another client");
        assert_eq!((taken("192.0.2.1", 10), taken("192.0.2.1", 10)), (Ok(()), Err(10)));
        assert_eq!(limits.take(Kind::Write, ip("192.0.2.1"), 1.0, now), Ok(()), "another kind");
    }

    #[test]
    fn memory_is_bounded_and_newcomers_share_what_is_left() {
        let (limits, now) = (limits(2, &[]), Instant::now());
        for n in 0..=CLIENTS_MAX as u32 {
            let address = IpAddr::V4(n.into());
            assert_eq!(limits.take(Kind::Read, address, 1.0, now), Ok(()));
        }
        assert_eq!(limits.take(Kind::Read, ip("203.0.113.1"), 1.0, now), Ok(()));
        assert!(limits.take(Kind::Read, ip("203.0.113.2"), 1.0, now).is_err(), "the shared one is empty");
        assert_eq!(limits.take(Kind::Read, ip("203.0.113.3"), 1.0, now + Duration::from_secs(60)), Ok(()));
        assert_eq!(limits.buckets.lock().unwrap().len(), 1, "those that are full again are forgotten");
    }

    #[test]
    fn only_a_proxy_of_ours_is_believed_and_only_its_last_word() {
        let headers =
            |value: &str| HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), value.parse().unwrap())]);
        let forged = headers("198.51.100.9, 203.0.113.7");
        assert_eq!(limits(1, &[]).client(ip("192.0.2.1"), &forged), ip("192.0.2.1"));
        let behind = limits(1, &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(behind.client(ip("192.0.2.1"), &forged), ip("203.0.113.7"));
        assert_eq!(behind.client(ip("::ffff:192.0.2.1"), &headers("203.0.113.7, 192.0.2.2")), ip("203.0.113.7"));
        assert_eq!(behind.client(ip("192.0.2.3"), &forged), ip("192.0.2.3"));
        assert_eq!(behind.client(ip("192.0.2.1"), &headers("nobody")), ip("192.0.2.1"));
        assert_eq!(behind.client(ip("2001:db8::1:2:3:4"), &forged), ip("2001:db8::"), "the network counts");
    }
}
