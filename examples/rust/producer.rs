//! Puts N tasks (10 if not said) in one batch, over HTTP with the standard library: the ids make it safe to run again.
use std::io::{self, Read, Write};
use std::{env, net::TcpStream};

fn main() -> io::Result<()> {
    let server = env::var("GLASSQ_SERVER").unwrap_or("http://127.0.0.1:5080".into());
    let host = server.trim_start_matches("http://");
    let count: u32 = env::args().nth(1).map_or(10, |n| n.parse().expect("a count"));
    let lines: String = (1..=count).map(|i| format!("{{\"id\":\"rust-{i}\",\"body\":\"http://localhost:8888/?q={i}\"}}\n")).collect();
    let mut connection = TcpStream::connect(host)?;
    write!(connection, "POST /v1/queues/tasks/tasks?answer=count HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
        Content-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{lines}", lines.len())?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    println!("{answer}");
    assert!(answer.starts_with("HTTP/1.1 200"));
    Ok(())
}
