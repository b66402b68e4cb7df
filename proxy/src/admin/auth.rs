//! Who may ask: passwords, and protected mode.
//!
//! As Redis has it: without any password everyone is let in, but only over loopback unless
//! protected mode is off; with one, every connection is locked until AUTH or HELLO ... AUTH.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use crate::config;

/// The user that `AUTH password` means.
pub(crate) const DEFAULT_USER: &str = "default";

/// What a client is told that protected mode keeps out.
pub(crate) const DENIED: &str = "-DENIED Keyscape is in protected mode: it listens beyond \
    loopback and has no password. Either connect from the machine itself, or set admin.password \
    (KEYSCAPE_ADMIN_PASSWORD) or admin.password_file, or add a user, or set admin.protected = false \
    if the network keeps strangers out, and restart it.\r\n";

/// The passwords of the port.
#[derive(Debug)]
pub(crate) struct Users {
    users: Vec<(String, SecretString)>,
    protected: bool,
}

impl Users {
    pub(crate) fn new(config: &config::Admin) -> Users {
        let default = config
            .password
            .iter()
            .map(|password| (DEFAULT_USER.to_owned(), password.clone()));
        let others = config
            .users
            .iter()
            .map(|user| (user.name.clone(), user.password.clone()));
        Users {
            users: default.chain(others).collect(),
            protected: config.protected,
        }
    }

    /// True if a connection must authenticate first.
    pub(crate) fn required(&self) -> bool {
        !self.users.is_empty()
    }

    /// True if a default user has a password, so that `AUTH password` can succeed.
    pub(crate) fn has_default(&self) -> bool {
        self.users.iter().any(|(name, _)| name == DEFAULT_USER)
    }

    /// True if protected mode keeps this peer out.
    pub(crate) fn denies(&self, peer: SocketAddr) -> bool {
        self.protected && !self.required() && !peer.ip().to_canonical().is_loopback()
    }

    /// True if the name and the password belong together. Takes the same time whichever of the two
    /// is wrong, and however much of the password is right.
    pub(crate) fn accepts(&self, name: &[u8], password: &[u8]) -> bool {
        let mut accepted = false;
        for (user, secret) in &self.users {
            let name_same = same(user.as_bytes(), name);
            let secret_same = same(secret.expose_secret().as_bytes(), password);
            accepted |= name_same & secret_same;
        }
        accepted
    }
}

/// Compares without stopping at the first difference. Only the length of the attempt, which the
/// client chose itself, decides how long it takes.
fn same(secret: &[u8], attempt: &[u8]) -> bool {
    let mut difference = usize::from(secret.len() != attempt.len());
    for (index, byte) in attempt.iter().enumerate() {
        let expected = secret.get(index).copied().unwrap_or(0);
        difference |= usize::from(std::hint::black_box(expected ^ byte));
    }
    difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(password: Option<&str>, protected: bool) -> Users {
        Users::new(&config::Admin {
            password: password.map(SecretString::from),
            protected,
            users: password
                .iter()
                .map(|_| config::User {
                    name: "ops".into(),
                    password: "pw2".into(),
                })
                .collect(),
            ..config::Admin::default()
        })
    }

    #[test]
    fn name_and_password_must_both_fit() {
        let users = users(Some("pw1"), true);
        for (name, password, fits) in [
            ("default", "pw1", true),
            ("ops", "pw2", true),
            ("ops", "pw1", false),
            ("default", "pw2", false),
            ("default", "pw", false),
            ("default", "pw11", false),
            ("default", "", false),
            ("nobody", "pw1", false),
        ] {
            assert_eq!(
                users.accepts(name.as_bytes(), password.as_bytes()),
                fits,
                "{name} {password}"
            );
        }
    }

    #[test]
    fn protected_mode_keeps_strangers_out_unless_there_is_a_password() {
        let far = "10.1.2.3:5".parse().expect("an address");
        let near = "127.0.0.1:5".parse().expect("an address");
        let mapped = "[::ffff:127.0.0.1]:5".parse().expect("an address");
        assert!(users(None, true).denies(far));
        assert!(!users(None, true).denies(near));
        assert!(!users(None, true).denies(mapped));
        assert!(!users(None, false).denies(far));
        assert!(!users(Some("pw"), true).denies(far));
    }
}
