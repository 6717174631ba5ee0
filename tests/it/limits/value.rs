//! Values as the sources and the page write them, in one unit: a number, bytes, or milliseconds.

/// A constant expression: integers, `*`, `<<`, and `Duration::from_…`. `None` for anything else.
pub(super) fn of_source(expression: &str) -> Option<u64> {
    let expression = expression.trim().trim_start_matches("std::time::");
    let durations = [("Duration::from_secs(", 1000), ("Duration::from_millis(", 1)];
    for (start, unit) in durations {
        if let Some(inner) = expression.strip_prefix(start) {
            return product(inner.strip_suffix(')')?)?.checked_mul(unit);
        }
    }
    if let Some((value, shift)) = expression.split_once(" << ") {
        return product(value)?.checked_shl(shift.parse().ok()?);
    }
    product(expression)
}

fn product(expression: &str) -> Option<u64> {
    expression.split('*').map(|factor| factor.trim().replace('_', "").parse::<u64>().ok()).product()
}

/// The number and unit at the start of a cell.
pub(super) fn of_document(cell: &str) -> Option<u64> {
    let mut words = cell.split_whitespace();
    let first = words.next()?.trim_end_matches(',');
    if let Some(power) = first.strip_prefix("2^") {
        return 1_u64.checked_shl(power.parse().ok()?);
    }
    let number: u64 = first.parse().ok()?;
    let unit = match words.next().map(|unit| unit.trim_end_matches(',')) {
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("s") => 1000,
        Some("day" | "days") => 86_400_000,
        // A rate; a plain number follows the same rule as a number with a noun.
        Some("a") => return None,
        Some(_) | None => 1,
    };
    number.checked_mul(unit)
}

#[test]
fn both_ways_of_writing_mean_the_same() {
    for (source, document) in [
        ("96 * 1024", "96 KiB"),
        ("1 << 20", "1 MiB"),
        ("65_536", "65536"),
        ("Duration::from_secs(35 * 86_400)", "35 days"),
        ("std::time::Duration::from_secs(30)", "30 s"),
        ("Duration::from_millis(80)", "80 ms"),
        ("1 << 53", "2^53"),
    ] {
        assert!(of_source(source).is_some());
        assert_eq!(of_source(source), of_document(document), "{source}");
    }
    assert_ne!(of_source("95 * 1024"), of_document("96 KiB"));
    assert_eq!((of_source("BODY_MAX - 4096"), of_document("none")), (None, None));
}
