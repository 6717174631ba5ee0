//! A whole node over a real store in memory tables: restart loses nothing, drain is in order.
