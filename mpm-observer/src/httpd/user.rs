//! The unprivileged user that httpd's children run as.

use nix::unistd::{Gid, Group, Uid, User, setgid, setgroups, setuid};
use serde::{Deserialize, Serialize};

/// The user when none is named: it exists on every system and owns nothing.
const DEFAULT_USER: &str = "nobody";

/// Why a user cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// There is no such user.
    #[error("there is no user `{0}`: name another one with --user NAME")]
    Unknown(String),
    /// httpd refuses to serve as root.
    #[error("httpd does not serve as root: name an unprivileged user with --user NAME")]
    Root,
    /// Only root may start httpd as somebody else.
    #[error("only root can run httpd as `{0}`: run as root, or leave --user out")]
    NotAllowed(String),
    /// A limit counts all tasks of a user on the machine.
    #[error(
        "limits.processes counts every task of httpd's user on this machine, and there is no \
         account of the system (one without a shell) that has no process and no other lab uses"
    )]
    NoneIdle,
    /// The system's user database cannot be read.
    #[error("the user `{name}` cannot be looked up: {source}")]
    Lookup {
        /// The user.
        name: String,
        /// The reason.
        source: nix::Error,
    },
}

/// A user with its group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerUser {
    /// The name, for the `User` directive.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The group for the `Group` directive: its name, or `#` and the number where it has none.
    pub group: String,
    /// The group's number.
    pub gid: u32,
}

impl ServerUser {
    /// Makes this process one of the user's, for good and without further groups.
    ///
    /// # Errors
    /// When this process is neither root nor the user's already.
    pub fn take_over(&self) -> nix::Result<()> {
        let gid = Gid::from_raw(self.gid);
        setgroups(&[gid])?;
        setgid(gid)?;
        setuid(Uid::from_raw(self.uid))
    }
}

/// The user to run httpd's children as: the one named, or `nobody`. `None` when the lab is not
/// root: then they run as the lab's own user.
///
/// # Errors
/// When the user does not exist, is root, or cannot be become.
pub fn choose(named: Option<&str>) -> Result<Option<ServerUser>, UserError> {
    choose_as(Uid::effective(), named)
}

fn choose_as(me: Uid, named: Option<&str>) -> Result<Option<ServerUser>, UserError> {
    if !me.is_root() {
        return match named {
            Some(name) if look_up(name)?.uid != me.as_raw() => {
                Err(UserError::NotAllowed(name.to_owned()))
            }
            _ => Ok(None),
        };
    }
    let user = look_up(named.unwrap_or(DEFAULT_USER))?;
    if user.uid == 0 {
        return Err(UserError::Root);
    }
    Ok(Some(user))
}

pub(super) fn look_up(name: &str) -> Result<ServerUser, UserError> {
    let failed = |source| UserError::Lookup {
        name: name.to_owned(),
        source,
    };
    let user = User::from_name(name)
        .map_err(failed)?
        .ok_or_else(|| UserError::Unknown(name.to_owned()))?;
    let group = Group::from_gid(user.gid).map_err(failed)?;
    Ok(ServerUser {
        name: user.name,
        uid: user.uid.as_raw(),
        group: group.map_or_else(|| format!("#{}", user.gid), |group| group.name),
        gid: user.gid.as_raw(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Uid = Uid::from_raw(0);
    const SOMEBODY: Uid = Uid::from_raw(4_000_000);

    #[test]
    fn root_gives_its_rights_up_to_nobody() {
        let user = choose_as(ROOT, None).unwrap().unwrap();
        assert_eq!(user.name, "nobody");
        assert_ne!(user.uid, 0);
        assert!(!user.group.is_empty());
    }

    #[test]
    fn an_ordinary_user_stays_itself() {
        assert_eq!(choose_as(SOMEBODY, None).unwrap(), None);
        let error = choose_as(SOMEBODY, Some("nobody")).unwrap_err();
        assert!(matches!(error, UserError::NotAllowed(_)), "{error}");
    }

    #[test]
    fn root_and_unknown_users_are_refused() {
        assert!(matches!(
            choose_as(ROOT, Some("root")),
            Err(UserError::Root)
        ));
        let error = choose_as(ROOT, Some("no-such-user")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no user `no-such-user`: name another one with --user NAME"
        );
    }
}
