//! Ordinary traffic, as Suricata logs it: browsing and names in the offices, polling in the control network.
//!
//! Owns the mix of EVE events and the bodies of each type. Called by the parent and, for the bodies, by `attack`.

use super::cast::{Address, Host, Org, POWER, Place};
use super::pen::{Connection, Pen};
use crate::demo::clock::{Form, Stamp};

/// Modbus over TCP.
pub const MODBUS_PORT: u16 = 502;
const DNS_PORT: u16 = 53;
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The two stations of the control room; only they speak with the controllers.
const CONTROL_STATIONS: &[Address] = &[Address([10, 99, 1, 10]), Address([10, 99, 1, 11])];
/// Last bytes of the controllers' addresses, 10.99.1.x.
const CONTROLLERS: (u64, u64) = (20, 60);

const NAMES: &[&str] = &[
    "www.example.com",
    "mail.example.net",
    "cdn.example.org",
    "time.example.net",
    "weather.example.com",
    "timetable.partner.example",
    "crl.authority.example",
];
const PATHS: &[&str] = &["/", "/index.html", "/api/v1/status", "/crl/root.crl", "/news/today"];
const REMARKS: &[(u64, &str, &str)] = &[
    (1_117_001, "NOROSHI INFO time server outside the list", "Misc activity"),
    (1_117_002, "NOROSHI INFO TLS certificate close to expiry", "Not Suspicious Traffic"),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Flow,
    Dns,
    Tls,
    Http,
    Poll,
    Remark,
}

const IN_OFFICES: &[(u64, Kind)] =
    &[(400, Kind::Flow), (350, Kind::Dns), (200, Kind::Tls), (48, Kind::Http), (2, Kind::Remark)];
const WITH_CONTROL: &[(u64, Kind)] = &[
    (450, Kind::Poll),
    (200, Kind::Flow),
    (180, Kind::Dns),
    (120, Kind::Tls),
    (48, Kind::Http),
    (2, Kind::Remark),
];

/// One ordinary event of the organisation's sensor.
pub fn write(pen: &mut Pen, org: &'static Org) -> Vec<u8> {
    let kinds = if org.at == POWER.at { WITH_CONTROL } else { IN_OFFICES };
    let client = Host::workstation(org, &mut pen.random).address();
    let port = pen.random.between(49_152, 65_535) as u16;
    let source = (client, port);
    let outside = Address::outside(&mut pen.random);
    let name = pen.random.pick(NAMES);
    match pen.random.weighted(kinds) {
        Kind::Flow => {
            let at = pen.random.below(org.servers.len() as u64) as usize;
            let server = Host { org, place: Place::Server(at) }.address();
            let (port, app) = pen.random.pick(&[(445, "smb"), (88, "krb5"), (389, "ldap"), (1433, "failed")]);
            flow(pen, Connection { source, destination: (server, port), protocol: "TCP", app });
        }
        Kind::Dns => dns(pen, source, org, name),
        Kind::Tls => tls(pen, Connection::tcp(source, (outside, HTTPS_PORT), "tls"), name),
        Kind::Http => {
            let path = pen.random.pick(PATHS);
            http(pen, Connection::tcp(source, (outside, HTTP_PORT), "http"), name, path);
        }
        Kind::Poll => {
            let station = pen.random.pick(CONTROL_STATIONS);
            let controller = Address([10, 99, 1, pen.random.between(CONTROLLERS.0, CONTROLLERS.1) as u8]);
            flow(pen, Connection::tcp((station, port), (controller, MODBUS_PORT), "modbus"));
        }
        Kind::Remark => {
            let (id, signature, category) = pen.random.pick(REMARKS);
            let connection = Connection::tcp(source, (outside, HTTPS_PORT), "tls");
            alert(pen, connection, Signature { id, signature, category, severity: 3 });
        }
    }
    pen.eve_done()
}

impl Connection {
    /// A TCP connection.
    pub fn tcp(source: (Address, u16), destination: (Address, u16), app: &'static str) -> Self {
        Self { source, destination, protocol: "TCP", app }
    }
}

/// What an alert of the sensor says.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// `signature_id`.
    pub id: u64,
    /// Its text.
    pub signature: &'static str,
    /// Its category.
    pub category: &'static str,
    /// 1 is the worst.
    pub severity: u8,
}

/// A finished connection with its counts.
pub fn flow(pen: &mut Pen, connection: Connection) {
    let (sent, received) = (pen.random.between(4, 60), pen.random.between(4, 90));
    let (began, sent_size, received_size) = (
        pen.now - pen.random.between(20_000, 90_000_000) as i64,
        pen.random.between(60, 700),
        pen.random.between(60, 1_400),
    );
    let ended = pen.now - 10_000;
    pen.eve("flow", connection);
    let body = pen.body();
    body.open("flow");
    body.raw("pkts_toserver", sent);
    body.raw("pkts_toclient", received);
    body.raw("bytes_toserver", sent * sent_size);
    body.raw("bytes_toclient", received * received_size);
    body.text("start", Stamp { us: began, form: Form::Eve });
    body.text("end", Stamp { us: ended, form: Form::Eve });
    body.raw("age", (ended - began) / 1_000_000);
    body.text("state", "closed");
    body.text("reason", "timeout");
    body.raw("alerted", false);
    body.close();
}

/// A question to the organisation's resolver.
pub fn dns(pen: &mut Pen, source: (Address, u16), org: &'static Org, name: &str) {
    let resolver = Host { org, place: Place::Server(0) }.address();
    let id = pen.random.below(65_536);
    let destination = (resolver, DNS_PORT);
    pen.eve("dns", Connection { source, destination, protocol: "UDP", app: "" });
    let body = pen.body();
    body.open("dns");
    body.text("type", "query");
    body.raw("id", id);
    body.text("rrname", name);
    body.text("rrtype", "A");
    body.raw("tx_id", 0);
    body.raw("opcode", 0);
    body.close();
}

/// An alert of the sensor's own rules.
pub fn alert(pen: &mut Pen, connection: Connection, signature: Signature) {
    pen.eve("alert", connection);
    let body = pen.body();
    body.open("alert");
    body.text("action", "allowed");
    body.raw("gid", 1);
    body.raw("signature_id", signature.id);
    body.raw("rev", 1);
    body.text("signature", signature.signature);
    body.text("category", signature.category);
    body.raw("severity", signature.severity);
    body.close();
}

fn tls(pen: &mut Pen, connection: Connection, name: &str) {
    pen.eve("tls", connection);
    let body = pen.body();
    body.open("tls");
    body.text("sni", name);
    body.text("version", "TLS 1.3");
    body.text("subject", format_args!("CN={name}"));
    body.text("issuerdn", "C=JP, O=Example Trust Services, CN=Example CA 2");
    body.close();
}

fn http(pen: &mut Pen, connection: Connection, name: &str, path: &str) {
    let length = pen.random.between(300, 40_000);
    pen.eve("http", connection);
    let body = pen.body();
    body.open("http");
    body.text("hostname", name);
    body.text("url", path);
    body.text("http_user_agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)");
    body.text("http_method", "GET");
    body.text("protocol", "HTTP/1.1");
    body.raw("status", 200);
    body.raw("length", length);
    body.close();
}
