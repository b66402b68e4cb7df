//! Module data, which nobody but the module understands: skipped by its own tags.
//!
//! ```text
//!   value: len id | item ... | len 0          aux: len id | len 2 | len when | item ... | len 0
//!   item:  len tag | 1, 2: len    3: 4 bytes    4: 8 bytes    5: string
//! ```
//!
//! Servers ignore an unknown tag and read on as if it had no payload; here it is an error. Type 6
//! has no tags at all and cannot be skipped.

use super::error::ErrorKind;
use super::item::{Item, ModuleName, Sink};
use super::limits::BATCH;
use super::machine::{Head, Machine, State, item};
use super::opcode::ValueType;
use super::read::{Parts, Role, Stop};

/// The tag of the phase that stands before the items of aux data.
const TAG_UINT: u64 = 2;

impl Machine {
    pub(super) fn module_head<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = self.name(parts)?;
        let start = parts.position();
        let module = ModuleName::from_id(parts.length()?);
        self.begin(
            Head {
                name,
                kind: ValueType::Module2,
                count: 0,
            },
            start,
            sink,
        )?;
        sink.item(Item::Module { name: module });
        self.state = State::Module { aux: false };
        Ok(())
    }

    pub(super) fn module_aux<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        let name = ModuleName::from_id(parts.length()?);
        match parts.length()? {
            TAG_UINT => {}
            other => return Err(ErrorKind::ModuleTag(other).into()),
        }
        let _when = parts.length()?;
        sink.item(Item::ModuleAux { name });
        self.state = State::Module { aux: true };
        Ok(())
    }

    pub(super) fn module_items<'a, P: Parts<'a>, S: Sink>(
        &mut self,
        aux: bool,
        parts: &mut P,
        sink: &mut S,
    ) -> Result<(), Stop> {
        for _ in 0..BATCH {
            let mut is_end = false;
            item(parts, |parts| {
                match parts.length()? {
                    0 => is_end = true,
                    1 | TAG_UINT => drop(parts.length()?),
                    3 => drop(parts.array::<4>()?),
                    4 => drop(parts.array::<8>()?),
                    5 => drop(parts.string(Role::Size)?),
                    other => return Err(ErrorKind::ModuleTag(other).into()),
                }
                Ok(())
            })?;
            match (is_end, aux) {
                (false, _) => {}
                (true, true) => {
                    self.state = State::Objects;
                    return Ok(());
                }
                (true, false) => {
                    self.end_object(parts.position(), sink);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
