//! Which top-level field a parse error is about. Runs on the error path only.

/// The last top-level key that starts before `line`:`column` (1-based, as serde_json counts).
pub(super) fn key_at(text: &str, line: usize, column: usize) -> Option<&str> {
    let line_start: usize =
        text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let end = line_start.checked_add(column)?.min(text.len());
    let bytes = text.as_bytes().get(..end)?;
    let mut depth = 0usize;
    let mut key = None;
    let mut expect_key = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => {
                let close = string_end(bytes, at + 1);
                if depth == 1 && expect_key {
                    key = text.get(at + 1..close);
                    expect_key = false;
                }
                at = close;
            }
            b'{' | b'[' => {
                depth += 1;
                expect_key = depth == 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 1 => expect_key = true,
            _ => {}
        }
        at += 1;
    }
    key
}

/// Index of the closing quote of a string that starts at `from`, or the end of the text.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
