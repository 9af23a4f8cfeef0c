#include "pipeline/engine/rocks_list.h"

#include <rocksdb/memtablerep.h>

#include <cstdint>
#include <new>
#include <string_view>

#include "pipeline/engine/row_list.h"

namespace bellwether {
namespace {

std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

class RowTable final : public rocksdb::MemTableRep {
 public:
  using Node = RowList::Node;

  explicit RowTable(rocksdb::Allocator* allocator)
      : MemTableRep(allocator), list_(memory(RowList::node_bytes(RowList::kHeight, 0))) {}

  rocksdb::KeyHandle Allocate(const size_t bytes, char** entry) override {
    const int height = list_.next_height();
    Node* const node = RowList::make_node(memory(RowList::node_bytes(height, bytes)), height);
    *entry = RowList::entry(node);
    return node;
  }
  void Insert(rocksdb::KeyHandle handle) override { (void)InsertKey(handle); }
  bool InsertKey(rocksdb::KeyHandle handle) override { return list_.insert(static_cast<Node*>(handle)); }
  bool Contains(const char* entry) const override {
    const RowKey key = RowKey::of_entry(entry);
    const Node* const found = list_.not_after(key);
    if (found == nullptr) return false;
    const RowKey there = RowList::key(found);
    return there.user == key.user && there.tag == key.tag;
  }
  size_t ApproximateMemoryUsage() override { return 0; }  // beside what the allocator gave

  // What MemTableRep::Get uses, and nobody else while merges are not worked in as they come: RocksDB 7.8 asks for an
  // iterator and leaves it where it is. So each thread has a place for one, for the length of a Get.
  Iterator* GetDynamicPrefixIterator(rocksdb::Arena* arena) override {
    if (arena != nullptr) return GetIterator(arena);
    alignas(WalkOfGet) static thread_local char place[sizeof(WalkOfGet)];
    auto* const walk = new (place) WalkOfGet;
    walk->begin(list_);
    return walk;
  }
  Iterator* GetIterator(rocksdb::Arena* arena) override {
    Walk* const walk = arena == nullptr ? new Walk : new WalkOfArena;
    walk->begin(list_);
    return walk;
  }

 private:
  // The allocator's memory is not aligned.
  void* memory(size_t bytes) {
    constexpr size_t kAlign = alignof(void*);
    char* at = nullptr;
    MemTableRep::Allocate(bytes + kAlign - 1, &at);
    return at + (kAlign - reinterpret_cast<uintptr_t>(at) % kAlign) % kAlign;
  }

  class Walk : public Iterator {
   public:
    void begin(const RowList& list) { list_ = &list, at_ = nullptr; }
    bool Valid() const override { return at_ != nullptr; }
    const char* key() const override { return RowList::entry(at_); }
    void Next() override { at_ = RowList::after(at_); }
    void Prev() override { at_ = list_->before(RowList::key(at_)); }
    void Seek(const rocksdb::Slice& internal, const char* entry) override {
      at_ = list_->not_before(of(internal, entry));
    }
    void SeekForPrev(const rocksdb::Slice& internal, const char* entry) override {
      at_ = list_->not_after(of(internal, entry));
    }
    void SeekToFirst() override { at_ = list_->first(); }
    void SeekToLast() override { at_ = list_->last(); }

   private:
    static RowKey of(const rocksdb::Slice& internal, const char* entry) {
      return entry != nullptr ? RowKey::of_entry(entry) : RowKey::of(view(internal));
    }
    const RowList* list_ = nullptr;
    const Node* at_ = nullptr;
  };

  // Whether it is deleted or left.
  class WalkOfGet final : public Walk {
   public:
    static void operator delete(void*) {}
  };

  // An iterator that RocksDB means to have in an arena of its own, which no header shows: of it the destructor is
  // called and nothing else. Its memory is let go when the next one ends on the same thread, or the thread.
  class WalkOfArena final : public Walk {
   public:
    ~WalkOfArena() override {
      static thread_local Ended ended;
      ended.take(this);
    }

   private:
    struct Ended {
      void* memory = nullptr;
      void take(void* next) {
        ::operator delete(memory);
        memory = next;
      }
      ~Ended() { ::operator delete(memory); }
    };
  };

  RowList list_;
};

class Factory final : public rocksdb::MemTableRepFactory {
 public:
  const char* Name() const override { return "bellwether.rows"; }
  using MemTableRepFactory::CreateMemTableRep;
  rocksdb::MemTableRep* CreateMemTableRep(const rocksdb::MemTableRep::KeyComparator&, rocksdb::Allocator* allocator,
                                          const rocksdb::SliceTransform*, rocksdb::Logger*) override {
    return new RowTable(allocator);
  }
  bool CanHandleDuplicatedKey() const override { return true; }
};

}  // namespace

std::shared_ptr<rocksdb::MemTableRepFactory> ordered_memtables() { return std::make_shared<Factory>(); }

}  // namespace bellwether
