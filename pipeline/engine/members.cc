#include "pipeline/engine/members.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "operators/codec.h"

namespace bellwether {
namespace {

constexpr size_t kBytes = sizeof(uint64_t);

uint64_t member_at(std::string_view row, size_t i) {
  uint64_t member;
  std::memcpy(&member, row.data() + i * kBytes, kBytes);
  return member;
}

// The place in a row of the first member, from `low` on, that is not below `member`.
size_t place_of(std::string_view row, uint64_t member, size_t low = 0) {
  size_t high = row.size() / kBytes;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (member_at(row, middle) < member) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Who goes (false) and who comes (true); what is said last of a member holds. By member.
using Changes = std::vector<std::pair<uint64_t, bool>>;

bool settled(std::span<const std::string_view> texts, Changes& out) {
  for (const std::string_view text : texts) {
    Reader r(text);
    const uint64_t gone = r.varint();
    const size_t left = r.left();
    if (!r.ok() || left % kBytes != 0 || gone > left / kBytes) return false;
    const std::string_view all = text.substr(text.size() - left);
    for (size_t i = 0; i < left / kBytes; ++i) {
      const uint64_t member = member_at(all, i);
      if (i != 0 && i != gone && member <= out.back().first) return false;
      out.emplace_back(member, i >= gone);
    }
  }
  if (texts.size() == 1) {  // both parts ascend
    const auto come = std::find_if(out.begin(), out.end(), [](const auto& change) { return change.second; });
    std::inplace_merge(out.begin(), come, out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  } else {
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  }
  size_t kept = 0;
  for (size_t i = 0; i < out.size(); ++i)
    if (i + 1 == out.size() || out[i + 1].first != out[i].first) out[kept++] = out[i];
  out.resize(kept);
  return true;
}

}  // namespace

std::string members_change(std::span<const uint64_t> gone, std::span<const uint64_t> come) {
  std::string out;
  out.reserve((gone.size() + come.size()) * kBytes + 3);
  Writer w(out);
  w.varint(gone.size());
  for (const uint64_t member : gone) w.fixed64(member);
  for (const uint64_t member : come) w.fixed64(member);
  return out;
}

bool join_changes(std::span<const std::string_view> changes, std::string& out) {
  Changes all;
  if (!settled(changes, all)) return false;
  std::vector<uint64_t> gone, come;
  for (const auto& [member, comes] : all) (comes ? come : gone).push_back(member);
  out = members_change(gone, come);
  return true;
}

bool change_members(std::string_view row, std::span<const std::string_view> changes, std::string& out) {
  Changes all;
  out.clear();
  if (row.size() % kBytes != 0 || !settled(changes, all)) return false;
  out.reserve(row.size() + all.size() * kBytes);
  const size_t count = row.size() / kBytes;
  size_t next = 0;  // of the row
  for (const auto& [member, comes] : all) {
    const size_t end = place_of(row, member, next);
    out.append(row.data() + next * kBytes, (end - next) * kBytes);
    next = end < count && member_at(row, end) == member ? end + 1 : end;
    if (comes) out.append(reinterpret_cast<const char*>(&member), kBytes);
  }
  out.append(row.data() + next * kBytes, (count - next) * kBytes);
  return true;
}

bool each_member(std::string_view row, absl::FunctionRef<bool(uint64_t)> each, uint64_t least) {
  if (row.size() % kBytes != 0) return false;
  for (size_t i = place_of(row, least); i < row.size() / kBytes; ++i)
    if (!each(member_at(row, i))) break;
  return true;
}

bool each_member_back(std::string_view row, absl::FunctionRef<bool(uint64_t)> each, const uint64_t* end) {
  if (row.size() % kBytes != 0) return false;
  for (size_t i = end != nullptr ? place_of(row, *end) : row.size() / kBytes; i > 0; --i)
    if (!each(member_at(row, i - 1))) break;
  return true;
}

bool has_member(std::string_view row, uint64_t member) {
  const size_t at = place_of(row, member);
  return at < row.size() / kBytes && member_at(row, at) == member;
}

}  // namespace bellwether
