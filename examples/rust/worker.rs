//! A worker behind the pipe: glassq work pipe -- ./worker. A line is a lease, the answer is a result.
//! A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds.
use std::io::{self, BufRead, Write};
use std::{thread, time::Duration};

fn work(lease: &str) -> &'static str {
    if let Some(rest) = lease.split("\"body\":{\"sleep\":").nth(1) {
        match rest.split([',', '}']).next().unwrap_or("").parse::<f64>() {
            Ok(seconds) => thread::sleep(Duration::from_secs_f64(seconds)),
            Err(_) => return r#"{"o":{"ok":0,"err":"bad_task"}}"#,
        }
    }
    if lease.contains("\"body\":{\"fail\":true") { r#"{"o":{"ok":0}}"# } else { r#"{"o":{"ok":1}}"# }
}

fn main() -> io::Result<()> {
    let mut out = io::stdout().lock();
    for lease in io::stdin().lock().lines() {
        writeln!(out, "{}", work(&lease?))?;
        out.flush()?;
    }
    Ok(())
}
