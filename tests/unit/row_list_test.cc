// The list that memtables are, against a sorted map, and read while it grows.
#include "pipeline/engine/row_list.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace bellwether::row_list_test {
namespace {

// User keys upwards, of the same one the greater tag first.
struct ByOrder {
  bool operator()(const std::pair<std::string, uint64_t>& a, const std::pair<std::string, uint64_t>& b) const {
    return a.first != b.first ? a.first < b.first : a.second > b.second;
  }
};
using Key = std::pair<std::string, uint64_t>;

std::string internal(const Key& key) {
  std::string bytes = key.first;
  bytes.append(reinterpret_cast<const char*>(&key.second), sizeof key.second);
  return bytes;
}
std::string entry(const Key& key) {
  const std::string bytes = internal(key);
  std::string out;
  size_t size = bytes.size();
  for (; size >= 0x80; size >>= 7) out.push_back(static_cast<char>(size | 0x80));
  out.push_back(static_cast<char>(size));
  return out + bytes + "value of " + key.first;
}

class Grown {
 public:
  Grown() : list_(take(RowList::node_bytes(RowList::kHeight, 0))) {}
  bool add(const Key& key) {
    const std::string bytes = entry(key);
    const int height = list_.next_height();
    RowList::Node* const node = RowList::make_node(take(RowList::node_bytes(height, bytes.size())), height);
    std::copy(bytes.begin(), bytes.end(), RowList::entry(node));
    return list_.insert(node);
  }
  const RowList& list() const { return list_; }

 private:
  void* take(size_t bytes) {
    memory_.push_back(std::make_unique<uint64_t[]>(bytes / 8 + 1));
    return memory_.back().get();
  }
  std::vector<std::unique_ptr<uint64_t[]>> memory_;
  RowList list_;
};

Key key_of(const RowList::Node* node) {
  const RowKey key = RowList::key(node);
  return {std::string(key.user), key.tag};
}

// Short ones, those that begin alike, those with zeros in them, a long one.
std::string some_user_key(std::mt19937& random) {
  std::string key;
  switch (random() % 4) {
    case 0:
      key.assign(random() % 4, static_cast<char>(random() % 3));
      break;
    case 1:
      key = "the same beginning" + std::to_string(random() % 500);
      break;
    case 2:
      key.assign(8, static_cast<char>(random() % 2 * 255));
      key.append(random() % 3, '\0');
      break;
    default:
      for (size_t n = random() % 300; n > 0; --n) key.push_back(static_cast<char>(random() % 256));
  }
  return key;
}

void expect_same(const RowList& list, const std::map<Key, int, ByOrder>& rows, std::mt19937& random) {
  const RowList::Node* node = list.first();
  for (const auto& [key, unused] : rows) {
    ASSERT_NE(node, nullptr);
    ASSERT_EQ(key_of(node), key);
    node = RowList::after(node);
  }
  EXPECT_EQ(node, nullptr);
  if (rows.empty()) {
    EXPECT_EQ(list.last(), nullptr);
    return;
  }
  EXPECT_EQ(key_of(list.last()), rows.rbegin()->first);
  for (int i = 0; i < 300; ++i) {
    Key wanted{some_user_key(random), random() % 20};
    if (i % 3 == 0) wanted = std::next(rows.begin(), static_cast<ptrdiff_t>(random() % rows.size()))->first;
    const std::string bytes = internal(wanted);
    const RowKey key = RowKey::of(bytes);
    const auto expect = [&](const RowList::Node* found, auto it, bool there) {
      ASSERT_EQ(found != nullptr, there);
      if (there) {
        EXPECT_EQ(key_of(found), it->first);
      }
    };
    const auto from = rows.lower_bound(wanted);
    expect(list.not_before(key), from, from != rows.end());
    expect(list.before(key), from == rows.begin() ? from : std::prev(from), from != rows.begin());
    const auto after = rows.upper_bound(wanted);
    expect(list.not_after(key), after == rows.begin() ? after : std::prev(after), after != rows.begin());
  }
}

TEST(RowList, IsASortedMap) {
  std::mt19937 random(5);
  for (int round = 0; round < 30; ++round) {
    Grown grown;
    std::map<Key, int, ByOrder> rows;
    expect_same(grown.list(), rows, random);
    for (int commit = 0; commit < 8; ++commit) {
      std::vector<Key> batch;
      for (size_t n = random() % 200; n > 0; --n) batch.emplace_back(some_user_key(random), random() % 20);
      // A commit's are in order, most of the time.
      if (random() % 4 != 0) std::sort(batch.begin(), batch.end(), ByOrder());
      if (random() % 8 == 0) std::reverse(batch.begin(), batch.end());
      for (const Key& key : batch) EXPECT_EQ(grown.add(key), rows.emplace(key, 0).second);
      expect_same(grown.list(), rows, random);
    }
  }
}

TEST(RowList, TheNewerVersionOfAKeyComesFirst) {
  Grown grown;
  for (const uint64_t tag : {5U, 9U, 7U}) EXPECT_TRUE(grown.add({"key", tag}));
  EXPECT_FALSE(grown.add({"key", 7}));
  std::vector<uint64_t> tags;
  for (const auto* node = grown.list().first(); node != nullptr; node = RowList::after(node))
    tags.push_back(RowList::key(node).tag);
  EXPECT_EQ(tags, (std::vector<uint64_t>{9, 7, 5}));
  // As of tag 8.
  const std::string bytes = internal({"key", 8});
  EXPECT_EQ(RowList::key(grown.list().not_before(RowKey::of(bytes))).tag, 7U);
}

// As a snapshot reads: newer versions that come meanwhile stand before what it looks for.
TEST(RowList, IsReadAsOfATagWhileNewerVersionsCome) {
  Grown grown;
  std::atomic<uint64_t> added{0};
  std::thread writer([&] {
    for (uint64_t tag = 1; tag <= 30'000; ++tag) {
      for (const char* user : {"a", "key", "z"}) EXPECT_TRUE(grown.add({user, tag}));
      added.store(tag);
    }
  });
  uint64_t wrong = 0;
  for (uint64_t as_of = 0; as_of < 30'000;) {
    as_of = added.load();
    if (as_of == 0) continue;
    for (const char* user : {"a", "key", "z"}) {
      const std::string bytes = internal({user, as_of});
      const RowKey key = RowKey::of(bytes);
      const auto* const found = grown.list().not_before(key);
      wrong += found == nullptr || key_of(found) != Key{user, as_of};
      wrong += grown.list().not_after(key) != found;
    }
  }
  writer.join();
  EXPECT_EQ(wrong, 0U);
}

// Whoever reads while rows are added sees all that were there before, in order, whole.
TEST(RowList, IsReadWhileItGrows) {
  Grown grown;
  std::atomic<uint64_t> added{0};
  std::atomic<bool> done{false};
  std::atomic<uint64_t> wrong{0};
  const auto key = [](uint64_t i) {
    std::string bytes(8, '\0');
    for (size_t b = 0; b < 8; ++b) bytes[b] = static_cast<char>(i * 0x9E3779B97F4A7C15U >> (56 - 8 * b));
    return Key{bytes, i};
  };
  std::vector<std::thread> readers;
  for (int r = 0; r < 3; ++r)
    readers.emplace_back([&, r] {
      std::mt19937_64 random(static_cast<uint64_t>(r));
      while (!done) {
        const uint64_t there = added.load();
        if (there == 0) continue;
        const Key wanted = key(random() % there);
        const std::string bytes = internal(wanted);
        const auto* node = grown.list().not_before(RowKey::of(bytes));
        if (node == nullptr || key_of(node) != wanted || grown.list().not_after(RowKey::of(bytes)) != node) ++wrong;
        uint64_t seen = 0;
        Key last;
        if (random() % 16 == 0) {
          for (node = grown.list().first(); node != nullptr; node = RowList::after(node), ++seen) {
            const Key here = key_of(node);
            wrong += seen > 0 && !ByOrder()(last, here);
            last = here;
          }
          wrong += seen < there;
        }
      }
    });
  std::mt19937 random(1);
  for (uint64_t i = 0; i < 20'000; ++i) {
    EXPECT_TRUE(grown.add(key(i)));
    added.store(i + 1);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace bellwether::row_list_test
