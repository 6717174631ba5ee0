//! Runs the real program against a node that is a thread of this test.

#[cfg(test)]
mod completion;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod help;
#[cfg(test)]
mod hints;
#[cfg(test)]
mod output;
#[cfg(test)]
mod streaming;
#[cfg(test)]
mod upload;
