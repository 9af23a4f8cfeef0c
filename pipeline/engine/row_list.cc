#include "pipeline/engine/row_list.h"

#include <algorithm>
#include <bit>
#include <new>

namespace bellwether {

static_assert(std::endian::native == std::endian::little);

// The pointers to the next rows stand behind it, then the entry.
class RowList::Node {
 public:
  explicit Node(int height) : height_(static_cast<uint32_t>(height)) {
    for (int level = 0; level < height; ++level) new (place(level)) std::atomic<Node*>(nullptr);
  }
  int height() const { return static_cast<int>(height_); }
  Node* next(int level) const { return place(level)->load(std::memory_order_acquire); }
  Node* next_by_writer(int level) const { return place(level)->load(std::memory_order_relaxed); }
  void set_next(int level, Node* node) { place(level)->store(node, std::memory_order_release); }
  char* entry() const { return reinterpret_cast<char*>(place(height())); }

  uint64_t first = 0;  // RowKey::first

 private:
  std::atomic<Node*>* place(int level) const {
    auto* const end = const_cast<Node*>(this) + 1;
    return reinterpret_cast<std::atomic<Node*>*>(end) + level;
  }
  uint32_t height_;
};

size_t RowList::node_bytes(int height, size_t entry_bytes) {
  static_assert(sizeof(Node) % alignof(std::atomic<Node*>) == 0);
  return sizeof(Node) + static_cast<size_t>(height) * sizeof(std::atomic<Node*>) + entry_bytes;
}
RowList::Node* RowList::make_node(void* memory, int height) { return new (memory) Node(height); }
char* RowList::entry(Node* node) { return node->entry(); }
const char* RowList::entry(const Node* node) { return node->entry(); }
RowKey RowList::key(const Node* node) { return RowKey::of_entry(node->entry()); }

RowList::RowList(void* head) : head_(make_node(head, kHeight)) { std::fill_n(path_, kHeight, head_); }

// A quarter of the rows of a level stand on the next one.
int RowList::next_height() {
  random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;
  return 1 + std::min(std::countr_zero(random_ | uint64_t{1} << 60) / 2, kHeight - 1);
}

int RowList::compare(const Node* node, const RowKey& key) {
  if (node->first != key.first) return node->first < key.first ? -1 : 1;
  const std::string_view internal = RowKey::internal_of(node->entry());
  const std::string_view user = internal.substr(0, internal.size() - RowKey::kTagBytes);
  if (const int c = user.compare(key.user); c != 0) return c;
  uint64_t tag;
  std::memcpy(&tag, user.data() + user.size(), sizeof tag);
  return tag == key.tag ? 0 : tag > key.tag ? -1 : 1;
}

bool RowList::is_before(const Node* node, const RowKey& key) { return compare(node, key) < 0; }

bool RowList::insert(Node* node) {
  const RowKey key = RowList::key(node);
  node->first = key.first;
  const int height = height_.load(std::memory_order_relaxed);
  // Up from where the last one went, until a level's step leads over the row; down from there.
  int level = 0;
  for (; level < height; ++level) {
    if (path_[level] != head_ && !is_before(path_[level], key)) continue;
    const Node* const next = path_[level]->next_by_writer(level);
    if (next == nullptr || !is_before(next, key)) break;
  }
  Node* at = level < height ? path_[level] : head_;
  for (int l = std::min(level, height) - 1; l >= 0; --l) {
    for (Node* next = at->next_by_writer(l); next != nullptr && is_before(next, key); next = at->next_by_writer(l))
      at = next;
    path_[l] = at;
  }
  if (const Node* next = path_[0]->next_by_writer(0); next != nullptr && compare(next, key) == 0) return false;
  const int own = node->height();
  for (int l = height; l < own; ++l) path_[l] = head_;
  if (own > height) height_.store(own, std::memory_order_relaxed);
  for (int l = 0; l < own; ++l) node->set_next(l, path_[l]->next_by_writer(l));
  for (int l = 0; l < own; ++l) {
    path_[l]->set_next(l, node);
    path_[l] = node;
  }
  return true;
}

// `next` is the one that was seen behind it, not the one that may stand there by now: a newer version of the key would
// be before the key that is looked for.
RowList::Place RowList::find(const RowKey& key) const {
  const Node* at = head_;
  const Node* not_before = nullptr;
  for (int l = height_.load(std::memory_order_relaxed) - 1; l >= 0; --l)
    for (const Node* next = at->next(l); next != not_before; next = at->next(l)) {
      if (!is_before(next, key)) {
        not_before = next;
        break;
      }
      at = next;
    }
  return {at, not_before};
}

const RowList::Node* RowList::first() const { return head_->next(0); }
const RowList::Node* RowList::after(const Node* node) { return node->next(0); }
const RowList::Node* RowList::not_before(const RowKey& key) const { return find(key).next; }

const RowList::Node* RowList::before(const RowKey& key) const {
  const Node* const found = find(key).at;
  return found == head_ ? nullptr : found;
}

const RowList::Node* RowList::not_after(const RowKey& key) const {
  const Place found = find(key);
  if (found.next != nullptr && compare(found.next, key) == 0) return found.next;
  return found.at == head_ ? nullptr : found.at;
}

const RowList::Node* RowList::last() const {
  const Node* at = head_;
  for (int l = height_.load(std::memory_order_relaxed) - 1; l >= 0; --l)
    for (const Node* next = at->next(l); next != nullptr; next = at->next(l)) at = next;
  return at == head_ ? nullptr : at;
}

}  // namespace bellwether
