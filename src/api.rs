//! The HTTP endpoint: `GET /live`, `/ready`, `/metrics`, `/status`. Read-only, without authentication.
//!
//! Owns the routes, the server's thread and the bounds on its clients (`api::guard`). What is served comes from
//! `observe`; whether the address may be other than loopback is checked in `config`. Started by `cli`.

mod guard;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;
use tokio::sync::oneshot;

use crate::observe::{Health, Metrics};
pub use guard::Bounds;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";

/// Why the endpoint cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is taken, not ours, or not permitted.
    #[error(
        "cannot listen on {address}: {reason}; choose another `http.listen`, or set `http.enabled = false`"
    )]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// The thread or its runtime cannot be started.
    #[error("cannot start the HTTP thread: {0}")]
    Start(std::io::Error),
}

/// A served endpoint. Dropping it ends the serving without waiting.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// Serves on a thread of its own. When this returns, the address accepts connections.
pub fn serve(
    address: SocketAddr,
    bounds: Bounds,
    health: Arc<Health>,
    metrics: Metrics,
) -> Result<ApiServer, ApiError> {
    let listen = |reason| ApiError::Listen { address, reason };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ApiError::Start)?;
    let (stop, stopped) = oneshot::channel();
    let (finished, done) = channel();
    let routes = routes(health, metrics);
    let thread = std::thread::Builder::new()
        .name("noroshi-http".into())
        .spawn(move || {
            runtime.block_on(async move {
                let listener = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => guard::Guarded::new(listener, bounds),
                    Err(error) => {
                        tracing::error!(%error, "the HTTP endpoint cannot be served");
                        return;
                    }
                };
                let served = axum::serve(listener, routes).with_graceful_shutdown(async {
                    // A dropped handle means the same as a stop.
                    let _ = stopped.await;
                });
                if let Err(error) = served.await {
                    tracing::error!(%error, "the HTTP endpoint has ended");
                }
            });
            // Nobody may be waiting.
            let _ = finished.send(());
        })
        .map_err(ApiError::Start)?;
    Ok(ApiServer { address, stop: Some(stop), done, thread: Some(thread) })
}

impl ApiServer {
    /// The address that is listened on, with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more connections, lets open requests end, and waits for that at most `deadline`. True when all
    /// ended in time.
    pub fn stop(mut self, deadline: Duration) -> bool {
        drop(self.stop.take());
        match self.done.recv_timeout(deadline) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                self.thread.take().is_none_or(|thread| thread.join().is_ok())
            }
            Err(RecvTimeoutError::Timeout) => false,
        }
    }
}

#[derive(Clone)]
struct Served {
    health: Arc<Health>,
    metrics: Metrics,
}

fn routes(health: Arc<Health>, metrics: Metrics) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .route("/status", get(status))
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed)
        .layer(axum::middleware::map_response(common_headers))
        .with_state(Served { health, metrics })
}

async fn live(State(served): State<Served>) -> Response {
    verdict("live", served.health.live())
}

async fn ready(State(served): State<Served>) -> Response {
    verdict("ready", served.health.ready())
}

async fn scrape(State(served): State<Served>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], served.metrics.encode()).into_response()
}

async fn status(State(served): State<Served>) -> Response {
    body(StatusCode::OK, &served.health.status())
}

async fn unknown() -> Response {
    let known = ["/live", "/ready", "/metrics", "/status"];
    body(StatusCode::NOT_FOUND, &json!({"error": "there is nothing here", "paths": known}))
}

async fn not_allowed() -> Response {
    body(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "this endpoint is read-only: use GET"}))
}

fn verdict(what: &str, result: Result<(), Vec<String>>) -> Response {
    match result {
        Ok(()) => body(StatusCode::OK, &json!({ what: true })),
        Err(reasons) => body(StatusCode::SERVICE_UNAVAILABLE, &json!({ what: false, "reasons": reasons })),
    }
}

fn body(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], format!("{value}\n")).into_response()
}

/// One request a connection: so that the bounds on a connection are bounds on a request.
async fn common_headers(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONNECTION, "close"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests;
