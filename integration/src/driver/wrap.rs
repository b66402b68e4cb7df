//! Commands in company: transactions, scripts and functions.

use crate::resp::Command;
use crate::seed::Rng;

use super::command::c;

/// Calls every command that it is handed as a count and that many words; failures are passed over.
const BODY: &str = "local i = 1
while i <= #ARGV do
  local n = tonumber(ARGV[i])
  local words = {}
  for j = 1, n do words[j] = ARGV[i + j] end
  redis.pcall(unpack(words))
  i = i + n + 1
end
return 0";

/// A function library with the same body.
pub(super) const LIBRARY: &str = "#!lua name=keyscape_driver
redis.register_function('driver_run', function(KEYS, ARGV)
  local i = 1
  while i <= #ARGV do
    local n = tonumber(ARGV[i])
    local words = {}
    for j = 1, n do words[j] = ARGV[i + j] end
    redis.pcall(unpack(words))
    i = i + n + 1
  end
  return 0
end)";

/// The commands between MULTI and EXEC, or rarely DISCARD; with `selects` the database changes
/// in between.
pub(super) fn transaction(rng: &mut Rng, body: Vec<Command>, selects: bool) -> Vec<Command> {
    let mut all = vec![c("MULTI").done()];
    for command in body {
        if selects && rng.one_in(15) {
            all.push(c("SELECT").a(rng.range(0, 1)).done());
        }
        all.push(command);
    }
    all.push(c(if rng.one_in(30) { "DISCARD" } else { "EXEC" }).done());
    all
}

/// The commands as one script, or as one call of the library's function. A cluster wants a key by
/// which to find the slot.
pub(super) fn script(body: &[Command], function: bool, key: Option<String>) -> Command {
    let head = if function {
        c("FCALL").a("driver_run")
    } else {
        c("EVAL").a(BODY)
    };
    let words = body.iter().flat_map(|command| {
        std::iter::once(command.len().to_string().into_bytes()).chain(command.iter().cloned())
    });
    let head = head.a(if key.is_some() { "1" } else { "0" }).opt(key);
    head.all(words).done()
}
