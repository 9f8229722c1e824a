//! The connections that are followed, read from the programs' table while it changes.

use std::collections::HashSet;

use aya::maps::MapError;
use mpm_observer_common::ConnState;

use super::{KernelError, Watch};

/// So many times as many keys are read as the table has places, at most.
const WALKS: usize = 2;

impl Watch {
    /// The connections that are followed, each once. One that begins or ends meanwhile may be among
    /// them.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn connections(&self) -> Result<Vec<ConnState>, KernelError> {
        let mut connections = Vec::new();
        for key in self.connection_keys()? {
            connections.extend(self.connection(key)?);
        }
        Ok(connections)
    }

    /// The sockets' addresses by which the connections are found.
    pub(super) fn connection_keys(&self) -> Result<HashSet<u64>, KernelError> {
        let steps = WALKS * self.max_conns as usize;
        Ok(distinct(self.connections.keys().take(steps))?)
    }

    /// The connection with that key; `None` if it has ended.
    pub(super) fn connection(&self, key: u64) -> Result<Option<ConnState>, KernelError> {
        match self.connections.get(&key, 0) {
            Ok(connection) => Ok(Some(connection)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Each key once. The kernel begins again at the first key of a table if the one that it was asked
/// to go on from has been removed meanwhile.
fn distinct<E>(keys: impl Iterator<Item = Result<u64, E>>) -> Result<HashSet<u64>, E> {
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_again_because_one_was_removed_are_there_once() {
        // 3 was removed when the one after it was asked for.
        let walk = [1, 2, 3, 1, 2, 4, 5].map(Ok::<u64, MapError>);
        let keys = distinct(walk.into_iter()).unwrap();
        assert_eq!(keys, HashSet::from([1, 2, 3, 4, 5]));
    }

    #[test]
    fn a_table_that_cannot_be_read_is_an_error() {
        let walk = [
            Ok(1),
            Err(MapError::OutOfBounds {
                index: 1,
                max_entries: 1,
            }),
        ];
        assert!(distinct(walk.into_iter()).is_err());
    }
}
