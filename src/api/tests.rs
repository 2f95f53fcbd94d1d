//! The endpoint over real sockets: pages, bounds, and what it refuses.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::*;
use crate::observe::health::{HealthSettings, LaneState, RuleSetStatus};
use crate::record::wall_clock;

/// A client must never wait for ever in a test.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(bounds: Bounds) -> (ApiServer, Arc<Health>) {
    let settings = HealthSettings {
        pipeline: "main".into(),
        instance: "main-0".into(),
        lanes: 1,
        heartbeat_age_max: Duration::from_secs(3_600),
        errors_max: 5,
    };
    let health = Health::new(settings, Arc::new(wall_clock));
    let metrics = Metrics::new(&["rail"], &[], 10, 0);
    metrics.records(0, 42, 1);
    let server = serve(([127, 0, 0, 1], 0).into(), bounds, Arc::clone(&health), metrics).expect("served");
    (server, health)
}

fn connect(server: &ApiServer) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("connects");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// Status, lower-case head, body. The connection ends after one response.
fn exchange(server: &ApiServer, request: &str) -> (u16, String, String) {
    let mut stream = connect(server);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("received");
    let (head, body) = text.split_once("\r\n\r\n").expect("a response");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    (status, head.to_lowercase(), body.to_owned())
}

fn get_path(server: &ApiServer, path: &str) -> (u16, String, String) {
    exchange(server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
}

fn json_of(body: &str) -> serde_json::Value {
    serde_json::from_str(body).expect("JSON")
}

#[test]
fn live_and_ready_follow_the_health() {
    let (server, health) = start(Bounds::default());
    let (status, _, body) = get_path(&server, "/live");
    assert_eq!((status, json_of(&body)), (200, json!({"live": true})));
    let (status, _, body) = get_path(&server, "/ready");
    assert_eq!(status, 503);
    assert_eq!(json_of(&body)["reasons"].as_array().map(Vec::len), Some(3), "{body}");
    health.broker_answers();
    health.rule_set(RuleSetStatus {
        generation: 1,
        version: "v1".into(),
        content: String::new(),
        loaded_ms: 0,
        rules: 1,
        parked: vec![],
    });
    health.lane_state(0, LaneState::Running);
    let (status, _, body) = get_path(&server, "/ready");
    assert_eq!((status, json_of(&body)), (200, json!({"ready": true})));
    health.lane_state(0, LaneState::Failed);
    let (status, _, body) = get_path(&server, "/live");
    assert_eq!((status, json_of(&body)), (503, json!({"live": false, "reasons": ["lane 0 has failed"]})));
    assert!(server.stop(PATIENCE));
}

#[test]
fn metrics_and_status_are_served() {
    let (server, health) = start(Bounds::default());
    let (status, head, body) = get_path(&server, "/metrics");
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
    assert!(
        body.contains("noroshi_records_total{source=\"rail\"} 42\n") && body.ends_with("# EOF\n"),
        "{body}"
    );
    health.error("K001", "a broker went away");
    let (status, head, body) = get_path(&server, "/status");
    assert_eq!((status, &json_of(&body)["errors"][0]["code"]), (200, &json!("K001")));
    for header in ["content-type: application/json", "cache-control: no-store", "connection: close"] {
        assert!(head.contains(header), "{head}");
    }
}

#[test]
fn nothing_else_is_served() {
    let (server, _) = start(Bounds::default());
    for (request, expect) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /status/ HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("GET /../status HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        ("POST /status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405),
        ("DELETE /ready HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("OPTIONS /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
        ("nonsense\r\n\r\n", 400),
    ] {
        let (status, _, _) = exchange(&server, request);
        assert_eq!(status, expect, "{request}");
    }
}

/// Reads until the server ends the connection, in whatever way.
fn ended(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(error) => {
            assert!(
                !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                "{error}"
            );
            bytes
        }
    }
}

#[test]
fn a_request_that_is_too_large_is_cut_off() {
    let (server, _) = start(Bounds { request_bytes_max: 1_000, ..Bounds::default() });
    let mut stream = connect(&server);
    let request = format!("GET /status HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "x".repeat(2_000));
    // The server may be gone before all is sent.
    let _ = stream.write_all(request.as_bytes());
    assert!(!String::from_utf8_lossy(&ended(stream)).contains("200 OK"));
    assert_eq!(get_path(&server, "/live").0, 200, "others are served");
}

#[test]
fn a_client_that_does_not_finish_is_cut_off_and_frees_its_place() {
    let bounds = Bounds { connections_max: 1, request_time_max: Duration::from_secs(1), ..Bounds::default() };
    let (server, _) = start(bounds);
    let mut slow = connect(&server);
    slow.write_all(b"GET /status HT").expect("sent");
    // The only place is taken: this one waits for it.
    let mut waiting = connect(&server);
    waiting.write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert!(!String::from_utf8_lossy(&ended(slow)).contains("200 OK"));
    assert!(String::from_utf8_lossy(&ended(waiting)).contains("200 OK"));
}

#[test]
fn an_address_that_is_taken_is_an_error_that_names_it() {
    let (server, health) = start(Bounds::default());
    let metrics = Metrics::new(&[], &[], 10, 0);
    let error = serve(server.address(), Bounds::default(), health, metrics).expect_err("taken");
    assert!(error.to_string().contains(&server.address().to_string()), "{error}");
}

#[test]
fn after_a_stop_nobody_is_served() {
    let (server, _) = start(Bounds::default());
    let address = server.address();
    assert!(server.stop(PATIENCE));
    assert!(TcpStream::connect(address).is_err());
}
