//! The links of programs to their hooks: made, taken away, made again.

use aya::{
    Btf,
    programs::{
        BtfTracePoint, Iter, Program as AyaProgram, ProgramError, tp_btf::BtfTracePointLinkId,
    },
};

use super::{Hook, KernelError, Program, Watch};

/// An attached program.
#[derive(Debug)]
pub(super) struct Linked {
    pub(super) probe: &'static str,
    pub(super) program: &'static Program,
    /// `None` while the watch pauses.
    pub(super) link: Option<Link>,
}

/// What detaching takes.
pub(super) type Link = BtfTracePointLinkId;

/// Loads a program for its hook.
pub(super) fn load(program: &mut AyaProgram, hook: Hook, btf: &Btf) -> Result<(), ProgramError> {
    match hook {
        Hook::TpBtf(name) => <&mut BtfTracePoint>::try_from(program)?.load(name, btf),
        Hook::Iter(name) => <&mut Iter>::try_from(program)?.load(name, btf),
    }
}

/// Attaches a loaded program to its tracepoint.
pub(super) fn attach(program: &mut AyaProgram) -> Result<Link, ProgramError> {
    <&mut BtfTracePoint>::try_from(program)?.attach()
}

/// Takes a link away. The kernel does it before this returns: the hook of a tracepoint that nobody
/// else uses costs nothing then, and system calls take their fast way again.
fn detach(program: &mut AyaProgram, link: Link) -> Result<(), ProgramError> {
    <&mut BtfTracePoint>::try_from(program)?.detach(link)
}

impl Watch {
    /// Detaches all programs; they stay loaded, and the maps stay as they are. This is for
    /// measuring what watching costs, and for the end of a watch: what happens until [`Watch::resume`]
    /// is in no record, and what the maps say of tasks and connections is out of date then.
    /// Connections that are established meanwhile stay unknown. Without effect on a watch that
    /// pauses.
    ///
    /// # Errors
    /// When a program cannot be detached.
    pub fn pause(&mut self) -> Result<(), KernelError> {
        for index in (0..self.linked.len()).rev() {
            let linked = &mut self.linked[index];
            let (name, hook) = (linked.program.name, linked.program.hook);
            let Some(link) = linked.link.take() else {
                continue;
            };
            detach(self.program(name)?, link).map_err(|error| KernelError::Detach {
                hook: hook.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// Attaches the programs again after [`Watch::pause`].
    ///
    /// # Errors
    /// When a program cannot be attached.
    pub fn resume(&mut self) -> Result<(), KernelError> {
        for index in 0..self.linked.len() {
            let Linked {
                probe,
                program,
                link: None,
            } = self.linked[index]
            else {
                continue;
            };
            let link =
                attach(self.program(program.name)?).map_err(|error| KernelError::Attach {
                    probe,
                    hook: program.hook.to_string(),
                    reason: error.to_string(),
                })?;
            self.linked[index].link = Some(link);
        }
        Ok(())
    }
}
