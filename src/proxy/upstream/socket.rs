//! Whether a kept connection is still good, asked of the system itself.
//!
//! What a runtime knows of a socket is as old as its last look. An upstream that
//! has ended a connection since then would get a request that it never reads, and
//! nobody could tell whether it has.

use rustix::net::{RecvFlags, recv};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// The socket of one connection, besides the stream that reads and writes it.
/// To be dropped with that: as long as it lives, the socket is not closed.
pub(super) struct Socket {
    descriptor: OwnedFd,
    /// Whether bytes that nobody has asked for may come: what TLS has to say.
    may_speak: bool,
}

impl Socket {
    pub(super) fn new(stream: impl AsFd, is_encrypted: bool) -> io::Result<Self> {
        Ok(Self { descriptor: stream.as_fd().try_clone_to_owned()?, may_speak: is_encrypted })
    }

    /// Whether the other side has neither ended the connection nor said what is
    /// out of turn.
    pub(super) fn is_quiet(&self) -> bool {
        match recv(&self.descriptor, &mut [0; 1][..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => false,
            Ok(_) => self.may_speak,
            Err(error) => error == rustix::io::Errno::AGAIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    fn pair(is_encrypted: bool) -> (Socket, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Socket::new(&ours, is_encrypted).unwrap(), ours, listener.accept().unwrap().0)
    }

    #[test]
    fn a_socket_is_quiet_until_the_other_side_speaks_or_ends_it() {
        for is_encrypted in [false, true] {
            let (socket, ours, mut theirs) = pair(is_encrypted);
            assert!(socket.is_quiet());
            theirs.write_all(b"HTTP/1.1 408 ").unwrap();
            ours.peek(&mut [0]).unwrap();
            assert_eq!(socket.is_quiet(), is_encrypted);
            let (socket, ours, theirs) = pair(is_encrypted);
            drop(theirs);
            ours.peek(&mut [0]).unwrap();
            assert!(!socket.is_quiet());
        }
    }
}
