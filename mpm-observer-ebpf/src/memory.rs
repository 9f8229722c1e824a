//! Reading the loader's constants and the kernel's structures.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated::bpf_get_current_task_btf};
use mpm_observer_common::{ABSENT, BlockedIn, FailureRecord, Offsets, PORTS, SYSCALLS, Settings};

/// Written by the loader; frozen, so that each field is a constant to the verifier.
#[unsafe(no_mangle)]
static OFFSETS: Offsets = Offsets {
    task_pid: 0,
    task_tgid: 0,
    task_exit_code: 0,
    task_nvcsw: 0,
    task_nivcsw: 0,
    task_min_flt: 0,
    task_maj_flt: 0,
    task_run_delay: 0,
    task_last_arrival: 0,
    task_iowait: 0,
    task_iowait_mask: 0,
    regs_syscall: 0,
    task_files: 0,
    files_fdt: 0,
    fdtable_fd: 0,
    file_private_data: 0,
    socket_sk: 0,
    sk_family: 0,
    sk_state: 0,
    sk_num: 0,
    sk_wmem_queued: 0,
    sk_sndbuf: 0,
    sk_dport: 0,
    sk_daddr: 0,
    sk_rcv_saddr: 0,
    sk_v6_daddr: 0,
    sk_v6_rcv_saddr: 0,
    sk_net: 0,
    net_number: 0,
    sk_socket: 0,
    regs_di: 0,
    regs_si: 0,
    regs_dx: 0,
    regs_r10: 0,
    task_signal: 0,
    task_mm: 0,
    task_cred: 0,
    task_cgroups: 0,
    signal_rlim: 0,
    mm_total_vm: 0,
    mm_data_vm: 0,
    mm_rss: 0,
    mm_rss_stride: 0,
    cred_euid: 0,
    cred_ucounts: 0,
    ucounts_processes: 0,
    fdtable_max_fds: 0,
    fdtable_open_fds: 0,
    css_set_pids: 0,
    pids_css: 0,
    pids_counter: 0,
    pids_limit: 0,
    css_parent: 0,
    css_set_memory: 0,
    css_memory: 0,
    page_counter_usage: 0,
    page_counter_max: 0,
    page_counter_parent: 0,
    siginfo_code: 0,
    skb_head: 0,
    skb_len: 0,
    skb_network_header: 0,
    inet_sport: 0,
    sk_ack_backlog: 0,
    sk_max_ack_backlog: 0,
};

/// Written by the loader.
#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings {
    ports: [0; PORTS],
    network: 0,
    tracing: 0,
    listen_overflow: 0,
    reserved: 0,
    syscalls: [0; SYSCALLS],
    calls: [0; SYSCALLS],
};

/// The value of `OFFSETS.$field`, read where it is used.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a static of this program; volatile because the loader changes it.
        unsafe { core::ptr::read_volatile(&raw const crate::memory::offsets().$field) }
    };
}
pub(crate) use offset;

pub(crate) fn offsets() -> &'static Offsets {
    &OFFSETS
}

/// The first place in the list of the server's ports of which `test` holds; it gets the place and
/// the port. The list is written out, not walked: its values are constants to the verifier, which
/// takes out what comes after the last port.
#[inline(always)]
pub(crate) fn find_port(test: impl Fn(u32, u16) -> bool) -> Option<u32> {
    macro_rules! places {
        ($($place:literal)*) => {
            $(
                // SAFETY: a static of this program; volatile because the loader changes it.
                let port = unsafe { core::ptr::read_volatile(&raw const SETTINGS.ports[$place]) };
                if port == 0 {
                    return None;
                }
                if test($place, port) {
                    return Some($place);
                }
            )*
            // All are written out.
            const { assert!([$($place),*].len() == PORTS) };
        };
    }
    places!(0 1 2 3 4 5 6 7);
    None
}

/// The place of a port of the server's, host byte order.
#[inline(always)]
pub(crate) fn place_of(number: u16) -> Option<u32> {
    find_port(|_, port| port == number)
}

/// The number of the server's network namespace; 0: any.
#[inline(always)]
pub(crate) fn network() -> u32 {
    // SAFETY: a static of this program; volatile because the loader changes it.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS.network) }
}

/// Whether a socket is in the server's network namespace: elsewhere others may have its ports.
#[inline(always)]
pub(crate) fn is_in_network(sk: *const c_void) -> bool {
    if network() == 0 {
        return true;
    }
    let net: *const c_void = field(sk, offset!(sk_net));
    field::<u32>(net, offset!(net_number)) == network()
}

/// Whether events are traced.
#[inline(always)]
pub(crate) fn tracing() -> bool {
    // SAFETY: as above.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS.tracing) != 0 }
}

/// What a task that blocks in system call `number` is blocked in, as a number of [`BlockedIn`].
#[inline(always)]
pub(crate) fn blocked_in_call(number: u64) -> u32 {
    if number >= SYSCALLS as u64 {
        return BlockedIn::Other as u32;
    }
    let first = (&raw const SETTINGS.syscalls).cast::<u8>();
    // SAFETY: the index was checked; volatile because the loader changes it.
    u32::from(unsafe { core::ptr::read_volatile(first.add(number as usize)) })
}

/// What the end of system call `number` is looked at for: bits of `CallWatch`.
#[inline(always)]
pub(crate) fn call_watch(number: u64) -> u8 {
    if number >= SYSCALLS as u64 {
        return 0;
    }
    let first = (&raw const SETTINGS.calls).cast::<u8>();
    // SAFETY: the index was checked; volatile because the loader changes it.
    unsafe { core::ptr::read_volatile(first.add(number as usize)) }
}

/// The kernel's number of the reason for which it drops what finds the accept queue full.
#[inline(always)]
pub(crate) fn listen_overflow() -> u32 {
    // SAFETY: a static of this program; volatile because the loader changes it.
    unsafe { core::ptr::read_volatile(&raw const SETTINGS.listen_overflow) }
}

/// The running task.
#[inline(always)]
pub(crate) fn current_task() -> *const c_void {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task_btf() as *const c_void }
}

/// Reads a field through a pointer whose type the verifier knows: a plain load, which the kernel
/// makes safe. `base` must be a tracepoint's argument or the current task.
#[inline(always)]
pub(crate) fn field<T: Copy>(base: *const c_void, offset: u32) -> T {
    // SAFETY: the verifier checks base, offset and size against the kernel's types.
    unsafe { core::ptr::read_volatile(base.cast::<u8>().add(offset as usize).cast()) }
}

/// Reads a word at any kernel address; `FailureRecord::MISSING` if it cannot be read. Not inlined:
/// each use would take room of the caller's stack.
#[inline(never)]
pub(crate) fn word(address: u64) -> u64 {
    // SAFETY: the helper accepts any address.
    unsafe { bpf_probe_read_kernel(address as *const u64) }.unwrap_or(FailureRecord::MISSING)
}

/// The word at an offset; missing if there is no base or no such field.
#[inline(always)]
pub(crate) fn word_of(base: u64, offset: u32) -> u64 {
    if base == 0 || base == FailureRecord::MISSING || offset == ABSENT {
        FailureRecord::MISSING
    } else {
        word(base.wrapping_add(u64::from(offset)))
    }
}

/// Reads a field through any kernel pointer; `None` if it cannot be read.
#[inline(always)]
pub(crate) fn probe<T: Copy>(base: *const c_void, offset: u32) -> Option<T> {
    // SAFETY: the helper accepts any address.
    unsafe { bpf_probe_read_kernel(base.cast::<u8>().add(offset as usize).cast()) }.ok()
}
