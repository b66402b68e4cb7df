//! One line of ACL LIST, as far as advice needs it: who may log in without a password, and who may
//! run every command. The line also has hashes of passwords (`#..`), which are passed over.
//!
//! ```text
//! user app on #5e88.. sanitize-payload ~app:* &* -@all +@read +@write (~log:* +@all)
//! ```
//!
//! Rules count from left to right (Redis 6.0 and Valkey 9.1 `ACLSetUser`); from 7.0 on a user has
//! selectors in brackets beside them, each a list of rules of its own.

/// What is known of the users of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// Not asked yet.
    #[default]
    Untold,
    /// ACL LIST is not permitted, or the server has none.
    Refused,
    /// The first [`USERS_MAX`], in the server's order.
    Listed(Vec<User>),
}

impl Users {
    /// The users, if they were told.
    #[must_use]
    pub fn listed(&self) -> Option<&[User]> {
        match self {
            Users::Untold | Users::Refused => None,
            Users::Listed(users) => Some(users),
        }
    }
}

/// Users that are kept of one server.
pub const USERS_MAX: usize = 1_000;

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its name, with what cannot be printed replaced.
    pub name: Box<str>,
    /// It can log in.
    pub is_on: bool,
    /// Any password is right.
    pub is_open: bool,
    /// What it may run, by its rules or by one of its selectors.
    pub reach: Reach,
}

/// How much a user may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Neither of the others.
    #[default]
    Limited,
    /// The commands of `@dangerous` or of `@admin`.
    Dangerous,
    /// `+@all`, with nothing of it taken away as a category.
    Everything,
}

impl User {
    /// Reads one line; `None` if it is not one.
    #[must_use]
    pub fn parse(line: &[u8]) -> Option<User> {
        let line = String::from_utf8_lossy(line);
        let mut words = line.split_ascii_whitespace();
        if words.next()? != "user" {
            return None;
        }
        let printable = |c: char| if c.is_control() { '?' } else { c };
        let mut user = User {
            name: words.next()?.chars().map(printable).collect(),
            ..User::default()
        };
        let mut root = Rules::default();
        let mut selector = Rules::default();
        let mut in_selector = false;
        for word in words {
            if let Some(first) = word.strip_prefix('(') {
                (selector, in_selector) = (Rules::default(), true);
                selector.take(first.trim_end_matches(')'));
            } else if in_selector {
                selector.take(word.trim_end_matches(')'));
            } else {
                match word {
                    "on" => user.is_on = true,
                    "nopass" => user.is_open = true,
                    rule => root.take(rule),
                }
            }
            if in_selector && word.ends_with(')') {
                in_selector = false;
                user.reach = user.reach.max(selector.reach());
            }
        }
        user.reach = user.reach.max(root.reach());
        Some(user)
    }
}

/// What one list of rules comes to.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    all: bool,
    dangerous: bool,
    admin: bool,
}

impl Rules {
    fn take(&mut self, rule: &str) {
        match rule {
            "+@all" | "allcommands" => {
                *self = Rules {
                    all: true,
                    dangerous: true,
                    admin: true,
                }
            }
            "-@all" | "nocommands" => *self = Rules::default(),
            "+@dangerous" => self.dangerous = true,
            // Most of `@admin` is in `@dangerous`, and the other way round.
            "-@dangerous" => *self = Rules::default(),
            "+@admin" => self.admin = true,
            "-@admin" => (self.all, self.admin) = (false, false),
            _ => {}
        }
    }

    fn reach(self) -> Reach {
        match (self.all, self.dangerous || self.admin) {
            (true, _) => Reach::Everything,
            (false, true) => Reach::Dangerous,
            (false, false) => Reach::Limited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_6_and_of_9_are_read() {
        let hash = "#5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";
        let app = format!("user app on {hash} sanitize-payload ~app:* resetchannels -@all +@read");
        let ops = format!("user ops on {hash} ~* &* -@all +@admin");
        for (line, name, is_on, is_open, reach) in [
            (
                "user default on nopass ~* +@all",
                "default",
                true,
                true,
                Reach::Everything,
            ),
            (
                "user default on nopass sanitize-payload ~* &* +@all",
                "default",
                true,
                true,
                Reach::Everything,
            ),
            (
                "user alice off ~* &* -@all",
                "alice",
                false,
                false,
                Reach::Limited,
            ),
            (&app, "app", true, false, Reach::Limited),
            (&ops, "ops", true, false, Reach::Dangerous),
            (
                "user most on ~* +@all -@dangerous",
                "most",
                true,
                false,
                Reach::Limited,
            ),
            (
                "user some on ~x -@all +get (~y -@all +@all)",
                "some",
                true,
                false,
                Reach::Everything,
            ),
            (
                "user one on ~x -@all +get (+@dangerous)",
                "one",
                true,
                false,
                Reach::Dangerous,
            ),
            (
                "user gone on ~x -@all +@dangerous -@dangerous +get",
                "gone",
                true,
                false,
                Reach::Limited,
            ),
        ] {
            let expected = User {
                name: name.into(),
                is_on,
                is_open,
                reach,
            };
            assert_eq!(User::parse(line.as_bytes()), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_line_is_none_and_hashes_are_nowhere() {
        for line in ["", "user", "users default on", "default on nopass"] {
            assert_eq!(User::parse(line.as_bytes()), None, "{line}");
        }
        let user = User::parse(b"user \x01\xff on #abc123 >secret ~*").unwrap();
        assert_eq!(&*user.name, "?\u{fffd}");
        assert!(!format!("{user:?}").contains("abc123"));
    }
}
