// What a restart reads: the progress row, the control log, keys. Any bytes are refused or read; what is read is written
// back to the same.
#include "pipeline/engine/control.h"
#include "pipeline/engine/keys.h"
#include "pipeline/engine/list_rows.h"
#include "pipeline/engine/members.h"
#include "pipeline/engine/meta.h"
#include "pipeline/engine/row_patch.h"
#include "tests/fuzz/checks.h"

namespace bellwether::fuzz {
namespace {

void progress_row(std::string_view bytes) {
  EngineProgress progress, again;
  if (!progress.decode(bytes)) return;
  (void)progress.account();
  const std::string first = progress.encode();
  require(again.decode(Exact(first).view()), "progress: refuses what it wrote itself");
  require(again.encode() == first, "progress: what it wrote reads as something else");
}

// Rows of the control log, each behind its length; their keys count from 1 unless the input says otherwise.
void control_rows(Input& in) {
  const auto store = make_memory_store();
  const auto set = store->new_write_set();
  uint64_t number = 1;
  for (int rows = 0; rows < 16 && !in.empty(); ++rows, ++number) {
    const uint8_t how = in.byte();
    const auto size = in.number<uint16_t>();
    set->put(Family::kControl, how == 255 ? std::string(in.text()) : keys::number(number), in.bytes(size));
  }
  const Status written = store->write(*set, true);
  require(written.ok(), written.message);
  ControlLog log;
  if (!read_control(*store, log).ok()) return;
  // What was read, written again, is read as the same.
  const auto copy = make_memory_store();
  const auto copied = copy->new_write_set();
  number = 1;
  for (const ConfigVersion& v : log.versions) copied->put(Family::kControl, keys::number(number++), encode(v));
  for (const auto& [old, row] : log.floors) copied->put(Family::kControl, keys::number(number++), encode(row));
  require(copy->write(*copied, true).ok(), "a store in memory fails");
  ControlLog again;
  const Status status = read_control(*copy, again);
  require(status.ok(), "control log: refuses what it wrote itself: " + status.message);
  require(again.versions.size() == log.versions.size() && again.floors.size() == log.floors.size(), "rows are lost");
  for (size_t i = 0; i < log.versions.size(); ++i)
    require(encode(again.versions[i]) == encode(log.versions[i]), "a configuration reads as another one");
  for (size_t i = 0; i < log.floors.size(); ++i)
    require(encode(again.floors[i].second) == encode(log.floors[i].second), "a floor reads as another one");
}

// A parser that takes the bytes gives the key that is written as these bytes.
template <class Key, class Parse, class Write>
void key(std::string_view bytes, Parse parse, Write write, const char* name) {
  Key k{};
  if (parse(bytes, k)) require(write(k) == bytes, std::string(name) + " key: reads as another one");
}

// Whether both parts of a change ascend and nobody is in both.
bool plain(const std::string& change) {
  std::string again;
  const std::string_view one = change;
  return join_changes({&one, 1}, again) && again == change;
}

// A row of a board: a good one is what it says, written anew.
void board_row(std::string_view bytes) {
  IndexKey first;
  if (bytes.size() < 12 || !keys::parse_members(bytes.substr(0, 12), first)) return;
  const std::string_view row = bytes.substr(12);
  std::vector<uint64_t> hashes;
  const ListRow is = each_listed(bytes.substr(0, 12), row, [&](const IndexKey& at) {
    require(keys::members(at) == bytes.substr(0, 12), "a board's row names who belongs elsewhere");
    hashes.push_back(at.key.hash);
  });
  require(is != ListRow::kNone, "a board's key is of no list");
  if (is == ListRow::kGood) require(members_change({}, hashes).substr(1) == row, "a board's row reads as another one");
}

// A row and two changes, each behind its length: worked in one by one, at once and joined, they give the same.
void changes_of_members(Input& in) {
  const auto text = [&] { return std::string(in.bytes(in.number<uint16_t>())); };
  const std::string row = text(), one = text(), two = text();
  std::string between, after, at_once, joined;
  const std::vector<std::string_view> both = {one, two};
  const bool good = change_members(row, std::span(both).first(1), between) &&
                    change_members(between, std::span(both).subspan(1), after);
  require(change_members(row, both, at_once) == good, "changes of members: refused at once, not one by one, or so");
  if (!join_changes(both, joined)) return require(!good, "changes of members: cannot be joined");
  std::vector<uint64_t> hashes;
  uint64_t last = 0;
  bool ascends = each_member(row, [&](uint64_t member) {
    if (!hashes.empty() && member <= last) return false;
    hashes.push_back(last = member);
    return true;
  });
  ascends &= hashes.size() * sizeof(uint64_t) == row.size();
  if (!good || !ascends || !plain(one) || !plain(two)) return;  // else no order is promised
  require(at_once == after, "changes of members: at once they give another row");
  const std::string_view as_one = joined;
  require(change_members(row, {&as_one, 1}, at_once) && at_once == after, "changes of members: joined, another row");
}

// A row and two texts, each behind its length: as patches they give one row at once and one by one, or none; and what
// is made of one row and another gives the other.
void patches(Input& in) {
  const auto text = [&] { return std::string(in.bytes(in.number<uint16_t>())); };
  const std::string row = text(), one = text(), two = text();
  const std::vector<std::string_view> both = {one, two};
  std::string between, after, at_once;
  // Only the last one's sum is looked at where there are several.
  if (apply_patches(row, std::span(both).first(1), between) &&
      apply_patches(between, std::span(both).subspan(1), after))
    require(apply_patches(row, both, at_once) && at_once == after, "patches: at once they give another row");
  std::string patch;
  require(make_patch(row, one, SIZE_MAX, patch), "a patch was not made");
  const std::string_view made = patch;
  require(apply_patches(row, {&made, 1}, after) && after == one, "a patch gives another row than it was made for");
}

}  // namespace

void check_progress(std::string_view input) {
  Input in(input);
  const uint8_t which = in.byte() % 11;
  if (which == 1) return control_rows(in);
  if (which == 9) return changes_of_members(in);
  if (which == 10) return patches(in);
  const Exact rest(in.rest());
  const std::string_view bytes = rest.view();
  switch (which) {
    case 0:
      return progress_row(bytes);
    case 2: {
      // The slice stands in front for the order and says again what the hash says: it is not read.
      StateKey k;
      if (keys::parse_state(bytes, k)) require(keys::state(k).substr(2) == bytes.substr(2), "a state's key");
      return;
    }
    case 3:
      return key<TimerKey>(bytes, keys::parse_timer, keys::timer, "timer");
    case 4:
      return key<IndexKey>(bytes, keys::parse_index, keys::index, "index");
    case 5:
      return key<DeadKey>(bytes, keys::parse_dead, keys::dead, "dead letter");
    case 6:
      key<CounterId>(bytes, keys::parse_counter, keys::counter, "counter");
      return key<uint64_t>(bytes, keys::parse_number, keys::number, "number");
    case 8:
      return board_row(bytes);
    default: {
      OutKind kind{};
      ChangeId id;
      if (keys::parse_change(bytes, kind, id)) require(keys::change(kind, id) == bytes, "a change's key");
    }
  }
}

}  // namespace bellwether::fuzz
