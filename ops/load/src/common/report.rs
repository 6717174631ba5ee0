//! The result: a table for people, one JSON object for programs.

use serde_json::Value;

/// Upper end of latency histograms in milliseconds; longer ones count as this.
pub const HOUR_MS: u64 = 3_600_000;

/// Prints a result object.
pub fn print(report: &Value, json: bool) {
    if json {
        println!("{report}");
        return;
    }
    if let Value::Object(fields) = report {
        let width = fields.keys().map(String::len).max().unwrap_or(0);
        for (name, value) in fields {
            match value.as_str() {
                Some(text) => println!("{name:width$}  {text}"),
                None => println!("{name:width$}  {value}"),
            }
        }
    }
}
