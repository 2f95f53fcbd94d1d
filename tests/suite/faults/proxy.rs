//! A proxy between the program and the broker that harms chosen requests: the end of a transaction above all.
//!
//! Owns the frames of Kafka's protocol as far as it needs them: a length, and in requests the API's number and the name
//! of the client. What nobody aims at passes as it is. What is encrypted it can only pass on, and cut.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// `EndTxn`: a commit or an abort.
pub const END_TRANSACTION: i16 = 26;
/// `Produce`: records.
pub const PRODUCE: i16 = 0;
/// `OffsetFetch`: what has the group committed?
pub const FETCH_OFFSETS: i16 = 9;
/// A frame larger than this is none.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It never arrives, and the connection breaks.
    LoseRequest,
    /// It arrives, its answer does not, and the connection breaks.
    LoseAnswer,
    /// Its answer, and all that follow on the connection, take so many milliseconds.
    DelayAnswer(u64),
    /// Its answer takes so many milliseconds; what follows does not wait for it.
    DelayAnswerAlone(u64),
    /// The connection breaks at once; the request arrives so many milliseconds later (Jepsen on Kafka).
    LateRequest(u64),
    /// It waits, and all that follow on the connection, until it is let go.
    Hold,
}

struct Aim {
    api: i16,
    client: Option<String>,
    harm: Harm,
}

#[derive(Default)]
struct Gate {
    holding: usize,
    releases: u64,
}

#[derive(Default)]
struct Shared {
    aims: Mutex<Vec<Aim>>,
    gate: Mutex<Gate>,
    opened: Condvar,
    closed: AtomicBool,
    connections: AtomicU64,
    /// The clients' ends of those that stand.
    standing: Mutex<BTreeMap<u64, TcpStream>>,
}

impl Shared {
    /// The harm for this request, once.
    fn harm(&self, api: i16, client: &[u8]) -> Option<Harm> {
        let mut aims = locked(&self.aims);
        let meant = |aim: &Aim| {
            aim.api == api && aim.client.as_ref().is_none_or(|wanted| wanted.as_bytes() == client)
        };
        let at = aims.iter().position(meant)?;
        Some(aims.remove(at).harm)
    }

    /// Waits until what is held is let go.
    fn wait(&self) {
        let mut gate = locked(&self.gate);
        gate.holding += 1;
        let releases = gate.releases;
        while gate.releases == releases {
            gate = self.opened.wait(gate).unwrap_or_else(PoisonError::into_inner);
        }
        gate.holding -= 1;
    }
}

/// There is one port for a proxy: tests take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A proxy that lives as long as the value.
pub struct Proxy {
    /// Where the program connects to.
    pub address: String,
    /// Whether it reads requests, and can be armed.
    pub reads: bool,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens at `address` and passes everything on to `broker`.
    pub fn start(broker: &str, address: &str) -> Self {
        Self::listen(broker, address, true)
    }

    /// The same for what is encrypted.
    pub fn blind(broker: &str, address: &str) -> Self {
        Self::listen(broker, address, false)
    }

    fn listen(broker: &str, address: &str, reads: bool) -> Self {
        // The one before needs a moment to let go of it.
        let deadline = Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "the proxy's port {address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let shared = Arc::new(Shared::default());
        let (accepting, broker) = (Arc::clone(&shared), broker.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.closed.load(Ordering::Acquire) {
                    break;
                }
                let (Ok(client), Ok(upstream)) = (client, TcpStream::connect(&broker)) else { continue };
                let _ = client.set_nodelay(true);
                let _ = upstream.set_nodelay(true);
                connect(client, upstream, &accepting, reads);
            }
        });
        Self { address: address.to_owned(), reads, shared }
    }

    /// Arms it for the next request of this kind, of this client or of any.
    pub fn arm(&self, api: i16, client: Option<&str>, harm: Harm) {
        assert!(self.reads, "what is encrypted cannot be aimed at");
        locked(&self.shared.aims).push(Aim { api, client: client.map(str::to_owned), harm });
    }

    /// True until all that it was armed for has happened.
    pub fn is_armed(&self) -> bool {
        !locked(&self.shared.aims).is_empty()
    }

    /// True while a request is held back.
    pub fn is_holding(&self) -> bool {
        locked(&self.shared.gate).holding > 0
    }

    /// Cuts all connections that stand; says how many there were.
    pub fn cut(&self) -> usize {
        let standing = locked(&self.shared.standing);
        standing.values().filter(|client| client.shutdown(Shutdown::Both).is_ok()).count()
    }

    /// Lets go what is held, and forgets what has not happened.
    pub fn release(&self) {
        locked(&self.shared.aims).clear();
        locked(&self.shared.gate).releases += 1;
        self.shared.opened.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.release();
        let _ = TcpStream::connect(&self.address);
    }
}

/// Correlation ids of requests whose answer is to be harmed.
type Harmed = Arc<Mutex<BTreeMap<i32, Harm>>>;

fn connect(client: TcpStream, upstream: TcpStream, shared: &Arc<Shared>, reads: bool) {
    let harmed = Harmed::default();
    let (from_client, to_broker) = (copy(&client), copy(&upstream));
    let (shared, noted) = (Arc::clone(shared), Arc::clone(&harmed));
    let number = shared.connections.fetch_add(1, Ordering::AcqRel);
    locked(&shared.standing).insert(number, copy(&client));
    std::thread::spawn(move || {
        if reads {
            requests(from_client, to_broker, &shared, &noted);
        } else {
            pass(from_client, to_broker);
        }
        locked(&shared.standing).remove(&number);
    });
    std::thread::spawn(
        move || if reads { answers(upstream, client, &harmed) } else { pass(upstream, client) },
    );
}

/// Bytes as they are, until one end is closed.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

fn requests(mut client: TcpStream, mut broker: TcpStream, shared: &Shared, harmed: &Harmed) {
    while let Some(frame) = read(&mut client) {
        let api = i16::from_be_bytes([frame[4], frame[5]]);
        let correlation = i32::from_be_bytes([frame[8], frame[9], frame[10], frame[11]]);
        match shared.harm(api, client_id(&frame)) {
            None => {}
            Some(Harm::LoseRequest) => break,
            Some(harm @ (Harm::LoseAnswer | Harm::DelayAnswer(_) | Harm::DelayAnswerAlone(_))) => {
                locked(harmed).insert(correlation, harm);
            }
            Some(Harm::LateRequest(millis)) => {
                let _ = client.shutdown(Shutdown::Both);
                std::thread::sleep(Duration::from_millis(millis));
                let _ = broker.write_all(&frame);
                // The broker acts on what it has got before it sees that the connection is gone.
                std::thread::sleep(Duration::from_millis(500));
                break;
            }
            Some(Harm::Hold) => shared.wait(),
        }
        if broker.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = broker.shutdown(Shutdown::Both);
}

fn answers(mut broker: TcpStream, client: TcpStream, harmed: &Harmed) {
    let client = Arc::new(Mutex::new(client));
    while let Some(frame) = read(&mut broker) {
        let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let harm = locked(harmed).remove(&correlation);
        match harm {
            Some(Harm::LoseAnswer) => break,
            Some(Harm::DelayAnswer(millis)) => std::thread::sleep(Duration::from_millis(millis)),
            Some(Harm::DelayAnswerAlone(millis)) => {
                let client = Arc::clone(&client);
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(millis));
                    let _ = locked(&client).write_all(&frame);
                });
                continue;
            }
            _ => {}
        }
        if locked(&client).write_all(&frame).is_err() {
            break;
        }
    }
    // A late request still has to go out: its side closes by itself.
    let _ = locked(&client).shutdown(Shutdown::Both);
}

/// A frame with its length.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let bytes = usize::try_from(i32::from_be_bytes(length)).ok().filter(|bytes| *bytes <= FRAME_BYTES_MAX)?;
    // Requests have at least twelve bytes, answers at least eight; what is shorter is padded for the look at it.
    let mut frame = vec![0; 4 + bytes.max(8)];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..4 + bytes]).ok()?;
    Some(frame)
}

/// The name that a client gives itself, in the header of each request.
fn client_id(frame: &[u8]) -> &[u8] {
    let length = frame.get(12..14).map_or(0, |bytes| i16::from_be_bytes([bytes[0], bytes[1]]));
    let length = usize::try_from(length).unwrap_or(0);
    frame.get(14..14 + length).unwrap_or_default()
}

fn copy(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket is cloned")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
