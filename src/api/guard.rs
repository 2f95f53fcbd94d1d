//! Bounds on HTTP clients: how many, how long, how much.
//!
//! Owns a listener that axum serves from. It hands out connections that end at a deadline and after a number of
//! bytes read, and never more at once than permitted: the others wait in the system's queue. Called by `api`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// What a client may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once.
    pub connections_max: usize,
    /// From the acceptance of a connection to the last byte of its response.
    pub request_time_max: Duration,
    /// Bytes that are read from a connection: request line, headers and body together.
    pub request_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections_max: 32, request_time_max: Duration::from_secs(10), request_bytes_max: 16 * 1024 }
    }
}

/// A listener whose connections are bounded.
pub struct Guarded {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    bounds: Bounds,
}

impl Guarded {
    /// Bounds the connections of `listener`.
    pub fn new(listener: TcpListener, bounds: Bounds) -> Self {
        Self { listener, slots: Arc::new(Semaphore::new(bounds.connections_max.max(1))), bounds }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The semaphore is never closed; if it were, serving without the bound would be wrong.
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return std::future::pending().await;
        };
        // axum's listener waits a second where the process has run out of file descriptors.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            deadline: Box::pin(tokio::time::sleep(self.bounds.request_time_max)),
            bytes_left: self.bounds.request_bytes_max,
            _slot: slot,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection with a deadline and a bound on what is read from it.
pub struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    /// An error once the deadline has passed; otherwise wakes the task when it does.
    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client took too long")),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        if self.bytes_left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too large")));
        }
        let mut part = buffer.take(self.bytes_left);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
        let filled = part.filled().to_vec();
        self.bytes_left -= filled.len();
        buffer.put_slice(&filled);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
