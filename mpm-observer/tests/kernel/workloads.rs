//! What this test program does when a test runs it as a program of its own: one failure each.

use std::{
    ffi::c_void,
    fs::File,
    net::{TcpListener, TcpStream},
    ptr,
};

use nix::{
    libc,
    sys::{
        resource::{Resource, setrlimit},
        signal::{Signal, kill},
    },
    unistd::{ForkResult, Pid, Uid, fork, setuid},
};

/// The variable that names the workload.
pub const WORKLOAD: &str = "MPM_OBSERVER_WORKLOAD";
/// More than an address space has.
pub const TOO_MUCH: usize = 1 << 47;
pub const MAPPED: usize = 64 << 20;
pub const STACK: usize = 2 << 20;
pub const GROWN: usize = 16 << 20;
pub const DESCRIPTORS: u64 = 40;
pub const PROCESSES: u64 = 3;
/// A user that nobody is.
pub const USER: u32 = 61_234;

#[test]
#[ignore = "other tests run this as a process of its own"]
fn workload() {
    let Ok(name) = std::env::var(WORKLOAD) else {
        return;
    };
    match name.as_str() {
        "map" => map_beyond_the_address_space(),
        "stack" => map_a_thread_stack(),
        "threads" => start_a_thread_between_two_failures(),
        "writable" => make_a_thread_stack_writable(),
        "break" => grow_the_heap(),
        "files" => open_too_many(),
        "user" => {
            setrlimit(Resource::RLIMIT_NPROC, PROCESSES, PROCESSES).unwrap();
            setuid(Uid::from_raw(USER)).unwrap();
            fork_until_refused();
        }
        "fork" => fork_until_refused(),
        "memory" => touch(256 << 20),
        "illegal" => {
            // SAFETY: ends this process, which is what it is for.
            unsafe { std::arch::asm!("ud2") }
        }
        other => panic!("no workload {other}"),
    }
}

/// Anonymous memory of that size, if the kernel gives it.
fn map(bytes: usize) -> Option<*mut c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at no given place.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    (address != libc::MAP_FAILED).then_some(address)
}

/// Bytes of address space and of private writable memory that this process has.
fn in_use() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: Vec<u64> = text
        .split_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    (pages[0] * 4096, pages[5] * 4096)
}

fn map_beyond_the_address_space() {
    let limit = in_use().0 + MAPPED as u64 / 2;
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
    assert!(map(MAPPED).is_none());
}

fn map_a_thread_stack() {
    let limit = in_use().0 + MAPPED as u64 / 2;
    setrlimit(Resource::RLIMIT_AS, limit, limit).unwrap();
    let thread = std::thread::Builder::new().stack_size(MAPPED).spawn(|| ());
    assert!(thread.is_err());
}

/// A thread of the C library, as Rust maps memory of its own for each of its threads.
fn start_a_thread_between_two_failures() {
    assert!(map(TOO_MUCH).is_none());
    extern "C" fn allocate(_: *mut c_void) -> *mut c_void {
        // The thread's first allocation reserves it an arena.
        drop(std::hint::black_box(vec![1_u8; 100]));
        ptr::null_mut()
    }
    // SAFETY: attributes that are made before they are used, and a thread that is waited for.
    unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstacksize(&mut attributes, STACK), 0);
        let mut thread = std::mem::zeroed();
        let made = libc::pthread_create(&mut thread, &attributes, allocate, ptr::null_mut());
        assert_eq!(made, 0);
        assert_eq!(libc::pthread_join(thread, ptr::null_mut()), 0);
    }
    assert!(map(TOO_MUCH).is_none());
}

fn make_a_thread_stack_writable() {
    let limit = in_use().1 + MAPPED as u64 / 2;
    setrlimit(Resource::RLIMIT_DATA, limit, limit).unwrap();
    let thread = std::thread::Builder::new().stack_size(MAPPED).spawn(|| ());
    assert!(thread.is_err());
}

fn grow_the_heap() {
    let limit = in_use().1 + GROWN as u64 / 2;
    setrlimit(Resource::RLIMIT_DATA, limit, limit).unwrap();
    // SAFETY: nothing of the heap is given back.
    let grown = unsafe { libc::sbrk(GROWN as libc::intptr_t) };
    assert_eq!(grown as isize, -1);
}

fn open_too_many() {
    // What was inherited may lie beyond the limit.
    // SAFETY: nothing of this process is open there yet.
    assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).unwrap();
    let mut open = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        open.push(file);
    }
    assert!(listener.accept().is_err());
    drop((client, open));
}

fn fork_until_refused() {
    let mut children = Vec::new();
    // SAFETY: the child does nothing but wait for a signal.
    while let Ok(ForkResult::Parent { child }) = unsafe { fork() }.inspect(|made| {
        if made.is_child() {
            loop {
                nix::unistd::pause();
            }
        }
    }) {
        children.push(child);
    }
    end(&children);
}

fn end(children: &[Pid]) {
    for &child in children {
        kill(child, Signal::SIGTERM).unwrap();
        nix::sys::wait::waitpid(child, None).unwrap();
    }
}

fn touch(bytes: usize) {
    let from = map(bytes).unwrap().cast::<u8>();
    for page in (0..bytes).step_by(4096) {
        // SAFETY: within what was just mapped.
        unsafe { from.add(page).write_volatile(1) };
    }
}
