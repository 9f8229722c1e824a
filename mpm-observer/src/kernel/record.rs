//! Records as they come out of the ring buffer.

use mpm_observer_common::{FailureRecord, RecordKind, RequestRecord, TaskRecord, TraceEvent};

/// One record from the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A request, at its end.
    Request(RequestRecord),
    /// A task, at its end.
    Task(TaskRecord),
    /// An event of a trace.
    Trace(TraceEvent),
    /// A failure.
    Failure(FailureRecord),
}

impl Record {
    /// Reads a record from the bytes of a ring-buffer entry; `None` if its kind is unknown or
    /// its length is not the kind's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?);
        match RecordKind::from_word(word)? {
            RecordKind::Request if bytes.len() == RequestRecord::SHORT => {
                let mut whole = [0; size_of::<RequestRecord>()];
                whole[..bytes.len()].copy_from_slice(bytes);
                copy(&whole).map(Self::Request)
            }
            RecordKind::Request => copy(bytes).map(Self::Request),
            RecordKind::Task => copy(bytes).map(Self::Task),
            RecordKind::Trace => copy(bytes).map(Self::Trace),
            RecordKind::Failure => copy(bytes).map(Self::Failure),
        }
    }
}

/// `T` must be valid for every bit pattern: the record types are, they hold integers alone.
fn copy<T: Copy>(bytes: &[u8]) -> Option<T> {
    // SAFETY: the length is checked, and an unaligned read needs no alignment.
    (bytes.len() == size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<T>(value: &T) -> Vec<u8> {
        // SAFETY: plain integers without padding.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
            .to_vec()
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let request = RequestRecord {
            kind: RecordKind::Request as u32,
            ordinal: 7,
            bytes_out: 1 << 40,
            ..RequestRecord::default()
        };
        assert_eq!(
            Record::from_bytes(&bytes_of(&request)),
            Some(Record::Request(request))
        );
    }

    #[test]
    fn a_failure_is_read_back_as_it_was_written() {
        let failure = FailureRecord {
            kind: RecordKind::Failure as u32,
            errno: 12,
            arguments: [0, 8_392_704, 0, 0x2_0022],
            returned: -12,
            resident_pages: FailureRecord::MISSING,
            ..FailureRecord::default()
        };
        let bytes = bytes_of(&failure);
        assert_eq!(Record::from_bytes(&bytes), Some(Record::Failure(failure)));
        assert_eq!(Record::from_bytes(&bytes[..bytes.len() - 8]), None);
    }

    #[test]
    fn a_record_without_its_tail_has_zeros_there() {
        let request = RequestRecord {
            kind: RecordKind::Request as u32,
            on_cpu_ns: 5,
            faults_major: 6,
            ..RequestRecord::default()
        };
        assert!(request.is_short());
        let bytes = bytes_of(&request);
        assert_eq!(
            Record::from_bytes(&bytes[..RequestRecord::SHORT]),
            Some(Record::Request(request))
        );
        assert_eq!(Record::from_bytes(&bytes[..RequestRecord::SHORT - 8]), None);
    }

    #[test]
    fn a_record_of_wrong_length_or_kind_is_refused() {
        let task = TaskRecord {
            kind: RecordKind::Task as u32,
            ..TaskRecord::default()
        };
        let bytes = bytes_of(&task);
        assert_eq!(Record::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Record::from_bytes(&[9, 0, 0, 0]), None);
        assert_eq!(Record::from_bytes(&[1]), None);
    }
}
