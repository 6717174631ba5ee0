//! Lines from an admin connection, none longer than the protocol allows.

use crs_admin_api::protocol::LINE_MAX;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// More bytes than a line may have. The connection is of no more use.
    TooLong,
    /// The other end has closed, or the connection broke.
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new() }
    }

    /// The next line. Cancel-safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Line {
        loop {
            let Ok(buffer) = self.reader.fill_buf().await else { return Line::End };
            if buffer.is_empty() {
                return Line::End;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            self.line.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken + usize::from(end.is_some()));
            if self.line.len() > LINE_MAX {
                return Line::TooLong;
            }
            if end.is_some() {
                return Line::Whole(std::mem::take(&mut self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_cut_at_line_feeds_and_bounded() {
        let mut lines = Lines::new(&b"one\n\ntwo"[..]);
        assert_eq!(lines.next().await, Line::Whole(b"one".to_vec()));
        assert_eq!(lines.next().await, Line::Whole(Vec::new()));
        assert_eq!(lines.next().await, Line::End);
        let long = vec![b'x'; LINE_MAX + 1];
        assert_eq!(Lines::new(&long[..]).next().await, Line::TooLong);
        let mut longest = vec![b'x'; LINE_MAX];
        longest.push(b'\n');
        assert_eq!(Lines::new(&longest[..]).next().await, Line::Whole(vec![b'x'; LINE_MAX]));
    }
}
