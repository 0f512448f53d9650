//! A load of requests over connections that stay open, the same for every server.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;

use crate::Anything;

/// A load: so many requests over so many connections, for each of these cookies in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    pub(crate) cookies: &'a [String],
    pub(crate) requests: usize,
    pub(crate) connections: usize,
}

impl Load<'_> {
    /// Sends it; the answer of the last request.
    pub(crate) fn send(self) -> Result<String, Anything> {
        thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.connections).map(|number| scope.spawn(move || self.connection(number))).collect();
            let mut last = String::new();
            for thread in threads {
                last = thread.join().map_err(|_| "a connection's thread panicked")??;
            }
            Ok(last)
        })
    }

    fn connection(self, number: usize) -> Result<String, Anything> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_nodelay(true)?;
        let mut last = String::new();
        for request in (number..self.requests).step_by(self.connections) {
            let cookie = &self.cookies[request % self.cookies.len()];
            let head = "GET / HTTP/1.1\r\nHost: app.example\r\nAccept: */*\r\nCookie: ";
            stream.write_all(format!("{head}{cookie}\r\n\r\n").as_bytes())?;
            last = answer(&mut stream)?;
            if !last.starts_with("HTTP/1.1 200") {
                return Err(last.into());
            }
        }
        Ok(last)
    }
}

fn answer(stream: &mut TcpStream) -> Result<String, Anything> {
    let mut bytes = Vec::with_capacity(1024);
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("the connection was closed".into());
        }
        bytes.extend_from_slice(&buffer[..read]);
        let text = std::str::from_utf8(&bytes)?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        if body.len() >= length.parse()? {
            return Ok(text.to_owned());
        }
    }
}
