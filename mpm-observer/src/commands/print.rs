//! What is printed. A reader that has enough and is gone, as `head`, is no error: the standard
//! library's macros would panic.

use std::{
    fmt::Arguments,
    io::{self, ErrorKind, Write},
};

use super::Exit;

/// To standard output. If that takes nothing, as a full disk, the program ends: nobody shall take
/// what was cut off for the whole.
pub(super) fn out(text: Arguments<'_>) {
    if let Err(error) = write_to(&mut io::stdout().lock(), text) {
        err(format_args!(
            "mpm-observer: standard output takes nothing more: {error}\n"
        ));
        std::process::exit(Exit::Failed.code());
    }
}

/// To standard error. There is nobody else who could be told if that fails.
pub(super) fn err(text: Arguments<'_>) {
    let _ = io::stderr().write_fmt(text);
}

fn write_to(to: &mut impl Write, text: Arguments<'_>) -> io::Result<()> {
    match to.write_fmt(text).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error_and_a_full_disk_is_one() {
        let write = |kind| write_to(&mut Refusing(kind), format_args!("text"));
        assert!(write(ErrorKind::BrokenPipe).is_ok());
        assert!(write(ErrorKind::StorageFull).is_err());
        let mut text = Vec::new();
        write_to(&mut text, format_args!("{}\n", 7)).unwrap();
        assert_eq!(text, b"7\n");
    }
}
