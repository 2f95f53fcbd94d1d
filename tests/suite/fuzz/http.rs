//! The HTTP endpoint: whatever is sent, there is at most one response of ours and then the end, and others are served.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use noroshi::api::{ApiServer, Bounds, serve};
use noroshi::observe::health::{Health, HealthSettings};
use noroshi::observe::metrics::Metrics;
use noroshi::record::wall_clock;

/// What a connection may send; small, so that inputs get to it.
const REQUEST_BYTES_MAX: usize = 2048;

/// Far longer than the server gives a connection: who waits so long has found one that does not end.
const PATIENCE: Duration = Duration::from_secs(20);
/// In which an answer comes, if one comes.
const PAUSE: Duration = Duration::from_millis(10);

/// Lives as long as the process.
static SERVER: LazyLock<Mutex<ApiServer>> = LazyLock::new(|| {
    let settings = HealthSettings {
        pipeline: "main".into(),
        instance: "main-0".into(),
        lanes: 1,
        heartbeat_age_max: Duration::from_secs(3_600),
        errors_max: 5,
    };
    let health = Health::new(settings, Arc::new(wall_clock));
    let bounds = Bounds { request_bytes_max: REQUEST_BYTES_MAX, ..Bounds::default() };
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    serve(address, bounds, health, Metrics::new(&["rail"], &[], 10, 0)).map(Mutex::new).expect("served")
});

/// Statuses of our handlers, and those with which the HTTP library refuses what is no request.
const OURS: &[u16] = &[200, 404, 405, 503];
const REFUSED: &[u16] = &[400, 414, 431, 505];

pub fn check(data: &[u8]) {
    let received = exchange(data, &[PAUSE, PATIENCE]);
    let response = received.strip_prefix(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&received);
    if !response.is_empty() {
        responded(response);
    }
    if data.get(..REQUEST_BYTES_MAX).is_some_and(|start| !ends_a_head(start)) {
        assert!(!response.starts_with(b"HTTP/1.1 200"), "served a request beyond its bound");
    }
    // This one is whole, and waits for its answer however busy the machine is.
    let live = exchange(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n", &[PATIENCE]);
    assert!(live.starts_with(b"HTTP/1.1 200 OK"), "others are not served: {}", live.escape_ascii());
}

/// An empty line ends the head of a request, and line feeds alone end lines.
fn ends_a_head(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|part| part == b"\n\n") || bytes.windows(3).any(|part| part == b"\n\r\n")
}

/// All that comes back until the connection ends; a reset is an end.
fn exchange(request: &[u8], waits: &[Duration]) -> Vec<u8> {
    let address = SERVER.lock().unwrap_or_else(PoisonError::into_inner).address();
    let mut stream = TcpStream::connect(address).expect("connects");
    // The server may be gone before all is sent.
    let _ = stream.write_all(request);
    let mut received = Vec::new();
    // A request that is not whole waits for more, and is told that nothing comes. Not before an answer has had its time:
    // one that is whole may go unanswered when its client seems to leave.
    for patience in waits {
        stream.set_read_timeout(Some(*patience)).expect("set");
        match stream.read_to_end(&mut received) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                assert!(*patience < PATIENCE, "the connection does not end: {error}");
                let _ = stream.shutdown(Shutdown::Write);
            }
            _ => break,
        }
    }
    received
}

/// One whole response.
fn responded(response: &[u8]) {
    let shown = || response.escape_ascii().to_string();
    let end =
        response.windows(4).position(|part| part == b"\r\n\r\n").unwrap_or_else(|| panic!("{}", shown()));
    let head = std::str::from_utf8(&response[..end]).unwrap_or_else(|_| panic!("{}", shown())).to_lowercase();
    let body = &response[end + 4..];
    let status = head.get(9..12).and_then(|status| status.parse::<u16>().ok()).unwrap_or(0);
    assert!(
        head.starts_with("http/1.") && (OURS.contains(&status) || REFUSED.contains(&status)),
        "{}",
        shown()
    );
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    // One request a connection: nothing behind the body. The answer to HEAD has none.
    assert!(
        body.is_empty() || Some(body.len()) == length,
        "{length:?}, but {} bytes: {}",
        body.len(),
        shown()
    );
    if OURS.contains(&status) {
        for header in ["cache-control: no-store", "x-content-type-options: nosniff", "connection: close"] {
            assert!(head.contains(header), "{header} is missing: {}", shown());
        }
    }
    let json = head.contains("content-type: application/json") && !body.is_empty();
    assert!(!json || serde_json::from_slice::<serde_json::Value>(body).is_ok(), "{}", shown());
}
