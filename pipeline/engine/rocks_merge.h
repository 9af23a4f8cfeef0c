// How RocksDB works changes into rows that were written without reading them.
#pragma once

#include <memory>

namespace rocksdb {
class CompactionFilter;
class MergeOperator;
}  // namespace rocksdb

namespace bellwether {

// Of Family::kViews: changes of members (members.h). A row whose members are all gone is none; readers do not see it,
// and by the filter it goes when its file is rewritten.
std::shared_ptr<rocksdb::MergeOperator> merge_members();
const rocksdb::CompactionFilter* no_empty_members();

// Of Family::kState: patches (row_patch.h). One that was made for another row is damage, which whoever reads it is
// told.
std::shared_ptr<rocksdb::MergeOperator> merge_patches();

}  // namespace bellwether
