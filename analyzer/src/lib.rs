//! A value-free model of one master's keyspace, kept exact by its command stream.

pub mod acl;
pub mod advice;
pub mod bridge;
pub mod census;
pub mod command;
pub mod flows;
pub mod glob;
pub mod heat;
pub mod input;
pub mod keyspace;
pub mod patterns;
pub mod profile;
pub mod size;
pub mod slots;
pub mod text;
pub mod value;
pub mod view;
pub mod whatif;

mod aggregate;
mod audit;
mod store;

pub use keyspace::Keyspace;
pub use profile::Profile;
pub use text::Text;
