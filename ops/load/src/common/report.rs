//! The result: a table for people, one JSON object for programs.

use serde_json::Value;

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
