// A sorted list of rows in memory, to which one thread adds while others read: what a memtable is (rocks_list.cc). A
// commit adds its rows in their order, so a row is looked for from where the last one went: a few steps, where a search
// from the top compares with some thirty others, each somewhere else in memory.
//
// Rows are entries of a memtable: varint length, user key, 8 bytes of tag (little-endian: sequence and type), whatever
// follows. In order of the user key's bytes, of the same key the greater tag first.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace bellwether {

// What rows are ordered by.
struct RowKey {
  static constexpr size_t kTagBytes = 8;
  std::string_view user;
  uint64_t tag = 0;
  uint64_t first = 0;  // the first 8 bytes of `user`, big-endian: most comparisons end with them

  // `internal`: user key and tag.
  static RowKey of(std::string_view internal) {
    RowKey key;
    key.user = internal.substr(0, internal.size() - kTagBytes);
    std::memcpy(&key.tag, internal.data() + key.user.size(), kTagBytes);
    key.first = first_of(key.user);
    return key;
  }
  static RowKey of_entry(const char* entry) { return of(internal_of(entry)); }
  static std::string_view internal_of(const char* entry) {
    size_t size = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto b = static_cast<unsigned char>(*entry++);
      size |= static_cast<size_t>(b & 0x7f) << shift;
      if (b < 0x80) return {entry, size};
    }
  }
  static uint64_t first_of(std::string_view user) {
    uint64_t first = 0;
    std::memcpy(&first, user.data(), user.size() < sizeof first ? user.size() : sizeof first);
    return __builtin_bswap64(first);
  }
};

class RowList {
 public:
  static constexpr int kHeight = 12;  // for some 4^12 rows

  // Memory for a row, from which its entry is at entry(): the caller's, of node_bytes(), aligned as a pointer is, and
  // there as long as the list. `height` from next_height(), once a row.
  class Node;
  static size_t node_bytes(int height, size_t entry_bytes);
  static Node* make_node(void* memory, int height);
  static char* entry(Node* node);
  static const char* entry(const Node* node);

  // `head`: of a node of kHeight and no entry.
  explicit RowList(void* head);
  RowList(const RowList&) = delete;
  RowList& operator=(const RowList&) = delete;

  // By one thread at a time:
  int next_height();
  bool insert(Node* node);  // false where a row of the same key and tag is there; its entry is written

  // By any:
  const Node* first() const;
  const Node* last() const;                         // null: there is none
  const Node* not_before(const RowKey& key) const;  // the first
  const Node* before(const RowKey& key) const;      // the last
  const Node* not_after(const RowKey& key) const;   // the last
  static const Node* after(const Node* node);       // the next one
  static RowKey key(const Node* node);

 private:
  struct Place {
    const Node* at;    // the last before the key, or the head
    const Node* next;  // the first that is not
  };
  Place find(const RowKey& key) const;
  static bool is_before(const Node* node, const RowKey& key);
  static int compare(const Node* node, const RowKey& key);

  Node* const head_;
  std::atomic<int> height_{1};
  Node* path_[kHeight];  // the last before, or at, what was inserted last, by level
  uint64_t random_ = 0x9E3779B97F4A7C15U;
};

}  // namespace bellwether
