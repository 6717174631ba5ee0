//! Durations as people write them on a command line: `10s`, `500ms`, `2m`, `1h`, or bare seconds.

use std::time::Duration;

/// Longest duration that is taken.
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Parses a duration of at most [`DURATION_MAX`]; the error says what was expected.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = || format!("expected a time such as 10s, 2m or 500ms, got {text:?}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| refuse())?;
    let millis = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(refuse()),
    };
    let time = millis.map(Duration::from_millis).filter(|time| *time <= DURATION_MAX);
    time.ok_or_else(|| format!("at most {}h, got {text:?}", DURATION_MAX.as_secs() / 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_nonsense_is_refused() {
        assert_eq!(parse("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse("7"), Ok(Duration::from_secs(7)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse("168h"), Ok(DURATION_MAX));
        for text in ["", "s", "1d", "-1s", "1 s", "9999999999999999999s", "169h", "604801"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
