//! The ports of a server.

use std::fmt;

use mpm_observer_common::PORTS;

/// The ports at which a server is watched, each once, ascending; at most [`PORTS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ports {
    /// 0 ends them.
    list: [u16; PORTS],
}

impl Ports {
    /// The given ones, of which the lowest are taken if there are too many. There is no port 0.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        let mut all: Vec<u16> = ports.into_iter().filter(|port| *port != 0).collect();
        all.sort_unstable();
        all.dedup();
        let mut list = [0; PORTS];
        for (place, port) in list.iter_mut().zip(all) {
            *place = port;
        }
        Self { list }
    }

    /// All, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<> {
        self.list.into_iter().take_while(|port| *port != 0)
    }

    /// The lowest.
    #[must_use]
    pub fn first(&self) -> Option<u16> {
        self.iter().next()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// "port 80", "ports 80 443".
    #[must_use]
    pub fn in_words(&self) -> String {
        match self.iter().count() {
            0 => "no port".into(),
            1 => format!("port {self}"),
            _ => format!("ports {self}"),
        }
    }

    /// As the programs take them.
    #[must_use]
    pub(super) const fn list(&self) -> [u16; PORTS] {
        self.list
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self::new([port])
    }
}

impl From<&[u16]> for Ports {
    fn from(ports: &[u16]) -> Self {
        Self::new(ports.iter().copied())
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports: Vec<String> = self.iter().map(|port| port.to_string()).collect();
        f.pad(&ports.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_ascending_and_there_once() {
        let ports = Ports::new([443, 80, 0, 443]);
        assert_eq!(ports.iter().collect::<Vec<_>>(), [80, 443]);
        assert_eq!((ports.first(), ports.is_empty()), (Some(80), false));
        assert_eq!(ports.to_string(), "80 443");
        assert_eq!(ports.in_words(), "ports 80 443");
        assert_eq!(Ports::from(80).in_words(), "port 80");
        assert_eq!(Ports::default().in_words(), "no port");
        assert!(Ports::from(0).is_empty());
    }

    #[test]
    fn of_too_many_the_lowest_are_taken() {
        let ports = Ports::new((1..=20).rev());
        assert_eq!(ports.iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
