//! The maps, and the way records leave the kernel.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, PerCpuArray, RingBuf, Stack, ring_buf::RingBufEntry},
};
use mpm_observer_common::{
    ConnState, Counter, FailureRecord, FailureSource, MAX_CONNS, MAX_TASKS, Mappings, PORTS,
    RING_BYTES, TaskState, TraceWindow,
};

use crate::trace::Interrupts;

/// Thread id to slot in `TASKS`; 0: not a task of the server. As long as the kernel's `pid_max`
/// (set by the loader), so that the question "is it ours" costs two loads.
#[map]
static SLOT_OF_PID: Array<u32> = Array::with_max_entries(32_768, 0);

/// The server's tasks by slot; slot 0 is unused.
#[map]
static TASKS: Array<TaskState> = Array::with_max_entries(MAX_TASKS + 1, 0);

/// Free slots of `TASKS`, filled by the loader.
#[map]
static FREE_SLOTS: Stack<u32> = Stack::with_max_entries(MAX_TASKS, 0);

/// Connections by address of their socket.
#[map]
static CONNS: HashMap<u64, ConnState> = HashMap::with_max_entries(MAX_CONNS, 0);

/// The socket that this CPU established last: the listener's wake-up that follows at once is
/// for it.
#[map]
static LAST_ESTABLISHED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// What each task mapped, by its slot; slot 0 is unused.
#[map]
static MAPPINGS: Array<Mappings> = Array::with_max_entries(MAX_TASKS + 1, 0);

/// The socket that listens on each of the server's ports, by the port's place; 0: not seen yet, or
/// closed. Of several on one port it is the first that was seen.
#[map]
static LISTENERS: Array<u64> = Array::with_max_entries(PORTS as u32, 0);

/// By [`Counter`], `TraceSource` and [`FailureSource`].
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(FailureSource::COUNTERS, 0);

/// When events are traced.
#[map]
static TRACE_WINDOW: Array<TraceWindow> = Array::with_max_entries(1, 0);

/// What runs on each CPU besides its task; kept while events are traced.
#[map]
static INTERRUPTS: PerCpuArray<Interrupts> = PerCpuArray::with_max_entries(1, 0);

/// Records on their way to user space.
#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// The reader polls on a clock; waking it for each record would cost more than the record.
const BPF_RB_NO_WAKEUP: u64 = 1;

/// Adds one to a counter; returns its new value on this CPU.
#[inline(always)]
pub(crate) fn count(counter: Counter) -> u64 {
    count_at(counter as u32)
}

/// [`count`], by index.
#[inline(always)]
pub(crate) fn count_at(index: u32) -> u64 {
    let Some(value) = COUNTERS.get_ptr_mut(index) else {
        return 0;
    };
    // SAFETY: this CPU's own value. Each counter belongs to one program, which the kernel does
    // not nest on a CPU; another one may interrupt it between load and store.
    unsafe {
        *value += 1;
        *value
    }
}

/// Copies a record to the ring buffer and keeps the books; false if it did not fit.
#[inline(always)]
pub(crate) fn emit<T>(record: &T, sent: Counter, lost: Counter) -> bool {
    count(sent);
    let fits = output(record);
    if !fits {
        count(lost);
    }
    fits
}

/// Copies a record to the ring buffer; false if it did not fit.
#[inline(always)]
pub(crate) fn output<T>(record: &T) -> bool {
    RECORDS.output::<T>(record, BPF_RB_NO_WAKEUP).is_ok()
}

/// Room for a failure in the ring buffer; `None` if there is none. To be given to [`submit`].
#[inline(always)]
pub(crate) fn reserve() -> Option<RingBufEntry<FailureRecord>> {
    RECORDS.reserve::<FailureRecord>(0)
}

/// Hands a filled record to the reader.
#[inline(always)]
pub(crate) fn submit(record: RingBufEntry<FailureRecord>) {
    record.submit(BPF_RB_NO_WAKEUP);
}

/// What the task in `slot` mapped; of a process, in the slot of its first task. `None` if that has
/// ended already: then its slot is 0.
#[inline(always)]
pub(crate) fn mappings(slot: u32) -> Option<&'static mut Mappings> {
    if slot == 0 {
        return None;
    }
    // SAFETY: the memory stays the map's. What a process's tasks add at once is added atomically.
    MAPPINGS
        .get_ptr_mut(slot)
        .map(|mappings| unsafe { &mut *mappings })
}

/// The socket that listens on the port in `place`; 0: not seen yet, or closed.
#[inline(always)]
pub(crate) fn listener(place: u32) -> u64 {
    // SAFETY: one aligned word.
    LISTENERS.get(place).copied().unwrap_or(0)
}

/// Notes the socket that listens on the port in `place`.
#[inline(always)]
pub(crate) fn set_listener(place: u32, sk: u64) {
    if let Some(listener) = LISTENERS.get_ptr_mut(place) {
        // SAFETY: one aligned word.
        unsafe { *listener = sk };
    }
}

/// When events are to be traced.
#[inline(always)]
pub(crate) fn trace_window() -> TraceWindow {
    // SAFETY: the loader alone writes it; a torn read would trace one event too many or too few.
    TRACE_WINDOW.get(0).copied().unwrap_or_default()
}

/// What runs on this CPU besides its task.
#[inline(always)]
pub(crate) fn interrupts() -> Option<&'static mut Interrupts> {
    // SAFETY: this CPU's own value; interrupts nest, but each kind has a word of its own.
    INTERRUPTS
        .get_ptr_mut(0)
        .map(|state| unsafe { &mut *state })
}

/// The slot of a thread id; 0 for tasks that are not the server's.
#[inline(always)]
pub(crate) fn slot_of(pid: u32) -> u32 {
    // SAFETY: written only when a task begins or ends.
    SLOT_OF_PID.get(pid).copied().unwrap_or(0)
}

/// The state of the task in `slot`, which must not be 0.
#[inline(always)]
pub(crate) fn task(slot: u32) -> Option<&'static mut TaskState> {
    // SAFETY: only the task itself, or its parent before it runs, changes its state.
    TASKS.get_ptr_mut(slot).map(|state| unsafe { &mut *state })
}

/// Gives `pid` a slot of its own; `None` if none is free, or if the number is higher than any was
/// when the table was made.
#[inline(always)]
pub(crate) fn take_slot(pid: u32) -> Option<&'static mut TaskState> {
    let slot = FREE_SLOTS.pop().ok().flatten()?;
    if SLOT_OF_PID.set(pid, slot, 0).is_err() {
        let _ = FREE_SLOTS.push(slot, 0);
        return None;
    }
    task(slot)
}

/// Gives the slot of a task that ended back.
#[inline(always)]
pub(crate) fn return_slot(pid: u32, slot: u32) {
    let _ = SLOT_OF_PID.set(pid, 0, 0);
    let _ = FREE_SLOTS.push(slot, 0);
}

/// The state of the connection behind a socket.
#[inline(always)]
pub(crate) fn conn(sk: u64) -> Option<&'static mut ConnState> {
    // SAFETY: the memory stays the map's. A connection's events follow one another, but for the
    // arrival of bytes, which writes fields that no other event writes then, and for a reset that
    // arrives in the instant of a read or send: that record may be torn.
    CONNS.get_ptr_mut(sk).map(|state| unsafe { &mut *state })
}

/// What a new connection begins with; too large for a program's stack.
static EMPTY_CONN: ConnState = ConnState::EMPTY;

/// Begins to follow a connection; `None` if the table is full.
#[inline(always)]
pub(crate) fn add_conn(sk: u64) -> Option<&'static mut ConnState> {
    // By reference: a copy would be on the stack.
    #[allow(clippy::needless_borrows_for_generic_args)]
    CONNS.insert(sk, &EMPTY_CONN, 0).ok()?;
    conn(sk)
}

/// Begins to follow a connection that stood before; `None` if the table is full or if it is
/// followed already.
#[inline(always)]
pub(crate) fn add_conn_that_stood(sk: u64) -> Option<&'static mut ConnState> {
    const BPF_NOEXIST: u64 = 1;
    #[allow(clippy::needless_borrows_for_generic_args)]
    CONNS.insert(sk, &EMPTY_CONN, BPF_NOEXIST).ok()?;
    conn(sk)
}

/// Stops following a connection.
#[inline(always)]
pub(crate) fn remove_conn(sk: u64) {
    let _ = CONNS.remove(sk);
}

/// Notes the socket that this CPU has just established.
#[inline(always)]
pub(crate) fn set_last_established(sk: u64) {
    if let Some(last) = LAST_ESTABLISHED.get_ptr_mut(0) {
        // SAFETY: this CPU's own value.
        unsafe { *last = sk };
    }
}

/// Takes that note back: 0 if there is none.
#[inline(always)]
pub(crate) fn take_last_established() -> u64 {
    let Some(last) = LAST_ESTABLISHED.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own value.
    unsafe { core::mem::replace(&mut *last, 0) }
}
