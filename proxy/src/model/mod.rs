//! One owner task per master: it alone holds the keyspace, applies the stream, and answers.

pub mod ask;
