// RocksDB's memtables as lists that know that rows come in order (row_list.h).
#pragma once

#include <memory>

namespace rocksdb {
class MemTableRepFactory;
}

namespace bellwether {

// For families ordered by their keys' bytes, in a database that has one writer at a time
// (allow_concurrent_memtable_write off).
std::shared_ptr<rocksdb::MemTableRepFactory> ordered_memtables();

}  // namespace bellwether
